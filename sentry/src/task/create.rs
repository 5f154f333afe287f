//! Making tasks and thread groups.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64};
use std::sync::{Arc, Weak};

use linux_abi::Errno;
use linux_abi::signal::SIGCHLD;
use linux_abi::task::{RLIM_NLIMITS, Rlimit64};
use platform::{NewProcess, Thread};

use super::current::as_current;
use super::group::GroupLinks;
use super::{
    Credentials, Ctx, INIT_PID, Pid, ProcessGroup, SchedState, Session, Task, ThreadGroup, Tree,
    run,
};
use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::seccomp::{Seccomp, TaskSeccomp};
use crate::signal::{GroupSignals, SignalActions, TaskSignals};
use crate::sync::{Mutex, Rank, RwLock, WaitQueue};
use crate::time::ItimerState;
use crate::vfs::{FdTable, FsContext};

/// What a new thread starts from.
pub(super) struct NewTask {
    pub kernel: Arc<Kernel>,
    pub group: Arc<ThreadGroup>,
    pub name: Vec<u8>,
    pub credentials: Arc<Credentials>,
    pub seccomp: Seccomp,
    pub mm: Arc<Mm>,
    pub fs: Arc<FsContext>,
    pub fds: Arc<FdTable>,
    pub signals: TaskSignals,
    pub clear_child_tid: u64,
    pub sched: SchedState,
}

/// What a new process starts from.
pub(super) struct NewGroup {
    pub pid: Pid,
    pub parent: Weak<ThreadGroup>,
    pub process_group: Arc<ProcessGroup>,
    pub actions: Arc<SignalActions>,
    pub limits: [Rlimit64; RLIM_NLIMITS],
    pub exit_signal: i32,
    pub start_time_ns: u64,
    pub oom_score_adj: i32,
    pub personality: u32,
    pub creator: Pid,
}

impl NewTask {
    /// Makes the task; it is in no list yet.
    pub(super) fn build(self, tid: Pid) -> Arc<Task> {
        let now = self.kernel.monotonic_ns();
        Arc::new(Task {
            tid: AtomicI32::new(tid),
            kernel: self.kernel,
            group: self.group,
            name: Mutex::new(Rank::Leaf, self.name),
            credentials: RwLock::new(Rank::Leaf, self.credentials),
            seccomp: TaskSeccomp::new(self.seccomp),
            mm: RwLock::new(Rank::Leaf, self.mm),
            fs: RwLock::new(Rank::Leaf, self.fs),
            fds: RwLock::new(Rank::Leaf, self.fds),
            signals: Mutex::new(Rank::Signal, self.signals),
            // Its process may be about to stop, or have signals that it can take.
            attention: AtomicBool::new(true),
            wakeup: Mutex::new(Rank::Leaf, Default::default()),
            clear_child_tid: AtomicU64::new(self.clear_child_tid),
            has_left_futexes: AtomicBool::new(false),
            sched: Mutex::new(Rank::Leaf, self.sched),
            death_signal: AtomicI32::new(0),
            vfork_done: Mutex::new(Rank::Leaf, None),
            tracing: Default::default(),
            start_time_ns: now,
            is_in_guest: AtomicBool::new(false),
            served_ticks: AtomicU64::new(0),
            earlier_ns: AtomicU64::new(0),
        })
    }
}

impl NewGroup {
    pub(super) fn build(self) -> Arc<ThreadGroup> {
        let links = GroupLinks { parent: self.parent, ..GroupLinks::default() };
        Arc::new(ThreadGroup {
            pid: self.pid,
            actions: RwLock::new(Rank::SignalActions, self.actions),
            signals: Mutex::new(Rank::Signal, GroupSignals::default()),
            limits: Mutex::new(Rank::Leaf, self.limits),
            links: Mutex::new(Rank::ThreadGroup, links),
            child_events: WaitQueue::new(),
            exit_events: WaitQueue::new(),
            exit_signal: AtomicI32::new(self.exit_signal),
            exit_status: AtomicU32::new(0),
            owner: AtomicU32::new(0),
            creator: AtomicI32::new(self.creator),
            is_dead: AtomicBool::new(false),
            obituary: Default::default(),
            group_exit: Mutex::new(Rank::Leaf, None),
            exec_survivor: Mutex::new(Rank::Leaf, None),
            has_execed: AtomicBool::new(false),
            is_child_subreaper: AtomicBool::new(false),
            has_traced: AtomicBool::new(false),
            dumpable: AtomicU32::new(1),
            oom_score_adj: AtomicI32::new(self.oom_score_adj),
            personality: AtomicU32::new(self.personality),
            cpu_dead_user_ns: AtomicU64::new(0),
            cpu_dead_system_ns: AtomicU64::new(0),
            cpu_children_user_ns: AtomicU64::new(0),
            cpu_children_system_ns: AtomicU64::new(0),
            itimers: Mutex::new(Rank::Timer, ItimerState::default()),
            start_time_ns: self.start_time_ns,
            membership: RwLock::new(Rank::Leaf, self.process_group),
        })
    }
}

