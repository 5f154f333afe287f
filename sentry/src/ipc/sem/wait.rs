//! A process that waits for semaphores.

use linux_abi::Errno;
use linux_abi::poll::PollEvents;

use crate::sync::{Mutex, Rank, WaitQueue, wait_for};

/// Where the result of waiting operations is put.
pub(super) struct Waiter {
    result: Mutex<Option<Result<(), Errno>>>,
    queue: WaitQueue,
}

impl Default for Waiter {
    fn default() -> Waiter {
        Waiter { result: Mutex::new(Rank::Leaf, None), queue: WaitQueue::new() }
    }
}

impl Waiter {
    /// Puts the result; [`Waiter::wake`] tells of it.
    pub fn finish(&self, result: Result<(), Errno>) {
        *self.result.lock() = Some(result);
    }

    pub fn wake(&self) {
        self.queue.notify(PollEvents::IN);
    }

    /// The result, if it is there.
    pub fn take(&self) -> Option<Result<(), Errno>> {
        self.result.lock().take()
    }

    pub async fn wait(&self) -> Result<(), Errno> {
        wait_for(&self.queue, PollEvents::IN, || self.take()).await
    }
}
