//! Signals as a file, signalfd(2).
//!
//! A signalfd belongs to nobody: a read takes signals of the task that reads, and readiness is that
//! of the task that asks. Each process that reads or polls it is asked to tell of new signals.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use linux_abi::Errno;
use linux_abi::poll::PollEvents;
use linux_abi::signal::{
    SI_TIMER, SIGBUS, SIGCHLD, SIGFPE, SIGILL, SIGIO, SIGSEGV, SIGSYS, SIGTRAP, SigInfo, SigSet,
    SignalfdSiginfo,
};
use zerocopy::IntoBytes;

use crate::memory::IoDest;
use crate::signal;
use crate::sync::WaitQueue;
use crate::task::{self, Task};
use crate::vfs::{File, IoContext};

/// A set of signals that can be read.
pub struct SignalFd {
    mask: AtomicU64,
    queue: Arc<WaitQueue>,
    /// Who made it: asked for readiness on behalf of no task.
    creator: Weak<Task>,
}

impl SignalFd {
    pub fn new(creator: &Arc<Task>, mask: SigSet) -> SignalFd {
        let queue = Arc::new(WaitQueue::new());
        creator.group.signals.lock().add_listener(&queue);
        let mask = AtomicU64::new(mask.difference(SigSet::UNBLOCKABLE).0);
        SignalFd { mask, queue, creator: Arc::downgrade(creator) }
    }

    fn mask(&self) -> SigSet {
        SigSet(self.mask.load(Ordering::Acquire))
    }

    /// Replaces the set.
    pub fn set_mask(&self, mask: SigSet) {
        self.mask.store(mask.difference(SigSet::UNBLOCKABLE).0, Ordering::Release);
        self.queue.notify(PollEvents::IN);
    }

    /// Makes `task`'s process tell of new signals.
    fn listen_to(&self, task: &Task) {
        task.group.signals.lock().add_listener(&self.queue);
    }
}

impl File for SignalFd {
    fn as_any(&self) -> &dyn Any {
        self
    }

    /// As many signals as are pending and fit. Errors: EINVAL for less than one, EAGAIN, EFAULT
    /// (the signal is lost then, as on Linux).
    fn read(&self, dest: &mut IoDest<'_>, _: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        let task = io.task.ok_or(Errno::EINVAL)?;
        let room = dest.remaining() / size_of::<SignalfdSiginfo>();
        if room == 0 {
            return Err(Errno::EINVAL);
        }
        self.listen_to(task);
        let mut total = 0;
        for _ in 0..room {
            let Some(info) = signal::take_waited(task, self.mask()) else { break };
            match dest.put(describe(&info).as_bytes()) {
                Ok(put) if put == size_of::<SignalfdSiginfo>() => total += put,
                _ if total == 0 => return Err(Errno::EFAULT),
                _ => break,
            }
        }
        if total == 0 { Err(Errno::EAGAIN) } else { Ok(total) }
    }

    fn readiness(&self) -> PollEvents {
        let Some(task) = task::current().or_else(|| self.creator.upgrade()) else {
            return PollEvents::empty();
        };
        self.listen_to(&task);
        if signal::pending(&task).intersects(self.mask()) {
            PollEvents::IN | PollEvents::RDNORM
        } else {
            PollEvents::empty()
        }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn fdinfo(&self) -> String {
        format!("sigmask:\t{:016x}\n", self.mask().0)
    }
}

/// What a reader learns of a signal (Linux: `signalfd_copyinfo`).
fn describe(info: &SigInfo) -> SignalfdSiginfo {
    let mut out = SignalfdSiginfo {
        signo: info.signo as u32,
        errno: info.errno,
        code: info.code,
        ..SignalfdSiginfo::default()
    };
    let is_fault =
        matches!(info.signo, SIGSEGV | SIGBUS | SIGILL | SIGFPE | SIGTRAP) && info.code > 0;
    if info.code == SI_TIMER {
        out.tid = info.timer_id() as u32;
        out.overrun = info.overrun() as u32;
        set_value(&mut out, info);
    } else if is_fault {
        out.addr = info.addr();
    } else if info.signo == SIGIO && info.code > 0 {
        out.band = info.band() as u32;
        out.fd = info.fd();
    } else if info.signo == SIGSYS && info.code > 0 {
        out.call_addr = info.call_addr();
        out.syscall = info.syscall();
        out.arch = info.arch();
    } else {
        out.pid = info.pid() as u32;
        out.uid = info.uid();
        if info.signo == SIGCHLD && info.code > 0 {
            out.status = info.status();
            out.utime = info.utime() as u64;
            out.stime = info.stime() as u64;
        } else if info.code < 0 {
            set_value(&mut out, info);
        }
    }
    out
}

fn set_value(out: &mut SignalfdSiginfo, info: &SigInfo) {
    out.ptr = info.value();
    out.int = info.value() as i32;
}

#[cfg(test)]
mod tests {
    use linux_abi::signal::{CLD_EXITED, SI_QUEUE, SI_USER, SIGTERM, SIGUSR1};

    use super::*;

    #[test]
    fn each_kind_of_signal_shows_its_own_facts() {
        let queued = describe(&SigInfo::queue(SIGUSR1, SI_QUEUE, 7, 8, 0x1_0000_0002));
        assert_eq!((queued.pid, queued.uid, queued.int, queued.ptr), (7, 8, 2, 0x1_0000_0002));
        let child = describe(&SigInfo::child(CLD_EXITED, 7, 8, 3, 4, 5));
        assert_eq!((child.pid, child.status, child.utime, child.stime), (7, 3, 4, 5));
        let killed = describe(&SigInfo::kill(SIGTERM, SI_USER, 7, 8));
        assert_eq!((killed.signo, killed.pid, killed.ptr), (15, 7, 0));
        let timer = describe(&SigInfo::timer(SIGUSR1, 2, 9, 6));
        assert_eq!((timer.tid, timer.overrun, timer.ptr, timer.pid), (2, 9, 6, 0));
        let fault = describe(&SigInfo::fault(SIGSEGV, 1, 0xdead));
        assert_eq!((fault.addr, fault.pid), (0xdead, 0));
    }
}
