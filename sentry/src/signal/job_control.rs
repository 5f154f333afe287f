//! Stopping and continuing processes, and what their parents learn of it.
//!
//! A stop signal that is taken starts a *group stop*: each thread joins it as soon as it looks at
//! its signals ([`join_stop`]), the last one tells the parent. SIGCONT ends it when it is sent,
//! whatever its action.

use std::sync::Arc;

use linux_abi::poll::PollEvents;
use linux_abi::signal::{
    CLD_CONTINUED, CLD_STOPPED, SIG_IGN, SIGCHLD, SIGCONT, SIGHUP, SaFlags, SigInfo,
};

use super::send::{Aftermath, CONTINUE_SIGNAL, STOP_SIGNALS};
use super::{GroupSignals, StopState, send_to_group, send_to_process_group};
use crate::task::{ProcessGroup, Task, ThreadGroup};

/// The effects that a signal has by being sent: stop signals and SIGCONT undo each other.
pub(super) fn prepare(
    signals: &mut GroupSignals,
    threads: &[Arc<Task>],
    signo: i32,
    after: &mut Aftermath,
) {
    if STOP_SIGNALS.contains(signo) {
        signals.pending.discard(CONTINUE_SIGNAL);
        for thread in threads {
            thread.signals.lock_nested().pending.discard(CONTINUE_SIGNAL);
        }
    } else if signo == SIGCONT {
        signals.pending.discard(STOP_SIGNALS);
        for thread in threads {
            let mut own = thread.signals.lock_nested();
            own.pending.discard(STOP_SIGNALS);
            own.stop_taken = false;
            own.stop_signo = 0;
            own.trap_notify |= thread.tracing.is_seized();
            if std::mem::take(&mut own.is_stopped) || own.trap_notify {
                after.wake.push(thread.clone());
            }
        }
        after.parent_news = end_stop(signals);
    }
}

/// Ends a group stop; answers with the news for the parent.
fn end_stop(signals: &mut GroupSignals) -> Option<(i32, i32)> {
    let news = match signals.stop {
        StopState::Running => return None,
        // It never came to a stop: the parent learns of one that is over, as on Linux.
        StopState::Stopping(_) => (CLD_STOPPED, 0),
        StopState::Stopped(_) => (CLD_CONTINUED, SIGCONT),
    };
    signals.stop = StopState::Running;
    signals.is_stop_unreported = false;
    signals.is_continue_unreported = true;
    Some(news)
}

/// Starts a group stop because `task` took stop signal `signo`, unless a SIGCONT came since.
pub(super) fn start_stop(task: &Arc<Task>, signo: i32) {
    let group = &task.group;
    let threads = group.threads();
    let others = {
        let mut signals = group.signals.lock();
        let is_wanted = std::mem::take(&mut task.signals.lock_nested().stop_taken);
        if !is_wanted || signals.is_killed() {
            return;
        }
        if signals.stop == StopState::Running {
            signals.stop = StopState::Stopping(signo);
            signals.is_continue_unreported = false;
        }
        for thread in threads.iter().filter(|thread| thread.tracing.is_traced()) {
            // One that its tracer has let go since joins anew.
            let mut own = thread.signals.lock_nested();
            own.stop_signo = signo;
            own.is_stopped = false;
            own.trap_notify |= thread.tracing.is_seized() && !Arc::ptr_eq(thread, task);
        }
        threads.iter().filter(|thread| !Arc::ptr_eq(thread, task))
    };
    others.for_each(|thread| thread.request_attention());
}

/// Makes `task` part of its process' stop, if there is one; answers whether there is.
pub(super) fn join_stop(task: &Arc<Task>) -> bool {
    let threads = task.group.threads();
    let news = {
        let mut signals = task.group.signals.lock();
        if signals.stop == StopState::Running {
            return false;
        }
        task.signals.lock_nested().is_stopped = true;
        complete_stop(&mut signals, &threads)
    };
    tell_parent(&task.group, news);
    true
}

