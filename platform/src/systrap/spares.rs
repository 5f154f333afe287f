//! Channels that are made before a process needs one: a few host calls and page faults that a `fork`
//! does not have to wait for. The thread of the [`reaper`](super::reaper) makes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use linux_abi::Errno;
use parking_lot::Mutex;

use super::channel::Channel;

/// How many wait.
const SPARES_MAX: usize = 2;

pub(super) struct Spares {
    /// Where guests see them.
    start: u64,
    ready: Mutex<Vec<Arc<Channel>>>,
    /// Whether one was taken, so that more are worth while.
    is_wanted: AtomicBool,
}

impl Spares {
    pub(super) fn new(start: u64) -> Spares {
        Spares { start, ready: Mutex::default(), is_wanted: AtomicBool::new(false) }
    }

    /// A channel that nobody has used. Errors: EMFILE, ENFILE, ENOMEM.
    pub(super) fn take(&self) -> Result<Arc<Channel>, Errno> {
        self.is_wanted.store(true, Ordering::Relaxed);
        let ready = self.ready.lock().pop();
        ready.map_or_else(|| Channel::new(self.start), Ok)
    }

    /// Makes those that were taken.
    pub(super) fn fill(&self) {
        if !self.is_wanted.swap(false, Ordering::Relaxed) {
            return;
        }
        let missing = SPARES_MAX - self.ready.lock().len().min(SPARES_MAX);
        for _ in 0..missing {
            let Ok(channel) = Channel::new_touched(self.start) else { return };
            self.ready.lock().push(channel);
        }
    }
}
