//! The end of tracees, and of tracers (Linux: `exit_notify`, `__ptrace_detach`, `exit_ptrace`).
//!
//! A traced thread that has ended waits for its tracer's `wait4`; its number stays taken. The
//! leading thread does so until its whole process has ended, which the parent learns of only then,
//! if it is not the tracer itself.

use std::sync::Arc;

use linux_abi::poll::PollEvents;
use linux_abi::signal::{SIGCHLD, SIGKILL, SigInfo};
use linux_abi::task::PtraceOptions;

use super::relation::unlink;
use crate::signal;
use crate::task::{Task, Tree, exit_code_and_value, parent_learns_of_end};

/// Leaves what the tracer of an ended thread waits for. The thread is in no list of its process any
/// more.
pub(crate) fn bury(tree: &mut Tree, task: &Arc<Task>, status: u32) {
    if !task.tracing.is_traced() {
        return;
    }
    let is_leader = task.tid() == task.group.pid;
    if is_leader && task.is_replaced() {
        // The thread that executes a program becomes the leading one.
        unlink(tree, task, 0);
        return;
    }
    task.tracing.state.lock().ended = Some(status);
    if is_leader {
        task.group.keep_leader(task);
    } else {
        task.group.keep_thread(tree, task.tid());
        if let Some(tracer) = task.tracing.tracer() {
            tell_of_end(&tracer, task, SIGCHLD, status);
        }
    }
}

/// Sends a tracer the news of an end, whose signal is `signo`.
pub(crate) fn tell_of_end(tracer: &Arc<Task>, tracee: &Arc<Task>, signo: i32, status: u32) {
    if signo != 0 {
        let (code, value) = exit_code_and_value(status as i32);
        let (user, system) = crate::time::process_cpu_ticks(&tracee.group);
        let uid = tracee.credentials().uid;
        let info = SigInfo::child(code, tracee.tid(), uid, value, user, system);
        // Linux: a full queue loses the facts, never the signal.
        let _ = signal::send_to_group(&tracer.group, SigInfo { signo, ..info });
    }
    tracer.group.child_events.notify(PollEvents::IN);
}

/// A thread other than the leading one executes a program and takes its number: nobody waits for
/// the one that led before.
pub(crate) fn forget_leader(tree: &mut Tree, group: &Arc<crate::task::ThreadGroup>) {
    if let Some(leader) = group.take_leader() {
        unlink(tree, &leader, 0);
    }
}

/// The tracer of an ended tracee has waited for it, or is gone: nobody waits for it any more but
/// the parent of a process.
pub(super) fn release(tree: &mut Tree, tracee: &Arc<Task>) {
    let by_parent = tracee.is_traced_by_parent();
    unlink(tree, tracee, 0);
    if tracee.tid() != tracee.group.pid {
        tracee.group.release_thread(tree, tracee.tid());
        return;
    }
    tracee.group.take_leader();
    if tracee.group.exit_status().is_some() {
        parent_learns_of_end(tree, &tracee.group, by_parent);
    }
}

/// The end of a tracer: its tracees go on alone, or end with it (`PTRACE_O_EXITKILL`).
pub(crate) fn release_tracees(tree: &mut Tree, tracer: &Arc<Task>) {
    for tracee in tracer.tracing.tracees() {
        let (is_killed, has_ended) = {
            let state = tracee.tracing.state.lock();
            (state.options.contains(PtraceOptions::EXITKILL), state.ended.is_some())
        };
        if is_killed {
            // SIGKILL never fails.
            let _ = signal::send_to_task(&tracee, SigInfo::kernel(SIGKILL));
        }
        if has_ended {
            abandon(tree, tracer, &tracee);
        } else {
            unlink(tree, &tracee, 0);
        }
    }
}

/// Nobody will wait for an ended tracee but its parent.
fn abandon(tree: &mut Tree, tracer: &Arc<Task>, tracee: &Arc<Task>) {
    let by_parent = tracee.is_traced_by_parent();
    if tracee.tid() == tracee.group.pid && by_parent {
        // It stays a zombie of its parent, which has been told, unless that ignores its children.
        unlink(tree, tracee, 0);
        tracee.group.take_leader();
        if tracee.group.exit_status().is_some() && tracer.group.ignores_children() {
            parent_learns_of_end(tree, &tracee.group, true);
        }
        return;
    }
    release(tree, tracee);
}
