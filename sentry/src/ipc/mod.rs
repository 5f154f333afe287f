//! System V objects for communication between processes, sysvipc(7).
//!
//! * [`Registry`]: numbers and keys of one kind of System V object; [`Owner`]: its permissions.
//! * [`Semaphores`], [`MessageQueues`], [`SharedMemory`]: the three kinds.
//!
//! Each kind has one lock (rank `FileObject`) over all its objects. Whoever waits does so on a wait
//! queue of its own or of the object; waiters are told after the lock is released.

mod msg;
mod owner;
mod registry;
mod sem;
mod shm;

pub use msg::{Attempt, MAX_TEXT, Message, MessageQueues, Selection};
pub use owner::{Owner, READ, WRITE};
pub use registry::{Registry, split_id};
pub use sem::{Fact, Operated, Semaphores, Waiting};
pub use shm::{SHMALL, SHMMAX, SHMMNI, Segment, SegmentFacts, SharedMemory};

use crate::task::ThreadGroup;

/// All objects of the sandbox.
#[derive(Default)]
pub struct Ipc {
    pub semaphores: Semaphores,
    pub messages: MessageQueues,
    pub shared_memory: SharedMemory,
}

impl Ipc {
    /// A process has ended: what it promised to undo is undone.
    pub fn process_exited(&self, group: &ThreadGroup) {
        self.semaphores.undo_all(group.pid);
    }
}
