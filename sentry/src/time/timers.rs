//! The kernel's timers: one heap for each host clock, expired by one host thread.
//!
//! The thread sleeps in an epoll that holds a host timer for each clock, so that the host's own
//! rules hold when its clock is set or the machine sleeps. The same epoll watches host descriptors
//! ([`Reactor`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use linux_abi::Errno;
use linux_abi::poll::{EpollEvents, PollEvents};
use platform::host;
use platform::host::event::{EventFd, TimerFd};

use super::heap::{Heap, Target};
use super::reactor::Reactor;
use crate::sync::{Mutex, Rank, WaitQueue};

/// A clock that timers run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerClock {
    Monotonic,
    Realtime,
    Boottime,
}

impl TimerClock {
    const ALL: [TimerClock; 3] =
        [TimerClock::Monotonic, TimerClock::Realtime, TimerClock::Boottime];

    fn host(self) -> host::time::Clock {
        match self {
            TimerClock::Monotonic => host::time::Clock::Monotonic,
            TimerClock::Realtime => host::time::Clock::Realtime,
            TimerClock::Boottime => host::time::Clock::Boottime,
        }
    }

    /// The clock's reading in nanoseconds.
    pub fn now_ns(self) -> i64 {
        nanoseconds(host::time::now(self.host()))
    }
}

/// A duration in nanoseconds, at most `i64::MAX`.
pub(super) fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// An armed timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerKey {
    clock: TimerClock,
    deadline_ns: i64,
    id: u64,
}

/// The timers of a sandbox. Dropping it ends its thread.
pub struct Timers {
    shared: Arc<Shared>,
}

struct Shared {
    queues: [Queue; 3],
    reactor: Reactor,
    stop: EventFd,
    is_stopped: AtomicBool,
    clock_watch: TimerFd,
    clock_changes: AtomicU64,
    clock_listeners: WaitQueue,
}

/// The timers of one clock. The lock is innermost: a timer is armed with other locks held.
struct Queue {
    clock: TimerClock,
    heap: Mutex<Heap>,
    host_timer: TimerFd,
}

/// Tokens of the epoll below [`Reactor::FIRST_TOKEN`]: the queues by position, then these.
const STOP: u64 = 3;
const CLOCK_CHANGED: u64 = 4;

impl Timers {
    /// Makes the timers and starts their thread.
    ///
    /// Errors: EMFILE, ENFILE, ENOMEM, EAGAIN of the host.
    pub fn start() -> Result<Arc<Timers>, Errno> {
        let [monotonic, realtime, boottime] = TimerClock::ALL;
        let shared = Arc::new(Shared {
            queues: [Queue::new(monotonic)?, Queue::new(realtime)?, Queue::new(boottime)?],
            reactor: Reactor::new()?,
            stop: EventFd::new()?,
            is_stopped: AtomicBool::new(false),
            clock_watch: TimerFd::on(host::time::Clock::Realtime)?,
            clock_changes: AtomicU64::new(0),
            clock_listeners: WaitQueue::new(),
        });
        shared.watch_own_descriptors()?;
        let thread = shared.clone();
        std::thread::Builder::new()
            .name("timers".to_owned())
            .spawn(move || thread.run())
            .map_err(Errno::from)?;
        Ok(Arc::new(Timers { shared }))
    }

    /// Arms a timer: `target` is told once, when `clock` reaches `deadline_ns`. May be called with
    /// any lock held.
    pub fn arm(&self, clock: TimerClock, deadline_ns: i64, target: Target) -> TimerKey {
        let queue = self.shared.queue(clock);
        let mut heap = queue.heap.lock();
        let (id, is_next) = heap.arm(deadline_ns, target);
        if is_next {
            queue.set_host_timer(Some(deadline_ns));
        }
        TimerKey { clock, deadline_ns, id }
    }

    /// Disarms a timer. Answers whether it had not expired yet.
    pub fn cancel(&self, key: TimerKey) -> bool {
        // The host timer stays: an early expiry finds nothing and sets it anew.
        let mut heap = self.shared.queue(key.clock).heap.lock();
        heap.cancel(key.deadline_ns, key.id)
    }

    /// Readiness of host descriptors.
    pub fn reactor(&self) -> &Reactor {
        &self.shared.reactor
    }

