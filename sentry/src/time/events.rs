//! What happens to timers when other things happen.

use std::sync::Arc;

use linux_abi::signal::{SIGALRM, SigInfo};

use super::{Timers, posix};
use crate::signal::TimerTag;
use crate::task::{Task, ThreadGroup};

/// A signal was taken by `task`: the timer that sent it starts its next period.
pub(crate) fn signal_taken(task: &Arc<Task>, timer: Option<TimerTag>, info: &mut SigInfo) {
    if let Some(tag) = timer {
        posix::signal_taken(task, tag, info);
    } else if info.signo == SIGALRM {
        let mut state = task.group.itimers.lock();
        state.real.signal_taken(&task.kernel.timers, &task.group);
    }
}

/// `execve`: POSIX timers go, those of `setitimer` stay.
pub fn reset_for_exec(timers: &Timers, group: &ThreadGroup) {
    group.itimers.lock().posix.clear(timers);
}

/// The process ends: all its timers go.
pub fn process_exiting(timers: &Timers, group: &ThreadGroup) {
    let mut state = group.itimers.lock();
    state.posix.clear(timers);
    state.real.disarm(timers);
    state.cpu.disarm(timers);
}
