//! The sentry: a user-space kernel that serves the system calls of untrusted programs.
//!
//! Life of a system call: the platform reports a trap to [`task::run`], which hands number and
//! arguments to [`syscall::dispatch`]; the row in [`syscall::table`] names the handler in
//! `syscall::<family>`, which acts on objects through their traits ([`vfs::Inode`],
//! [`vfs::File`]) implemented under [`fs`] and [`net`].
//!
//! One guest thread is one future on the [`executor`]; what blocks is an `async fn`.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

pub mod boot;
mod control;
pub mod executor;
pub mod fs;
pub mod futex;
mod hash;
pub mod ipc;
pub mod kernel;
pub mod latency;
pub mod loader;
pub mod memory;
pub mod mm;
pub mod net;
mod ptrace;
pub mod seccomp;
pub mod signal;
pub mod sync;
pub mod syscall;
pub mod task;
pub mod time;
pub mod vfs;

pub use kernel::Kernel;
