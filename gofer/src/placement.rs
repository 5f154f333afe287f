//! Where a connection's thread runs: on the processor of the one who asks.
//!
//! An asker sleeps until it has its answer, so its processor is free meanwhile, and to go on there
//! is a matter of one switch; waking another processor takes longer than most operations do. The
//! host would choose the other one. While the same processor asks again and again, the thread
//! stays there; it may run anywhere as soon as another asks.

use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// How often a processor has to ask before the thread stays there, ...
const STREAK: u32 = 3;
/// ... and the first time: a sandbox that is over with a few requests would only wait for the move.
const FIRST_STREAK: u32 = 8;
/// Most of that: when processors take turns to ask, following them costs more than it gains.
const STREAK_MAX: u32 = 12;
/// To have stayed for so many requests was worth it.
const WORTH: u32 = 4;

/// Where the calling thread may run.
#[derive(Debug)]
pub struct Placement {
    /// Where it may run when it need not stay.
    everywhere: Option<CpuSet>,
    asker: u32,
    /// How often the asker has asked in a row.
    streak: u32,
    needed: u32,
    is_bound: bool,
}

impl Placement {
    /// That of the calling thread, as its creator left it.
    pub fn of_this_thread() -> Placement {
        // Finds out how to ask for it while everything is allowed.
        let _ = current_processor();
        let everywhere = sched_getaffinity(None).ok().filter(|set| set.count() > 1);
        Placement { everywhere, asker: 0, streak: 0, needed: FIRST_STREAK, is_bound: false }
    }

    /// Follows a request from a processor, counted from one; zero is one that nobody waits for, which is
    /// better served elsewhere. To be called when its answer is sent, so that nobody waits for it.
    pub fn follow(&mut self, asker: u32) {
        let Some(everywhere) = &self.everywhere else { return };
        if asker == 0 {
            if std::mem::take(&mut self.is_bound) {
                let _ = sched_setaffinity(None, everywhere);
            }
            return;
        }
        if asker != self.asker {
            if std::mem::take(&mut self.is_bound) {
                self.needed = match self.streak - self.needed {
                    WORTH.. => STREAK,
                    _ => (2 * self.needed).min(STREAK_MAX),
                };
                let _ = sched_setaffinity(None, everywhere);
            }
            (self.asker, self.streak) = (asker, 0);
        }
        self.streak = self.streak.saturating_add(1);
        if self.is_bound {
            return;
        }
        let Some(processor) = asker.checked_sub(1).map(|processor| processor as usize) else {
            return;
        };
        if self.streak >= self.needed && processor < CpuSet::MAX_CPU && everywhere.is_set(processor)
        {
            let mut only = CpuSet::new();
            only.set(processor);
            self.is_bound = sched_setaffinity(None, &only).is_ok();
        }
    }
}

/// The processor of the calling thread, counted from one.
pub fn current_processor() -> u32 {
    sched_getcpu() as u32 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The processors where the calling thread may run.
    fn allowed() -> Vec<usize> {
        let set = sched_getaffinity(None).expect("a thread has an affinity");
        (0..CpuSet::MAX_CPU).filter(|&processor| set.is_set(processor)).collect()
    }

    #[test]
    fn thread_stays_with_who_asks_again_and_again() {
        let body = || {
            let all = allowed();
            let [first, second, ..] = all[..] else { return };
            let (first_asker, second_asker) = (first as u32 + 1, second as u32 + 1);
            let mut placement = Placement::of_this_thread();
            placement.follow(first_asker);
            assert_eq!(allowed(), all);
            (0..FIRST_STREAK).for_each(|_| placement.follow(first_asker));
            assert_eq!(allowed(), [first]);
            placement.follow(second_asker);
            assert_eq!(allowed(), all);
            (0..STREAK_MAX).for_each(|_| placement.follow(second_asker));
            assert_eq!(allowed(), [second]);
            for nowhere in [0, CpuSet::MAX_CPU as u32, u32::MAX] {
                (0..STREAK_MAX).for_each(|_| placement.follow(nowhere));
                assert_eq!(allowed(), all);
            }
        };
        std::thread::spawn(body).join().expect("the thread ends well");
    }
}
