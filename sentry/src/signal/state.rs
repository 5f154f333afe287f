//! The signal state of a thread and of a process.

use linux_abi::signal::{SIGKILL, SigSet};
use platform::Fault;

use std::sync::{Arc, Weak};

use super::Immunity;
use super::kept::Kept;
use super::pending::{Pending, Queued};
use super::{AltStack, RestartBlock};
use crate::sync::WaitQueue;

/// The signal state of a thread.
///
/// Its lock is taken nested in that of its process' [`GroupSignals`] (the rule of
/// `Mutex::lock_nested` here: process before thread, one thread at a time), or alone.
#[derive(Debug, Default)]
pub struct TaskSignals {
    /// Blocked signals, the alternate stack, and more.
    pub(super) kept: Kept,
    /// The mask to go back to when a call with a mask of its own (`sigsuspend`, `ppoll`, …) ends.
    pub(super) saved_mask: Option<SigSet>,
    /// The mask without the signals that a running `sigtimedwait` waits for (`real_blocked`).
    pub(super) waiting_mask: Option<SigSet>,
    pub(super) pending: Pending,
    /// A stop signal was taken and no SIGCONT has come since.
    pub(super) stop_taken: bool,
    /// The thread takes part in its process' stop.
    pub(super) is_stopped: bool,
    /// The tracer has asked for a stop.
    pub(super) trap_stop: bool,
    /// The tracer is to learn by a stop that the process has stopped or goes on.
    pub(super) trap_notify: bool,
    /// The signal of the stop that the thread last was to join, for its tracer; 0 for none.
    pub(super) stop_signo: i32,
    /// The thread is on its way out: no signal is for it any more.
    pub(super) is_exiting: bool,
    /// The last hardware exception, for the signal frame.
    pub(super) last_fault: FaultFacts,
    pub(super) restart: Option<RestartBlock>,
}

/// What a signal frame tells of the last hardware exception.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FaultFacts {
    pub trapno: u64,
    pub error_code: u64,
    /// Address of the last page fault (`cr2`).
    pub cr2: u64,
}

impl TaskSignals {
    /// The state of a new thread or process made by this thread: the mask is inherited, pending
    /// signals are not; the alternate stack only `keeps_altstack` (not `CLONE_VM` without
    /// `CLONE_VFORK`).
    pub fn for_clone(&self, keeps_altstack: bool) -> TaskSignals {
        let altstack = if keeps_altstack { self.altstack() } else { AltStack::disabled() };
        TaskSignals { kept: Kept::new(self.mask(), altstack), ..TaskSignals::default() }
    }

    /// Blocked signals.
    pub fn mask(&self) -> SigSet {
        self.kept.mask()
    }

    pub(super) fn put_mask(&mut self, mask: SigSet) {
        self.kept.set_mask(mask);
    }

    /// A signal is pending for the thread from now on.
    pub(super) fn add_pending(&mut self, signo: i32, queued: Option<Queued>) {
        self.pending.add(signo, queued);
        self.kept.must_ask(true);
    }

    /// Sets the initial mask of a thread that does not run yet.
    pub fn set_initial_mask(&mut self, mask: SigSet) {
        self.put_mask(mask.difference(SigSet::UNBLOCKABLE));
    }

    /// Pending signals, for `/proc/[pid]/status` (`SigPnd`).
    pub fn pending_set(&self) -> SigSet {
        self.pending.set()
    }

    pub fn altstack(&self) -> AltStack {
        self.kept.altstack()
    }

    pub(crate) fn change_altstack<T>(&mut self, change: impl FnOnce(&mut AltStack) -> T) -> T {
        let mut altstack = self.altstack();
        let result = change(&mut altstack);
        self.kept.set_altstack(altstack);
        result
    }

    /// Head of the robust futex list, 0 for none.
    pub fn robust_list(&self) -> u64 {
        self.kept.robust_list()
    }

    /// Takes the list of a thread that executes no guest code any more, and with it all that guest code
    /// could change: its place may soon be another thread's.
    pub fn take_robust_list(&mut self) -> u64 {
        self.kept.take_back();
        let head = self.kept.robust_list();
        self.kept.set_robust_list(0);
        head
    }

    pub fn set_robust_list(&mut self, head: u64) {
        self.kept.set_robust_list(head);
    }

    /// `execve` forgets the alternate stack.
    pub fn reset_for_exec(&mut self) {
        self.change_altstack(AltStack::forget);
        self.restart = None;
    }

