//! Actions, masks and stacks: what a program does about signals.

use linux_abi::Errno;
use linux_abi::signal::{
    SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK, SIGSET_SIZE, SigAction, SigAltStack, SigInfo, SigSet,
    is_valid_signal,
};
use linux_abi::time::Timespec;

use super::poll::{self, Deadline};
use super::{Flow, SysResult, futex, time};
use crate::memory::UserPtr;
use crate::signal::{self, RestartBlock};
use crate::task::Ctx;
use crate::time::TimerClock;

/// Examines and changes a signal action, sigaction(2).
///
/// Errors: EINVAL for a wrong set size, a number that is no signal, or a new action for SIGKILL or
/// SIGSTOP; EFAULT.
pub fn rt_sigaction(
    ctx: &mut Ctx,
    signo: i32,
    new: UserPtr<SigAction>,
    old: UserPtr<SigAction>,
    size: usize,
) -> SysResult {
    check_size(size)?;
    let new = match new.non_null() {
        Some(new) => Some(ctx.memory().read_value(new)?),
        None => None,
    };
    let is_fixed = SigSet::UNBLOCKABLE.contains(signo);
    if !is_valid_signal(signo) || (new.is_some() && is_fixed) {
        return Err(Errno::EINVAL);
    }
    ctx.hide_actions();
    let before = match new {
        Some(new) => signal::set_action(&ctx.task, signo, new),
        None => ctx.task.group.actions.read().get(signo),
    };
    ctx.tell_actions();
    write_if_asked(ctx, old, &before)
}

/// Examines and changes the mask, sigprocmask(2). Errors: EINVAL (size, `how`), EFAULT.
pub fn rt_sigprocmask(
    ctx: &mut Ctx,
    how: i32,
    new: UserPtr<SigSet>,
    old: UserPtr<SigSet>,
    size: usize,
) -> SysResult {
    check_size(size)?;
    let before = ctx.task.signals.lock().mask();
    if let Some(new) = new.non_null() {
        let new = ctx.memory().read_value(new)?;
        let mask = match how {
            SIG_BLOCK => before.union(new),
            SIG_UNBLOCK => before.difference(new),
            SIG_SETMASK => new,
            _ => return Err(Errno::EINVAL),
        };
        signal::set_mask(&ctx.task, mask);
    }
    write_if_asked(ctx, old, &before)
}

/// Blocked signals that are pending, sigpending(2). Errors: EINVAL for too large a set, EFAULT.
pub fn rt_sigpending(ctx: &mut Ctx, set: UserPtr<SigSet>, size: usize) -> SysResult {
    if size > SIGSET_SIZE {
        return Err(Errno::EINVAL);
    }
    let mask = ctx.task.signals.lock().mask();
    let pending = signal::pending(&ctx.task).intersection(mask);
    ctx.memory().write_exact(set.addr(), &pending.0.to_le_bytes()[..size])?;
    Ok(0)
}

/// Waits for a signal with another mask, sigsuspend(2). Errors: EINVAL, EFAULT, EINTR.
pub async fn rt_sigsuspend(ctx: &mut Ctx, mask: UserPtr<SigSet>, size: usize) -> SysResult {
    check_size(size)?;
    let mask = ctx.memory().read_value(mask)?;
    Err(signal::suspend(ctx, Some(mask)).await)
}

/// Waits for a signal, pause(2). Errors: EINTR.
pub async fn pause(ctx: &mut Ctx) -> SysResult {
    Err(signal::suspend(ctx, None).await)
}

/// Takes a signal of a set without running its handler, sigtimedwait(2). Answers with its number.
///
/// Errors: EINVAL (size, time), EFAULT, EAGAIN when none came in time, EINTR.
pub async fn rt_sigtimedwait(
    ctx: &mut Ctx,
    set: UserPtr<SigSet>,
    info: UserPtr<SigInfo>,
    time: UserPtr<Timespec>,
    size: usize,
) -> SysResult {
    check_size(size)?;
    let set = ctx.memory().read_value(set)?.difference(SigSet::UNBLOCKABLE);
    let timeout_ns = match time.non_null() {
        Some(time) => {
            let time = ctx.memory().read_value(time)?;
            if !time.is_valid() {
                return Err(Errno::EINVAL);
            }
            Some(time.to_nanos())
        }
        None => None,
    };
    let taken = match (signal::take_waited(&ctx.task, set), timeout_ns) {
        (Some(taken), _) => taken,
        (None, Some(0)) => return Err(Errno::EAGAIN),
        (None, _) => {
            let sleep = timeout_ns.map(|timeout_ns| {
                let deadline_ns = TimerClock::Monotonic.now_ns().saturating_add(timeout_ns);
                ctx.task.kernel.timers.sleep_until(TimerClock::Monotonic, deadline_ns)
            });
            signal::wait_for_signal(ctx, set, sleep).await?
        }
    };
    write_if_asked(ctx, info, &taken)?;
    Ok(taken.signo as usize)
}

/// Returns from a signal handler, sigreturn(2). A bad frame is answered with SIGSEGV.
pub async fn rt_sigreturn(ctx: &mut Ctx) -> Flow {
    signal::sigreturn(ctx).await;
    Flow::Resume
}

/// Examines and changes the alternate stack, sigaltstack(2).
///
/// Errors: EFAULT; EPERM while the old one is in use; EINVAL (flags); ENOMEM (too small).
pub async fn sigaltstack(
    ctx: &mut Ctx,
    new: UserPtr<SigAltStack>,
    old: UserPtr<SigAltStack>,
) -> SysResult {
    // A thread can only be on a stack that there is.
    if ctx.task.signals.lock().altstack().can_be_on() {
        ctx.thread.complete().await?;
    }
    let sp = ctx.thread.registers().rsp;
    let new = match new.non_null() {
        Some(new) => Some(ctx.memory().read_value(new)?),
        None => None,
    };
    let before = {
        let mut signals = ctx.task.signals.lock();
        let before = signals.altstack().describe(sp);
        if let Some(new) = new {
            signals.change_altstack(|stack| stack.replace(&new, sp))?;
        }
        before
    };
    write_if_asked(ctx, old, &before)
}

/// Goes on with a timed call that a stop interrupted, restart_syscall(2).
///
/// Errors: EINTR when there is nothing to go on with; those of the call.
pub async fn restart_syscall(ctx: &mut Ctx) -> SysResult {
    let Some(block) = signal::take_restart(&ctx.task) else { return Err(Errno::EINTR) };
    match block {
        RestartBlock::Nanosleep { .. } => time::restart_nanosleep(ctx, &block).await,
        RestartBlock::Futex { .. } => futex::restart_wait(ctx, &block).await,
        RestartBlock::Poll { fds, count, deadline_ns } => {
            poll::poll_restartable(ctx, UserPtr::new(fds), count, Deadline::At(deadline_ns)).await
        }
    }
}

fn check_size(size: usize) -> Result<(), Errno> {
    if size == SIGSET_SIZE { Ok(()) } else { Err(Errno::EINVAL) }
}

fn write_if_asked<T>(ctx: &Ctx, ptr: UserPtr<T>, value: &T) -> SysResult
where
    T: zerocopy::IntoBytes + zerocopy::Immutable,
{
    if let Some(ptr) = ptr.non_null() {
        ctx.memory().write_value(ptr, value)?;
    }
    Ok(0)
}
