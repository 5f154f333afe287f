//! The kernel's executor: runs one future per guest thread on the platform's workers.
//!
//! A worker polls ready jobs until none is left, then parks in the platform, which is where traps
//! come from. A wake-up is a push to the ready queue; only a wake-up while a worker is parked costs a host call.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};

use crossbeam::queue::SegQueue;
use platform::Platform;

use crate::sync::{Mutex, Rank};

type JobFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The ready queue and its workers.
pub struct Executor {
    platform: Arc<dyn Platform>,
    ready: SegQueue<Arc<Job>>,
    parked: AtomicUsize,
    stopped: AtomicBool,
}

/// A spawned future. It is in exactly one state, so it is queued at most once.
struct Job {
    state: AtomicU8,
    future: Mutex<Option<JobFuture>>,
    executor: Weak<Executor>,
}

thread_local! {
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
}

const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
/// Woken while running: to be queued again.
const RERUN: u8 = 3;

impl Executor {
    pub fn new(platform: Arc<dyn Platform>) -> Arc<Executor> {
        Arc::new(Executor {
            platform,
            ready: SegQueue::new(),
            parked: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        })
    }

    /// Makes `future` run soon. Callable from any host thread. The returned waker polls it again.
    pub fn spawn(self: &Arc<Self>, future: impl Future<Output = ()> + Send + 'static) -> Waker {
        let job = Arc::new(Job {
            state: AtomicU8::new(QUEUED),
            future: Mutex::new(Rank::Executor, Some(Box::pin(future))),
            executor: Arc::downgrade(self),
        });
        self.push(job.clone());
        Waker::from(job)
    }

    /// Serves jobs on this host thread until [`Executor::stop`].
    pub fn run_worker(&self) {
        IS_WORKER.set(true);
        while !self.stopped.load(Ordering::Acquire) {
            if let Some(job) = self.ready.pop() {
                job.run(self);
                continue;
            }
            self.parked.fetch_add(1, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            if self.ready.is_empty() && !self.stopped.load(Ordering::Acquire) {
                self.platform.park(None);
            }
            self.parked.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Makes all workers return; jobs that are left never run again.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.platform.unpark();
    }

    fn push(&self, job: Arc<Job>) {
        self.ready.push(job);
        fence(Ordering::SeqCst);
        // A worker that wakes a job (from within `park`, too) finds it in the queue by itself.
        let own = usize::from(IS_WORKER.get());
        if self.parked.load(Ordering::SeqCst) > own {
            self.platform.unpark();
        }
    }
}

impl Job {
    fn run(self: Arc<Self>, executor: &Executor) {
        self.state.store(RUNNING, Ordering::SeqCst);
        let waker = Waker::from(self.clone());
        let taken = self.future.lock().take();
        let Some(mut future) = taken else { return };
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            return;
        }
        *self.future.lock() = Some(future);
        let rested = self.state.compare_exchange(RUNNING, IDLE, Ordering::SeqCst, Ordering::SeqCst);
        if rested.is_err() {
            self.state.store(QUEUED, Ordering::SeqCst);
            executor.push(self);
        }
    }
}

impl Wake for Job {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        loop {
            let (old, new) = match self.state.load(Ordering::SeqCst) {
                IDLE => (IDLE, QUEUED),
                RUNNING => (RUNNING, RERUN),
                _ => return,
            };
            let swapped = self.state.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst);
            if swapped.is_err() {
                continue;
            }
            if old == IDLE
                && let Some(executor) = self.executor.upgrade()
            {
                executor.push(self.clone());
            }
            return;
        }
    }
}
