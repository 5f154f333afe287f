//! The clocks a program can name, `clock_gettime(2)`.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::time::{
    CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM, CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE,
    CLOCK_MONOTONIC_RAW, CLOCK_PROCESS_CPUTIME_ID, CLOCK_REALTIME, CLOCK_REALTIME_ALARM,
    CLOCK_REALTIME_COARSE, CLOCK_TAI, CLOCK_THREAD_CPUTIME_ID, NSEC_PER_SEC, Timespec,
};
use platform::host;
use platform::host::time::Clock as HostClock;

use super::timers::nanoseconds;
use super::{CpuTime, TimerClock, process_cpu, thread_cpu};
use crate::task::{Pid, Task, ThreadGroup};

/// A clock by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// One that the host keeps for us.
    Host(HostClock),
    /// As the second, but its timers would wake a sleeping machine: there is no such hardware here.
    Alarm(HostClock),
    Cpu(CpuClock),
}

/// CPU time of a process or thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuClock {
    /// Process or thread number, 0 for the caller.
    pub id: Pid,
    pub is_thread: bool,
    pub kind: CpuKind,
}

/// What a CPU clock counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuKind {
    /// User and system time (`CPUCLOCK_PROF`, `CPUCLOCK_SCHED`).
    All,
    /// User time (`CPUCLOCK_VIRT`).
    User,
}

impl Clock {
    /// Decodes a clock number. Errors: EINVAL for an unknown one.
    pub fn from_id(id: i32) -> Result<Clock, Errno> {
        let clock = match id {
            CLOCK_REALTIME => Clock::Host(HostClock::Realtime),
            CLOCK_MONOTONIC => Clock::Host(HostClock::Monotonic),
            CLOCK_MONOTONIC_RAW => Clock::Host(HostClock::MonotonicRaw),
            CLOCK_REALTIME_COARSE => Clock::Host(HostClock::RealtimeCoarse),
            CLOCK_MONOTONIC_COARSE => Clock::Host(HostClock::MonotonicCoarse),
            CLOCK_BOOTTIME => Clock::Host(HostClock::Boottime),
            CLOCK_TAI => Clock::Host(HostClock::Tai),
            CLOCK_REALTIME_ALARM => Clock::Alarm(HostClock::Realtime),
            CLOCK_BOOTTIME_ALARM => Clock::Alarm(HostClock::Boottime),
            CLOCK_PROCESS_CPUTIME_ID => Clock::Cpu(CpuClock::own(false)),
            CLOCK_THREAD_CPUTIME_ID => Clock::Cpu(CpuClock::own(true)),
            id if id < 0 => Clock::Cpu(CpuClock::from_dynamic_id(id)?),
            _ => return Err(Errno::EINVAL),
        };
        Ok(clock)
    }

    /// The reading for `task`. Errors: EINVAL for the CPU time of a process that is not there.
    pub fn now_ns(self, task: &Arc<Task>) -> Result<i64, Errno> {
        match self {
            Clock::Host(clock) | Clock::Alarm(clock) => Ok(nanoseconds(host::time::now(clock))),
            Clock::Cpu(clock) => clock.now_ns(task),
        }
    }

    /// The resolution. Errors: EINVAL as [`Clock::now_ns`], and for alarm clocks.
    pub fn resolution(self, task: &Arc<Task>) -> Result<Timespec, Errno> {
        match self {
            Clock::Host(clock) => {
                Ok(Timespec::from_nanos(nanoseconds(host::time::resolution(clock))))
            }
            Clock::Alarm(_) => Err(Errno::EINVAL),
            Clock::Cpu(clock) => clock.now_ns(task).map(|_| Timespec { sec: 0, nsec: 1 }),
        }
    }

    /// The clock that timers for this one run on, and what to add to its readings.
    ///
    /// Errors: EOPNOTSUPP for clocks without timers (raw, coarse, alarm).
    pub fn timer_clock(self) -> Result<(TimerClock, i64), Errno> {
        match self {
            Clock::Host(HostClock::Realtime) => Ok((TimerClock::Realtime, 0)),
            Clock::Host(HostClock::Monotonic) => Ok((TimerClock::Monotonic, 0)),
            Clock::Host(HostClock::Boottime) => Ok((TimerClock::Boottime, 0)),
            Clock::Host(HostClock::Tai) => Ok((TimerClock::Realtime, -tai_offset_ns())),
            _ => Err(Errno::EOPNOTSUPP),
        }
    }
}

