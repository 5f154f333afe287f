//! `timerfd_create(2)` and its settings.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::OpenFlags;
use linux_abi::task::CAP_WAKE_ALARM;
use linux_abi::time::{
    CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM, CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_REALTIME_ALARM,
    Itimerspec, TimerfdFlags, TimerfdSetFlags, Timespec,
};

use super::{Fd, SysResult, anonymous};
use crate::fs::timerfd::TimerFd;
use crate::memory::UserPtr;
use crate::task::Ctx;
use crate::time::{TimerClock, TimerSetting};
use crate::vfs::FileDescription;

/// Makes a timer with a descriptor. Errors: EINVAL (clock, flags), EPERM for an alarm clock without
/// `CAP_WAKE_ALARM`, EMFILE.
pub fn timerfd_create(ctx: &mut Ctx, clock: i32, flags: u32) -> SysResult {
    let flags = TimerfdFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    let timer_clock = match clock {
        CLOCK_MONOTONIC => TimerClock::Monotonic,
        CLOCK_REALTIME | CLOCK_REALTIME_ALARM => TimerClock::Realtime,
        CLOCK_BOOTTIME | CLOCK_BOOTTIME_ALARM => TimerClock::Boottime,
        _ => return Err(Errno::EINVAL),
    };
    let is_alarm = matches!(clock, CLOCK_REALTIME_ALARM | CLOCK_BOOTTIME_ALARM);
    if is_alarm && !ctx.task.credentials().has(CAP_WAKE_ALARM) {
        return Err(Errno::EPERM);
    }
    let mut open = OpenFlags::RDWR;
    open.set(OpenFlags::NONBLOCK, flags.contains(TimerfdFlags::NONBLOCK));
    open.set(OpenFlags::CLOEXEC, flags.contains(TimerfdFlags::CLOEXEC));
    let timer = TimerFd::new(&ctx.task.kernel.timers, timer_clock, clock);
    anonymous::install(ctx, timer, "[timerfd]", open)
}

/// Sets the timer. Errors: EFAULT, EINVAL (flags, times, no timerfd), EBADF.
pub fn timerfd_settime(
    ctx: &mut Ctx,
    fd: Fd,
    flags: u32,
    new: UserPtr<Itimerspec>,
    old: UserPtr<Itimerspec>,
) -> SysResult {
    let new = ctx.memory().read_value(new)?;
    let flags = TimerfdSetFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if !new.value.is_valid() || !new.interval.is_valid() {
        return Err(Errno::EINVAL);
    }
    let setting =
        TimerSetting { value_ns: new.value.to_nanos(), interval_ns: new.interval.to_nanos() };
    let description = timer_of(ctx, fd)?;
    let timer = description.downcast::<TimerFd>().ok_or(Errno::EINVAL)?;
    let before = timer.set(setting, flags);
    if let Some(old) = old.non_null() {
        ctx.memory().write_value(old, &to_itimerspec(before))?;
    }
    Ok(0)
}

/// The timer's setting. Errors: EBADF, EINVAL (no timerfd), EFAULT.
pub fn timerfd_gettime(ctx: &mut Ctx, fd: Fd, value: UserPtr<Itimerspec>) -> SysResult {
    let description = timer_of(ctx, fd)?;
    let timer = description.downcast::<TimerFd>().ok_or(Errno::EINVAL)?;
    ctx.memory().write_value(value, &to_itimerspec(timer.get()))?;
    Ok(0)
}

fn timer_of(ctx: &Ctx, fd: Fd) -> Result<Arc<FileDescription>, Errno> {
    ctx.task.fds().get_usable(fd.0)
}

fn to_itimerspec(setting: TimerSetting) -> Itimerspec {
    Itimerspec {
        interval: Timespec::from_nanos(setting.interval_ns),
        value: Timespec::from_nanos(setting.value_ns),
    }
}
