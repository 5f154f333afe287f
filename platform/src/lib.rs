//! How guest code runs, and the sentry's only door to the host kernel.
//!
//! `contract` states what a platform is: address spaces, threads, traps. `ptrace` is the simple
//! reference implementation. `host` holds safe wrappers for every host call the sentry makes.
//! This crate never sees a task, a file description or any other kernel object.

pub mod contract;
pub mod filter;
pub mod host;
mod process;
pub mod ptrace;
pub mod ranges;
pub mod systrap;

pub use contract::*;
pub use filter::systrap::{NATIVE_CALLS, UNKNOWN_CALLS, is_native};
pub use systrap::{
    Conduit, Descriptors, Disturbed, End, FAST_CALLS, FILE_CALLS, Listener, Owner, Readiness,
    ServedFile, ServedHow,
};
