//! Timers as files, timerfd_create(2).
//!
//! As with other timers, a periodic one that expired starts its next period when it is read (or
//! its setting looked at): one that nobody reads costs nothing.

use std::any::Any;
use std::fmt::Write;
use std::sync::{Arc, Weak};

use linux_abi::Errno;
use linux_abi::poll::PollEvents;
use linux_abi::time::TimerfdSetFlags;

use crate::memory::IoDest;
use crate::sync::{Mutex, Notify, Rank, WaitQueue};
use crate::time::{Expire, Target, TimerClock, TimerKey, TimerSetting, Timers, forward, remaining};
use crate::vfs::{File, IoContext};

/// A timer with a descriptor.
pub struct TimerFd(Arc<Shared>);

struct Shared {
    this: Weak<Shared>,
    timers: Arc<Timers>,
    clock: TimerClock,
    /// The clock by its number, for `/proc/[pid]/fdinfo`.
    clock_id: i32,
    state: Mutex<State>,
    queue: WaitQueue,
}

#[derive(Default)]
struct State {
    interval_ns: i64,
    /// Reading of the clock at the next (or last) expiry.
    deadline_ns: i64,
    armed: Option<TimerKey>,
    /// Expiries that were not read yet; a periodic timer that `is_expired` has had more since.
    ticks: u64,
    is_expired: bool,
    flags: TimerfdSetFlags,
    /// For `CANCEL_ON_SET`: the subscription to changes of the clock.
    clock_watch: Option<usize>,
    is_cancelled: bool,
    /// Counts settings, so that an expiry of an earlier one is recognised.
    sequence: u64,
}

struct Expiry {
    timer: Weak<Shared>,
    sequence: u64,
}

impl Expire for Expiry {
    fn expire(&self) {
        let Some(timer) = self.timer.upgrade() else { return };
        {
            let mut state = timer.state.lock();
            if state.sequence != self.sequence || state.armed.take().is_none() {
                return;
            }
            state.is_expired = true;
            state.ticks += 1;
        }
        timer.queue.notify(PollEvents::IN | PollEvents::RDNORM);
    }
}

/// The clock was set: a timer that asked for it is cancelled.
impl Notify for Shared {
    fn notify(&self, _: PollEvents) {
        {
            let mut state = self.state.lock();
            state.is_cancelled = true;
            state.ticks += 1;
        }
        self.queue.notify(PollEvents::IN | PollEvents::RDNORM);
    }
}

impl TimerFd {
    /// A stopped timer on `clock`, which has the number `clock_id`.
    pub fn new(timers: &Arc<Timers>, clock: TimerClock, clock_id: i32) -> TimerFd {
        TimerFd(Arc::new_cyclic(|this| Shared {
            this: this.clone(),
            timers: timers.clone(),
            clock,
            clock_id,
            state: Mutex::new(Rank::FileObject, State::default()),
            queue: WaitQueue::new(),
        }))
    }

    /// Sets the timer; a value of 0 stops it. Answers with the setting before.
    pub fn set(&self, new: TimerSetting, flags: TimerfdSetFlags) -> TimerSetting {
        let shared = &self.0;
        let now_ns = shared.clock.now_ns();
        let may_cancel = shared.clock == TimerClock::Realtime
            && flags.contains(TimerfdSetFlags::ABSTIME | TimerfdSetFlags::CANCEL_ON_SET);
        let mut state = shared.state.lock();
        let old = shared.setting(&mut state, now_ns);
        shared.stop(&mut state);
        state.flags = flags;
        state.interval_ns = new.interval_ns;
        if may_cancel {
            let target = shared.this.upgrade();
            let listeners = shared.timers.clock_listeners();
            state.clock_watch =
                target.map(|target| listeners.subscribe(PollEvents::IN, false, target));
        }
        if new.value_ns > 0 {
            let start = if flags.contains(TimerfdSetFlags::ABSTIME) { 0 } else { now_ns };
            shared.arm(&mut state, start.saturating_add(new.value_ns));
        }
        old
    }

    /// The setting.
    pub fn get(&self) -> TimerSetting {
        self.0.setting(&mut self.0.state.lock(), self.0.clock.now_ns())
    }

    /// Takes the number of expiries. Errors: EAGAIN for none; ECANCELED when the clock was set.
    fn take(&self) -> Result<u64, Errno> {
        let mut state = self.0.state.lock();
        if std::mem::take(&mut state.is_cancelled) {
            state.ticks = 0;
            state.is_expired = false;
            return Err(Errno::ECANCELED);
        }
        if state.ticks == 0 {
            return Err(Errno::EAGAIN);
        }
        self.0.begin_period(&mut state, self.0.clock.now_ns());
        state.is_expired = false;
        Ok(std::mem::take(&mut state.ticks))
    }
}

impl Shared {
    fn arm(&self, state: &mut State, deadline_ns: i64) {
        state.deadline_ns = deadline_ns;
        let expiry = Expiry { timer: self.this.clone(), sequence: state.sequence };
        let target = Target::Callback(Arc::new(expiry));
        state.armed = Some(self.timers.arm(self.clock, deadline_ns, target));
    }

