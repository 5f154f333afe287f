//! Work that a notification asks for but cannot do: whoever notifies may hold any lock.

use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam::queue::SegQueue;

use crate::sync::{Mutex, Rank};

type Work = Box<dyn FnOnce() + Send>;

/// Work to be done soon, with no lock held: behind the system call that caused it, before its
/// caller goes on, or by a job of the executor.
pub struct Deferred {
    queue: SegQueue<Work>,
    /// Pieces of work that are not yet done.
    open: AtomicUsize,
    /// Held while work is done: nobody goes on while another worker does what he has caused.
    turn: Mutex<()>,
}

impl Default for Deferred {
    fn default() -> Deferred {
        let turn = Mutex::new(Rank::Deferred, ());
        Deferred { queue: SegQueue::new(), open: AtomicUsize::new(0), turn }
    }
}

impl Deferred {
    /// Adds work. The caller makes sure that [`Deferred::run`] comes if no system call is under way.
    pub fn push(&self, work: impl FnOnce() + Send + 'static) {
        self.open.fetch_add(1, Ordering::AcqRel);
        self.queue.push(Box::new(work));
    }

    /// Does what is there, or waits until another worker has done it. The caller holds no lock.
    pub fn run(&self) {
        if self.open.load(Ordering::Acquire) == 0 {
            return;
        }
        let _turn = self.turn.lock();
        while let Some(work) = self.queue.pop() {
            work();
            self.open.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn all_work_is_done_when_run_returns() {
        let deferred = Arc::new(Deferred::default());
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let deferred = deferred.clone();
                std::thread::spawn(move || {
                    for _ in 0..500 {
                        let is_done = Arc::new(AtomicBool::new(false));
                        let work = is_done.clone();
                        deferred.push(move || {
                            std::thread::yield_now();
                            work.store(true, Ordering::Relaxed);
                        });
                        deferred.run();
                        assert!(is_done.load(Ordering::Relaxed));
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
    }
}
