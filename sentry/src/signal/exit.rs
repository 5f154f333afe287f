//! What ends and begins with a thread's or a program's life (Linux: `exit_signals`, `flush_old_exec`).

use std::sync::Arc;

use super::{job_control, mask};
use crate::task::Task;

/// A thread is on its way out: signals that were meant for it go to its siblings, and a stop in
/// progress does not wait for it. Called before the thread leaves its process.
pub fn thread_exiting(task: &Arc<Task>) {
    let threads = task.group.threads();
    let (unblocked, stopped_by) = {
        let mut signals = task.group.signals.lock();
        let unblocked = {
            let mut own = task.signals.lock_nested();
            own.is_exiting = true;
            own.mask().complement()
        };
        (unblocked, job_control::complete_stop(&mut signals, &threads))
    };
    // The last thread does not stop its process by leaving it.
    let is_last = threads.iter().all(|thread| Arc::ptr_eq(thread, task));
    if !is_last {
        mask::retarget(&task.group, task, unblocked);
        job_control::tell_parent(&task.group, stopped_by);
    }
}

/// `execve`: actions go back to default but for ignored signals, the alternate stack is forgotten.
/// Called when the calling thread is the only one left.
pub fn reset_for_exec(task: &Arc<Task>) {
    let fresh = Arc::new(task.group.actions.read().copy_reset());
    *task.group.actions.write() = fresh;
    task.signals.lock().reset_for_exec();
}