/// By how much the host's TAI clock is ahead of UTC: whole seconds.
fn tai_offset_ns() -> i64 {
    let utc = nanoseconds(host::time::now(HostClock::Realtime));
    let tai = nanoseconds(host::time::now(HostClock::Tai));
    (tai - utc + NSEC_PER_SEC / 2).div_euclid(NSEC_PER_SEC) * NSEC_PER_SEC
}

impl CpuClock {
    fn own(is_thread: bool) -> CpuClock {
        CpuClock { id: 0, is_thread, kind: CpuKind::All }
    }

    /// Decodes a negative clock number: the inverted number above three bits of kind
    /// (`clock_getcpuclockid(3)`).
    fn from_dynamic_id(id: i32) -> Result<CpuClock, Errno> {
        const KIND: i32 = 3;
        const PER_THREAD: i32 = 4;
        let kind = match id & KIND {
            0 | 2 => CpuKind::All,
            1 => CpuKind::User,
            // A device's clock: there are none.
            _ => return Err(Errno::EINVAL),
        };
        Ok(CpuClock { id: !(id >> 3), is_thread: id & PER_THREAD != 0, kind })
    }

    /// Whether this is a clock of the caller's own process or thread.
    pub fn is_own(self, task: &Task) -> bool {
        self.id == 0 || self.id == if self.is_thread { task.tid() } else { task.pid() }
    }

    /// The process whose time counts. Errors: EINVAL.
    pub fn group(self, task: &Arc<Task>) -> Result<Arc<ThreadGroup>, Errno> {
        // A thread's clock is readable within its own process only.
        if self.is_thread || self.is_own(task) {
            return Ok(task.group.clone());
        }
        task.kernel.tasks.group(self.id).ok_or(Errno::EINVAL)
    }

    /// Errors: EINVAL when there is no such process, or no such thread in the own process.
    pub fn now_ns(self, task: &Arc<Task>) -> Result<i64, Errno> {
        let time = if self.is_thread {
            thread_cpu(&*self.thread(task)?)
        } else {
            process_cpu(&*self.group(task)?)
        };
        Ok(self.kind.count(time))
    }

    fn thread(self, task: &Arc<Task>) -> Result<Arc<Task>, Errno> {
        if self.is_own(task) {
            return Ok(task.clone());
        }
        let thread = task.kernel.tasks.task(self.id).ok_or(Errno::EINVAL)?;
        if Arc::ptr_eq(&thread.group, &task.group) { Ok(thread) } else { Err(Errno::EINVAL) }
    }
}

impl CpuKind {
    pub(super) fn count(self, time: CpuTime) -> i64 {
        let total = match self {
            CpuKind::All => time.user_ns.saturating_add(time.system_ns),
            CpuKind::User => time.user_ns,
        };
        i64::try_from(total).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dynamic_clocks_are_decoded() {
        let process = |pid: i32| (!pid << 3) | 2;
        let thread = |tid: i32| (!tid << 3) | 4 | 2;
        let all = |id, is_thread| Clock::Cpu(CpuClock { id, is_thread, kind: CpuKind::All });
        assert_eq!(Clock::from_id(process(77)), Ok(all(77, false)));
        assert_eq!(Clock::from_id(thread(0)), Ok(all(0, true)));
        assert_eq!(Clock::from_id((!5 << 3) | 3), Err(Errno::EINVAL));
        assert_eq!(Clock::from_id(10), Err(Errno::EINVAL));
        assert_eq!(Clock::from_id(12), Err(Errno::EINVAL));
    }

    #[test]
    fn coarse_and_raw_clocks_have_no_timers() {
        for id in [CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_BOOTTIME_ALARM] {
            let clock = Clock::from_id(id).unwrap();
            assert_eq!(clock.timer_clock(), Err(Errno::EOPNOTSUPP), "{id}");
        }
        let (clock, offset) = Clock::from_id(CLOCK_TAI).unwrap().timer_clock().unwrap();
        assert_eq!(clock, TimerClock::Realtime);
        assert_eq!(offset % NSEC_PER_SEC, 0);
    }
}
