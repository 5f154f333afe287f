//! Learns which guest processes have ended, and reaps them. Behind each it makes up for what the
//! [`Nursery`] and the [`Spares`](super::spares) have given away.

use std::io;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use super::nursery::Nursery;
use super::supervisor::Supervisor;
use crate::process::Tid;

/// Small: the thread makes system calls and wakes others.
const STACK_BYTES: usize = 64 << 10;

/// The thread, which ends with the last child.
pub(super) struct Reaper(Option<JoinHandle<()>>);

impl Reaper {
    /// Errors: those of starting a thread.
    pub(super) fn start(
        supervisor: &Arc<Supervisor>,
        nursery: &Arc<Nursery>,
    ) -> io::Result<Reaper> {
        let (supervisor, nursery) = (Arc::downgrade(supervisor), Arc::downgrade(nursery));
        let thread = std::thread::Builder::new().name("reaper".into()).stack_size(STACK_BYTES);
        Ok(Reaper(Some(thread.spawn(move || run(&supervisor, &nursery))?)))
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

fn run(supervisor: &Weak<Supervisor>, nursery: &Weak<Nursery>) {
    if let Some(nursery) = nursery.upgrade() {
        nursery.become_maker();
    }
    while let Ended::One(tgid) = next_ended(0) {
        reap(supervisor, tgid);
        if let Some(supervisor) = supervisor.upgrade() {
            supervisor.channels.fill();
        }
        let Some(nursery) = nursery.upgrade() else { continue };
        nursery.fill(|| {
            while let Ended::One(tgid) = next_ended(libc::WNOHANG) {
                reap(supervisor, tgid);
            }
        });
    }
}

fn reap(supervisor: &Weak<Supervisor>, tgid: Tid) {
    // Before it is reaped its number cannot belong to anybody else.
    if let Some(supervisor) = supervisor.upgrade() {
        supervisor.process_ended(tgid);
    }
    // SAFETY: no status is asked for.
    unsafe { libc::waitpid(tgid, std::ptr::null_mut(), libc::__WALL) };
}

/// What is known of the children.
enum Ended {
    /// This one has ended, and is left to be reaped.
    One(Tid),
    /// All live, or there are none.
    Nobody,
}

/// Waits for a child that has ended, unless `options` say not to.
fn next_ended(options: i32) -> Ended {
    loop {
        // SAFETY: all zeroes is a valid `siginfo_t`.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let options = libc::WEXITED | libc::WNOWAIT | libc::__WALL | options;
        // SAFETY: `info` is live.
        if unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, options) } == 0 {
            // SAFETY: the call filled in the fields for a child, or left the zeroes.
            let tgid = unsafe { info.si_pid() };
            return if tgid == 0 { Ended::Nobody } else { Ended::One(tgid) };
        }
        if crate::host::last_errno() != linux_abi::Errno::EINTR {
            return Ended::Nobody;
        }
    }
}
