//! Taking pending signals (Linux: `dequeue_signal`).

use std::sync::Arc;

use linux_abi::signal::{SIG_DFL, SIG_IGN, SaFlags, SigAction, SigInfo, SigSet};

use super::Immunity;
use super::pending::Queued;
use super::send::STOP_SIGNALS;
use super::{GroupSignals, StopState, TaskSignals};
use crate::task::Task;

/// What a thread finds when it looks at its signals.
pub(super) enum Next {
    /// Nothing (more) to handle.
    Nothing,
    /// SIGKILL.
    Killed,
    /// The process is stopped or about to.
    Stop,
    /// A signal with the action that was in force when it was taken.
    Signal(Taken),
    /// A signal that the tracer has to be told of before.
    Reported(SigInfo),
    /// The tracer is owed a stop that is no signal's.
    Trap,
}

/// A signal to act upon.
pub(super) struct Taken {
    pub info: SigInfo,
    pub action: SigAction,
    pub immunity: Immunity,
}

impl Taken {
    pub fn has_handler(&self) -> bool {
        !matches!(self.action.handler, SIG_DFL | SIG_IGN)
    }
}

/// Takes the next unblocked signal of `task`.
pub(super) fn next(task: &Arc<Task>) -> Next {
    let is_traced = task.tracing.is_traced();
    let queued = {
        let mut signals = task.group.signals.lock();
        let mut own = task.signals.lock_nested();
        if signals.is_killed() || own.pending.set().contains(linux_abi::signal::SIGKILL) {
            return Next::Killed;
        }
        if is_traced && own.is_trap_due(signals.stop) {
            return Next::Trap;
        }
        if !is_traced && signals.stop != StopState::Running {
            return Next::Stop;
        }
        let mask = own.mask();
        let Some(queued) = dequeue(&mut signals, &mut own, mask) else {
            return Next::Nothing;
        };
        queued
    };
    let info = taken(task, queued);
    if is_traced { Next::Reported(info) } else { Next::Signal(action_for(task, info)) }
}

/// The action for a signal that was taken.
pub(super) fn action_for(task: &Arc<Task>, info: SigInfo) -> Taken {
    let actions = task.group.actions.read().clone();
    let signals = task.group.signals.lock();
    let action = actions.get(info.signo);
    let taken = Taken { info, action, immunity: signals.immunity };
    if taken.has_handler() && action.sa_flags().contains(SaFlags::RESETHAND) {
        actions.reset_handler(info.signo);
    }
    taken
}

/// Takes a signal of `set` for `sigtimedwait` or a signalfd, blocked or not.
pub fn take_waited(task: &Arc<Task>, set: SigSet) -> Option<SigInfo> {
    let queued = {
        let mut signals = task.group.signals.lock();
        let mut own = task.signals.lock_nested();
        dequeue(&mut signals, &mut own, set.complement())
    };
    queued.map(|queued| taken(task, queued))
}

/// The signals that are pending for `task` or its process.
pub fn pending(task: &Task) -> SigSet {
    let signals = task.group.signals.lock();
    let own = task.signals.lock_nested();
    signals.pending.set().union(own.pending.set())
}

/// Whether `task` has something to handle: an unblocked signal, a stop.
pub fn is_due(task: &Task) -> bool {
    let signals = task.group.signals.lock();
    let own = task.signals.lock_nested();
    let pending = signals.pending.set().union(own.pending.set());
    let unblocked = pending.difference(own.mask().difference(SigSet::UNBLOCKABLE));
    let stops = match task.tracing.is_traced() {
        true => own.is_trap_due(signals.stop),
        false => signals.stop != StopState::Running,
    };
    stops || !unblocked.is_empty()
}

/// Whether SIGKILL waits for `task`.
pub fn is_killed(task: &Task) -> bool {
    pending(task).contains(linux_abi::signal::SIGKILL)
}

/// Faults come first, then the thread's own signals, then the process'.
fn dequeue(signals: &mut GroupSignals, own: &mut TaskSignals, blocked: SigSet) -> Option<Queued> {
    let own_next = own.pending.next_fault(blocked).or_else(|| own.pending.next(blocked));
    let queued = match own_next {
        Some(signo) => own.pending.take(signo),
        None => signals.pending.take(signals.pending.next(blocked)?),
    }?;
    own.stop_taken |= STOP_SIGNALS.contains(queued.info.signo);
    Some(queued)
}

/// What follows from taking a signal: a timer starts its next period.
fn taken(task: &Arc<Task>, queued: Queued) -> SigInfo {
    let mut info = queued.info;
    crate::time::signal_taken(task, queued.timer, &mut info);
    info
}
