//! POSIX per-process timers, `timer_create(2)`.
//!
//! A timer has at most one signal pending. While it is, further expiries are not signalled but
//! counted when the signal is taken: the overrun. So a periodic timer starts its next period
//! when its signal is taken, and one whose signal is blocked costs nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use linux_abi::Errno;
use linux_abi::signal::SigInfo;

use super::clock::{Clock, CpuClock};
use super::heap::{Expire, Target};
use super::interval::{forward, remaining};
use super::{ItimerState, TimerKey, TimerSetting, Timers, cpu_timers};
use crate::signal::{self, Charge, Sent, TimerTag};
use crate::task::{Task, ThreadGroup};

/// Least time until an ignored periodic timer expires again: a scheduler tick, as on Linux.
const IGNORED_PERIOD_NS: i64 = 4_000_000;

/// `DELAYTIMER_MAX`.
const OVERRUN_MAX: u64 = i32::MAX as u64;

/// Whom a timer signals.
#[derive(Clone)]
pub enum TimerNotify {
    /// `SIGEV_NONE`.
    Nobody,
    Process,
    /// `SIGEV_THREAD_ID`.
    Thread(Weak<Task>),
}

/// What `timer_create` asks for.
pub struct NewTimer {
    pub clock: Clock,
    pub notify: TimerNotify,
    pub signo: i32,
    /// `sigev_value`; none means the timer's own id.
    pub value: Option<u64>,
    /// The timer's place on its user's account of signals.
    pub charge: Charge,
}

/// The POSIX timers of a process.
#[derive(Default)]
pub(super) struct PosixTimers {
    timers: BTreeMap<i32, PosixTimer>,
    next_id: i32,
}

pub(super) struct PosixTimer {
    pub clock: Clock,
    notify: TimerNotify,
    signo: i32,
    value: u64,
    pub interval_ns: i64,
    /// Reading of the timer's clock at the next (or last) expiry.
    pub deadline_ns: i64,
    /// Set and not finally expired: a periodic timer with its signal pending is still active.
    pub is_active: bool,
    key: Option<TimerKey>,
    /// A signal was sent and not taken yet (only kept for CPU clocks; others are not armed then).
    is_signalled: bool,
    sequence: u64,
    /// Expiries since the last signal was taken, its own not counted.
    overrun: u64,
    last_overrun: i32,
    _charge: Charge,
}

/// A signal to send once the lock is released.
pub(super) struct TimerSignal {
    thread: Option<Weak<Task>>,
    info: SigInfo,
    pub tag: TimerTag,
}

/// Told by [`Timers`] when a POSIX timer expires.
struct PosixExpiry {
    timers: Weak<Timers>,
    group: Weak<ThreadGroup>,
    tag: TimerTag,
}

impl Expire for PosixExpiry {
    fn expire(&self) {
        let (Some(group), Some(timers)) = (self.group.upgrade(), self.timers.upgrade()) else {
            return;
        };
        let signal = {
            let mut state = group.itimers.lock();
            let Some(timer) = state.posix.current(self.tag) else { return };
            timer.key = None;
            timer.expired(self.tag)
        };
        let Some(signal) = signal else { return };
        if signal.send(&group) == Sent::Dropped {
            rearm_ignored(&timers, &group, self.tag);
        }
    }
}

impl TimerSignal {
    /// A thread that is gone is signalled no more; the timer goes on.
    pub fn send(&self, group: &Arc<ThreadGroup>) -> Sent {
        match &self.thread {
            None => signal::send_for_timer(group, None, self.info, self.tag),
            Some(thread) => match thread.upgrade() {
                Some(thread) => signal::send_for_timer(group, Some(&thread), self.info, self.tag),
                None => Sent::Dropped,
            },
        }
    }
}

/// Nobody will take the signal of this expiry: the next period begins now.
pub(super) fn rearm_ignored(timers: &Arc<Timers>, group: &Arc<ThreadGroup>, tag: TimerTag) {
    let mut state = group.itimers.lock();
    let Some(timer) = state.posix.current(tag) else { return };
    if timer.interval_ns == 0 || !timer.is_active {
        return;
    }
    timer.is_signalled = false;
    if let Ok((clock, offset_ns)) = timer.clock.timer_clock() {
        let pause_ns = IGNORED_PERIOD_NS.saturating_sub(timer.interval_ns).max(0);
        timer.start_next_period(clock.now_ns() - offset_ns + pause_ns);
        timer.arm(timers, group, tag);
    }
}

impl PosixTimers {
    /// The timer of this setting, unless it was set again or deleted since.
    pub fn current(&mut self, tag: TimerTag) -> Option<&mut PosixTimer> {
        self.timers.get_mut(&tag.id).filter(|timer| timer.sequence == tag.sequence)
    }

    /// Timers on CPU clocks that run, with their tags.
    pub fn running_on_cpu(
        &mut self,
    ) -> impl Iterator<Item = (TimerTag, CpuClock, &mut PosixTimer)> {
        self.timers.iter_mut().filter_map(|(&id, timer)| match timer.clock {
            Clock::Cpu(clock) if timer.is_active && !timer.is_signalled => {
                Some((TimerTag { id, sequence: timer.sequence }, clock, timer))
            }
            _ => None,
        })
    }

