//! Clocks and sleeping: `clock_gettime(2)`, `nanosleep(2)`, `times(2)`, `adjtimex(2)`.

use linux_abi::Errno;
use linux_abi::task::Tms;
use linux_abi::time::{
    ADJ_OFFSET_SINGLESHOT, ADJ_OFFSET_SS_READ, CLOCK_MONOTONIC, CLOCK_REALTIME, STA_UNSYNC,
    TIME_ERROR, TIMER_ABSTIME, Timespec, Timeval, Timex, Timezone,
};
use platform::host::time::Clock as HostClock;

use super::SysResult;
use crate::memory::{UserAddr, UserPtr};
use crate::signal::{RestartBlock, set_restart};
use crate::task::Ctx;
use crate::time::{Clock, CpuClock, TimerClock, children_cpu, process_cpu, remaining};

/// Reads a clock, clock_gettime(2). Errors: EINVAL for an unknown clock, EFAULT.
pub fn clock_gettime(ctx: &mut Ctx, clock: i32, time: UserPtr<Timespec>) -> SysResult {
    let now_ns = read_clock(ctx, clock)?;
    ctx.memory().write_value(time, &Timespec::from_nanos(now_ns))?;
    Ok(0)
}

/// A clock's reading, with the caller's own CPU time up to date. Errors: EINVAL.
pub(super) fn read_clock(ctx: &Ctx, clock: i32) -> Result<i64, Errno> {
    let clock = Clock::from_id(clock)?;
    clock.now_ns(&ctx.task)
}

/// The resolution of a clock, clock_getres(2). Errors: EINVAL, EFAULT.
pub fn clock_getres(ctx: &mut Ctx, clock: i32, resolution: UserPtr<Timespec>) -> SysResult {
    let value = Clock::from_id(clock)?.resolution(&ctx.task)?;
    if let Some(resolution) = resolution.non_null() {
        ctx.memory().write_value(resolution, &value)?;
    }
    Ok(0)
}

/// Sets a clock, clock_settime(2): never. Errors: EINVAL for a clock that cannot be set or an
/// invalid time, EFAULT, else EPERM, with `CAP_SYS_TIME` too: the host's clock is not the sandbox'.
pub fn clock_settime(ctx: &mut Ctx, clock: i32, time: UserPtr<Timespec>) -> SysResult {
    if Clock::from_id(clock)? != Clock::Host(HostClock::Realtime) {
        return Err(Errno::EINVAL);
    }
    let time = ctx.memory().read_value(time)?;
    Err(if time.is_valid() { Errno::EPERM } else { Errno::EINVAL })
}

/// Sleeps on the monotonic clock, nanosleep(2). Errors: EFAULT, EINVAL, EINTR with the time that is
/// left in `left`.
pub async fn nanosleep(
    ctx: &mut Ctx,
    time: UserPtr<Timespec>,
    left: UserPtr<Timespec>,
) -> SysResult {
    let time = read_duration(ctx, time)?;
    let deadline_ns = TimerClock::Monotonic.now_ns().saturating_add(time.to_nanos());
    sleep(ctx, CLOCK_MONOTONIC, deadline_ns, left.addr()).await
}

/// Sleeps on a clock, clock_nanosleep(2).
///
/// Errors: EINVAL (clock, time), EOPNOTSUPP for a clock one cannot sleep on, EFAULT, EINTR.
pub async fn clock_nanosleep(
    ctx: &mut Ctx,
    clock: i32,
    flags: u32,
    time: UserPtr<Timespec>,
    left: UserPtr<Timespec>,
) -> SysResult {
    let is_absolute = flags & TIMER_ABSTIME != 0;
    let decoded = Clock::from_id(clock)?;
    match decoded {
        Clock::Cpu(cpu) => check_cpu_sleep(ctx, clock, cpu)?,
        other => drop(other.timer_clock()?),
    }
    let time = read_duration(ctx, time)?.to_nanos();
    if is_absolute {
        return match sleep_until(ctx, clock, time).await {
            // Absolute, so starting over means the same.
            Err(Errno::ERESTARTSYS) => Err(Errno::ERESTARTNOHAND),
            result => result,
        };
    }
    // Linux: a relative time does not notice that the realtime clock is set.
    let clock = if clock == CLOCK_REALTIME { CLOCK_MONOTONIC } else { clock };
    let deadline_ns = read_clock(ctx, clock)?.saturating_add(time);
    sleep(ctx, clock, deadline_ns, left.addr()).await
}

