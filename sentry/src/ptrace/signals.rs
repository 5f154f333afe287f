//! Stops for signals and for the stop of the process (Linux: `ptrace_signal`, `do_jobctl_trap`).

use std::sync::Arc;

use linux_abi::signal::{CLD_STOPPED, CLD_TRAPPED, SI_USER, SIGSTOP, SIGTRAP, SigInfo};
use linux_abi::task::PTRACE_EVENT_STOP;

use super::events::trap_info;
use super::stop::{Report, stop};
use crate::signal::{self, SyscallRestart};
use crate::task::{Ctx, Task};

/// Tells the tracer of a signal that the calling task has taken; answers with the one to act upon,
/// if the tracer leaves one.
pub(crate) async fn signal_stop(
    ctx: &mut Ctx,
    info: SigInfo,
    restart: &mut Option<SyscallRestart>,
) -> Option<SigInfo> {
    let task = ctx.task.clone();
    signal::allow_stop(&task);
    signal::take_trap(&task);
    let report =
        Report { code: info.signo, info: Some(info), why: CLD_TRAPPED, message: None, last: None };
    // Linux: without a tracer the signal is as it was.
    let Some(leave) = stop(ctx, report, restart).await else { return Some(info) };
    if leave.signo == 0 {
        return None;
    }
    let shown = leave.info.unwrap_or(info);
    let info = if leave.signo == shown.signo { shown } else { by_tracer(&task, leave.signo) };
    (!signal::put_back_if_blocked(&task, info)).then_some(info)
}

/// A signal that a tracer has put in the place of another.
fn by_tracer(tracee: &Arc<Task>, signo: i32) -> SigInfo {
    let (pid, uid) = match tracee.tracing.tracer() {
        Some(tracer) => (tracer.tid(), tracer.credentials().uid),
        None => (0, 0),
    };
    SigInfo::kill(signo, SI_USER, pid, uid)
}

/// Stops the calling tracee with its process, or because its tracer asked for it.
pub(crate) async fn group_stop(ctx: &mut Ctx, restart: &mut Option<SyscallRestart>) {
    let task = ctx.task.clone();
    let trap = signal::join_traced(&task);
    let is_seized = task.tracing.is_seized();
    let signo = trap.stopped_by.unwrap_or(if is_seized { SIGTRAP } else { SIGSTOP });
    let (code, info) = match is_seized {
        true => {
            let code = signo | PTRACE_EVENT_STOP << 8;
            (code, Some(SigInfo { signo, ..trap_info(&task, code) }))
        }
        false => (signo, None),
    };
    if let Some(signo) = trap.news
        && !task.is_traced_by_parent()
    {
        signal::notify_parent(&task.group, CLD_STOPPED, signo);
    }
    let report = Report { code, info, why: CLD_STOPPED, message: Some(0), last: None };
    stop(ctx, report, restart).await;
}

/// A tracee that steps has entered a handler, which is the end of the step.
pub(crate) async fn handler_entered(ctx: &mut Ctx) {
    if ctx.task.tracing.steps() {
        super::events::trap(ctx, SIGTRAP, Some(0)).await;
    }
}
