//! Who of the workers waits for notifications, and where those run whom they wake.
//!
//! The host wakes everybody who waits for a notification, though only one gets it; the others go to
//! sleep again, which costs as much as the call. So one worker receives, and the others are in
//! reserve: while the first looks at lines ([`hotline`]) the next receives. As long as notifications
//! come a reserve has a look from time to time, and for good it sleeps when none do.
//!
//! A notification, and its answer, wake on the processor that they come from. With one thread after
//! the other that is best; of many it would make a queue for one processor. So when notifications
//! come from a *crowd*, all workers receive, and a thread that another one's call has woken goes
//! where the host likes. (Processes that come one after the other, as in a shell's loop, are none.)
//!
//! [`hotline`]: super::hotline

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::listener::Listener;
use super::workers::Parked;
use crate::process::Tid;

/// How often a reserve looks.
const LOOK: Duration = Duration::from_millis(2);
/// So many notifications since the reserve fell asleep are a reason to wake it.
const ACTIVITY: u64 = 32;
/// After so many notifications a worker judges whether they come from a crowd, ...
const WINDOW: u32 = 64;
/// ... that is from so many threads at least ...
const CROWD: usize = 5;
/// ... each of which has made this many, and some in either half.
const SHARE: u32 = 4;

pub(super) struct Reception {
    receiving: AtomicU32,
    received: AtomicU64,
    is_crowded: AtomicBool,
    /// Somebody is in reserve.
    is_resting: AtomicBool,
    /// A reserve sleeps for good, and [`Reception::received`] was this when it fell asleep.
    is_asleep: AtomicBool,
    asleep_since: AtomicU64,
}

/// The right to receive.
pub(super) struct Turn<'a>(&'a Reception);

/// From whom a worker has received lately.
#[derive(Clone, Copy)]
struct Window {
    seen: u32,
    callers: [Caller; 8],
}

#[derive(Clone, Copy)]
struct Caller {
    tid: Tid,
    /// How many it has made in the first and in the second half.
    counts: [u32; 2],
}

const NOBODY: Caller = Caller { tid: 0, counts: [0; 2] };
const EMPTY: Window = Window { seen: 0, callers: [NOBODY; 8] };

thread_local! {
    static WINDOW_OF_WORKER: Cell<Window> = const { Cell::new(EMPTY) };
    /// Whose notification the worker has received last.
    static CALLER: Cell<Tid> = const { Cell::new(0) };
}

impl Window {
    /// Counts one; the judgement if the window is full.
    fn count(&mut self, tid: Tid) -> Option<bool> {
        let half = usize::from(self.seen >= WINDOW / 2);
        self.seen += 1;
        let place = self.callers.iter_mut().find(|caller| caller.tid == tid || caller.tid == 0);
        if let Some(caller) = place {
            caller.tid = tid;
            caller.counts[half] += 1;
        }
        if self.seen < WINDOW {
            return None;
        }
        let is_busy = |caller: &&Caller| {
            caller.counts.iter().sum::<u32>() >= SHARE && !caller.counts.contains(&0)
        };
        let busy = self.callers.iter().filter(is_busy).count();
        *self = EMPTY;
        Some(busy >= CROWD)
    }
}

impl Reception {
    pub(super) fn new() -> Reception {
        Reception {
            receiving: AtomicU32::new(0),
            received: AtomicU64::new(0),
            is_crowded: AtomicBool::new(false),
            is_resting: AtomicBool::new(false),
            is_asleep: AtomicBool::new(false),
            asleep_since: AtomicU64::new(0),
        }
    }

    /// The right to receive, if that is the caller's turn.
    pub(super) fn enter(&self) -> Option<Turn<'_>> {
        let turn = Turn(self);
        let others = self.receiving.fetch_add(1, Ordering::SeqCst);
        (others == 0 || self.is_crowded.load(Ordering::Relaxed)).then_some(turn)
    }

    /// Notes that the calling worker has received from a thread; `true` if the reserve is to be woken.
    pub(super) fn note(&self, tid: Tid) -> bool {
        CALLER.set(tid);
        let mut window = WINDOW_OF_WORKER.get();
        let judgement = window.count(tid);
        WINDOW_OF_WORKER.set(window);
        if let Some(is_crowd) = judgement {
            self.is_crowded.store(is_crowd, Ordering::Relaxed);
            if is_crowd && self.is_resting.swap(false, Ordering::SeqCst) {
                return true;
            }
        }
        let count = self.received.fetch_add(1, Ordering::Relaxed);
        self.is_asleep.load(Ordering::Relaxed)
            && count.wrapping_sub(self.asleep_since.load(Ordering::Relaxed)) >= ACTIVITY
            && self.is_asleep.swap(false, Ordering::SeqCst)
    }

    /// Whether a thread that is now answered may be woken elsewhere.
    pub(super) fn may_go_elsewhere(&self, tid: Tid) -> bool {
        self.is_crowded.load(Ordering::Relaxed) && CALLER.get() != tid
    }

    /// Waits in reserve, until the worker is notified, `deadline`, or it may be its turn.
    pub(super) fn rest(&self, listener: &Listener, parked: Parked<'_>, deadline: Option<Instant>) {
        self.is_resting.store(true, Ordering::SeqCst);
        let seen = self.received.load(Ordering::Relaxed);
        let next = Instant::now() + LOOK;
        parked.sleep_until(Some(deadline.map_or(next, |deadline| deadline.min(next))));
        if parked.is_notified() {
            return;
        }
        if self.receiving.load(Ordering::SeqCst) == 0 && listener.has_call() {
            // Whoever received last is at work, and others wait: it is the caller's turn.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(callers: &[Tid]) -> bool {
        let mut window = EMPTY;
        let judged = callers.iter().cycle().find_map(|&tid| window.count(tid));
        judged.expect("a full window")
    }

    #[test]
    fn a_crowd_is_many_that_all_work() {
        assert!(!judge(&[1]));
        assert!(!judge(&[1, 2, 3]));
        assert!(judge(&[1, 2, 3, 4, 5]));
        assert!(judge(&[1, 2, 3, 4, 5, 6, 7, 8]));
        // Others now and then.
        let mostly_two: Vec<Tid> =
            (0..64).map(|n| if n % 8 == 0 { 3 + n / 16 } else { n % 2 + 1 }).collect();
        assert!(!judge(&mostly_two));
        // One process after the other, started by the same.
        let in_turns: Vec<Tid> = (0..64).map(|n| if n % 4 == 0 { 1 } else { 2 + n / 10 }).collect();
        assert!(!judge(&in_turns));
    }
}
