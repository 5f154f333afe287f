//! Timers on CPU time: `ITIMER_VIRTUAL`, `ITIMER_PROF`, POSIX timers on CPU clocks.
//!
//! The host tells nobody when a thread has used so much time. So while such a timer runs, a
//! monotonic timer expires at the earliest moment at which the process can have used the time
//! that is left (all threads running), and makes running threads trap: each then brings its counters
//! up to date and looks at the timers. Blocked threads use no time and are left alone.

use std::sync::{Arc, Weak};

use linux_abi::signal::{SIGPROF, SIGVTALRM, SigInfo};

use super::clock::CpuKind;
use super::cpu::{process_cpu, refresh_cpu, thread_cpu};
use super::heap::{Expire, Target};
use super::interval::{forward, remaining};
use super::posix::{self, TimerSignal};
use super::{CpuTime, ItimerState, TimerClock, TimerKey, TimerSetting, Timers};
use crate::signal::{self, Sent};
use crate::task::{Ctx, ThreadGroup};

/// Least time between two looks at the timers.
const LEAST_POLL_NS: i64 = 1_000_000;

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
    poll: Option<TimerKey>,
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
        if let Some(key) = self.poll.take() {
            timers.cancel(key);
        }
    }
}

/// Told when the process may have used the time that was left.
struct CpuPoll(Weak<ThreadGroup>);

impl Expire for CpuPoll {
    fn expire(&self) {
        let Some(group) = self.0.upgrade() else { return };
        group.itimers.lock().cpu.poll = None;
        for thread in group.threads() {
            thread.interrupt_guest_code();
        }
    }
}

/// The setting of a CPU timer.
pub fn cpu_timer(ctx: &Ctx, kind: CpuTimerKind) -> TimerSetting {
    refresh_cpu(ctx);
    let now_ns = kind.counts().count(process_cpu(&ctx.task.group));
    ctx.task.group.itimers.lock().cpu.timer(kind).setting(now_ns)
}

/// Sets a CPU timer; a value of 0 stops it. Answers with the setting before.
pub fn set_cpu_timer(ctx: &Ctx, kind: CpuTimerKind, new: TimerSetting) -> TimerSetting {
    refresh_cpu(ctx);
    let now_ns = kind.counts().count(process_cpu(&ctx.task.group));
    let old = {
        let mut state = ctx.task.group.itimers.lock();
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
    check_cpu_timers(ctx);
    old
}

/// Looks at the CPU timers of the calling thread's process. Called when the thread has trapped
/// because something wanted it; costs next to nothing while there is no such timer.
pub fn check_cpu_timers(ctx: &Ctx) {
    let group = &ctx.task.group;
    if !has_timers(&mut group.itimers.lock()) {
        return;
    }
    refresh_cpu(ctx);
    let threads = group.threads().len() as i64;
    let process = process_cpu(group);
    let thread = (ctx.task.tid(), thread_cpu(&ctx.task));
    let (standard, posix) = {
        let mut state = group.itimers.lock();
        let standard = expire_standard(&mut state.cpu, process);
        let posix = expire_posix(&mut state, process, thread);
        set_poll(&ctx.task.kernel.timers, group, &mut state, (process, threads), thread);
        (standard, posix)
    };
    for signo in standard.into_iter().flatten() {
        // Standard signals never fail for lack of room.
        let _ = signal::send_to_group(group, SigInfo::kernel(signo));
    }
    for signal in posix {
        if signal.send(group) == Sent::Dropped {
            posix::rearm_ignored(&ctx.task.kernel.timers, group, signal.tag);
        }
    }
}

fn has_timers(state: &mut ItimerState) -> bool {
    state.cpu.virt.deadline_ns.is_some()
        || state.cpu.prof.deadline_ns.is_some()
        || state.posix.running_on_cpu().next().is_some()
}

fn expire_standard(timers: &mut CpuTimers, process: CpuTime) -> [Option<i32>; 2] {
    let virt = timers.virt.expire(CpuKind::User.count(process));
    let prof = timers.prof.expire(CpuKind::All.count(process));
    [virt.then_some(SIGVTALRM), prof.then_some(SIGPROF)]
}

fn expire_posix(
    state: &mut ItimerState,
    process: CpuTime,
    (tid, thread): (i32, CpuTime),
) -> Vec<TimerSignal> {
    let mut signals = Vec::new();
    for (tag, clock, timer) in state.posix.running_on_cpu() {
        let time = match clock.is_thread {
            true if clock.id != tid => continue,
            true => thread,
            false => process,
        };
        if timer.deadline_ns <= clock.kind.count(time) {
            signals.extend(timer.expired(tag));
        }
    }
    signals
}

/// Arms the next look at the timers.
fn set_poll(
    timers: &Timers,
    group: &Arc<ThreadGroup>,
    state: &mut ItimerState,
    (process, threads): (CpuTime, i64),
    (tid, thread): (i32, CpuTime),
) {
    let left = |deadline_ns: i64, kind: CpuKind, time: CpuTime| {
        deadline_ns.saturating_sub(kind.count(time))
    };
    let virt =
        state.cpu.virt.deadline_ns.map(|at| left(at, CpuKind::User, process) / threads.max(1));
    let prof =
        state.cpu.prof.deadline_ns.map(|at| left(at, CpuKind::All, process) / threads.max(1));
    let posix = state.posix.running_on_cpu().map(|(_, clock, timer)| match clock.is_thread {
        true if clock.id != tid => LEAST_POLL_NS,
        true => left(timer.deadline_ns, clock.kind, thread),
        false => left(timer.deadline_ns, clock.kind, process) / threads.max(1),
    });
    let next = posix.chain(virt).chain(prof).min();
    if let Some(key) = state.cpu.poll.take() {
        timers.cancel(key);
    }
    if let Some(left_ns) = next {
        let now_ns = TimerClock::Monotonic.now_ns();
        let target = Target::Callback(Arc::new(CpuPoll(Arc::downgrade(group))));
        let at = now_ns.saturating_add(left_ns.max(LEAST_POLL_NS));
        state.cpu.poll = Some(timers.arm(TimerClock::Monotonic, at, target));
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
