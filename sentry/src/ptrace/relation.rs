//! Who traces whom (Linux: `ptrace_link`, `ptrace_attach`, `ptrace_init_task`, `__ptrace_unlink`).

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use linux_abi::Errno;
use linux_abi::signal::{SIGSTOP, SigInfo};
use linux_abi::task::{CAP_SYS_PTRACE, CloneFlags, PtraceOptions};

use super::TraceFlags;
use super::events::Birth;
use crate::signal;
use crate::task::{AccessMode, Task, Tree, check_access};

/// Makes `tracer` the tracer of `tracee`; the tree's lock orders it.
fn link(_: &mut Tree, tracer: &Arc<Task>, tracee: &Arc<Task>, is_seized: bool) {
    let mut flags = TraceFlags::TRACED;
    flags.set(TraceFlags::SEIZED, is_seized);
    {
        let mut state = tracee.tracing.state.lock();
        state.tracer = Arc::downgrade(tracer);
        state.is_tracer_capable = tracer.credentials().has(CAP_SYS_PTRACE);
        tracee.tracing.set_flags(flags);
    }
    tracer.group.has_traced.store(true, Ordering::Relaxed);
    tracer.tracing.tracees.lock().push(tracee.clone());
}

/// Ends a tracee's relation. If it is in a stop it goes on, with signal `signo` if not 0.
pub(super) fn unlink(_: &mut Tree, tracee: &Arc<Task>, signo: i32) {
    let tracer = {
        let mut state = tracee.tracing.state.lock();
        tracee.tracing.set_flags(TraceFlags::empty());
        state.options = PtraceOptions::empty();
        if let Some(stop) = &mut state.stop {
            stop.end.get_or_insert(signo);
        }
        std::mem::replace(&mut state.tracer, Weak::new())
    };
    if let Some(tracer) = tracer.upgrade() {
        tracer.tracing.tracees.lock().retain(|other| !Arc::ptr_eq(other, tracee));
    }
    signal::end_traps(tracee);
    tracee.wake();
}

/// Makes the caller the tracer of a running thread; `options` if it is seized.
///
/// # Errors
/// EPERM for the caller's own process, one that it may not look into, one that is traced.
pub(super) fn link_running(
    caller: &Arc<Task>,
    target: &Arc<Task>,
    options: Option<PtraceOptions>,
) -> Result<(), Errno> {
    if Arc::ptr_eq(&caller.group, &target.group) {
        return Err(Errno::EPERM);
    }
    check_access(caller, target, AccessMode::Attach)?;
    {
        let mut tree = caller.kernel.tasks.lock();
        let lives = tree.task(target.tid()).is_some_and(|found| Arc::ptr_eq(&found, target));
        if !lives || target.tracing.is_traced() {
            return Err(Errno::EPERM);
        }
        link(&mut tree, caller, target, options.is_some());
        target.tracing.state.lock().options = options.unwrap_or_default();
    }
    if options.is_none() {
        // SIGSTOP is a standard signal: it never fails for lack of room.
        let _ = signal::send_to_task(target, SigInfo::kernel(SIGSTOP));
    }
    signal::trap_if_stopped(target);
    Ok(())
}

/// Makes the calling task a tracee of its parent.
///
/// # Errors
/// EPERM if it is traced, has no parent, or one that is less privileged.
pub(crate) fn trace_me(caller: &Arc<Task>) -> Result<(), Errno> {
    let parent = caller.group.parent_thread().ok_or(Errno::EPERM)?;
    let (own, other) = (caller.credentials(), parent.credentials());
    if own.permitted & !other.permitted != 0 && !other.has(CAP_SYS_PTRACE) {
        return Err(Errno::EPERM);
    }
    let mut tree = caller.kernel.tasks.lock();
    if caller.tracing.is_traced() {
        return Err(Errno::EPERM);
    }
    if !parent.is_leaving() {
        link(&mut tree, &parent, caller, false);
    }
    Ok(())
}

/// Gives a new task, which does not run yet, the tracer of the task that makes it, if that has one
/// and wants to hear of the `birth`, or the caller wants it so (`CLONE_PTRACE`).
pub(crate) fn inherit(
    tree: &mut Tree,
    parent: &Arc<Task>,
    child: &Arc<Task>,
    flags: CloneFlags,
    birth: Option<Birth>,
) {
    if birth.is_none() && !flags.contains(CloneFlags::PTRACE) {
        return;
    }
    let Some(tracer) = parent.tracing.tracer() else { return };
    let (options, is_capable) = {
        let state = parent.tracing.state.lock();
        (state.options, state.is_tracer_capable)
    };
    link(tree, &tracer, child, parent.tracing.is_seized());
    {
        let mut state = child.tracing.state.lock();
        state.options = options;
        state.is_tracer_capable = is_capable;
    }
    signal::trap_at_start(child);
}

/// Whether the task may get privileges by executing a program: not while somebody without
/// privileges traces it (Linux: `LSM_UNSAFE_PTRACE`).
pub(crate) fn may_gain_privileges(task: &Task) -> bool {
    !task.tracing.is_traced() || task.tracing.state.lock().is_tracer_capable
}