/// Puts a new thread into the tree. It runs from [`start`] on.
pub(super) fn attach(tree: &mut Tree, task: &Arc<Task>) {
    task.group.links.lock().threads.push(task.clone());
    tree.insert_task(task);
}

/// Spawns the future of `task`.
pub(super) fn start(task: &Arc<Task>, thread: Box<dyn Thread>) {
    task.set_interrupter(Some(thread.interrupter()));
    let ctx = Ctx::new(task.clone(), thread);
    let waker = task.kernel.executor.spawn(as_current(task.clone(), run(ctx)));
    task.set_waker(waker.clone());
    if task.has_attention() {
        // Whoever asked for it may have found no waker yet.
        waker.wake();
    }
    crate::time::watch_cpu_limit(&task.kernel.timers, &task.group);
}

/// A process that the container's configuration asks for: the first one, or one of `exec`.
pub struct FirstProcess {
    pub credentials: Credentials,
    pub limits: [Rlimit64; RLIM_NLIMITS],
    pub fs: Arc<FsContext>,
    pub fds: Arc<FdTable>,
    /// The parent for all but the container's first process.
    pub parent: Option<Arc<ThreadGroup>>,
}

impl FirstProcess {
    /// Makes the process, leader of a new session, with an empty memory: it can open files and
    /// load a program ([`super::load_first`]) but not run yet.
    ///
    /// # Errors
    /// EAGAIN when pids or host processes are used up.
    pub async fn create(self, kernel: &Arc<Kernel>) -> Result<(Arc<Task>, NewProcess), Errno> {
        let (space, thread) = kernel.platform.new_address_space().await?;
        let mm = Mm::new(crate::memory::UserMemory::new(space.clone()), Default::default());
        let mut tree = kernel.tasks.lock();
        let pid = tree.allocate_pid()?;
        let session = Session::new(pid);
        let process_group = ProcessGroup::new(pid, session);
        let group = NewGroup {
            pid,
            parent: self.parent.as_ref().map_or_else(Weak::new, Arc::downgrade),
            process_group: process_group.clone(),
            actions: Arc::default(),
            limits: self.limits,
            exit_signal: SIGCHLD,
            start_time_ns: kernel.monotonic_ns(),
            oom_score_adj: 0,
            personality: 0,
            creator: 0,
        }
        .build();
        if pid == INIT_PID {
            *group.signals.lock() = GroupSignals::for_init(kernel.init_immunity);
        }
        let task = NewTask {
            kernel: kernel.clone(),
            group: group.clone(),
            name: Vec::new(),
            credentials: Arc::new(self.credentials),
            seccomp: Seccomp::Disabled,
            mm,
            fs: self.fs,
            fds: self.fds,
            signals: TaskSignals::default(),
            clear_child_tid: 0,
            sched: SchedState::new(kernel.cpu_count),
        }
        .build(pid);
        group.links.lock().threads.push(task.clone());
        if let Some(parent) = self.parent {
            parent.links.lock().children.push(group.clone());
        }
        process_group.members.lock().push(Arc::downgrade(&group));
        tree.insert_process_group(&process_group);
        tree.insert_group(&group);
        tree.insert_task(&task);
        Ok((task, (space, thread)))
    }

    /// Lets a loaded process run.
    pub fn start(ctx: Ctx) {
        let Ctx { task, thread, .. } = ctx;
        start(&task, thread);
    }

    /// Removes a process that could not be loaded.
    pub fn abandon(task: &Arc<Task>) {
        super::exit::abandon(task);
    }
}
