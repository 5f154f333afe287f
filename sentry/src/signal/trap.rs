//! What a tracee's signal state knows of its tracer: stops that it is asked for, and its part in the
//! stop of its process (Linux: `JOBCTL_TRAP_STOP`, `JOBCTL_TRAP_NOTIFY`, `JOBCTL_STOP_PENDING`).
//!
//! A tracee joins a group stop by a stop of its own, which its tracer may end while the process
//! counts as stopped: it takes part ([`TaskSignals::is_stopped`]) and runs all the same.

use std::sync::Arc;

use linux_abi::signal::{SIGKILL, SIGSTOP, SigInfo, SigSet};

use super::mask::change_mask;
use super::pending::Queued;
use super::{GroupSignals, StopState, TaskSignals, job_control};
use crate::task::Task;

/// A stop of a tracee that its process' stop, or its tracer, asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trap {
    /// The signal that has stopped the process; `None` if it is not stopped.
    pub stopped_by: Option<i32>,
    /// The whole process has stopped with this tracee, by this signal: news for its parent.
    pub news: Option<i32>,
}

impl TaskSignals {
    /// Whether a tracee has to stop, other than by a signal.
    pub(super) fn is_trap_due(&self, stop: StopState) -> bool {
        let joins = stop != StopState::Running && !self.is_stopped;
        joins || self.trap_stop || self.trap_notify
    }
}

impl GroupSignals {
    /// The signal that stops the process, if one does.
    pub(crate) fn stop_signal(&self) -> Option<i32> {
        match self.stop {
            StopState::Running => None,
            StopState::Stopping(signo) | StopState::Stopped(signo) => Some(signo),
        }
    }
}

/// Makes the calling tracee part of its process' stop, if there is one.
pub(crate) fn join_traced(task: &Arc<Task>) -> Trap {
    let threads = task.group.threads();
    let mut signals = task.group.signals.lock();
    let mut own = task.signals.lock_nested();
    let own_signal = own.stop_signo;
    let stopped_by =
        signals.stop_signal().map(|signo| if own_signal != 0 { own_signal } else { signo });
    own.trap_stop = false;
    own.trap_notify = false;
    let joins = stopped_by.is_some() && !own.is_stopped;
    own.is_stopped |= joins;
    drop(own);
    let news = if joins { job_control::complete_stop(&mut signals, &threads) } else { None };
    Trap { stopped_by, news }
}

/// Any stop of a tracee is the one that its tracer has asked for.
pub(crate) fn take_trap(task: &Task) {
    task.signals.lock().trap_stop = false;
}

/// Whether a listening tracee has to stop anew.
pub(crate) fn has_trap(task: &Task) -> bool {
    let own = task.signals.lock();
    own.trap_stop || own.trap_notify
}

/// Asks a tracee for a stop (`PTRACE_INTERRUPT`).
pub(crate) fn request_trap(task: &Task) {
    task.signals.lock().trap_stop = true;
    task.request_attention();
}

/// A task that is stopped already when it becomes a tracee stops anew, for its tracer.
pub(crate) fn trap_if_stopped(task: &Task) {
    let is_stopped = {
        let mut own = task.signals.lock();
        own.trap_stop |= own.is_stopped;
        own.is_stopped
    };
    if is_stopped {
        task.request_attention();
    }
}

/// The first stop of a tracee that inherits its tracer; it does not run yet.
pub(crate) fn trap_at_start(task: &Task) {
    let mut own = task.signals.lock();
    if task.tracing.is_seized() {
        own.trap_stop = true;
    } else {
        own.add_pending(SIGSTOP, None);
    }
}

/// A task that is no tracee any more goes with its process: stops if that is stopped.
pub(crate) fn end_traps(task: &Task) {
    let stops = {
        let signals = task.group.signals.lock();
        let mut own = task.signals.lock_nested();
        own.trap_stop = false;
        own.trap_notify = false;
        own.stop_signo = 0;
        signals.stop != StopState::Running
    };
    if stops {
        task.request_attention();
    }
}

/// Whatever signal the tracer makes of the one just taken, it may stop the process.
pub(crate) fn allow_stop(task: &Task) {
    task.signals.lock().stop_taken = true;
}

/// Puts a signal back that the calling tracee has taken if it blocks it by now; answers whether.
pub(crate) fn put_back_if_blocked(task: &Task, info: SigInfo) -> bool {
    let mut own = task.signals.lock();
    let is_blocked = own.mask().contains(info.signo) && info.signo != SIGKILL;
    if is_blocked {
        let queued = Queued { info, timer: None, _charge: None };
        let is_pending = own.pending.set().contains(info.signo);
        own.add_pending(info.signo, (!is_pending).then_some(queued));
    }
    is_blocked
}

/// The mask of a stopped tracee, as it will be when its system call is over.
pub(crate) fn tracee_mask(task: &Task) -> SigSet {
    let own = task.signals.lock();
    own.saved_mask.unwrap_or(own.mask())
}

/// Replaces the mask of a stopped tracee.
pub(crate) fn set_tracee_mask(task: &Arc<Task>, mask: SigSet) {
    change_mask(task, |own| own.put_mask(mask));
}

/// The facts of signals that are pending for a thread, or (`is_shared`) for its process: at most
/// `max` from the one at `offset` on.
pub(crate) fn peek(task: &Task, is_shared: bool, offset: usize, max: usize) -> Vec<SigInfo> {
    let signals = task.group.signals.lock();
    let own = task.signals.lock_nested();
    let pending = if is_shared { &signals.pending } else { &own.pending };
    pending.infos().skip(offset).take(max).collect()
}
