//! Who of the workers waits for notifications.
//!
//! The host wakes everybody who waits for a notification, though only one gets it; the others go to
//! sleep again, which costs as much as the call. So one worker receives, and the others are in
//! reserve: while the first looks at lines ([`hotline`]) the next receives, and when notifications
//! are seen to pile up several do, for a while. As long as notifications come a reserve has a look
//! from time to time, and for good it sleeps when none do.
//!
//! [`hotline`]: super::hotline

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::listener::Listener;
use super::workers::Parked;

/// How often a reserve looks.
const LOOK: Duration = Duration::from_millis(2);
/// How long several receive when notifications have piled up.
const TOGETHER: Duration = Duration::from_millis(20);
/// So many notifications since the reserve fell asleep are a reason to wake it.
const ACTIVITY: u64 = 32;

pub(super) struct Reception {
    start: Instant,
    receiving: AtomicU32,
    received: AtomicU64,
    /// Until when several may receive, in nanoseconds since `start`.
    together_until: AtomicU64,
    /// A reserve sleeps for good, and [`Reception::received`] was this when it fell asleep.
    is_asleep: AtomicBool,
    asleep_since: AtomicU64,
}

/// The right to receive.
pub(super) struct Turn<'a>(&'a Reception);

impl Reception {
    pub(super) fn new() -> Reception {
        Reception {
            start: Instant::now(),
            receiving: AtomicU32::new(0),
            received: AtomicU64::new(0),
            together_until: AtomicU64::new(0),
            is_asleep: AtomicBool::new(false),
            asleep_since: AtomicU64::new(0),
        }
    }

    /// The right to receive, if that is the caller's turn.
    pub(super) fn enter(&self) -> Option<Turn<'_>> {
        let turn = Turn(self);
        let others = self.receiving.fetch_add(1, Ordering::SeqCst);
        (others == 0 || self.are_together()).then_some(turn)
    }

    fn are_together(&self) -> bool {
        let until = self.together_until.load(Ordering::Relaxed);
        until != 0 && self.start.elapsed().as_nanos() < until.into()
    }

    /// Notes that one was received; `true` if the reserve is to be woken.
    pub(super) fn note(&self) -> bool {
        let count = self.received.fetch_add(1, Ordering::Relaxed);
        self.is_asleep.load(Ordering::Relaxed)
            && count.wrapping_sub(self.asleep_since.load(Ordering::Relaxed)) >= ACTIVITY
            && self.is_asleep.swap(false, Ordering::SeqCst)
    }

    /// Waits in reserve, until the worker is notified, `deadline`, or it may be its turn.
    pub(super) fn rest(&self, listener: &Listener, parked: Parked<'_>, deadline: Option<Instant>) {
        let seen = self.received.load(Ordering::Relaxed);
        let next = Instant::now() + LOOK;
        parked.sleep_until(Some(deadline.map_or(next, |deadline| deadline.min(next))));
        if parked.is_notified() {
            return;
        }
        if self.receiving.load(Ordering::SeqCst) == 0 && listener.has_call() {
            // Whoever received last is at work, and others wait.
            let until = (self.start.elapsed() + TOGETHER).as_nanos() as u64;
            self.together_until.store(until, Ordering::Relaxed);
            return;
        }
        let now = self.received.load(Ordering::Relaxed);
        if now == seen && deadline.is_none() {
            self.asleep_since.store(now, Ordering::Relaxed);
            self.is_asleep.store(true, Ordering::SeqCst);
            parked.sleep_until(None);
            self.is_asleep.store(false, Ordering::SeqCst);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.receiving.fetch_sub(1, Ordering::SeqCst);
    }
}
