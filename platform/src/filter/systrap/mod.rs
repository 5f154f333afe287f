//! What a stub process of the systrap platform may ask of the host.
//!
//! The guest runs untraced in that process, so this filter is the boundary: it sees every system
//! call, the guest's and the stub's, and tells them apart by the address they come from. Guest
//! code can jump to the stub's `syscall` instruction with registers of its choice, and can write
//! all memory of the process. So what the stub may do, the guest may do: each entry of
//! [`HOST_CALLS`] must harm nobody but the process that makes the call.
//!
//! The policy, in order:
//!
//! 1. `int 0x80` and x32 do not exist: ENOSYS.
//! 2. From the stub's code: the [`DOORBELL`] is a user notification, [`HOST_CALLS`] reach the
//!    host if their arguments are within bounds and else fail with the error of the entry. Where
//!    the entry says so they are user notifications first, and the sentry decides. All
//!    other numbers kill the process: the stub makes none, so it was the guest, on purpose. To
//!    serve such a call would show the sentry an address that the guest does not have, and a trap
//!    would enter the stub's signal handler from within the stub.
//! 3. From the vsyscall page: [`VSYSCALLS`] are executed by the host.
//! 4. From anywhere else, so from the guest: [`FUTEX_CALLS`] and [`OWN_CALLS`] reach the host within
//!    their bounds if futexes are native, and [`UNKNOWN_CALLS`] fail then; [`TRAPPED`] raise SIGSYS for the stub, all others are user
//!    notifications. That goes for the doorbell too: it rings, but not from the stub.
//!
//! A thread may have a second filter ([`catch_all`]) by which what 3 and 4 let through traps, too.
//!
//! About two numbers newer hosts ask no filter: `uretprobe` and `uprobe` (335 and 336). They act for
//! the host's own trampolines only; elsewhere the caller gets SIGILL.
//!
//! The window is never changed from within, save for the channel memory that a forked stub
//! replaces. The filter checks every address that a call states. Where the host chooses one, it
//! takes what is free: so the stub must keep its whole window mapped.

mod catch_all;
mod program;
mod table;
#[cfg(test)]
mod tests;

pub use catch_all::{NATIVE_CALLS, catch_all};
pub use program::{Error, Layout, program};
pub use table::{
    Bound, CLONE_COPY, CLONE_SHARE, CLONE_THREAD, FUTEX_CALLS, HOST_CALLS, HostCall, OWN_CALLS,
    TRAPPED, UNKNOWN_CALLS, VSYSCALLS, is_native,
};

/// The system call by which the stub calls the sentry. Linux has no such number, and none near.
pub const DOORBELL: u32 = 0x004d_5a00;
/// Size of the stub's window, in bytes, and its alignment.
pub const WINDOW_BYTES: u64 = 1 << 32;
