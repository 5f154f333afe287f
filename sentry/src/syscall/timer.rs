//! Timers of a process: `setitimer(2)`, `alarm(2)`, `timer_create(2)`.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::signal::{
    SIGALRM, SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD, SIGEV_THREAD_ID, SigEvent, is_valid_signal,
};
use linux_abi::task::RLIMIT_SIGPENDING;
use linux_abi::time::{
    ITIMER_PROF, ITIMER_REAL, ITIMER_VIRTUAL, Itimerspec, Itimerval, NSEC_PER_SEC, TIMER_ABSTIME,
    Timespec, Timeval,
};

use super::SysResult;
use crate::memory::UserPtr;
use crate::task::Ctx;
use crate::time::posix::{self, NewTimer, TimerNotify};
use crate::time::{
    Clock, CpuClock, CpuTimerKind, TimerSetting, cpu_timer, real_timer, set_cpu_timer,
    set_real_timer,
};

/// One of the three interval timers. Errors: EINVAL.
enum Which {
    Real,
    Cpu(CpuTimerKind),
}

impl Which {
    fn from_arg(which: i32) -> Result<Which, Errno> {
        match which {
            ITIMER_REAL => Ok(Which::Real),
            ITIMER_VIRTUAL => Ok(Which::Cpu(CpuTimerKind::Virtual)),
            ITIMER_PROF => Ok(Which::Cpu(CpuTimerKind::Prof)),
            _ => Err(Errno::EINVAL),
        }
    }
}

/// The setting of an interval timer, getitimer(2). Errors: EINVAL, EFAULT.
pub fn getitimer(ctx: &mut Ctx, which: i32, value: UserPtr<Itimerval>) -> SysResult {
    let setting = match Which::from_arg(which)? {
        Which::Real => real_timer(&ctx.task.group),
        Which::Cpu(kind) => cpu_timer(&ctx.task.group, kind),
    };
    ctx.memory().write_value(value, &to_itimerval(setting))?;
    Ok(0)
}

/// Sets an interval timer, setitimer(2). Errors: EFAULT, EINVAL (which, times).
pub fn setitimer(
    ctx: &mut Ctx,
    which: i32,
    new: UserPtr<Itimerval>,
    old: UserPtr<Itimerval>,
) -> SysResult {
    // Linux: a null pointer stops the timer.
    let value = match new.non_null() {
        Some(new) => ctx.memory().read_value(new)?,
        None => Itimerval::default(),
    };
    if !value.value.is_valid() || !value.interval.is_valid() {
        return Err(Errno::EINVAL);
    }
    let setting =
        TimerSetting { value_ns: value.value.to_nanos(), interval_ns: value.interval.to_nanos() };
    let before = match Which::from_arg(which)? {
        Which::Real => set_real_timer(&ctx.task.kernel.timers, &ctx.task.group, setting),
        Which::Cpu(kind) => set_cpu_timer(&ctx.task.kernel.timers, &ctx.task.group, kind, setting),
    };
    if let Some(old) = old.non_null() {
        ctx.memory().write_value(old, &to_itimerval(before))?;
    }
    Ok(0)
}

/// Sets the real timer in seconds, alarm(2). Answers with the seconds that were left.
pub fn alarm(ctx: &mut Ctx, seconds: u32) -> SysResult {
    let setting = TimerSetting { value_ns: i64::from(seconds) * NSEC_PER_SEC, interval_ns: 0 };
    let before = set_real_timer(&ctx.task.kernel.timers, &ctx.task.group, setting);
    Ok(rounded_seconds(before.value_ns) as usize)
}

/// Rounded to the nearest second, but never to 0: that would say "no alarm".
fn rounded_seconds(left_ns: i64) -> i64 {
    let rounded = left_ns.saturating_add(NSEC_PER_SEC / 2) / NSEC_PER_SEC;
    if left_ns > 0 { rounded.max(1) } else { 0 }
}

/// Less than a microsecond left is shown as one.
fn to_itimerval(setting: TimerSetting) -> Itimerval {
    let least = |time_ns: i64| if time_ns == 0 { 0 } else { time_ns.max(1000) };
    Itimerval {
        interval: Timeval::from_nanos(setting.interval_ns),
        value: Timeval::from_nanos(least(setting.value_ns)),
    }
}

fn to_itimerspec(setting: TimerSetting) -> Itimerspec {
    Itimerspec {
        interval: Timespec::from_nanos(setting.interval_ns),
        value: Timespec::from_nanos(setting.value_ns),
    }
}

/// Makes a POSIX timer, timer_create(2). Errors: EINVAL (clock, event), EOPNOTSUPP for a clock
/// without timers, EFAULT, EAGAIN (`RLIMIT_SIGPENDING`).
pub fn timer_create(
    ctx: &mut Ctx,
    clock: i32,
    event: UserPtr<SigEvent>,
    id: UserPtr<i32>,
) -> SysResult {
    let event = match event.non_null() {
        Some(event) => Some(ctx.memory().read_value(event)?),
        None => None,
    };
    let clock = timer_clock(ctx, Clock::from_id(clock)?)?;
    let task = &ctx.task;
    let limit = task.group.soft_limit(RLIMIT_SIGPENDING as usize);
    let uid = task.credentials().uid;
    let charge = task.kernel.signal_accounting.charge(uid, limit).ok_or(Errno::EAGAIN)?;
    let (notify, signo, value) = match event {
        None => (TimerNotify::Process, SIGALRM, None),
        Some(event) => (read_notify(ctx, &event)?, event.signo, Some(event.value)),
    };
    let timer = posix::create(&task.group, NewTimer { clock, notify, signo, value, charge })?;
    if let Err(errno) = ctx.memory().write_value(id, &timer) {
        posix::delete(&task.kernel.timers, &task.group, timer)?;
        return Err(errno);
    }
    Ok(0)
}

