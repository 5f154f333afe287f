//! An open message queue.

use std::any::Any;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::poll::PollEvents;

use super::QueueInode;
use crate::memory::IoDest;
use crate::sync::WaitQueue;
use crate::task::current;
use crate::vfs::{File, IoContext};

/// A descriptor of a queue.
pub struct QueueFile {
    queue: Arc<QueueInode>,
}

impl QueueFile {
    pub fn new(queue: Arc<QueueInode>) -> QueueFile {
        QueueFile { queue }
    }

    pub fn queue(&self) -> &Arc<QueueInode> {
        &self.queue
    }
}

impl File for QueueFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read(&self, dest: &mut IoDest<'_>, offset: u64, _: &IoContext<'_>) -> Result<usize, Errno> {
        let line = self.queue.describe();
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(line.len());
        dest.put(&line.as_bytes()[start..])
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn readiness(&self) -> PollEvents {
        self.queue.readiness()
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(self.queue.events())
    }

    /// Closing any descriptor of the queue ends the process' registration (`mqueue_flush_file`).
    fn flush(&self, _: &IoContext<'_>) -> Result<(), Errno> {
        if let Some(task) = current() {
            self.queue.clear_notification(task.pid());
        }
        Ok(())
    }
}