/// Notices that the last thread stopped; answers with the signal to tell the parent of.
pub(super) fn complete_stop(signals: &mut GroupSignals, threads: &[Arc<Task>]) -> Option<i32> {
    let StopState::Stopping(signo) = signals.stop else { return None };
    let runs = |thread: &Arc<Task>| {
        let own = thread.signals.lock_nested();
        !own.is_stopped && !own.is_exiting
    };
    if threads.iter().any(runs) {
        return None;
    }
    signals.stop = StopState::Stopped(signo);
    signals.is_stop_unreported = true;
    Some(signo)
}

pub(super) fn tell_parent(group: &Arc<ThreadGroup>, stopped_by: Option<i32>) {
    if let Some(signo) = stopped_by {
        notify_parent(group, CLD_STOPPED, signo);
    }
}

/// Tells the parent of a stop or continuation: SIGCHLD unless it does not want it
/// (`SA_NOCLDSTOP`), and a wake-up for `wait4` in any case.
pub(crate) fn notify_parent(group: &Arc<ThreadGroup>, code: i32, status: i32) {
    let Some(parent) = group.parent() else { return };
    let action = parent.actions.read().get(SIGCHLD);
    if action.handler != SIG_IGN && !action.sa_flags().contains(SaFlags::NOCLDSTOP) {
        let uid = group.leader().map_or(0, |leader| leader.credentials().uid);
        let (user, system) = crate::time::process_cpu_ticks(group);
        let info = SigInfo::child(code, group.pid, uid, status, user, system);
        // SIGCHLD is a standard signal: it never fails for lack of room.
        let _ = send_to_group(&parent, info);
    }
    parent.child_events.notify(PollEvents::IN);
}

/// Whether `group` is orphaned: no member has a parent in the session outside of the group
/// (`setpgid(2)`). `leaving` does not count as a member.
pub fn is_orphaned(group: &Arc<ProcessGroup>, leaving: Option<&Arc<ThreadGroup>>) -> bool {
    let members = group.members();
    !members.iter().any(|member| {
        let is_leaving = leaving.is_some_and(|one| Arc::ptr_eq(one, member));
        if is_leaving || member.threads().is_empty() {
            return false;
        }
        member.parent().is_some_and(|parent| {
            let parents = parent.process_group();
            !Arc::ptr_eq(&parents, group) && Arc::ptr_eq(&parents.session, &group.session)
        })
    })
}

fn has_stopped_member(group: &ProcessGroup) -> bool {
    group.members().iter().any(|member| member.signals.lock().is_stopped())
}

/// For a process that ends: hangs up the process groups that it leaves orphaned with stopped
/// members (SIGHUP, then SIGCONT). `children` are those it had; they have another parent by now,
/// while `leaving` still has its own.
///
/// Takes no lock that the task tree's would not precede.
pub fn hang_up_orphans(leaving: &Arc<ThreadGroup>, children: &[Arc<ThreadGroup>]) {
    let own = leaving.process_group();
    if let Some(parent) = leaving.parent() {
        check_orphaned(&own, leaving, &parent.process_group());
    }
    for child in children {
        check_orphaned(&child.process_group(), leaving, &own);
    }
}

/// Hangs `group` up if the link to `link`, another group of the session, was its last one.
fn check_orphaned(group: &Arc<ProcessGroup>, leaving: &Arc<ThreadGroup>, link: &Arc<ProcessGroup>) {
    let was_linked = !Arc::ptr_eq(link, group) && Arc::ptr_eq(&link.session, &group.session);
    if was_linked && is_orphaned(group, Some(leaving)) && has_stopped_member(group) {
        send_to_process_group(group, SigInfo::kernel(SIGHUP));
        send_to_process_group(group, SigInfo::kernel(SIGCONT));
    }
}
