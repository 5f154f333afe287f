//! The kernel's executor: runs one future per guest thread on the platform's workers.
//!
//! A worker polls ready jobs until none is left, then parks in the platform, which is where traps
//! come from. A wake-up is a push to the ready queue; only a wake-up while a worker is parked, and
//! no running one is about to look at the queue, costs a host call.
//!
//! **Invariant:** a job in the queue is found. Whoever pushes either is a worker, which looks at
//! the queue before it parks, or sees that a worker is parked and makes one return, or is seen by
//! all workers before they park. A worker that takes a job and leaves others wakes the next one.

mod job;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::task::Waker;

use crossbeam::queue::SegQueue;
use platform::Platform;

use self::job::Job;

type Work = Box<dyn FnOnce() + Send>;

/// So much may wait for a time with nothing else to do.
const LEISURE_MAX: usize = 8;

/// The ready queue and its workers.
pub struct Executor {
    platform: Arc<dyn Platform>,
    workers: usize,
    ready: SegQueue<Arc<Job>>,
    /// What is done when nothing else is.
    leisure: SegQueue<Work>,
    /// Workers that are in `park`, or about to enter it.
    parked: AtomicUsize,
    /// Whether a worker was made to return from `park` and has not yet looked at the queue.
    is_waking: AtomicBool,
    stopped: AtomicBool,
}

/// Where a host thread is, as far as it is a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It is none.
    Elsewhere,
    Serving,
    Parked,
}

thread_local! {
    static PLACE: Cell<Place> = const { Cell::new(Place::Elsewhere) };
}

impl Executor {
    pub fn new(platform: Arc<dyn Platform>) -> Arc<Executor> {
        Arc::new(Executor {
            workers: platform.workers(),
            platform,
            ready: SegQueue::new(),
            leisure: SegQueue::new(),
            parked: AtomicUsize::new(0),
            is_waking: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        })
    }

    /// Makes `future` run soon. Callable from any host thread. The returned waker polls it again.
    pub fn spawn(self: &Arc<Self>, future: impl Future<Output = ()> + Send + 'static) -> Waker {
        let job = Job::new(self, Box::pin(future));
        self.push(job.clone());
        Waker::from(job)
    }

    /// Has work done soon that nobody waits for: when no job is ready, or a lot of it has piled up.
    /// What is left when the kernel stops is never done.
    pub fn at_leisure(&self, work: impl FnOnce() + Send + 'static) {
        self.leisure.push(Box::new(work));
        // Workers look before they park.
        if PLACE.get() != Place::Serving {
            self.platform.unpark();
        }
    }

    /// Serves jobs on this host thread, as one of the platform's workers, until
    /// [`Executor::stop`].
    pub fn run_worker(&self) {
        self.platform.enter_worker();
        while !self.stopped.load(Ordering::Acquire) {
            if self.leisure.len() > LEISURE_MAX {
                self.work_at_leisure();
            }
            match self.ready.pop() {
                Some(job) => {
                    PLACE.set(Place::Serving);
                    // Nobody knows how long this job takes.
                    if self.parked.load(Ordering::Relaxed) > 0 && !self.ready.is_empty() {
                        self.wake_worker();
                    }
                    job.run(self);
                    self.platform.rest();
                }
                None if self.work_at_leisure() => {}
                None => self.park(),
            }
        }
        PLACE.set(Place::Elsewhere);
        // One wakes the next.
        self.platform.unpark();
    }

    /// Whether no job is ready, so that the one which runs may wait for a moment.
    pub fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.leisure.len() <= LEISURE_MAX
    }

    /// Makes all workers return once their jobs rest; jobs that are left never run again.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.platform.unpark();
    }

    /// Does a piece of work; `false` if there is none.
    fn work_at_leisure(&self) -> bool {
        let work = self.leisure.pop();
        work.map(|work| work()).is_some()
    }

    fn park(&self) {
        PLACE.set(Place::Parked);
        self.parked.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if self.ready.is_empty() && !self.stopped.load(Ordering::SeqCst) {
            self.platform.park(None);
            // What was pushed by those who found it set is in the queue now.
            self.is_waking.swap(false, Ordering::AcqRel);
        }
        self.parked.fetch_sub(1, Ordering::SeqCst);
    }

    fn push(&self, job: Arc<Job>) {
        self.ready.push(job);
        fence(Ordering::SeqCst);
        let parked = self.parked.load(Ordering::SeqCst);
        let needs_help = match PLACE.get() {
            Place::Elsewhere => true,
            // What a job wakes waits until that job rests, which is sooner than another worker
            // could be there. But no more than one for each worker that runs.
            Place::Serving => self.ready.len() > self.workers.saturating_sub(parked),
            // `park` returns now that it woke somebody.
            Place::Parked => false,
        };
        if needs_help && parked > 0 {
            self.wake_worker();
        }
    }

    /// Makes a worker look at the queue, unless one is just being made to.
    fn wake_worker(&self) {
        if !self.is_waking.swap(true, Ordering::AcqRel) {
            self.platform.unpark();
        }
    }
}
