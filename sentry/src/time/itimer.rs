//! Interval timers of a process, `setitimer(2)`, and its part in POSIX timers.
//!
//! The three timers of `setitimer` differ in their clock: real time is watched by the kernel's
//! [`Timers`], CPU time by `cpu_timers`. As on Linux a periodic real timer starts its next
//! period when its signal is taken, so that a blocked signal costs nothing.

use std::sync::{Arc, Weak};

use linux_abi::signal::{SIGALRM, SigInfo};

use super::cpu_timers::CpuTimers;
use super::heap::{Expire, Target};
use super::interval::{forward, remaining};
use super::posix::PosixTimers;
use super::{TimerClock, TimerKey, Timers};
use crate::signal;
use crate::task::ThreadGroup;

/// Timers of a process. A fork starts with none; `execve` keeps those of `setitimer`.
///
/// Its lock (`Rank::Timer`) is never held while a signal is sent.
#[derive(Default)]
pub struct ItimerState {
    pub(super) real: RealTimer,
    pub(super) cpu: CpuTimers,
    pub(super) posix: PosixTimers,
}

/// Time left and period, in nanoseconds; 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimerSetting {
    pub value_ns: i64,
    pub interval_ns: i64,
}

/// `ITIMER_REAL`.
#[derive(Default)]
pub(super) struct RealTimer {
    interval_ns: i64,
    /// Last deadline, on the monotonic clock.
    deadline_ns: i64,
    armed: Option<TimerKey>,
    /// Counts settings, so that an expiry of an earlier one is recognised.
    sequence: u64,
}

/// Told by [`Timers`] when `ITIMER_REAL` expires.
struct RealExpiry {
    group: Weak<ThreadGroup>,
    sequence: u64,
}

impl Expire for RealExpiry {
    fn expire(&self) {
        let Some(group) = self.group.upgrade() else { return };
        {
            let mut state = group.itimers.lock();
            if state.real.sequence != self.sequence || state.real.armed.take().is_none() {
                return;
            }
        }
        // SIGALRM is a standard signal: it never fails for lack of room.
        let _ = signal::send_to_group(&group, SigInfo::kernel(SIGALRM));
    }
}

impl RealTimer {
    pub fn setting(&self, now_ns: i64) -> TimerSetting {
        let value_ns = match self.armed {
            Some(_) => remaining(self.deadline_ns, now_ns),
            None => 0,
        };
        TimerSetting { value_ns, interval_ns: self.interval_ns }
    }

    fn arm(&mut self, timers: &Timers, group: &Arc<ThreadGroup>, deadline_ns: i64) {
        self.deadline_ns = deadline_ns;
        let expiry = RealExpiry { group: Arc::downgrade(group), sequence: self.sequence };
        let target = Target::Callback(Arc::new(expiry));
        self.armed = Some(timers.arm(TimerClock::Monotonic, deadline_ns, target));
    }

    pub fn disarm(&mut self, timers: &Timers) {
        self.sequence += 1;
        if let Some(key) = self.armed.take() {
            timers.cancel(key);
        }
    }

    /// A SIGALRM was taken: the next period begins.
    pub fn signal_taken(&mut self, timers: &Timers, group: &Arc<ThreadGroup>) {
        if self.interval_ns > 0 && self.armed.is_none() {
            let now_ns = TimerClock::Monotonic.now_ns();
            let (deadline_ns, _) = forward(self.deadline_ns, self.interval_ns, now_ns);
            self.arm(timers, group, deadline_ns);
        }
    }
}

/// The setting of `ITIMER_REAL`.
pub fn real_timer(group: &ThreadGroup) -> TimerSetting {
    group.itimers.lock().real.setting(TimerClock::Monotonic.now_ns())
}

/// Sets `ITIMER_REAL`; a value of 0 stops it. Answers with the setting before.
pub fn set_real_timer(
    timers: &Timers,
    group: &Arc<ThreadGroup>,
    new: TimerSetting,
) -> TimerSetting {
    let now_ns = TimerClock::Monotonic.now_ns();
    let mut state = group.itimers.lock();
    let real = &mut state.real;
    let old = real.setting(now_ns);
    real.disarm(timers);
    real.interval_ns = 0;
    if new.value_ns > 0 {
        real.interval_ns = new.interval_ns;
        real.arm(timers, group, now_ns.saturating_add(new.value_ns));
    }
    old
}
