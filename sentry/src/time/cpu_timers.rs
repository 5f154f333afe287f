//! Timers on CPU time: `ITIMER_VIRTUAL`, `ITIMER_PROF`, POSIX timers on CPU clocks.
//!
//! The host tells nobody when a thread has used so much time. So while such a timer runs, the
//! threads' times are looked at: first at the earliest moment at which the process can have used
//! what is left (all threads running), later and later as long as it uses none.

use std::sync::{Arc, Weak};

use linux_abi::signal::{SIGPROF, SIGVTALRM, SigInfo};

use super::clock::{CpuClock, CpuKind};
use super::cpu::{process_cpu, thread_cpu};
use super::cpu_limit;
use super::heap::{Expire, Target};
use super::interval::{forward, remaining};
use super::posix::{self, TimerSignal};
use super::{CpuTime, ItimerState, TimerClock, TimerKey, TimerSetting, Timers};
use crate::signal::{self, Sent};
use crate::task::{Pid, ThreadGroup};

/// Least time between two looks at the timers.
const LEAST_PAUSE_NS: i64 = 1_000_000;

/// Most time between two looks at a process that has been idle. A timer is late by as much at most
/// when the process goes on.
const MOST_IDLE_PAUSE_NS: i64 = 50_000_000;

/// The CPU timers of `setitimer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuTimerKind {
    /// `ITIMER_VIRTUAL`: user time, SIGVTALRM.
    Virtual,
    /// `ITIMER_PROF`: user and system time, SIGPROF.
    Prof,
}

/// The CPU timers of a process.
#[derive(Default)]
pub(super) struct CpuTimers {
    virt: CpuTimer,
    prof: CpuTimer,
    next_look: Option<TimerKey>,
    /// CPU time of the process at the last look, and how long it was idle for at least.
    seen_ns: i64,
    idle_ns: i64,
}

#[derive(Clone, Copy, Default)]
struct CpuTimer {
    /// CPU time at the next expiry.
    deadline_ns: Option<i64>,
    interval_ns: i64,
}

impl CpuTimer {
    fn setting(&self, now_ns: i64) -> TimerSetting {
        let value_ns = self.deadline_ns.map_or(0, |deadline_ns| remaining(deadline_ns, now_ns));
        TimerSetting { value_ns, interval_ns: self.interval_ns }
    }

    /// Whether it expired by `now_ns`; a periodic one goes on.
    fn expire(&mut self, now_ns: i64) -> bool {
        let Some(deadline_ns) = self.deadline_ns.filter(|&deadline_ns| deadline_ns <= now_ns)
        else {
            return false;
        };
        let is_periodic = self.interval_ns > 0;
        self.deadline_ns = is_periodic.then(|| forward(deadline_ns, self.interval_ns, now_ns).0);
        true
    }
}

impl CpuTimerKind {
    fn counts(self) -> CpuKind {
        match self {
            CpuTimerKind::Virtual => CpuKind::User,
            CpuTimerKind::Prof => CpuKind::All,
        }
    }
}

impl CpuTimers {
    fn timer(&mut self, kind: CpuTimerKind) -> &mut CpuTimer {
        match kind {
            CpuTimerKind::Virtual => &mut self.virt,
            CpuTimerKind::Prof => &mut self.prof,
        }
    }

    pub fn disarm(&mut self, timers: &Timers) {
        self.virt = CpuTimer::default();
        self.prof = CpuTimer::default();
        if let Some(key) = self.next_look.take() {
            timers.cancel(key);
        }
    }

    /// How long to wait before the next look, if the time left may be over after `left_ns`.
    fn pause_ns(&mut self, left_ns: i64, used_ns: i64) -> i64 {
        let is_idle = used_ns == std::mem::replace(&mut self.seen_ns, used_ns);
        let pause_ns = left_ns.max(LEAST_PAUSE_NS);
        if !is_idle {
            self.idle_ns = 0;
            return pause_ns;
        }
        let patience_ns = self.idle_ns.min(MOST_IDLE_PAUSE_NS);
        self.idle_ns = self.idle_ns.saturating_add(pause_ns.max(patience_ns));
        pause_ns.max(patience_ns)
    }
}

/// Told when the process may have used the time that was left.
struct Look {
    timers: Weak<Timers>,
    group: Weak<ThreadGroup>,
}

impl Expire for Look {
    fn expire(&self) {
        if let (Some(timers), Some(group)) = (self.timers.upgrade(), self.group.upgrade()) {
            look(&timers, &group);
        }
    }
}

/// CPU time of a process and of each of its threads.
struct Times {
    process: CpuTime,
    threads: Vec<(Pid, CpuTime)>,
}

impl Times {
    fn read(group: &ThreadGroup) -> Times {
        let threads = group.threads();
        let threads: Vec<_> =
            threads.iter().map(|thread| (thread.tid(), thread_cpu(thread))).collect();
        Times { process: process_cpu(group), threads }
    }

    /// The reading of `clock`; `None` for a thread that has ended.
    fn of(&self, clock: &CpuClock) -> Option<i64> {
        let time = if clock.is_thread {
            self.threads.iter().find(|(tid, _)| *tid == clock.id)?.1
        } else {
            self.process
        };
        Some(clock.kind.count(time))
    }

    /// The least time in which `left_ns` of `clock` can be used up.
    fn earliest_ns(&self, left_ns: i64, is_thread: bool) -> i64 {
        if is_thread { left_ns } else { left_ns / self.threads.len().max(1) as i64 }
    }
}

/// The setting of a CPU timer.
pub fn cpu_timer(group: &Arc<ThreadGroup>, kind: CpuTimerKind) -> TimerSetting {
    let now_ns = kind.counts().count(process_cpu(group));
    group.itimers.lock().cpu.timer(kind).setting(now_ns)
}

