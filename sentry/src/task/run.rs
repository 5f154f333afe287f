//! The life of a thread: resume, await the trap, serve it.

use std::sync::atomic::Ordering;

use linux_abi::Errno;
use linux_abi::signal::SIGKILL;
use linux_abi::task::{exited_status, signaled_status};
use platform::{HostOp, ResumeMode, Trap};

use super::current::begin_operation;
use super::exit::{ExitReason, exit};
use super::{Ctx, foretelling, posting, trace};
use crate::ptrace::{self, CallEntry};
use crate::seccomp;
use crate::signal::{self, Answered, Delivery, SyscallRestart};
use crate::syscall::{self, Flow};

/// Runs a thread until it ends.
pub async fn run(mut ctx: Ctx) {
    let reason = serve(&mut ctx).await;
    exit(ctx, reason).await;
}

async fn serve(ctx: &mut Ctx) -> ExitReason {
    let mut interrupted = None;
    let mut is_running = false;
    let mut answered = None;
    ctx.tell_identity();
    if ctx.follow_filters().await.is_err() {
        return killed_by_host();
    }
    loop {
        if !is_running {
            if let Some(reason) = settle(ctx, interrupted.take()).await {
                return reason;
            }
            answered = Answered::of(ctx);
            ctx.task.is_in_guest.store(true, Ordering::Relaxed);
            ctx.thread.resume(match ctx.task.tracing.steps() {
                true => ResumeMode::SingleStep,
                false => ResumeMode::Run,
            });
        }
        is_running = false;
        if ctx.task.kernel.executor.is_idle() {
            ctx.thread.stay();
        }
        let trap = std::future::poll_fn(|cx| ctx.thread.poll_trap(cx)).await;
        ctx.task.is_in_guest.store(false, Ordering::Relaxed);
        if trap != Trap::Failed {
            ctx.forget_undo();
        }
        match trap {
            Trap::Syscall => match enter(ctx).await {
                Entered::Runs => {
                    is_running = true;
                    answered = None;
                }
                Entered::Goes(restart) => interrupted = restart,
                Entered::Exits(reason) => return reason,
            },
            Trap::Waiting => match enter_waiting(ctx).await {
                Entered::Runs => is_running = true,
                Entered::Goes(restart) => interrupted = restart,
                Entered::Exits(reason) => return reason,
            },
            Trap::ForeignSyscall => {
                ctx.thread.registers_mut().rax = Errno::ENOSYS.to_return_value();
            }
            Trap::Fault(fault) => {
                trace::fault(ctx, &fault);
                signal::force_fault(&ctx.task, &fault);
            }
            Trap::Interrupted => {
                // It may have unblocked a signal by itself.
                if signal::is_due(&ctx.task) {
                    ctx.task.note_attention();
                }
                ctx.refresh_identity();
                interrupted = signal::interrupted_wait(ctx, answered.as_ref());
                // Another thread may have put a filter on this one.
                if ctx.follow_filters().await.is_err() {
                    return killed_by_host();
                }
            }
            Trap::Failed => ctx.take_back(),
            Trap::Dead => return killed_by_host(),
        }
    }
}

/// Before guest code runs again: signals, stops, the end.
async fn settle(ctx: &mut Ctx, mut interrupted: Option<SyscallRestart>) -> Option<ExitReason> {
    if interrupted.is_none() && !ctx.task.must_attend() {
        return None;
    }
    loop {
        ctx.task.clear_attention();
        if ctx.task.must_exit() {
            return Some(thread_end(ctx));
        }
        // Delivery looks at all registers, the result of the call among them.
        if ctx.thread.complete().await.is_err() {
            return Some(killed_by_host());
        }
        match signal::deliver(ctx, &mut interrupted).await {
            // A handler's frame may have failed, or its mask opened the way for another signal.
            Delivery::Resume if ctx.task.has_attention() => {}
            Delivery::Resume => return None,
            Delivery::Stop => signal::stopped(ctx).await,
            Delivery::Exit { status } => return Some(ExitReason::Group(status as u32)),
        }
    }
}

/// The host killed the process: to the guest that looks like its OOM killer.
fn killed_by_host() -> ExitReason {
    ExitReason::Group(signaled_status(SIGKILL, false) as u32)
}

/// The end of a thread whose process ends or executes another program.
fn thread_end(ctx: &Ctx) -> ExitReason {
    let status = *ctx.task.group.group_exit.lock();
    ExitReason::Thread(status.unwrap_or(exited_status(0) as u32))
}

enum Entered {
    /// Guest code runs already.
    Runs,
    Goes(Option<SyscallRestart>),
    Exits(ExitReason),
}

/// Lets the thread go on with an operation, unless something has to be settled first.
fn finish(ctx: &mut Ctx, op: HostOp<'static>) -> bool {
    if ctx.task.has_attention() {
        return false;
    }
    ctx.task.is_in_guest.store(true, Ordering::Relaxed);
    ctx.thread.resume_with(op)
}

