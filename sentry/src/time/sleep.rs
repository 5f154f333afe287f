//! Waiting for a point in time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::heap::Target;
use super::{TimerClock, TimerKey, Timers};

/// A future that is ready once its clock has reached the deadline. Dropping it disarms the timer.
pub struct Sleep {
    timers: Arc<Timers>,
    clock: TimerClock,
    deadline_ns: i64,
    armed: Option<TimerKey>,
}

impl Timers {
    /// Waits until `clock` has reached `deadline_ns`.
    pub fn sleep_until(self: &Arc<Self>, clock: TimerClock, deadline_ns: i64) -> Sleep {
        Sleep { timers: self.clone(), clock, deadline_ns, armed: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.clock.now_ns() >= self.deadline_ns {
            self.disarm();
            return Poll::Ready(());
        }
        // The realtime clock may have been set back since its timer expired.
        if self.clock == TimerClock::Realtime {
            self.disarm();
        }
        if self.armed.is_none() {
            let target = Target::Waker(cx.waker().clone());
            self.armed = Some(self.timers.arm(self.clock, self.deadline_ns, target));
        }
        Poll::Pending
    }
}

impl Sleep {
    fn disarm(&mut self) {
        if let Some(key) = self.armed.take() {
            self.timers.cancel(key);
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}

/// The result of `future`, or `None` if `sleep` is over first.
pub async fn timeout<F: Future>(sleep: Option<Sleep>, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut sleep = sleep;
    std::future::poll_fn(move |cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        match sleep.as_mut() {
            Some(sleep) => Pin::new(sleep).poll(cx).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::task::{Wake, Waker};

    use super::*;

    struct Ring(std::sync::Mutex<std::sync::mpsc::Sender<()>>);

    impl Wake for Ring {
        fn wake(self: Arc<Self>) {
            let _ = self.0.lock().unwrap().send(());
        }
    }

    #[test]
    fn a_sleep_wakes_when_it_is_over() {
        let timers = Timers::start().unwrap();
        let (sender, rung) = channel();
        let waker = Waker::from(Arc::new(Ring(std::sync::Mutex::new(sender))));
        let mut cx = Context::from_waker(&waker);
        let deadline = TimerClock::Monotonic.now_ns() + 2_000_000;
        let mut sleep = timers.sleep_until(TimerClock::Monotonic, deadline);
        while Pin::new(&mut sleep).poll(&mut cx).is_pending() {
            rung.recv().unwrap();
        }
        assert!(TimerClock::Monotonic.now_ns() >= deadline);
    }

    #[test]
    fn a_timeout_prefers_the_result() {
        let timers = Timers::start().unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        let past = || Some(timers.sleep_until(TimerClock::Monotonic, 0));
        let mut done = std::pin::pin!(timeout(past(), std::future::ready(5)));
        assert_eq!(done.as_mut().poll(&mut cx), Poll::Ready(Some(5)));
        let mut late = std::pin::pin!(timeout(past(), std::future::pending::<u8>()));
        assert_eq!(late.as_mut().poll(&mut cx), Poll::Ready(None));
        let mut never = std::pin::pin!(timeout(None, std::future::pending::<u8>()));
        assert_eq!(never.as_mut().poll(&mut cx), Poll::Pending);
    }
}
