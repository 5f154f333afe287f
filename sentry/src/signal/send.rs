//! Sending signals (Linux: `send_signal_locked`, `prepare_signal`, `complete_signal`).

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::poll::PollEvents;
use linux_abi::signal::{
    SI_USER, SIG_DFL, SIGCONT, SIGKILL, SIGRTMIN, SigAction, SigInfo, SigSet, is_valid_signal,
};
use linux_abi::task::RLIMIT_SIGPENDING;

use super::pending::Queued;
use super::{Charge, GroupSignals, TimerTag, actions, job_control};
use crate::sync::WaitQueue;
use crate::task::{ProcessGroup, Task, ThreadGroup};

/// What became of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    Queued,
    /// It was pending already: a standard signal is pending once.
    Collapsed,
    /// Ignored, or its target is ending.
    Dropped,
}

/// What sending leaves to do once the locks are released.
#[derive(Default)]
pub(super) struct Aftermath {
    pub wake: Vec<Arc<Task>>,
    pub listeners: Vec<Arc<WaitQueue>>,
    /// `CLD_*` and status to tell the parent.
    pub parent_news: Option<(i32, i32)>,
}

impl Aftermath {
    pub fn run(self, group: &Arc<ThreadGroup>) {
        for task in self.wake {
            task.request_attention();
        }
        for listener in self.listeners {
            listener.notify(PollEvents::IN);
        }
        if let Some((code, status)) = self.parent_news {
            job_control::notify_parent(group, code, status);
        }
    }
}

/// Sends a signal to one thread. The caller has checked permissions.
///
/// Errors: EAGAIN when a real-time signal does not fit into the user's queue.
pub fn send_to_task(task: &Arc<Task>, info: SigInfo) -> Result<(), Errno> {
    send(&task.group, Some(task), info, None).map(drop)
}

/// Sends a signal to a process: to whichever of its threads takes it first.
///
/// Errors: as [`send_to_task`].
pub fn send_to_group(group: &Arc<ThreadGroup>, info: SigInfo) -> Result<(), Errno> {
    send(group, None, info, None).map(drop)
}

/// Sends a signal of the kernel itself (of a terminal, say) to all processes of a group.
pub fn send_to_process_group(group: &ProcessGroup, info: SigInfo) {
    for member in group.members() {
        // A queue that is full loses no standard signal, only its facts.
        let _ = send_to_group(&member, info);
    }
}

/// Sends a POSIX timer's signal. Its place on the user's account is the timer's own.
pub(crate) fn send_for_timer(
    group: &Arc<ThreadGroup>,
    thread: Option<&Arc<Task>>,
    info: SigInfo,
    tag: TimerTag,
) -> Sent {
    // Cannot fail: nothing is charged.
    send(group, thread, info, Some(tag)).unwrap_or(Sent::Dropped)
}

fn send(
    group: &Arc<ThreadGroup>,
    thread: Option<&Arc<Task>>,
    info: SigInfo,
    timer: Option<TimerTag>,
) -> Result<Sent, Errno> {
    let signo = info.signo;
    let Some(primary) = thread.cloned().or_else(|| group.leader()) else {
        return Ok(Sent::Dropped);
    };
    if !is_valid_signal(signo) || group.is_exiting() {
        return Ok(Sent::Dropped);
    }
    let is_traced = primary.tracing.is_traced();
    let threads = group.threads();
    let actions = group.actions.read().clone();
    let account = primary.kernel.signal_accounting.user(primary.credentials().uid);
    let limit = group.soft_limit(RLIMIT_SIGPENDING as usize);

    let mut after = Aftermath::default();
    let sent = {
        let mut signals = group.signals.lock();
        job_control::prepare(&mut signals, &threads, signo, &mut after);
        let blocked = primary.signals.lock_nested().blocked_or_waited();
        // A tracer hears of what would be ignored.
        let is_heard = is_traced && signo != SIGKILL;
        if !is_heard && is_ignored(&signals, blocked, &info, &actions.get(signo)) {
            Ok(Sent::Dropped)
        } else if timer.is_none() && is_pending_already(&signals, &primary, thread.is_some(), signo)
        {
            Ok(Sent::Collapsed)
        } else {
            let charge = || Charge::new(&account, limit_for(&info, limit));
            queue(&info, timer, charge).map(|queued| {
                add(&mut signals, &primary, &threads, thread.is_some(), signo, queued);
                choose_thread(
                    &mut signals,
                    &primary,
                    &threads,
                    thread.is_some(),
                    signo,
                    &mut after,
                );
                after.listeners.extend(signals.listeners.iter().filter_map(|one| one.upgrade()));
                Sent::Queued
            })
        }
    };
    after.run(group);
    sent
}

/// Whether sending has no effect (Linux: `sig_ignored`). A blocked signal is never ignored: its
/// action may have changed by the time it is unblocked.
fn is_ignored(signals: &GroupSignals, blocked: SigSet, info: &SigInfo, action: &SigAction) -> bool {
    let signo = info.signo;
    if blocked.contains(signo) {
        return false;
    }
    let is_immune = action.handler == SIG_DFL && signals.immunity.covers_sending(info);
    is_immune || actions::is_ignoring(signo, action)
}