    /// Whether the thread takes part in a stop, for `/proc/[pid]/stat` (`T`).
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Blocked signals, those that `sigtimedwait` waits for included: these are never ignored.
    pub(super) fn blocked_or_waited(&self) -> SigSet {
        self.mask().union(self.waiting_mask.unwrap_or(SigSet::EMPTY))
    }

    pub(super) fn record_fault(&mut self, fault: &Fault) {
        /// Exception number of a page fault.
        const PAGE_FAULT: u64 = 14;
        self.last_fault.trapno = fault.trapno;
        self.last_fault.error_code = fault.error_code;
        if fault.trapno == PAGE_FAULT {
            self.last_fault.cr2 = fault.addr;
        }
    }
}

/// Whether a process is stopped by job control.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StopState {
    #[default]
    Running,
    /// Threads are on their way to stop, because of this signal.
    Stopping(i32),
    /// All threads stopped, because of this signal.
    Stopped(i32),
}

/// The signal state of a process.
///
/// Its lock serialises sending to and taking by all threads of the process (Linux: `siglock`).
#[derive(Debug, Default)]
pub struct GroupSignals {
    /// Signals for whichever thread takes them first.
    pub(super) pending: Pending,
    pub(super) stop: StopState,
    /// The stop has not been waited for yet (`WUNTRACED`).
    pub(super) is_stop_unreported: bool,
    /// The process was continued, and that has not been waited for yet (`WCONTINUED`).
    pub(super) is_continue_unreported: bool,
    /// The first process: most signals without a handler do nothing to it.
    pub(super) immunity: Immunity,
    /// Told of each signal sent to the process or its threads: `signalfd(2)`.
    pub(super) listeners: Vec<Weak<WaitQueue>>,
    /// Thread that got a process-wide signal last; the next search starts behind it.
    pub(super) last_target: i32,
}

impl GroupSignals {
    /// The state of the first process. Its own faults end it all the same.
    pub fn for_init(immunity: Immunity) -> GroupSignals {
        GroupSignals { immunity, ..GroupSignals::default() }
    }

    /// Signals pending for the process, for `/proc/[pid]/status` (`ShdPnd`).
    pub fn pending_set(&self) -> SigSet {
        self.pending.set()
    }

    /// The signal that stopped the process, if it is stopped and that was not reported before;
    /// `consume` marks it as reported (`wait4` without `WNOWAIT`).
    pub fn take_stopped(&mut self, consume: bool) -> Option<i32> {
        let StopState::Stopped(signo) = self.stop else { return None };
        if !self.is_stop_unreported {
            return None;
        }
        self.is_stop_unreported = !consume;
        Some(signo)
    }

    /// Whether the process was continued and that was not reported before; `consume` as for
    /// [`GroupSignals::take_stopped`].
    pub fn take_continued(&mut self, consume: bool) -> bool {
        let unreported = self.is_continue_unreported;
        if consume {
            self.is_continue_unreported = false;
        }
        unreported
    }

    /// Whether all threads are stopped.
    pub fn is_stopped(&self) -> bool {
        matches!(self.stop, StopState::Stopped(_))
    }

    /// Whether SIGKILL is pending for the whole process.
    pub(super) fn is_killed(&self) -> bool {
        self.pending.set().contains(SIGKILL)
    }

    /// Adds a `signalfd`'s queue to those told of new signals.
    pub(crate) fn add_listener(&mut self, queue: &Arc<WaitQueue>) {
        self.listeners.retain(|listener| listener.strong_count() > 0);
        let target = Arc::downgrade(queue);
        if !self.listeners.iter().any(|listener| listener.ptr_eq(&target)) {
            self.listeners.push(target);
        }
    }
}

#[cfg(test)]
mod tests {
    use linux_abi::signal::SIGTSTP;

    use super::*;

    #[test]
    fn a_stop_is_reported_once() {
        let mut group = GroupSignals { stop: StopState::Stopping(SIGTSTP), ..Default::default() };
        group.is_stop_unreported = true;
        assert_eq!(group.take_stopped(true), None);
        group.stop = StopState::Stopped(SIGTSTP);
        assert_eq!(group.take_stopped(false), Some(SIGTSTP));
        assert_eq!(group.take_stopped(true), Some(SIGTSTP));
        assert_eq!(group.take_stopped(true), None);
    }

    #[test]
    fn a_listener_is_added_once_and_forgotten_when_gone() {
        let mut group = GroupSignals::default();
        let queue = Arc::new(WaitQueue::new());
        group.add_listener(&queue);
        group.add_listener(&queue);
        assert_eq!(group.listeners.len(), 1);
        drop(queue);
        group.add_listener(&Arc::new(WaitQueue::new()));
        assert_eq!(group.listeners.len(), 1);
    }
}