/// The clock of a new timer; CPU clocks are bound to the process or thread they mean now.
///
/// Errors: EOPNOTSUPP; EINVAL for who is not there.
fn timer_clock(ctx: &Ctx, clock: Clock) -> Result<Clock, Errno> {
    let Clock::Cpu(cpu) = clock else {
        return clock.timer_clock().map(|_| clock);
    };
    cpu.now_ns(&ctx.task)?;
    let own = if cpu.is_thread { ctx.task.tid() } else { ctx.task.pid() };
    let id = if cpu.id == 0 { own } else { cpu.id };
    // Divergence: Linux lets a timer run on another process' CPU time.
    if !cpu.is_thread && id != ctx.task.pid() {
        return Err(Errno::EINVAL);
    }
    Ok(Clock::Cpu(CpuClock { id, ..cpu }))
}

/// Errors: EINVAL for an unknown way to notify, a number that is no signal, a thread that is not
/// of this process.
fn read_notify(ctx: &Ctx, event: &SigEvent) -> Result<TimerNotify, Errno> {
    let notify = match event.notify {
        SIGEV_NONE => return Ok(TimerNotify::Nobody),
        // Linux: the C library's threads are plain signals to the kernel.
        SIGEV_SIGNAL | SIGEV_THREAD => TimerNotify::Process,
        SIGEV_THREAD_ID => {
            let thread = ctx.task.kernel.tasks.task(event.tid).ok_or(Errno::EINVAL)?;
            if !Arc::ptr_eq(&thread.group, &ctx.task.group) {
                return Err(Errno::EINVAL);
            }
            TimerNotify::Thread(Arc::downgrade(&thread))
        }
        _ => return Err(Errno::EINVAL),
    };
    if is_valid_signal(event.signo) { Ok(notify) } else { Err(Errno::EINVAL) }
}

/// Sets a POSIX timer, timer_settime(2). Errors: EINVAL (id, times, no new setting), EFAULT.
pub fn timer_settime(
    ctx: &mut Ctx,
    id: i32,
    flags: u32,
    new: UserPtr<Itimerspec>,
    old: UserPtr<Itimerspec>,
) -> SysResult {
    let new = ctx.memory().read_value(new.non_null().ok_or(Errno::EINVAL)?)?;
    if !new.value.is_valid() || !new.interval.is_valid() {
        return Err(Errno::EINVAL);
    }
    let setting =
        TimerSetting { value_ns: new.value.to_nanos(), interval_ns: new.interval.to_nanos() };
    let now_ns = timer_now(ctx, id)?;
    let is_absolute = flags & TIMER_ABSTIME != 0;
    let timers = &ctx.task.kernel.timers;
    let before = posix::set(timers, &ctx.task.group, id, setting, is_absolute, now_ns)?;
    if let Some(old) = old.non_null() {
        ctx.memory().write_value(old, &to_itimerspec(before))?;
    }
    Ok(0)
}

/// What a timer's clock reads. Errors: EINVAL for an unknown id.
fn timer_now(ctx: &Ctx, id: i32) -> Result<i64, Errno> {
    let clock = posix::clock_of(&ctx.task.group, id)?;
    clock.now_ns(&ctx.task)
}

/// The setting of a POSIX timer, timer_gettime(2). Errors: EINVAL, EFAULT.
pub fn timer_gettime(ctx: &mut Ctx, id: i32, value: UserPtr<Itimerspec>) -> SysResult {
    let now_ns = timer_now(ctx, id)?;
    let setting = posix::get(&ctx.task.group, id, now_ns)?;
    ctx.memory().write_value(value, &to_itimerspec(setting))?;
    Ok(0)
}

/// How many expiries the last signal stood for besides its own, timer_getoverrun(2).
/// Errors: EINVAL.
pub fn timer_getoverrun(ctx: &mut Ctx, id: i32) -> SysResult {
    posix::overrun(&ctx.task.group, id).map(|overrun| overrun as usize)
}

/// Removes a POSIX timer, timer_delete(2). Errors: EINVAL.
pub fn timer_delete(ctx: &mut Ctx, id: i32) -> SysResult {
    posix::delete(&ctx.task.kernel.timers, &ctx.task.group, id)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_but_never_to_zero() {
        assert_eq!(rounded_seconds(0), 0);
        assert_eq!(rounded_seconds(1), 1);
        assert_eq!(rounded_seconds(NSEC_PER_SEC * 14 / 10), 1);
        assert_eq!(rounded_seconds(NSEC_PER_SEC * 15 / 10), 2);
    }

    #[test]
    fn a_running_timer_is_never_shown_as_stopped() {
        let shown = to_itimerval(TimerSetting { value_ns: 1, interval_ns: 0 });
        assert_eq!(shown.value, Timeval { sec: 0, usec: 1 });
        assert_eq!(to_itimerval(TimerSetting::default()), Itimerval::default());
    }
}
