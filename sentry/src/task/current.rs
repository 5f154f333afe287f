//! The task on whose behalf the kernel runs right now.
//!
//! System calls have their [`Ctx`](super::Ctx) and need nothing else. This is for the few files
//! whose *readiness* depends on who asks (a signalfd shows the signals of the task that polls it).

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use platform::host::ticks::ticks;
use platform::host::time::{Clock, now};

use super::Task;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Task>>> = const { RefCell::new(None) };
    static OPERATION: Cell<Operation> = const { Cell::new(Operation::None) };
}

/// A system call, or a stretch of one between two waits.
#[derive(Clone, Copy)]
enum Operation {
    None,
    /// One that nobody has asked about yet.
    New,
    /// When it was asked about first, by the monotonic clock.
    Since(Duration),
}

/// What happens from here on is another operation.
pub fn begin_operation() {
    OPERATION.set(Operation::New);
}

/// A time since which nothing but the operation in progress has happened on this host thread. What
/// was learned after it is as current as if it had been learned now. None outside of operations.
pub fn operation_start() -> Option<Duration> {
    match OPERATION.get() {
        Operation::None => None,
        Operation::New => {
            let start = now(Clock::Monotonic);
            OPERATION.set(Operation::Since(start));
            Some(start)
        }
        Operation::Since(start) => Some(start),
    }
}

/// Puts back what was current before.
struct Restore(Option<Arc<Task>>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
        OPERATION.set(Operation::None);
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
        begin_operation();
        let start = ticks();
        let result = future.as_mut().poll(cx);
        let served = ticks().saturating_sub(start);
        task.served_ticks.fetch_add(served, Ordering::Relaxed);
        result
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operation_has_one_start_until_the_next() {
        assert_eq!(operation_start(), None);
        begin_operation();
        let start = operation_start();
        assert!(start.is_some_and(|start| start <= now(Clock::Monotonic)));
        assert_eq!(operation_start(), start);
        begin_operation();
        assert!(operation_start() >= start);
    }
}
