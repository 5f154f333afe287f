//! A spawned future and its state.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};

use super::Executor;
use crate::sync::{Mutex, Rank};

pub(super) type JobFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A spawned future. It is in exactly one state, so it is queued at most once and polled by one
/// worker at a time.
pub(super) struct Job {
    /// Changed by read-modify-write operations only, even where the value stays: whoever polls
    /// next sees what happened before any wake-up that found the job queued already.
    state: AtomicU8,
    future: Mutex<Option<JobFuture>>,
    executor: Weak<Executor>,
}

const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
/// Woken while running: to be queued again.
const RERUN: u8 = 3;

impl Job {
    /// A job that its maker puts into the queue.
    pub(super) fn new(executor: &Arc<Executor>, future: JobFuture) -> Arc<Job> {
        Arc::new(Job {
            state: AtomicU8::new(QUEUED),
            future: Mutex::new(Rank::Executor, Some(future)),
            executor: Arc::downgrade(executor),
        })
    }

    /// Polls a job that was taken out of the queue.
    pub(super) fn run(self: Arc<Self>, executor: &Executor) {
        self.state.swap(RUNNING, Ordering::AcqRel);
        let waker = Waker::from(self.clone());
        let taken = self.future.lock().take();
        let Some(mut future) = taken else { return };
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            return;
        }
        *self.future.lock() = Some(future);
        let rested =
            self.state.compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire);
        if rested.is_err() {
            self.state.swap(QUEUED, Ordering::AcqRel);
            executor.push(self);
        }
    }
}

impl Wake for Job {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let woken = |state| match state {
            IDLE => Some(QUEUED),
            RUNNING => Some(RERUN),
            same => Some(same),
        };
        let old = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, woken);
        if old == Ok(IDLE)
            && let Some(executor) = self.executor.upgrade()
        {
            executor.push(self.clone());
        }
    }
}
