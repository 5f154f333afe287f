//! Learns which guest processes have ended, and reaps them.

use std::io;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use super::supervisor::Supervisor;
use crate::process::Tid;

/// Small: the thread makes system calls and wakes others.
const STACK_BYTES: usize = 64 << 10;

/// The thread, which ends with the last child.
pub(super) struct Reaper(Option<JoinHandle<()>>);

impl Reaper {
    /// Errors: those of starting a thread.
    pub(super) fn start(supervisor: &Arc<Supervisor>) -> io::Result<Reaper> {
        let supervisor = Arc::downgrade(supervisor);
        let thread = std::thread::Builder::new().name("reaper".into()).stack_size(STACK_BYTES);
        Ok(Reaper(Some(thread.spawn(move || run(&supervisor))?)))
    }
}

impl Drop for Reaper {
    /// Waits for the end of all children, which were killed.
    fn drop(&mut self) {
        // The thread itself may be the last to hold the platform, for a moment.
        if let Some(thread) = self.0.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // It does not panic; and if it did there would be nothing to do about it.
            let _ = thread.join();
        }
    }
}

fn run(supervisor: &Weak<Supervisor>) {
    while let Some(tgid) = next_ended() {
        // Before it is reaped its number cannot belong to anybody else.
        if let Some(supervisor) = supervisor.upgrade() {
            supervisor.process_ended(tgid);
        }
        // SAFETY: no status is asked for.
        unsafe { libc::waitpid(tgid, std::ptr::null_mut(), libc::__WALL) };
    }
}

/// Waits for a child that has ended and leaves it to be reaped; `None` if there are no children.
fn next_ended() -> Option<Tid> {
    loop {
        // SAFETY: all zeroes is a valid `siginfo_t`.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let options = libc::WEXITED | libc::WNOWAIT | libc::__WALL;
        // SAFETY: `info` is live.
        if unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, options) } == 0 {
            // SAFETY: the call filled in the fields for a child.
            return Some(unsafe { info.si_pid() });
        }
        if crate::host::last_errno() != linux_abi::Errno::EINTR {
            return None;
        }
    }
}
