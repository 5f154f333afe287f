//! The supervisor's descriptor, `seccomp_unotify(2)`.

use std::any::Any;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::poll::PollEvents;

use super::notifier::Notifier;
use crate::sync::WaitQueue;
use crate::vfs::{File, IoContext};

/// Readable while calls wait to be taken, writable while taken ones wait for a reply, hung up when
/// no task has the filter any more. All else is done by `ioctl`.
pub struct Listener(Arc<Notifier>);

impl Listener {
    pub fn new(notifier: Arc<Notifier>) -> Listener {
        Listener(notifier)
    }

    pub fn notifier(&self) -> &Arc<Notifier> {
        &self.0
    }

    /// Where changes of its readiness are told.
    pub fn queue(&self) -> &WaitQueue {
        &self.0.listening
    }
}

impl File for Listener {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn ioctl(&self, _: u32, _: u64, _: &IoContext<'_>) -> Result<usize, Errno> {
        Err(Errno::EINVAL)
    }

    fn readiness(&self) -> PollEvents {
        self.0.readiness()
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(self.queue())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.close();
    }
}
