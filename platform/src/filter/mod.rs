//! Seccomp filters, as tables of what is allowed and why.
//!
//! [`stub`] is what the host still executes for a guest process, [`sentry`] what it executes for
//! the sentry. Both kill the process on anything else. To find out what killed one, look for
//! `type=1326` in the host's kernel log.

mod rule;
pub mod sentry;
pub mod stub;

pub use rule::{Allowed, Check};
