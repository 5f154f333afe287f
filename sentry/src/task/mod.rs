//! Tasks (threads), thread groups (processes), and their life.
//!
//! [`Task`] is what other tasks may see of a thread; [`Ctx`] is what its own system calls work
//! with: the task and the platform's thread handle. [`run`] is the loop of one thread.
//!
//! `clone`, `exec`, `exit` and `wait` are operations on the [`TaskTree`], whose lock is the
//! outermost of all: parents, children, process groups and sessions change only under it.

mod access;
mod burial;
mod clone;
mod context;
mod create;
mod credentials;
mod current;
mod exec;
mod exit;
mod foretelling;
mod group;
mod job_control;
mod limits;
mod obituary;
mod posting;
mod run;
mod sched;
mod trace;
mod tree;
mod usage;
mod wait;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::task::Waker;

use linux_abi::poll::PollEvents;
use platform::Interrupter;
use platform::host::ticks;

pub use access::{AccessMode, check_access};
pub(crate) use burial::parent_learns_of_end;
pub use clone::{CloneRequest, NAMESPACES, clone};
pub use context::Ctx;
pub use create::FirstProcess;
pub use credentials::{ALL_CAPABILITIES, Credentials};
pub use current::{begin_operation, current, operation_start};
pub use exec::{ExecRequest, execve, load_first};
pub use exit::{ExitReason, end_group};
pub use foretelling::Foretelling;
pub use group::{ControllingTerminal, ProcessGroup, Session, ThreadGroup};
pub use job_control::{set_process_group, start_session};
pub use limits::is_host_limit;
pub use run::run;
pub use sched::{MAX_CPUS, MemoryPolicy, SchedState};
pub use tree::{PID_MAX, TaskTree, Tree};
pub use usage::rusage;
pub use wait::{ChildEvent, ChildFilter, exit_code_and_value, wait_for_child};

use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::ptrace::Tracing;
use crate::seccomp::TaskSeccomp;
use crate::signal::TaskSignals;
use crate::sync::{Mutex, RwLock, WaitQueue};
use crate::vfs::{FdTable, FsContext};

/// Thread and process identifiers as the guest sees them.
pub type Pid = i32;

/// The container's first process.
pub const INIT_PID: Pid = 1;

/// A thread as the rest of the kernel sees it.
pub struct Task {
    tid: AtomicI32,
    pub kernel: Arc<Kernel>,
    pub group: Arc<ThreadGroup>,
    /// `comm`, at most 15 bytes.
    pub name: Mutex<Vec<u8>>,
    credentials: RwLock<Arc<Credentials>>,
    /// The filters of its system calls.
    pub seccomp: TaskSeccomp,
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
    /// It ends, and what it had of priority-inheriting futexes is given to others.
    pub has_left_futexes: AtomicBool,
    pub(crate) tracing: Tracing,
    pub start_time_ns: u64,
    pub sched: Mutex<SchedState>,
    /// `PR_SET_PDEATHSIG`, 0 for none.
    pub death_signal: AtomicI32,
    /// Told when this task no longer uses its parent's memory (`vfork`).
    pub(crate) vfork_done: Mutex<Option<Arc<VforkDone>>>,
    /// Whether the host thread is running guest code, not waiting in a system call.
    pub(crate) is_in_guest: AtomicBool,
    /// Time that the kernel has worked for the task: its system time, in [`ticks`].
    served_ticks: AtomicU64,
    /// CPU time of host threads that ran earlier programs of the task, in nanoseconds.
    earlier_ns: AtomicU64,
}

/// Where a `vfork` parent waits for its child to `execve` or exit.
#[derive(Default)]
pub struct VforkDone {
    is_done: AtomicBool,
    waiters: WaitQueue,
}

impl VforkDone {
    pub(crate) fn finish(&self) {
        self.is_done.store(true, Ordering::Release);
        self.waiters.notify(PollEvents::IN);
    }

    pub(crate) async fn wait(&self) {
        crate::sync::wait_for(&self.waiters, PollEvents::IN, || {
            self.is_done.load(Ordering::Acquire).then_some(())
        })
        .await;
    }
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

    /// Puts new credentials in force. Takes the lock of the task tree if the real user changes.
    pub fn set_credentials(&self, mut new: Credentials) {
        let uid = new.uid;
        let old = {
            let mut current = self.credentials.write();
            // Nothing takes that back, and another thread may just have set it.
            new.no_new_privs |= current.no_new_privs;
            std::mem::replace(&mut *current, Arc::new(new))
        };
        if old.uid != uid {
            self.kernel.tasks.lock().change_user(self.tid(), uid);
        }
    }

    pub fn mm(&self) -> Arc<Mm> {
        self.mm.read().clone()
    }

    pub fn fs(&self) -> Arc<FsContext> {
        self.fs.read().clone()
    }