    /// How often the realtime clock was set since the start (`TFD_TIMER_CANCEL_ON_SET`).
    pub fn clock_changes(&self) -> u64 {
        self.shared.clock_changes.load(Ordering::Acquire)
    }

    /// Notified when the realtime clock was set.
    pub fn clock_listeners(&self) -> &WaitQueue {
        &self.shared.clock_listeners
    }
}

impl Drop for Timers {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::Release);
        self.shared.stop.signal();
    }
}

impl Shared {
    fn queue(&self, clock: TimerClock) -> &Queue {
        match clock {
            TimerClock::Monotonic => &self.queues[0],
            TimerClock::Realtime => &self.queues[1],
            TimerClock::Boottime => &self.queues[2],
        }
    }

    fn watch_own_descriptors(&self) -> Result<(), Errno> {
        let readable = EpollEvents::IN.bits();
        let epoll = self.reactor.epoll();
        for (token, queue) in (0..).zip(&self.queues) {
            epoll.add(&queue.host_timer, token, readable)?;
        }
        self.clock_watch.watch_clock()?;
        epoll.add(&self.clock_watch, CLOCK_CHANGED, readable)?;
        epoll.add(&self.stop, STOP, readable)
    }

    /// The thread.
    fn run(&self) {
        let mut ready = Vec::new();
        while !self.is_stopped.load(Ordering::Acquire) {
            ready.clear();
            if self.reactor.epoll().wait(&mut ready, None).is_err() {
                // Cannot happen for a descriptor of ours; waiting for nothing would spin.
                tracing::error!("the host refuses to wait for timers; none expires any more");
                return;
            }
            for event in &ready {
                match event.token {
                    STOP => return,
                    CLOCK_CHANGED => self.clock_changed(),
                    token => match self.queues.get(token as usize) {
                        Some(queue) => queue.expire(),
                        None => self.reactor.dispatch(event),
                    },
                }
            }
        }
    }

    fn clock_changed(&self) {
        self.clock_watch.clear();
        if self.clock_watch.watch_clock().is_err() {
            self.clock_watch.clear();
        }
        self.clock_changes.fetch_add(1, Ordering::AcqRel);
        self.clock_listeners.notify(PollEvents::IN);
    }
}

impl Queue {
    fn new(clock: TimerClock) -> Result<Queue, Errno> {
        let host_timer = TimerFd::on(clock.host())?;
        Ok(Queue { clock, heap: Mutex::new(Rank::Leaf, Heap::default()), host_timer })
    }

    fn expire(&self) {
        self.host_timer.clear();
        let expired = {
            let mut heap = self.heap.lock();
            let expired = heap.expire(self.clock.now_ns());
            self.set_host_timer(heap.next());
            expired
        };
        expired.into_iter().for_each(Target::fire);
    }

    /// Called with the heap's lock, so that the host timer never lags behind the heap.
    fn set_host_timer(&self, deadline_ns: Option<i64>) {
        let deadline = deadline_ns.map(|at| Duration::from_nanos(at.max(0) as u64));
        if let Err(errno) = self.host_timer.set(deadline) {
            tracing::error!(?errno, "the host refuses to set a timer");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::super::heap::Expire;
    use super::*;

    struct Send(std::sync::Mutex<Sender<u32>>, u32);

    impl Expire for Send {
        fn expire(&self) {
            let _ = self.0.lock().unwrap().send(self.1);
        }
    }

    #[test]
    fn timers_of_all_clocks_expire_on_the_thread() {
        let timers = Timers::start().unwrap();
        let (sender, receiver) = channel();
        let target =
            |name| Target::Callback(Arc::new(Send(std::sync::Mutex::new(sender.clone()), name)));
        let late = timers.arm(TimerClock::Monotonic, i64::MAX, target(9));
        for (name, clock) in (0..).zip(TimerClock::ALL) {
            timers.arm(clock, clock.now_ns() + 1_000_000, target(name));
        }
        let mut seen: Vec<u32> = (0..3).map(|_| receiver.recv().unwrap()).collect();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2]);
        assert!(timers.cancel(late));
        assert!(!timers.cancel(late));
        timers.arm(TimerClock::Monotonic, -5, target(7));
        assert_eq!(receiver.recv(), Ok(7));
    }
}
