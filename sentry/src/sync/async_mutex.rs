//! A lock that futures may hold across an `.await`.

use std::sync::atomic::{AtomicBool, Ordering};

use linux_abi::poll::PollEvents;

use super::{WaitQueue, wait_for};

/// Mutual exclusion between tasks; waiting gives the worker free. Not for short sections.
#[derive(Default)]
pub struct AsyncMutex {
    is_locked: AtomicBool,
    waiters: WaitQueue,
}

/// Guard of an [`AsyncMutex`].
pub struct AsyncMutexGuard<'a> {
    mutex: &'a AsyncMutex,
}

impl AsyncMutex {
    pub const fn new() -> AsyncMutex {
        AsyncMutex { is_locked: AtomicBool::new(false), waiters: WaitQueue::new() }
    }

    pub async fn lock(&self) -> AsyncMutexGuard<'_> {
        wait_for(&self.waiters, PollEvents::IN, || {
            let taken = self.is_locked.swap(true, Ordering::Acquire);
            (!taken).then_some(())
        })
        .await;
        AsyncMutexGuard { mutex: self }
    }
}

impl Drop for AsyncMutexGuard<'_> {
    fn drop(&mut self) {
        self.mutex.is_locked.store(false, Ordering::Release);
        self.mutex.waiters.notify(PollEvents::IN);
    }
}