    /// `execve`, or the end of the process: all timers go.
    pub fn clear(&mut self, timers: &Timers) {
        for timer in std::mem::take(&mut self.timers).into_values() {
            if let Some(key) = timer.key {
                timers.cancel(key);
            }
        }
    }
}

impl PosixTimer {
    fn setting(&self, now_ns: i64) -> TimerSetting {
        let has_signal = !matches!(self.notify, TimerNotify::Nobody);
        if !self.is_active {
            return TimerSetting { value_ns: 0, interval_ns: self.interval_ns };
        }
        let value_ns = match self.interval_ns {
            0 if !has_signal && self.deadline_ns <= now_ns => 0,
            0 => remaining(self.deadline_ns, now_ns),
            interval_ns => remaining(forward(self.deadline_ns, interval_ns, now_ns).0, now_ns),
        };
        TimerSetting { value_ns, interval_ns: self.interval_ns }
    }

    /// What an expiry does: the signal to send, if any.
    pub fn expired(&mut self, tag: TimerTag) -> Option<TimerSignal> {
        if self.interval_ns == 0 {
            self.is_active = false;
        }
        let thread = match &self.notify {
            TimerNotify::Nobody => return None,
            TimerNotify::Process => None,
            TimerNotify::Thread(thread) => Some(thread.clone()),
        };
        self.is_signalled = true;
        let info = SigInfo::timer(self.signo, tag.id, 0, self.value);
        Some(TimerSignal { thread, info, tag })
    }

    /// Counts the expiries up to `now_ns` and moves the deadline behind it.
    pub fn start_next_period(&mut self, now_ns: i64) {
        let (deadline_ns, periods) = forward(self.deadline_ns, self.interval_ns, now_ns);
        self.deadline_ns = deadline_ns;
        self.overrun = self.overrun.saturating_add(periods.saturating_sub(1));
    }

    /// The signal of this timer was taken; answers with its overrun count.
    fn signal_taken(&mut self, now_ns: i64) -> i32 {
        if self.interval_ns > 0 && self.is_active {
            self.start_next_period(now_ns);
        }
        self.is_signalled = false;
        self.last_overrun = std::mem::take(&mut self.overrun).min(OVERRUN_MAX) as i32;
        self.last_overrun
    }

    fn arm(&mut self, timers: &Arc<Timers>, group: &Arc<ThreadGroup>, tag: TimerTag) {
        // CPU clocks are watched elsewhere, and nobody is told of an expiry of `SIGEV_NONE`.
        let Ok((clock, offset_ns)) = self.clock.timer_clock() else { return };
        if matches!(self.notify, TimerNotify::Nobody) {
            return;
        }
        let expiry =
            PosixExpiry { timers: Arc::downgrade(timers), group: Arc::downgrade(group), tag };
        let deadline_ns = self.deadline_ns.saturating_add(offset_ns);
        self.key = Some(timers.arm(clock, deadline_ns, Target::Callback(Arc::new(expiry))));
    }
}

/// Makes a timer. Errors: EAGAIN when all numbers are taken.
pub fn create(group: &ThreadGroup, new: NewTimer) -> Result<i32, Errno> {
    let mut state = group.itimers.lock();
    let posix = &mut state.posix;
    let mut id = posix.next_id;
    while posix.timers.contains_key(&id) {
        id = id.checked_add(1).unwrap_or(0);
        if id == posix.next_id {
            return Err(Errno::EAGAIN);
        }
    }
    posix.next_id = id.checked_add(1).unwrap_or(0);
    let timer = PosixTimer {
        clock: new.clock,
        notify: new.notify,
        signo: new.signo,
        value: new.value.unwrap_or(id as u32 as u64),
        interval_ns: 0,
        deadline_ns: 0,
        is_active: false,
        key: None,
        is_signalled: false,
        sequence: 0,
        overrun: 0,
        last_overrun: 0,
        _charge: new.charge,
    };
    posix.timers.insert(id, timer);
    Ok(id)
}

/// Removes a timer. A signal that is pending stays pending. Errors: EINVAL for an unknown id.
pub fn delete(timers: &Timers, group: &ThreadGroup, id: i32) -> Result<(), Errno> {
    let removed = group.itimers.lock().posix.timers.remove(&id).ok_or(Errno::EINVAL)?;
    if let Some(key) = removed.key {
        timers.cancel(key);
    }
    Ok(())
}

/// Overrun count of the signal taken last. Errors: EINVAL for an unknown id.
pub fn overrun(group: &ThreadGroup, id: i32) -> Result<i32, Errno> {
    let state = group.itimers.lock();
    state.posix.timers.get(&id).map(|timer| timer.last_overrun).ok_or(Errno::EINVAL)
}

