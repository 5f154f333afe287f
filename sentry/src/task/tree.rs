//! All tasks of the sandbox by their numbers.

use std::collections::{BTreeMap, BTreeSet};
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
    tasks: BTreeMap<Pid, Listed>,
    /// How many of `tasks` each real user has (`RLIMIT_NPROC`).
    users: BTreeMap<u32, usize>,
    groups: BTreeMap<Pid, Arc<ThreadGroup>>,
    process_groups: BTreeMap<Pid, Weak<ProcessGroup>>,
    last_pid: Pid,
    /// Numbers of threads that have ended and that their tracers have not waited for.
    kept: BTreeSet<Pid>,
}

/// A living thread, and the user on whose account it is.
struct Listed {
    task: Weak<Task>,
    uid: u32,
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
        self.tasks.get(&tid).and_then(|listed| listed.task.upgrade())
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
            || self.kept.contains(&pid)
            || self.process_groups.get(&pid).is_some_and(|group| group.strong_count() > 0)
    }

    /// Keeps the number of an ended thread for its tracer.
    pub(super) fn keep_number(&mut self, tid: Pid) {
        self.kept.insert(tid);
    }

    pub(super) fn release_number(&mut self, tid: Pid) {
        self.kept.remove(&tid);
    }

    /// Living threads in all.
    pub fn task_count(&self) -> usize {
        self.tasks.len()
    }

    /// Living threads of the real user `uid`.
    pub fn task_count_of(&self, uid: u32) -> usize {
        self.users.get(&uid).copied().unwrap_or(0)
    }

    pub(super) fn insert_task(&mut self, task: &Arc<Task>) {
        self.insert(task.tid(), Arc::downgrade(task), task.credentials().uid);
    }

    fn insert(&mut self, tid: Pid, task: Weak<Task>, uid: u32) {
        self.remove_task(tid);
        self.tasks.insert(tid, Listed { task, uid });
        *self.users.entry(uid).or_default() += 1;
    }

    pub(super) fn remove_task(&mut self, tid: Pid) {
        let Some(Listed { uid, .. }) = self.tasks.remove(&tid) else { return };
        let Some(count) = self.users.get_mut(&uid) else { return };
        *count -= 1;
        if *count == 0 {
            self.users.remove(&uid);
        }
    }

    /// Thread `tid`, if it lives, is the real user `uid`'s from now on.
    pub(super) fn change_user(&mut self, tid: Pid, uid: u32) {
        if let Some(Listed { task, .. }) = self.tasks.get(&tid) {
            let task = task.clone();
            self.insert(tid, task, uid);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_counted_for_their_users() {
        let mut tree = Tree::default();
        for (tid, uid) in [(1, 0), (2, 7), (3, 7)] {
            tree.insert(tid, Weak::new(), uid);
        }
        assert_eq!((tree.task_count(), tree.task_count_of(0), tree.task_count_of(7)), (3, 1, 2));
        tree.change_user(2, 0);
        tree.change_user(9, 7);
        // An execve gives a thread the number of the main one.
        tree.insert(1, Weak::new(), 7);
        assert_eq!((tree.task_count(), tree.task_count_of(0), tree.task_count_of(7)), (3, 1, 2));
        for tid in [1, 2, 3, 3] {
            tree.remove_task(tid);
        }
        assert!(tree.tasks.is_empty() && tree.users.is_empty());
    }
}