    fn stop(&self, state: &mut State) {
        if let Some(key) = state.armed.take() {
            self.timers.cancel(key);
        }
        if let Some(key) = state.clock_watch.take() {
            self.timers.clock_listeners().unsubscribe(key);
        }
        state.sequence += 1;
        state.ticks = 0;
        state.is_expired = false;
        state.is_cancelled = false;
    }

    /// Counts the periods since an expiry and arms the next one.
    fn begin_period(&self, state: &mut State, now_ns: i64) {
        if state.is_expired && state.interval_ns > 0 {
            state.is_expired = false;
            let (deadline_ns, periods) = forward(state.deadline_ns, state.interval_ns, now_ns);
            state.ticks = state.ticks.saturating_add(periods.saturating_sub(1));
            self.arm(state, deadline_ns);
        }
    }

    fn setting(&self, state: &mut State, now_ns: i64) -> TimerSetting {
        self.begin_period(state, now_ns);
        let value_ns = match state.armed {
            Some(_) => remaining(state.deadline_ns, now_ns),
            None => 0,
        };
        TimerSetting { value_ns, interval_ns: state.interval_ns }
    }
}

impl Drop for TimerFd {
    fn drop(&mut self) {
        self.0.stop(&mut self.0.state.lock());
    }
}

impl File for TimerFd {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read(&self, dest: &mut IoDest<'_>, _: u64, _: &IoContext<'_>) -> Result<usize, Errno> {
        if dest.remaining() < size_of::<u64>() {
            return Err(Errno::EINVAL);
        }
        let ticks = self.take()?;
        match dest.put(&ticks.to_ne_bytes())? {
            8 => Ok(8),
            _ => Err(Errno::EFAULT),
        }
    }

    fn readiness(&self) -> PollEvents {
        match self.0.state.lock().ticks {
            0 => PollEvents::empty(),
            _ => PollEvents::IN | PollEvents::RDNORM,
        }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.0.queue)
    }

    fn fdinfo(&self) -> String {
        let setting = self.get();
        let (ticks, flags) = {
            let state = self.0.state.lock();
            (state.ticks, state.flags.bits())
        };
        let pair = |time_ns: i64| (time_ns / 1_000_000_000, time_ns % 1_000_000_000);
        let mut text =
            format!("clockid: {}\nticks: {ticks}\nsettime flags: 0{flags:o}\n", self.0.clock_id);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "it_value: {:?}", pair(setting.value_ns));
        let _ = writeln!(text, "it_interval: {:?}", pair(setting.interval_ns));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(value_ns: i64, interval_ns: i64) -> TimerSetting {
        TimerSetting { value_ns, interval_ns }
    }

    fn wait(timer: &TimerFd) {
        while timer.readiness().is_empty() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_single_shot_is_read_once() {
        let timers = Timers::start().unwrap();
        let timer = TimerFd::new(&timers, TimerClock::Monotonic, 1);
        assert_eq!(timer.get(), setting(0, 0));
        assert_eq!(timer.take(), Err(Errno::EAGAIN));
        timer.set(setting(1_000, 0), TimerfdSetFlags::empty());
        wait(&timer);
        assert_eq!(timer.get(), setting(0, 0));
        assert_eq!(timer.take(), Ok(1));
        assert_eq!(timer.take(), Err(Errno::EAGAIN));
    }

    #[test]
    fn a_periodic_timer_counts_what_was_missed() {
        let timers = Timers::start().unwrap();
        let timer = TimerFd::new(&timers, TimerClock::Monotonic, 1);
        let start_ns = TimerClock::Monotonic.now_ns() - 1_000_000;
        timer.set(setting(start_ns, 1_000), TimerfdSetFlags::ABSTIME);
        wait(&timer);
        assert!(timer.take().unwrap() >= 1_000);
        assert!(timer.0.state.lock().armed.is_some());
        let old = timer.set(setting(0, 0), TimerfdSetFlags::empty());
        assert_eq!(old.interval_ns, 1_000);
        assert_eq!(timer.get(), setting(0, 0));
        assert_eq!(timer.take(), Err(Errno::EAGAIN));
    }

    #[test]
    fn setting_the_clock_cancels() {
        let timers = Timers::start().unwrap();
        let timer = TimerFd::new(&timers, TimerClock::Realtime, 0);
        let flags = TimerfdSetFlags::ABSTIME | TimerfdSetFlags::CANCEL_ON_SET;
        timer.set(setting(i64::MAX, 0), flags);
        timers.clock_listeners().notify(PollEvents::IN);
        assert!(!timer.readiness().is_empty());
        assert_eq!(timer.take(), Err(Errno::ECANCELED));
        assert_eq!(timer.take(), Err(Errno::EAGAIN));
        drop(timer);
        assert!(timers.clock_listeners().is_empty());
    }
}