/// The clock of a timer. Errors: EINVAL for an unknown id.
pub fn clock_of(group: &ThreadGroup, id: i32) -> Result<Clock, Errno> {
    let state = group.itimers.lock();
    state.posix.timers.get(&id).map(|timer| timer.clock).ok_or(Errno::EINVAL)
}

/// The setting of a timer whose clock reads `now_ns`. Errors: EINVAL for an unknown id.
pub fn get(group: &ThreadGroup, id: i32, now_ns: i64) -> Result<TimerSetting, Errno> {
    let state = group.itimers.lock();
    state.posix.timers.get(&id).map(|timer| timer.setting(now_ns)).ok_or(Errno::EINVAL)
}

/// Sets a timer, `is_absolute` or from `now_ns` (of its clock) on; a value of 0 stops it. Answers
/// with the setting before. Errors: EINVAL for an unknown id.
pub fn set(
    timers: &Arc<Timers>,
    group: &Arc<ThreadGroup>,
    id: i32,
    new: TimerSetting,
    is_absolute: bool,
    now_ns: i64,
) -> Result<TimerSetting, Errno> {
    let mut state = group.itimers.lock();
    let timer = state.posix.timers.get_mut(&id).ok_or(Errno::EINVAL)?;
    let old = timer.setting(now_ns);
    if let Some(key) = timer.key.take() {
        timers.cancel(key);
    }
    timer.sequence += 1;
    timer.is_signalled = false;
    timer.overrun = 0;
    timer.last_overrun = 0;
    timer.is_active = new.value_ns > 0;
    timer.interval_ns = if timer.is_active { new.interval_ns } else { 0 };
    if timer.is_active {
        let start = if is_absolute { 0 } else { now_ns };
        timer.deadline_ns = start.saturating_add(new.value_ns);
        let tag = TimerTag { id, sequence: timer.sequence };
        timer.arm(timers, group, tag);
    }
    let is_on_cpu = matches!(timer.clock, Clock::Cpu(_));
    drop(state);
    if is_on_cpu {
        cpu_timers::look(timers, group);
    }
    Ok(old)
}

/// A timer's signal was taken: fills in its overrun count and starts the next period.
pub(super) fn signal_taken(task: &Arc<Task>, tag: TimerTag, info: &mut SigInfo) {
    let current = |state: &mut ItimerState| state.posix.current(tag).map(|timer| timer.clock);
    let Some(clock) = current(&mut task.group.itimers.lock()) else { return };
    // Read without the lock: CPU time is that of all threads.
    let Ok(now_ns) = clock.now_ns(task) else { return };
    let mut state = task.group.itimers.lock();
    let Some(timer) = state.posix.current(tag) else { return };
    info.set_overrun(timer.signal_taken(now_ns));
    if timer.is_active && timer.key.is_none() {
        timer.arm(&task.kernel.timers, &task.group, tag);
    }
    drop(state);
    if matches!(clock, Clock::Cpu(_)) {
        cpu_timers::look(&task.kernel.timers, &task.group);
    }
}

#[cfg(test)]
mod tests {
    use linux_abi::signal::SIGALRM;
    use linux_abi::time::CLOCK_MONOTONIC;

    use super::*;
    use crate::signal::SignalAccounting;

    fn timer(interval_ns: i64) -> PosixTimer {
        PosixTimer {
            clock: Clock::from_id(CLOCK_MONOTONIC).unwrap(),
            notify: TimerNotify::Process,
            signo: SIGALRM,
            value: 7,
            interval_ns,
            deadline_ns: 100,
            is_active: true,
            key: None,
            is_signalled: false,
            sequence: 0,
            overrun: 0,
            last_overrun: 0,
            _charge: SignalAccounting::default().charge(0, 1).unwrap(),
        }
    }

    const TAG: TimerTag = TimerTag { id: 3, sequence: 0 };

    #[test]
    fn overruns_are_counted_when_the_signal_is_taken() {
        let mut timer = timer(10);
        let signal = timer.expired(TAG).unwrap();
        assert_eq!((signal.info.timer_id(), signal.info.value()), (3, 7));
        assert_eq!(timer.signal_taken(135), 3);
        assert_eq!(timer.deadline_ns, 140);
        assert_eq!(timer.signal_taken(140), 0);
        assert_eq!(timer.last_overrun, 0);
    }

    #[test]
    fn a_single_shot_is_over_after_its_expiry() {
        let mut timer = timer(0);
        assert_eq!(timer.setting(40), TimerSetting { value_ns: 60, interval_ns: 0 });
        assert_eq!(timer.setting(100).value_ns, 1);
        assert!(timer.expired(TAG).is_some());
        assert_eq!(timer.setting(140), TimerSetting::default());
        timer.notify = TimerNotify::Nobody;
        timer.is_active = true;
        assert_eq!(timer.setting(140), TimerSetting::default());
    }

    #[test]
    fn a_periodic_timer_shows_its_next_expiry() {
        let timer = timer(10);
        assert_eq!(timer.setting(137), TimerSetting { value_ns: 3, interval_ns: 10 });
    }
}