/// Whether a call is one that guest code makes of the host.
fn is_native(ctx: &Ctx, number: u64, args: &[u64; 6]) -> bool {
    ctx.task.kernel.platform.has_native_futexes() && platform::is_native(number, args)
}

/// Lets the host execute the present call and guest code run, unless something has to be settled
/// first.
fn make_native(ctx: &mut Ctx) -> bool {
    if ctx.task.has_attention() {
        return false;
    }
    ctx.task.is_in_guest.store(true, Ordering::Relaxed);
    ctx.thread.resume_call()
}

/// Waits for the end of a call that the host executes, of which a tracer wants to know.
async fn native_end(ctx: &mut Ctx, number: u64) -> Entered {
    let trap = std::future::poll_fn(|cx| ctx.thread.poll_trap(cx)).await;
    ctx.task.is_in_guest.store(false, Ordering::Relaxed);
    match trap {
        Trap::Dead => return Entered::Exits(killed_by_host()),
        Trap::Fault(fault) => signal::force_fault(&ctx.task, &fault),
        _ => {}
    }
    let restart = signal::interrupted_wait(ctx, None);
    ctx.thread.registers_mut().orig_rax = number;
    Entered::Goes(restart)
}

/// Serves one system call.
async fn enter(ctx: &mut Ctx) -> Entered {
    if ctx.task.tracing.is_traced() {
        return Box::pin(enter_traced(ctx)).await;
    }
    serve_call(ctx, true).await
}

/// Goes on with a system call that guest code has begun by itself.
async fn enter_waiting(ctx: &mut Ctx) -> Entered {
    ctx.go_on_with_begun();
    let entered = Box::pin(enter(ctx)).await;
    ctx.end_begun();
    entered
}

/// Serves a system call of a tracee, which may stop before and after it.
async fn enter_traced(ctx: &mut Ctx) -> Entered {
    let mut restart = None;
    if let CallEntry::Make = ptrace::call_entered(ctx).await {
        match serve_call(ctx, false).await {
            Entered::Goes(code) => restart = code,
            entered => return entered,
        }
    }
    ptrace::call_left(ctx, &mut restart).await;
    Entered::Goes(restart)
}

/// Serves the system call that the registers say, which may be finished by the thread on its way.
async fn serve_call(ctx: &mut Ctx, may_finish: bool) -> Entered {
    let (mut number, mut raw) = ctx.call();
    let trace = trace::begin(ctx, number, raw);
    begin_operation();
    let begun = ctx.task.kernel.latency.begin();
    let refusal = match ctx.task.seccomp.is_on() && !ctx.was_judged() {
        true => seccomp::screen(ctx, number, raw).await,
        false => None,
    };
    if ctx.task.seccomp.is_on() && !may_finish {
        // A tracer may have been asked.
        (number, raw) = ctx.call();
    }
    ctx.may_finish = may_finish && trace.is_none();
    posting::begin(ctx, number, &raw);
    foretelling::begin(ctx, number);
    let flow = match refusal {
        // One that guest code makes of the host, seen only because of filters.
        None if is_native(ctx, number, &raw) => {
            return match make_native(ctx) {
                true if may_finish => Entered::Runs,
                true => native_end(ctx, number).await,
                false => Entered::Goes(Some(SyscallRestart::Always)),
            };
        }
        None => syscall::dispatch(ctx, number, raw).await,
        Some(flow) => flow,
    };
    if let Some(begun) = begun {
        ctx.task.kernel.latency.end(number, begun);
    }
    ctx.task.kernel.vfs.deferred().run();
    foretelling::end_others(ctx);
    let flow = match flow {
        Flow::Runs => return Entered::Runs,
        Flow::Finish(op) if ctx.may_finish && finish(ctx, op) => return Entered::Runs,
        Flow::Finish(op) => Flow::Return(ctx.host_op(op).await.map(|value| value as usize)),
        flow => flow,
    };
    if let Some(trace) = trace {
        trace::end(ctx, &trace, &flow);
    }
    match flow {
        Flow::Return(Ok(value)) => {
            posting::note(ctx, number, &raw, value);
            foretelling::note(ctx, number, &raw, value);
            ctx.thread.registers_mut().rax = value as u64;
            Entered::Goes(None)
        }
        Flow::Return(Err(errno)) => {
            // Restart codes become EINTR or a second try where signals are delivered. No host must
            // see one.
            let restart = SyscallRestart::from_errno(errno);
            let result = if restart.is_some() { Errno::EINTR } else { errno };
            ctx.thread.registers_mut().rax = result.to_return_value();
            Entered::Goes(restart)
        }
        Flow::Resume | Flow::Finish(_) | Flow::Runs => Entered::Goes(None),
        Flow::Exit(reason) => Entered::Exits(reason),
    }
}
