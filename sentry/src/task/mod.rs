//! Tasks (threads), thread groups (processes), and their life.
//!
//! [`Task`] is what other tasks may see of a thread; [`Ctx`] is what its own system calls work
//! with: the task and the platform's thread handle. [`run`] is the loop of one thread.
//!
//! `clone`, `exec`, `exit` and `wait` are operations on the [`TaskTree`], whose lock is the
//! outermost of all: parents, children, process groups and sessions change only under it.

mod context;
mod credentials;
mod group;
mod tree;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::task::Waker;

use platform::Interrupter;

pub use context::Ctx;
pub use credentials::Credentials;
pub use group::{ProcessGroup, Session, ThreadGroup};
pub use tree::TaskTree;

use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::signal::TaskSignals;
use crate::sync::{Mutex, Rank, RwLock};
use crate::vfs::{FdTable, FsContext};

/// Thread and process identifiers as the guest sees them.
pub type Pid = i32;

/// A thread as the rest of the kernel sees it.
pub struct Task {
    tid: AtomicI32,
    pub kernel: Arc<Kernel>,
    pub group: Arc<ThreadGroup>,
    /// `comm`, at most 15 bytes.
    pub name: Mutex<Vec<u8>>,
    credentials: RwLock<Arc<Credentials>>,
    mm: RwLock<Arc<Mm>>,
    fs: RwLock<Arc<FsContext>>,
    fds: RwLock<Arc<FdTable>>,
    pub signals: Mutex<TaskSignals>,
    /// Whether the run loop must look at signals, stops or exit before it resumes guest code or
    /// goes on sleeping. Set by whoever causes one of these.
    attention: AtomicBool,
    wakeup: Mutex<Wakeup>,
    /// Guest address to clear and wake at exit (`CLONE_CHILD_CLEARTID`), 0 for none.
    pub clear_child_tid: AtomicU64,
    /// Head of the robust futex list, 0 for none.
    pub robust_list: AtomicU64,
    pub start_time_ns: u64,
    /// CPU time of the host thread (user, system), refreshed whenever the task traps for long.
    pub cpu_user_ns: AtomicU64,
    pub cpu_system_ns: AtomicU64,
}

#[derive(Default)]
struct Wakeup {
    waker: Option<Waker>,
    interrupter: Option<Arc<dyn Interrupter>>,
}

impl Task {
    pub fn credentials(&self) -> Arc<Credentials> {
        self.credentials.read().clone()
    }

    pub fn set_credentials(&self, new: Credentials) {
        *self.credentials.write() = Arc::new(new);
    }

    pub fn mm(&self) -> Arc<Mm> {
        self.mm.read().clone()
    }

    pub fn fs(&self) -> Arc<FsContext> {
        self.fs.read().clone()
    }

    pub fn set_fs(&self, new: Arc<FsContext>) {
        *self.fs.write() = new;
    }

    pub fn fds(&self) -> Arc<FdTable> {
        self.fds.read().clone()
    }

    pub fn set_fds(&self, new: Arc<FdTable>) {
        *self.fds.write() = new;
    }

    /// The thread's number. Changes only when a thread that is not the leader calls `execve`.
    pub fn tid(&self) -> Pid {
        self.tid.load(Ordering::Relaxed)
    }

    pub fn pid(&self) -> Pid {
        self.group.pid
    }

    /// Whether signals, a stop or the end wait to be handled: a blocked system call gives up then.
    pub fn has_attention(&self) -> bool {
        self.attention.load(Ordering::Acquire)
    }

    pub(crate) fn clear_attention(&self) {
        self.attention.store(false, Ordering::Release);
    }

    /// Makes the calling task itself look at its signals before it goes on.
    pub(crate) fn note_attention(&self) {
        self.attention.store(true, Ordering::Release);
    }

    /// Makes the task trap if it runs guest code, or as soon as it is about to; a blocked system
    /// call goes on.
    pub(crate) fn interrupt_guest_code(&self) {
        let interrupter = self.wakeup.lock().interrupter.clone();
        if let Some(interrupter) = interrupter {
            interrupter.interrupt();
        }
    }

    /// Makes the task look at its signals: wakes a blocked system call, traps running guest code.
    pub fn request_attention(&self) {
        self.attention.store(true, Ordering::Release);
        let (waker, interrupter) = {
            let wakeup = self.wakeup.lock();
            (wakeup.waker.clone(), wakeup.interrupter.clone())
        };
        if let Some(interrupter) = interrupter {
            interrupter.interrupt();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