fn is_pending_already(signals: &GroupSignals, primary: &Task, to_thread: bool, signo: i32) -> bool {
    let pending = match to_thread {
        true => primary.signals.lock_nested().pending.set(),
        false => signals.pending.set(),
    };
    signo < SIGRTMIN && pending.contains(signo)
}

/// Standard signals of the kernel and of `kill` are queued beyond the limit.
fn limit_for(info: &SigInfo, limit: u64) -> u64 {
    if info.signo < SIGRTMIN && info.code >= 0 { u64::MAX } else { limit }
}

/// The queue's entry; `None` for a signal that becomes pending without its facts.
///
/// Errors: EAGAIN for a real-time signal that does not fit.
fn queue(
    info: &SigInfo,
    timer: Option<TimerTag>,
    charge: impl FnOnce() -> Option<Charge>,
) -> Result<Option<Queued>, Errno> {
    if info.signo == SIGKILL {
        return Ok(None);
    }
    if timer.is_some() {
        return Ok(Some(Queued { info: *info, timer, _charge: None }));
    }
    match charge() {
        Some(charge) => Ok(Some(Queued { info: *info, timer: None, _charge: Some(charge) })),
        None if info.signo >= SIGRTMIN && info.code != SI_USER => Err(Errno::EAGAIN),
        None => Ok(None),
    }
}

fn add(
    signals: &mut GroupSignals,
    primary: &Task,
    threads: &[Arc<Task>],
    to_thread: bool,
    signo: i32,
    queued: Option<Queued>,
) {
    if to_thread {
        primary.signals.lock_nested().add_pending(signo, queued);
        return;
    }
    signals.pending.add(signo, queued);
    for thread in threads {
        thread.signals.lock_nested().kept.must_ask(true);
    }
}

/// Finds the thread to wake: the main one or the target if it would take the signal, else the
/// next one that would. None is woken while all block it or are stopped.
fn choose_thread(
    signals: &mut GroupSignals,
    primary: &Arc<Task>,
    threads: &[Arc<Task>],
    to_thread: bool,
    signo: i32,
    after: &mut Aftermath,
) {
    if would_take(primary, signo) {
        after.wake.push(primary.clone());
        return;
    }
    if to_thread {
        return;
    }
    let start = threads
        .iter()
        .position(|thread| thread.tid() == signals.last_target)
        .map_or(0, |position| position + 1);
    let (before, behind) = threads.split_at(start);
    for thread in behind.iter().chain(before) {
        if would_take(thread, signo) {
            signals.last_target = thread.tid();
            after.wake.push(thread.clone());
            return;
        }
    }
}

fn would_take(thread: &Task, signo: i32) -> bool {
    let own = thread.signals.lock_nested();
    // A tracee may run while its process is stopped.
    let may_run = signo == SIGKILL || !own.is_stopped || thread.tracing.is_traced();
    !own.is_exiting && !own.mask().contains(signo) && may_run
}

/// All signals whose default action is to stop.
pub(super) const STOP_SIGNALS: SigSet = SigSet::of(linux_abi::signal::SIGSTOP)
    .union(SigSet::of(linux_abi::signal::SIGTSTP))
    .union(SigSet::of(linux_abi::signal::SIGTTIN))
    .union(SigSet::of(linux_abi::signal::SIGTTOU));

/// The set of SIGCONT alone.
pub(super) const CONTINUE_SIGNAL: SigSet = SigSet::of(SIGCONT);

#[cfg(test)]
mod tests {
    use linux_abi::signal::{SI_QUEUE, SI_TKILL, SIGCHLD, SIGTERM, SIGUSR1};

    use super::*;
    use crate::signal::Immunity;

    fn action(handler: u64) -> SigAction {
        SigAction { handler, ..SigAction::default() }
    }

    #[test]
    fn init_is_immune_without_a_handler() {
        let init = GroupSignals::for_init(Immunity::Full);
        let inside = SigInfo::kill(SIGTERM, SI_USER, 5, 0);
        let free = SigSet::EMPTY;
        assert!(is_ignored(&init, free, &inside, &action(SIG_DFL)));
        assert!(!is_ignored(&init, free, &inside, &action(0x1000)));
        assert!(!is_ignored(&init, SigSet::of(SIGTERM), &inside, &action(SIG_DFL)));
    }

    #[test]
    fn blocked_signals_are_not_ignored() {
        let group = GroupSignals::default();
        let info = SigInfo::kill(SIGCHLD, SI_USER, 5, 0);
        assert!(is_ignored(&group, SigSet::EMPTY, &info, &action(SIG_DFL)));
        assert!(!is_ignored(&group, SigSet::of(SIGCHLD), &info, &action(SIG_DFL)));
    }

    #[test]
    fn a_full_queue_refuses_real_time_signals_only() {
        let real_time = SigInfo::queue(SIGRTMIN, SI_QUEUE, 1, 0, 0);
        assert_eq!(queue(&real_time, None, || None).err(), Some(Errno::EAGAIN));
        let by_kill = SigInfo::kill(SIGRTMIN, SI_USER, 1, 0);
        assert!(queue(&by_kill, None, || None).unwrap().is_none());
        let standard = SigInfo::kill(SIGUSR1, SI_TKILL, 1, 0);
        assert!(queue(&standard, None, || None).unwrap().is_none());
        assert_eq!(limit_for(&SigInfo::kernel(SIGUSR1), 0), u64::MAX);
        assert_eq!(limit_for(&standard, 3), 3);
    }
}
