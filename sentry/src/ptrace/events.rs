//! Stops at system calls and at the events of `PTRACE_SETOPTIONS` (Linux: `ptrace_notify`,
//! `ptrace_event`, `ptrace_report_syscall`).

use linux_abi::Errno;
use linux_abi::signal::{CLD_TRAPPED, SI_USER, SIGCHLD, SIGKILL, SIGTRAP, SigInfo};
use linux_abi::task::{
    CloneFlags, PTRACE_EVENT_CLONE, PTRACE_EVENT_EXEC, PTRACE_EVENT_EXIT, PTRACE_EVENT_FORK,
    PTRACE_EVENT_SECCOMP, PTRACE_EVENT_VFORK, PTRACE_EVENT_VFORK_DONE,
    PTRACE_EVENTMSG_SYSCALL_ENTRY, PTRACE_EVENTMSG_SYSCALL_EXIT, PtraceOptions, signaled_status,
};

use super::TraceFlags;
use super::stop::{Leave, Report, stop};
use crate::signal::{self, SyscallRestart};
use crate::task::{CloneRequest, Ctx, Pid, Task, end_group};

/// What is added to SIGTRAP at a system call with `PTRACE_O_TRACESYSGOOD`.
pub(super) const CALL_MARK: i32 = 0x80;

/// What a tracee does about a system call.
pub(crate) enum CallEntry {
    Make,
    /// The tracer wants it not to be made; the result is in the registers.
    Skip,
}

/// The facts of a trap that is no signal's.
pub(super) fn trap_info(task: &Task, code: i32) -> SigInfo {
    SigInfo::kill(SIGTRAP, code, task.tid(), task.credentials().uid)
}

/// Stops the calling task for something that is no signal.
pub(super) async fn trap(ctx: &mut Ctx, code: i32, message: Option<u64>) -> Option<Leave> {
    trap_for(ctx, code, message, None, &mut None).await
}

async fn trap_for(
    ctx: &mut Ctx,
    code: i32,
    message: Option<u64>,
    last: Option<bool>,
    restart: &mut Option<SyscallRestart>,
) -> Option<Leave> {
    signal::take_trap(&ctx.task);
    let info = Some(trap_info(&ctx.task, code));
    stop(ctx, Report { code, info, why: CLD_TRAPPED, message, last }, restart).await
}

/// Stops a tracee whose tracer wants to hear of the event.
async fn event(ctx: &mut Ctx, event: i32, option: PtraceOptions, message: u64) {
    if ctx.task.tracing.options().contains(option) {
        trap(ctx, SIGTRAP | event << 8, Some(message)).await;
    }
}

async fn call_stop(ctx: &mut Ctx, message: u64, restart: &mut Option<SyscallRestart>) {
    let is_marked = ctx.task.tracing.options().contains(PtraceOptions::TRACESYSGOOD);
    let code = if is_marked { SIGTRAP | CALL_MARK } else { SIGTRAP };
    let Some(leave) = trap_for(ctx, code, Some(message), None, restart).await else { return };
    if leave.signo != 0 {
        let info = SigInfo::kernel(leave.signo);
        // Only a full real-time queue refuses.
        let _ = signal::send_to_task(&ctx.task, info);
    }
}

/// A tracee is about to make the system call of its registers, which its tracer may change.
pub(crate) async fn call_entered(ctx: &mut Ctx) -> CallEntry {
    let flags = ctx.task.tracing.flags();
    if flags.intersects(TraceFlags::CALLS | TraceFlags::EMULATION) {
        call_stop(ctx, PTRACE_EVENTMSG_SYSCALL_ENTRY, &mut None).await;
        let is_over = flags.contains(TraceFlags::EMULATION) || signal::is_killed(&ctx.task);
        let is_none = ctx.thread.registers().orig_rax as i32 == -1;
        if is_over || is_none {
            return CallEntry::Skip;
        }
    }
    CallEntry::Make
}

