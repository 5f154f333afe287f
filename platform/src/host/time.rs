//! Host clocks, `clock_gettime(2)`. Reading one is a vDSO call, not a system call.

use std::time::Duration;

/// A clock that the sentry hands on to guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Clock {
    Realtime = libc::CLOCK_REALTIME,
    Monotonic = libc::CLOCK_MONOTONIC,
    MonotonicRaw = libc::CLOCK_MONOTONIC_RAW,
    RealtimeCoarse = libc::CLOCK_REALTIME_COARSE,
    MonotonicCoarse = libc::CLOCK_MONOTONIC_COARSE,
    Boottime = libc::CLOCK_BOOTTIME,
    Tai = libc::CLOCK_TAI,
    /// CPU time of the whole sentry process.
    SentryCpu = libc::CLOCK_PROCESS_CPUTIME_ID,
    /// CPU time of the calling sentry thread.
    WorkerCpu = libc::CLOCK_THREAD_CPUTIME_ID,
}

/// The time since the clock's epoch (1970 or boot).
pub fn now(clock: Clock) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a live `timespec`; the clock numbers above are valid on every kernel.
    unsafe { libc::clock_gettime(clock as i32, &raw mut time) };
    duration(time)
}

/// CPU time that the threads of a process have used, in nanoseconds; `None` when it is gone.
pub(crate) fn process_cpu_ns(pid: i32) -> Option<u64> {
    // `clock_getcpuclockid(3)`: the inverted number, above three bits for what the scheduler counts.
    const SCHEDULER: i32 = 2;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a live `timespec`; a wrong clock number is an error.
    match unsafe { libc::clock_gettime((!pid << 3) | SCHEDULER, &raw mut time) } {
        0 => u64::try_from(duration(time).as_nanos()).ok(),
        _ => None,
    }
}

/// The clock's resolution, `clock_getres(2)`.
pub fn resolution(clock: Clock) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 1 };
    // SAFETY: as in `now`.
    unsafe { libc::clock_getres(clock as i32, &raw mut time) };
    duration(time)
}

fn duration(time: libc::timespec) -> Duration {
    Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec.clamp(0, 999_999_999) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_agree_with_std() {
        let first = now(Clock::Monotonic);
        assert!(now(Clock::Monotonic) >= first);
        let unix = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
        assert!(now(Clock::Realtime).abs_diff(unix) < Duration::from_secs(60));
        assert!(now(Clock::Boottime) >= first);
        assert!(resolution(Clock::MonotonicCoarse) > resolution(Clock::Monotonic));
    }

    #[test]
    fn the_time_of_a_process_is_that_of_all_its_threads() {
        let own = super::super::process::pid();
        let before = now(Clock::SentryCpu).as_nanos();
        let told = process_cpu_ns(own).expect("we live").into();
        assert!((before..=now(Clock::SentryCpu).as_nanos()).contains(&told));
        // The host has no such number.
        assert_eq!(process_cpu_ns(1 << 23), None);
    }
}