/// Errors: EOPNOTSUPP for `CLOCK_THREAD_CPUTIME_ID`, EINVAL for the own thread by number (it could
/// not use the time while it sleeps) and for who is not there.
fn check_cpu_sleep(ctx: &Ctx, id: i32, clock: CpuClock) -> Result<(), Errno> {
    if clock.is_thread && id > 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    if clock.is_thread && clock.is_own(&ctx.task) {
        return Err(Errno::EINVAL);
    }
    clock.now_ns(&ctx.task).map(drop)
}

/// Errors: EFAULT; EINVAL for an invalid time.
fn read_duration(ctx: &Ctx, time: UserPtr<Timespec>) -> Result<Timespec, Errno> {
    let time = ctx.memory().read_value(time)?;
    if time.is_valid() { Ok(time) } else { Err(Errno::EINVAL) }
}

/// A relative sleep, which can be restarted. Errors: EFAULT, ERESTART_RESTARTBLOCK.
async fn sleep(ctx: &mut Ctx, clock: i32, deadline_ns: i64, left: UserAddr) -> SysResult {
    match sleep_until(ctx, clock, deadline_ns).await {
        Err(Errno::ERESTARTSYS) => {
            if !left.is_null() {
                let left_ns = remaining(deadline_ns, read_clock(ctx, clock)?);
                ctx.memory().write_value(left.cast(), &Timespec::from_nanos(left_ns))?;
            }
            let block = RestartBlock::Nanosleep { clock, deadline_ns, remaining: left.0 };
            Err(set_restart(&ctx.task, block))
        }
        result => result,
    }
}

/// Errors: ERESTARTSYS; EINVAL when the process whose time counts is gone.
async fn sleep_until(ctx: &mut Ctx, clock: i32, deadline_ns: i64) -> SysResult {
    match Clock::from_id(clock)? {
        Clock::Cpu(clock) => sleep_on_cpu(ctx, clock, deadline_ns).await?,
        other => {
            let (timer_clock, offset_ns) = other.timer_clock()?;
            let deadline_ns = deadline_ns.saturating_add(offset_ns);
            let timers = &ctx.task.kernel.timers;
            ctx.block(timers.sleep_until(timer_clock, deadline_ns)).await?;
        }
    }
    Ok(0)
}

/// Looks at the clock again whenever the time that is left could have been used up.
async fn sleep_on_cpu(ctx: &mut Ctx, clock: CpuClock, deadline_ns: i64) -> Result<(), Errno> {
    const LEAST_PAUSE_NS: i64 = 4_000_000;
    loop {
        let left_ns = deadline_ns.saturating_sub(clock.now_ns(&ctx.task)?);
        if left_ns <= 0 {
            return Ok(());
        }
        let threads = clock.group(&ctx.task)?.threads().len().max(1);
        let pause_ns = (left_ns / threads as i64).max(LEAST_PAUSE_NS);
        let until_ns = TimerClock::Monotonic.now_ns().saturating_add(pause_ns);
        let timers = &ctx.task.kernel.timers;
        ctx.block(timers.sleep_until(TimerClock::Monotonic, until_ns)).await?;
    }
}

/// Goes on with an interrupted sleep (`restart_syscall`).
pub(super) async fn restart_nanosleep(ctx: &mut Ctx, block: &RestartBlock) -> SysResult {
    let RestartBlock::Nanosleep { clock, deadline_ns, remaining } = *block else {
        return Err(Errno::EINTR);
    };
    sleep(ctx, clock, deadline_ns, UserAddr(remaining)).await
}