    pub(crate) fn set_mm(&self, new: Arc<Mm>) {
        let old = std::mem::replace(&mut *self.mm.write(), new);
        // Dropped with no lock held: the last holder tears the object down.
        drop(old);
    }

    pub fn set_fs(&self, new: Arc<FsContext>) {
        let old = std::mem::replace(&mut *self.fs.write(), new);
        // Dropped with no lock held: the last holder tears the object down.
        drop(old);
    }

    pub fn fds(&self) -> Arc<FdTable> {
        self.fds.read().clone()
    }

    /// Whether no other task goes by its descriptor table, or looks at that just now.
    pub fn has_own_fds(&self) -> bool {
        Arc::strong_count(&self.fds.read()) == 1
    }

    pub fn set_fds(&self, new: Arc<FdTable>) {
        let old = std::mem::replace(&mut *self.fds.write(), new);
        // Dropped with no lock held: the last holder tears the object down.
        drop(old);
    }

    /// The thread's number. Changes only when a thread that is not the leader calls `execve`.
    pub fn tid(&self) -> Pid {
        self.tid.load(Ordering::Relaxed)
    }

    pub fn pid(&self) -> Pid {
        self.group.pid
    }

    /// Whether the thread runs guest code just now, and does not wait for a futex of the host.
    pub fn runs_guest_code(&self) -> bool {
        let interrupter = self.wakeup.lock().interrupter.clone();
        self.is_in_guest.load(Ordering::Relaxed) && interrupter.is_none_or(|it| !it.is_asleep())
    }

    /// Whether somebody says that signals, a stop or the end wait to be handled.
    pub fn has_attention(&self) -> bool {
        self.attention.load(Ordering::Acquire)
    }

    /// Whether signals, a stop or the end wait to be handled: a blocked system call gives up then.
    /// A word of it that came late, when all was handled, is forgotten. Only the task itself asks.
    pub fn must_attend(&self) -> bool {
        if !self.has_attention() {
            return false;
        }
        // Before looking, so that what comes from now on is not forgotten.
        self.clear_attention();
        let must_attend = self.must_exit() || crate::signal::is_due(self);
        if must_attend {
            self.note_attention();
        }
        must_attend
    }

    pub(crate) fn clear_attention(&self) {
        self.attention.store(false, Ordering::Release);
    }

    /// Makes the calling task itself look at its signals before it goes on.
    pub(crate) fn note_attention(&self) {
        self.attention.store(true, Ordering::Release);
    }

    /// CPU time (user, system) in nanoseconds; zero once the task has ended.
    pub(crate) fn cpu_time_ns(&self) -> (u64, u64) {
        let interrupter = self.wakeup.lock().interrupter.clone();
        let Some(thread) = interrupter else { return (0, 0) };
        let (user, system) = thread.cpu_time_ns();
        let earlier = self.earlier_ns.load(Ordering::Relaxed);
        (user + earlier, system + self.served_ns())
    }

    /// CPU time in nanoseconds that the kernel has worked for the task.
    pub(crate) fn served_ns(&self) -> u64 {
        ticks::to_ns(self.served_ticks.load(Ordering::Relaxed))
    }

    /// CPU time in nanoseconds of all threads of the host process that the task runs in; `None`
    /// once the task has ended.
    pub(crate) fn process_user_ns(&self) -> Option<u64> {
        let interrupter = self.wakeup.lock().interrupter.clone();
        interrupter.map(|thread| thread.process_cpu_time_ns())
    }

    /// Connects the task with its future and its host thread.
    pub(crate) fn set_waker(&self, waker: Waker) {
        self.wakeup.lock().waker = Some(waker);
    }

    pub(crate) fn set_interrupter(&self, interrupter: Option<Arc<dyn Interrupter>>) {
        self.wakeup.lock().interrupter = interrupter;
    }

    /// A call in which guest code of the task waits by itself was judged by the filters so far. Followed by
    /// [`Task::request_attention`].
    pub(crate) fn keep_judgement(&self) {
        let interrupter = self.wakeup.lock().interrupter.clone();
        if let Some(thread) = interrupter {
            thread.keep_judgement();
        }
    }

    /// Lets the host thread run where the task's affinity says. Host processors count as those
    /// that the guest sees, over and over.
    pub(crate) fn apply_affinity(&self) {
        let interrupter = self.wakeup.lock().interrupter.clone();
        let Some(interrupter) = interrupter else { return };
        let state = self.sched.lock().clone();
        let cpus = self.kernel.cpu_count.max(1);
        interrupter.bind(&|cpu| state.allows(cpu % cpus));
    }

    /// Lets the task's future look again at what it waits for.
    pub(crate) fn wake(&self) {
        let waker = self.wakeup.lock().waker.clone();
        if let Some(waker) = waker {
            waker.wake();
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
