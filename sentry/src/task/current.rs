//! The task on whose behalf the kernel runs right now.
//!
//! System calls have their [`Ctx`](super::Ctx) and need nothing else. This is for the few files
//! whose *readiness* depends on who asks (a signalfd shows the signals of the task that polls it).

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use platform::host::time::{Clock, now};

use super::Task;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Task>>> = const { RefCell::new(None) };
}

/// Puts back what was current before.
struct Restore(Option<Arc<Task>>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// The task whose future is being polled on this host thread.
pub fn current() -> Option<Arc<Task>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Runs `future` as the life of `task`, and counts the time that takes as the task's system time.
pub(super) async fn as_current<F: Future>(task: Arc<Task>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(move |cx| {
        let _restore = Restore(CURRENT.replace(Some(task.clone())));
        let start = now(Clock::Monotonic);
        let result = future.as_mut().poll(cx);
        let served = now(Clock::Monotonic).saturating_sub(start);
        task.served_ns.fetch_add(served.as_nanos() as u64, Ordering::Relaxed);
        result
    })
    .await
}
