//! Seccomp filters, as tables of what is allowed and why.
//!
//! [`stub`] is what the host still executes for a guest process, [`sentry`] what it executes for
//! the sentry. Both kill on anything else.

pub mod stub;