/// A filter of the calling task wants its tracer to decide about the call of its registers; `None`
/// when there is none that wants to.
pub(crate) async fn filtered(ctx: &mut Ctx, message: u16) -> Option<CallEntry> {
    let tracing = &ctx.task.tracing;
    if !tracing.is_traced() || !tracing.options().contains(PtraceOptions::TRACESECCOMP) {
        return None;
    }
    trap(ctx, SIGTRAP | PTRACE_EVENT_SECCOMP << 8, Some(u64::from(message))).await;
    let is_none = ctx.thread.registers().orig_rax as i32 == -1;
    Some(if is_none || signal::is_killed(&ctx.task) { CallEntry::Skip } else { CallEntry::Make })
}

/// A tracee's system call is over, its result in the registers or a `restart`.
pub(crate) async fn call_left(ctx: &mut Ctx, restart: &mut Option<SyscallRestart>) {
    if ctx.task.tracing.flags().contains(TraceFlags::CALLS) {
        call_stop(ctx, PTRACE_EVENTMSG_SYSCALL_EXIT, restart).await;
    }
}

/// The event that a tracer wants to hear of when the caller makes a child, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Birth(i32);

/// Which event it will be that the calling task makes a child.
pub(crate) fn cloning(task: &Task, request: &CloneRequest) -> Option<Birth> {
    if !task.tracing.is_traced() || request.flags.contains(CloneFlags::UNTRACED) {
        return None;
    }
    let (event, option) = if request.flags.contains(CloneFlags::VFORK) {
        (PTRACE_EVENT_VFORK, PtraceOptions::TRACEVFORK)
    } else if request.exit_signal != SIGCHLD {
        (PTRACE_EVENT_CLONE, PtraceOptions::TRACECLONE)
    } else {
        (PTRACE_EVENT_FORK, PtraceOptions::TRACEFORK)
    };
    task.tracing.options().contains(option).then_some(Birth(event))
}

/// The calling tracee has made the child `tid`.
pub(crate) async fn cloned(ctx: &mut Ctx, birth: Birth, tid: Pid) {
    trap(ctx, SIGTRAP | birth.0 << 8, Some(tid as u64)).await;
}

/// The `vfork` child `tid` of the calling task has left its memory.
pub(crate) async fn vfork_done(ctx: &mut Ctx, tid: Pid) {
    if ctx.task.tracing.is_traced() {
        let option = PtraceOptions::TRACEVFORKDONE;
        event(ctx, PTRACE_EVENT_VFORK_DONE, option, tid as u64).await;
    }
}

/// The calling task, whose number was `old_tid`, has executed a program by the call `number`.
pub(crate) async fn executed(ctx: &mut Ctx, old_tid: Pid, number: u64) {
    if !ctx.task.tracing.is_traced() {
        return;
    }
    ctx.thread.registers_mut().orig_rax = number;
    let options = ctx.task.tracing.options();
    if options.contains(PtraceOptions::TRACEEXEC) {
        // The call has no result yet.
        ctx.thread.registers_mut().rax = Errno::ENOSYS.to_return_value();
        event(ctx, PTRACE_EVENT_EXEC, PtraceOptions::TRACEEXEC, old_tid as u64).await;
        ctx.thread.registers_mut().rax = 0;
    } else if !ctx.task.tracing.is_seized() {
        // SIGTRAP is a standard signal: it never fails for lack of room.
        let info = SigInfo::kill(SIGTRAP, SI_USER, ctx.task.pid(), ctx.task.credentials().uid);
        let _ = signal::send_to_task(&ctx.task, info);
    }
}

/// The calling task ends with `status`; answers with what becomes of that.
pub(crate) async fn exiting(ctx: &mut Ctx, status: u32) -> u32 {
    let task = ctx.task.clone();
    if !task.tracing.is_traced() || !task.tracing.options().contains(PtraceOptions::TRACEEXIT) {
        return status;
    }
    let was_ending = task.group.is_exiting();
    let code = SIGTRAP | PTRACE_EVENT_EXIT << 8;
    trap_for(ctx, code, Some(u64::from(status)), Some(was_ending), &mut None).await;
    if !was_ending && signal::is_killed(&task) {
        end_group(&task.group, signaled_status(SIGKILL, false) as u32);
    }
    task.group.ending_status().unwrap_or(status)
}