/// Sets a CPU timer; a value of 0 stops it. Answers with the setting before.
pub fn set_cpu_timer(
    timers: &Arc<Timers>,
    group: &Arc<ThreadGroup>,
    kind: CpuTimerKind,
    new: TimerSetting,
) -> TimerSetting {
    let now_ns = kind.counts().count(process_cpu(group));
    let old = {
        let mut state = group.itimers.lock();
        let timer = state.cpu.timer(kind);
        let old = timer.setting(now_ns);
        *timer = match new.value_ns {
            0 => CpuTimer::default(),
            value_ns => CpuTimer {
                deadline_ns: Some(now_ns.saturating_add(value_ns)),
                interval_ns: new.interval_ns,
            },
        };
        old
    };
    look(timers, group);
    old
}

/// Looks at the CPU timers and the limit of a process: signals what expired, arranges for the next
/// look. Called also when one of them was set.
pub(super) fn look(timers: &Arc<Timers>, group: &Arc<ThreadGroup>) {
    let times = Times::read(group);
    let (over_limit, limit_left_ns) = cpu_limit::check(group, CpuKind::All.count(times.process));
    let (standard, posix) = {
        let mut state = group.itimers.lock();
        let standard = expire_standard(&mut state.cpu, times.process);
        let posix = expire_posix(&mut state, &times);
        arrange_next_look(timers, group, &mut state, &times, limit_left_ns);
        (standard, posix)
    };
    for signo in standard.into_iter().flatten().chain(over_limit) {
        // Standard signals never fail for lack of room.
        let _ = signal::send_to_group(group, SigInfo::kernel(signo));
    }
    for signal in posix {
        if signal.send(group) == Sent::Dropped {
            posix::rearm_ignored(timers, group, signal.tag);
        }
    }
}

fn expire_standard(timers: &mut CpuTimers, process: CpuTime) -> [Option<i32>; 2] {
    let virt = timers.virt.expire(CpuKind::User.count(process));
    let prof = timers.prof.expire(CpuKind::All.count(process));
    [virt.then_some(SIGVTALRM), prof.then_some(SIGPROF)]
}

fn expire_posix(state: &mut ItimerState, times: &Times) -> Vec<TimerSignal> {
    let mut signals = Vec::new();
    for (tag, clock, timer) in state.posix.running_on_cpu() {
        if times.of(&clock).is_some_and(|now_ns| timer.deadline_ns <= now_ns) {
            signals.extend(timer.expired(tag));
        }
    }
    signals
}

fn arrange_next_look(
    timers: &Arc<Timers>,
    group: &Arc<ThreadGroup>,
    state: &mut ItimerState,
    times: &Times,
    limit_left_ns: Option<i64>,
) {
    let limit = limit_left_ns.map(|left_ns| times.earliest_ns(left_ns, false));
    let standard = [(state.cpu.virt, CpuKind::User), (state.cpu.prof, CpuKind::All)];
    let standard = standard.into_iter().filter_map(|(timer, kind)| {
        let left_ns = timer.deadline_ns?.saturating_sub(kind.count(times.process));
        Some(times.earliest_ns(left_ns, false))
    });
    let posix = state.posix.running_on_cpu().filter_map(|(_, clock, timer)| {
        let left_ns = timer.deadline_ns.saturating_sub(times.of(&clock)?);
        Some(times.earliest_ns(left_ns, clock.is_thread))
    });
    let next = posix.chain(standard).chain(limit).min();
    if let Some(key) = state.cpu.next_look.take() {
        timers.cancel(key);
    }
    if let Some(left_ns) = next {
        let used_ns = CpuKind::All.count(times.process);
        let pause_ns = state.cpu.pause_ns(left_ns, used_ns);
        let look = Look { timers: Arc::downgrade(timers), group: Arc::downgrade(group) };
        let at_ns = TimerClock::Monotonic.now_ns().saturating_add(pause_ns);
        let target = Target::Callback(Arc::new(look));
        state.cpu.next_look = Some(timers.arm(TimerClock::Monotonic, at_ns, target));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_periodic_cpu_timer_goes_on() {
        let mut timer = CpuTimer { deadline_ns: Some(100), interval_ns: 10 };
        assert!(!timer.expire(99));
        assert!(timer.expire(125));
        assert_eq!(timer.setting(125), TimerSetting { value_ns: 5, interval_ns: 10 });
        timer.interval_ns = 0;
        assert!(timer.expire(130));
        assert_eq!(timer.setting(130), TimerSetting::default());
    }

    #[test]
    fn idle_processes_are_looked_at_less_and_less() {
        let mut timers = CpuTimers::default();
        assert_eq!(timers.pause_ns(500, 1), LEAST_PAUSE_NS);
        assert_eq!(timers.pause_ns(500, 1), LEAST_PAUSE_NS);
        let pauses: Vec<i64> = (0..8).map(|_| timers.pause_ns(500, 1) / 1_000_000).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 50, 50]);
        assert_eq!(timers.pause_ns(2_000_000, 2), 2_000_000);
        assert_eq!(timers.pause_ns(90_000_000, 2), 90_000_000);
    }

    #[test]
    fn user_time_drives_the_virtual_timer_only() {
        let mut timers = CpuTimers::default();
        timers.virt.deadline_ns = Some(10);
        timers.prof.deadline_ns = Some(10);
        let system = CpuTime { user_ns: 4, system_ns: 7 };
        assert_eq!(expire_standard(&mut timers, system), [None, Some(SIGPROF)]);
        let user = CpuTime { user_ns: 10, system_ns: 7 };
        assert_eq!(expire_standard(&mut timers, user), [Some(SIGVTALRM), None]);
    }
}
