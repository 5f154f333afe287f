//! All tasks of the sandbox by their numbers.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use linux_abi::Errno;

use super::{Pid, ProcessGroup, Task, ThreadGroup};
use crate::sync::{Mutex, MutexGuard, Rank};

/// Largest pid plus one, as `/proc/sys/kernel/pid_max` of a small machine.
pub const PID_MAX: Pid = 32768;

/// The process tree. Its lock orders every change of parentage, membership and thread lists.
pub struct TaskTree {
    inner: Mutex<Tree>,
}

/// The tree with its lock held.
#[derive(Default)]
pub struct Tree {
    tasks: BTreeMap<Pid, Weak<Task>>,
    groups: BTreeMap<Pid, Arc<ThreadGroup>>,
    process_groups: BTreeMap<Pid, Weak<ProcessGroup>>,
    last_pid: Pid,
}

impl Default for TaskTree {
    fn default() -> TaskTree {
        TaskTree { inner: Mutex::new(Rank::TaskTree, Tree::default()) }
    }
}

impl TaskTree {
    pub fn lock(&self) -> MutexGuard<'_, Tree> {
        self.inner.lock()
    }

    /// The living thread `tid`.
    pub fn task(&self, tid: Pid) -> Option<Arc<Task>> {
        self.lock().task(tid)
    }

    /// The process `pid`, zombies included.
    pub fn group(&self, pid: Pid) -> Option<Arc<ThreadGroup>> {
        self.lock().group(pid)
    }

    /// All processes in the order of their pids, zombies included.
    pub fn groups(&self) -> Vec<Arc<ThreadGroup>> {
        self.lock().groups.values().cloned().collect()
    }

    pub fn process_group(&self, id: Pid) -> Option<Arc<ProcessGroup>> {
        self.lock().process_group(id)
    }

    /// The number given out last, for `/proc/loadavg`.
    pub fn last_pid(&self) -> Pid {
        self.lock().last_pid
    }
}

impl Tree {
    pub fn task(&self, tid: Pid) -> Option<Arc<Task>> {
        self.tasks.get(&tid).and_then(Weak::upgrade)
    }

    pub fn group(&self, pid: Pid) -> Option<Arc<ThreadGroup>> {
        self.groups.get(&pid).cloned()
    }

    pub fn groups(&self) -> impl Iterator<Item = &Arc<ThreadGroup>> {
        self.groups.values()
    }

    pub fn process_group(&self, id: Pid) -> Option<Arc<ProcessGroup>> {
        self.process_groups.get(&id).and_then(Weak::upgrade)
    }

    /// A number that no task, process, process group or session uses.
    ///
    /// Errors: EAGAIN when all are taken.
    pub(super) fn allocate_pid(&mut self) -> Result<Pid, Errno> {
        for _ in 0..PID_MAX {
            self.last_pid = if self.last_pid + 1 >= PID_MAX { 300 } else { self.last_pid + 1 };
            if !self.is_taken(self.last_pid) {
                return Ok(self.last_pid);
            }
        }
        Err(Errno::EAGAIN)
    }

    fn is_taken(&self, pid: Pid) -> bool {
        self.task(pid).is_some()
            || self.groups.contains_key(&pid)
            || self.process_groups.get(&pid).is_some_and(|group| group.strong_count() > 0)
    }

    pub(super) fn insert_task(&mut self, task: &Arc<Task>) {
        self.tasks.insert(task.tid(), Arc::downgrade(task));
    }

    pub(super) fn remove_task(&mut self, tid: Pid) {
        self.tasks.remove(&tid);
    }

    pub(super) fn insert_group(&mut self, group: &Arc<ThreadGroup>) {
        self.groups.insert(group.pid, group.clone());
    }

    pub(super) fn remove_group(&mut self, pid: Pid) {
        self.groups.remove(&pid);
    }

    pub(super) fn insert_process_group(&mut self, group: &Arc<ProcessGroup>) {
        self.process_groups.insert(group.id, Arc::downgrade(group));
    }
}
