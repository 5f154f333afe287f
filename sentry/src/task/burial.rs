//! What tracing changes in who waits for whom, and for what is left of threads.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use linux_abi::poll::PollEvents;
use linux_abi::signal::{SIG_IGN, SIGCHLD, SaFlags};

use super::wait::{announce_zombie, reap};
use super::{Pid, Task, ThreadGroup, Tree};

impl Task {
    /// Whether an `execve` in another thread of the process ends the task.
    pub(crate) fn is_replaced(&self) -> bool {
        self.group.exec_survivor.lock().is_some_and(|survivor| survivor != self.tid())
    }

    /// Whether the task is traced, by a thread of its process' parent.
    pub(crate) fn is_traced_by_parent(&self) -> bool {
        let Some(tracer) = self.tracing.tracer() else { return false };
        self.group.parent().is_some_and(|parent| Arc::ptr_eq(&parent, &tracer.group))
    }

    /// Whether the task has begun to end.
    pub(crate) fn is_leaving(&self) -> bool {
        !self.group.threads().iter().any(|thread| std::ptr::eq(&**thread, self))
    }
}

impl ThreadGroup {
    /// The thread of the parent that made the process.
    pub(crate) fn parent_thread(&self) -> Option<Arc<Task>> {
        let parent = self.parent()?;
        let creator = self.creator.load(Ordering::Relaxed);
        let threads = parent.threads();
        threads.into_iter().find(|thread| thread.tid() == creator).or_else(|| parent.leader())
    }

    /// The status with which the whole process is ending, if it is.
    pub(crate) fn ending_status(&self) -> Option<u32> {
        *self.group_exit.lock()
    }

    /// Keeps the number of another thread, which has ended, for its tracer.
    pub(crate) fn keep_thread(&self, tree: &mut Tree, tid: Pid) {
        tree.keep_number(tid);
        self.links.lock().kept_threads += 1;
    }

    /// The tracer has waited for a thread that was kept: the process ends with the last.
    pub(crate) fn release_thread(&self, tree: &mut Tree, tid: Pid) {
        tree.release_number(tid);
        let end = {
            let mut links = self.links.lock();
            links.kept_threads = links.kept_threads.saturating_sub(1);
            if links.kept_threads == 0 { links.untold_end.take() } else { None }
        };
        if let Some((last, status)) = end {
            super::exit::tell_end(tree, &last, status).notify();
        }
    }

    /// Keeps the leading thread, which has ended, for its tracer.
    pub(crate) fn keep_leader(&self, leader: &Arc<Task>) {
        self.links.lock().ended_leader = Some(leader.clone());
    }

    pub(crate) fn take_leader(&self) -> Option<Arc<Task>> {
        self.links.lock().ended_leader.take()
    }

    /// The leading thread, living or not, if it is traced.
    pub(super) fn traced_leader(&self) -> Option<Arc<Task>> {
        let links = self.links.lock();
        let living = || links.threads.iter().find(|thread| thread.tid() == self.pid);
        let leader = links.ended_leader.as_ref().or_else(living);
        leader.filter(|leader| leader.tracing.is_traced()).cloned()
    }

    /// Whether children of the process become no zombies (Linux: `ignoring_children`).
    pub(crate) fn ignores_children(&self) -> bool {
        let action = self.actions.read().get(SIGCHLD);
        action.handler == SIG_IGN || action.sa_flags().contains(SaFlags::NOCLDWAIT)
    }
}

/// The tracer of a process that has ended waits for it no more. A parent that was the tracer itself
/// has nothing to learn.
pub(crate) fn parent_learns_of_end(tree: &mut Tree, group: &Arc<ThreadGroup>, was_tracer: bool) {
    let parent = group.parent().filter(|_| !was_tracer);
    let stays = parent.as_ref().is_some_and(|parent| announce_zombie(parent, group));
    if !stays {
        reap(tree, group);
    }
    if let Some(parent) = parent {
        parent.child_events.notify(PollEvents::IN);
    }
}