/// The time of day, gettimeofday(2). Errors: EFAULT.
pub fn gettimeofday(ctx: &mut Ctx, time: UserPtr<Timeval>, zone: UserPtr<Timezone>) -> SysResult {
    if let Some(time) = time.non_null() {
        let now_ns = TimerClock::Realtime.now_ns();
        ctx.memory().write_value(time, &Timeval::from_nanos(now_ns))?;
    }
    if let Some(zone) = zone.non_null() {
        ctx.memory().write_value(zone, &Timezone::default())?;
    }
    Ok(0)
}

/// Sets the time of day, settimeofday(2): never. Errors: EFAULT, EINVAL, else EPERM.
pub fn settimeofday(ctx: &mut Ctx, time: UserPtr<Timeval>, zone: UserPtr<Timezone>) -> SysResult {
    if let Some(time) = time.non_null() {
        let time = ctx.memory().read_value(time)?;
        if !time.is_valid() {
            return Err(Errno::EINVAL);
        }
    }
    if let Some(zone) = zone.non_null() {
        ctx.memory().read_value(zone)?;
    }
    Err(Errno::EPERM)
}

/// Seconds since 1970, time(2). Errors: EFAULT.
pub fn time(ctx: &mut Ctx, seconds: UserPtr<i64>) -> SysResult {
    let now = Timespec::from_nanos(TimerClock::Realtime.now_ns()).sec;
    if let Some(seconds) = seconds.non_null() {
        ctx.memory().write_value(seconds, &now)?;
    }
    Ok(now as usize)
}

/// CPU time in clock ticks, times(2). Answers with the ticks since the host started. Errors: EFAULT.
pub fn times(ctx: &mut Ctx, buffer: UserPtr<Tms>) -> SysResult {
    const TICK_NS: i64 = 10_000_000;
    if let Some(buffer) = buffer.non_null() {
        let (utime, stime) = process_cpu(&ctx.task.group).ticks();
        let (cutime, cstime) = children_cpu(&ctx.task.group).ticks();
        ctx.memory().write_value(buffer, &Tms { utime, stime, cutime, cstime })?;
    }
    Ok((TimerClock::Boottime.now_ns() / TICK_NS) as usize)
}

/// Reads the state of the clock's discipline, adjtimex(2). Errors: as [`clock_adjtime`].
pub fn adjtimex(ctx: &mut Ctx, buffer: UserPtr<Timex>) -> SysResult {
    adjust(ctx, buffer)
}

/// As [`adjtimex`] for a clock, clock_adjtime(2).
///
/// Errors: EINVAL for an unknown clock, EOPNOTSUPP for any but the realtime clock, EFAULT; EPERM
/// for changes, with `CAP_SYS_TIME` too.
pub fn clock_adjtime(ctx: &mut Ctx, clock: i32, buffer: UserPtr<Timex>) -> SysResult {
    match Clock::from_id(clock)? {
        Clock::Host(HostClock::Realtime) => adjust(ctx, buffer),
        _ => Err(Errno::EOPNOTSUPP),
    }
}

fn adjust(ctx: &Ctx, buffer: UserPtr<Timex>) -> SysResult {
    let asked = ctx.memory().read_value(buffer)?;
    let is_reading = matches!(asked.modes, 0 | ADJ_OFFSET_SS_READ);
    if asked.modes & ADJ_OFFSET_SINGLESHOT == 0x8000 {
        return Err(Errno::EINVAL);
    }
    if !is_reading {
        return Err(Errno::EPERM);
    }
    let state = Timex {
        modes: asked.modes,
        maxerror: MAX_ERROR_US,
        esterror: MAX_ERROR_US,
        status: STA_UNSYNC,
        constant: 2,
        precision: 1,
        tolerance: 32_768_000,
        time: Timeval::from_nanos(TimerClock::Realtime.now_ns()),
        tick: 10_000,
        ..Timex::default()
    };
    ctx.memory().write_value(buffer, &state)?;
    // What disciplines the host's clock, if anything does, is not known in here.
    Ok(TIME_ERROR as usize)
}

/// What Linux reports before anything has told it better (`NTP_PHASE_LIMIT`), in microseconds.
const MAX_ERROR_US: i64 = 16_000_000;
