//! Seccomp filters, as tables of what is allowed and why.
//!
//! [`stub`] is what the host still executes for a guest process of the ptrace platform, [`sentry`]
//! what it executes for the sentry. Both kill the process on anything else. [`systrap`] sees every
//! call of its guest processes and sorts them; its program is made with [`bpf`]. To find out what
//! killed a process, look for `type=1326` in the host's kernel log.

pub mod sentry;
pub mod stub;
pub mod systrap;

pub use syscall_filter::{Allowed, Check, bpf};
