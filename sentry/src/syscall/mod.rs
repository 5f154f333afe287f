//! System calls: the table, argument decoding, and one module for each family of handlers.
//!
//! To add one: a row in `table.rs`, a function in its family, a case in `syscall-tests`.
//! A handler is `fn` or `async fn name(ctx: &mut Ctx, …typed arguments…) -> SysResult`; one that
//! ends or replaces the caller answers with a [`Flow`].

mod admin;
mod anonymous;
mod args;
mod async_io;
mod attr;
mod blocking;
pub mod compatibility;
mod dir;
mod epoll;
mod event;
mod fd;
mod flow;
mod futex;
mod futex_pi;
mod handles;
mod identity;
mod inotify;
mod ioprio;
mod kcmp;
mod kill;
mod limits;
mod locks;
mod log;
mod memfd;
mod mmap;
mod mount;
mod mqueue;
mod msg;
mod namespaces;
mod numa;
mod open;
mod pidfd;
mod pipe;
mod pkey;
mod poll;
mod prctl;
mod process;
mod process_vm;
mod ptrace;
mod read_write;
mod sched;
mod seccomp;
mod seccomp_listener;
mod select;
mod self_service;
mod sem;
mod shm;
mod signal;
mod signalfd;
mod socket;
mod splice;
mod stat;
pub mod strace;
mod sync;
mod system;
mod table;
mod time;
mod timer;
mod timerfd;
mod transfer;
mod xattr;

pub use args::{Args, Fd, FromArg};
pub use flow::{Flow, SysResult};
pub use stat::stat_at_hand;
pub use table::{Entry, Level, TABLE, dispatch};
pub use transfer::clone_error;
