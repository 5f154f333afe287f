//! Thread groups (processes), process groups and sessions.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use linux_abi::task::{RLIM_NLIMITS, Rlimit64};

use super::obituary::Obituary;
use super::{Pid, Task};
use crate::signal::{GroupSignals, SignalActions};
use crate::sync::{Mutex, Rank, RwLock, WaitQueue};
use crate::time::ItimerState;

/// A process: threads that share a pid, signal actions, limits and children.
pub struct ThreadGroup {
    pub pid: Pid,
    /// Signal actions; shared by `CLONE_SIGHAND` without `CLONE_THREAD`, hence behind an `Arc`.
    pub actions: RwLock<Arc<SignalActions>>,
    /// Signals pending for the whole process, and its stop state.
    pub signals: Mutex<GroupSignals>,
    pub limits: Mutex<[Rlimit64; RLIM_NLIMITS]>,
    /// Parent, children, threads: change only under the task tree's lock.
    pub(super) links: Mutex<GroupLinks>,
    /// Notified when a child changes state (`wait4`).
    pub child_events: WaitQueue,
    /// Notified (HUP) once the process is dead: pidfds and the control server wait here.
    pub exit_events: WaitQueue,
    /// Signal sent to the parent at exit (SIGCHLD for fork; 0 for none).
    pub exit_signal: AtomicI32,
    /// Exit status as `wait4` shows it, once dead: see [`ThreadGroup::exit_status`].
    pub(super) exit_status: AtomicU32,
    /// Real user id at the time of death.
    pub(super) owner: AtomicU32,
    /// The parent's thread that made it, or took it over (`__WNOTHREAD`).
    pub(super) creator: AtomicI32,
    pub(super) is_dead: AtomicBool,
    pub(super) obituary: Obituary,
    /// Set as soon as the whole process is ending (`exit_group`, fatal signal); holds its status.
    pub(super) group_exit: Mutex<Option<u32>>,
    /// An `execve` in this process: the thread that survives.
    pub(super) exec_survivor: Mutex<Option<Pid>>,
    /// Whether the process has called `execve` since it was forked (setpgid: EACCES).
    pub has_execed: AtomicBool,
    pub is_child_subreaper: AtomicBool,
    /// Whether a thread traces another, or has done so.
    pub(crate) has_traced: AtomicBool,
    pub dumpable: AtomicU32,
    pub oom_score_adj: AtomicI32,
    /// `personality(2)`.
    pub personality: AtomicU32,
    /// CPU time of programs that have ended (user) and of threads that have (system), and of
    /// waited-for children, in ns.
    pub cpu_dead_user_ns: AtomicU64,
    pub cpu_dead_system_ns: AtomicU64,
    pub cpu_children_user_ns: AtomicU64,
    pub cpu_children_system_ns: AtomicU64,
    pub itimers: Mutex<ItimerState>,
    pub start_time_ns: u64,
    /// The process' controlling terminal hangs on its session.
    pub(super) membership: RwLock<Arc<ProcessGroup>>,
}

/// Links of the task tree.
#[derive(Default)]
pub(super) struct GroupLinks {
    pub parent: Weak<ThreadGroup>,
    pub children: Vec<Arc<ThreadGroup>>,
    pub threads: Vec<Arc<Task>>,
    /// The leading thread, once it has ended, if it is traced.
    pub ended_leader: Option<Arc<Task>>,
    /// How many other threads have ended that their tracers have not waited for.
    pub kept_threads: usize,
    /// The last thread and the status of a process whose end is to be told once there are none.
    pub untold_end: Option<(Arc<Task>, u32)>,
}

/// A process group.
pub struct ProcessGroup {
    pub id: Pid,
    pub session: Arc<Session>,
    pub(super) members: Mutex<Vec<Weak<ThreadGroup>>>,
}

/// A session.
pub struct Session {
    pub id: Pid,
    /// The controlling terminal.
    pub terminal: Mutex<Option<Arc<dyn ControllingTerminal>>>,
}

/// What a session knows of its controlling terminal.
pub trait ControllingTerminal: Send + Sync {
    /// Device number, for `/proc/[pid]/stat`.
    fn device(&self) -> crate::vfs::DeviceId;

    /// Name below `/dev`, for process listings (`pts/0`).
    fn name(&self) -> String;

    /// Foreground process group, 0 for none.
    fn foreground(&self) -> Pid;

    /// Opens it by another name (`/dev/tty`). Errors: EIO after a hang-up.
    fn open(
        &self,
        flags: linux_abi::fs::OpenFlags,
    ) -> Result<Box<dyn crate::vfs::File>, linux_abi::Errno>;

    /// Whether it is gone for good: the session may have another terminal, and nobody opens this one.
    fn is_gone(&self) -> bool {
        false
    }

    /// Told when the session leader has exited: hang up, no longer anybody's terminal.
    fn session_ended(&self);
}

impl ThreadGroup {
    pub fn process_group(&self) -> Arc<ProcessGroup> {
        self.membership.read().clone()
    }

    pub fn session(&self) -> Arc<Session> {
        self.process_group().session.clone()
    }

    pub fn parent(&self) -> Option<Arc<ThreadGroup>> {
        self.links.lock().parent.upgrade()
    }

    /// Parent's pid, 0 for the first process.
    pub fn ppid(&self) -> Pid {
        self.parent().map_or(0, |parent| parent.pid)
    }

    /// Living threads.
    pub fn threads(&self) -> Vec<Arc<Task>> {
        self.links.lock().threads.clone()
    }

    /// Whether there is not more than one.
    pub fn is_single(&self) -> bool {
        self.links.lock().threads.len() <= 1
    }

    /// The thread whose tid is the pid, if it lives; else any.
    pub fn leader(&self) -> Option<Arc<Task>> {
        let links = self.links.lock();
        let leader = links.threads.iter().find(|thread| thread.tid() == self.pid);
        leader.or_else(|| links.threads.first()).cloned()
    }

    pub fn children(&self) -> Vec<Arc<ThreadGroup>> {
        self.links.lock().children.clone()
    }

    /// The status for `wait4` once the process is dead (a zombie, or reaped).
    pub fn exit_status(&self) -> Option<u32> {
        self.is_dead.load(Ordering::Acquire).then(|| self.exit_status.load(Ordering::Acquire))
    }

    /// Whether the whole process is ending.
    pub fn is_exiting(&self) -> bool {
        self.group_exit.lock().is_some()
    }

    /// Soft limit `RLIMIT_*`.
    pub fn soft_limit(&self, resource: usize) -> u64 {
        self.limits.lock()[resource].cur
    }
}

impl ProcessGroup {
    pub(super) fn new(id: Pid, session: Arc<Session>) -> Arc<ProcessGroup> {
        Arc::new(ProcessGroup { id, session, members: Mutex::new(Rank::Task, Vec::new()) })
    }

    /// Living and zombie members.
    pub fn members(&self) -> Vec<Arc<ThreadGroup>> {
        self.members.lock().iter().filter_map(Weak::upgrade).collect()
    }
}

impl Session {
    pub(super) fn new(id: Pid) -> Arc<Session> {
        Arc::new(Session { id, terminal: Mutex::new(Rank::Task, None) })
    }
}
