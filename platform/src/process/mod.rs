//! A stub process from the outside: what every platform does with one in the same way.
//!
//! [`space`] is its memory as an address space, made of [`copy`] (data) and [`procfs`] (mappings);
//! [`ops`] translates host operations into the system calls that the stub makes; [`fpu`] knows
//! floating-point images; [`heap`] where the host has the heap; [`clock`] tells CPU time.

use linux_abi::Errno;

pub(crate) mod clock;
pub(crate) mod copy;
pub(crate) mod fpu;
pub(crate) mod heap;
pub(crate) mod ops;
pub(crate) mod procfs;
pub(crate) mod space;

/// Host thread id.
pub(crate) type Tid = i32;

pub(crate) const PAGE_BYTES: u64 = 4096;

/// End of the lower half of the address space with 4-level paging, less the guard page that Linux
/// keeps there (`TASK_SIZE_MAX`).
pub(crate) const USER_END: u64 = (1 << 47) - PAGE_BYTES;
/// First address a guest may map (`vm.mmap_min_addr` on most hosts).
pub(crate) const USER_START: u64 = 0x1_0000;

/// The signal that takes a running stub thread out of guest code, and a worker out of its wait.
/// Its default action is to be ignored, so a stray one does no harm.
pub(crate) const KICK: i32 = libc::SIGURG;

/// Kills a whole thread group.
pub(crate) fn kill_process(tgid: Tid) {
    // SAFETY: sending a signal touches no memory of ours.
    unsafe { libc::kill(tgid, libc::SIGKILL) };
}

/// Sends [`KICK`] to one thread. Errors: ESRCH when there is no such thread.
pub(crate) fn kick(tgid: Tid, tid: Tid) -> Result<(), Errno> {
    send(tgid, tid, KICK)
}

/// Asks whether a process has such a thread. Errors: ESRCH when it has not.
pub(crate) fn ask_for(tgid: Tid, tid: Tid) -> Result<(), Errno> {
    send(tgid, tid, 0)
}

fn send(tgid: Tid, tid: Tid, signal: i32) -> Result<(), Errno> {
    // SAFETY: sending a signal touches no memory of ours.
    match unsafe { libc::syscall(libc::SYS_tgkill, tgid, tid, signal) } {
        0 => Ok(()),
        _ => Err(crate::host::last_errno()),
    }
}
