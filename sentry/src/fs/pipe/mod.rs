//! Pipes and FIFOs, pipe(7) and fifo(7).
//!
//! [`Pipe`] is the object, [`PipeFile`] one open end (or both, for a FIFO opened for reading and
//! writing). A FIFO's pipe hangs weakly on its inode and lives as long as an end is open. Locks: the pipe's own, of rank `Pipe`; it is held across the copy from or to guest
//! memory, which orders the bytes and takes no other kernel lock. Two pipes (`tee`, `splice`) are
//! locked in the order of their addresses.

mod buffer;
mod fifo;
mod file;
mod shared;
mod transfer;

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::poll::PollEvents;

use crate::memory::{IoDest, IoSource, Shared, read_conduit, write_conduit};
use crate::sync::{Mutex, Rank, WaitQueue};

pub use buffer::{MAX_SIZE, PipeBuffer};
pub use fifo::open_fifo;
pub use file::{PipeFile, pipe_of};
pub use transfer::{move_between, tee};

/// Readable, in the bits of a notification.
const READABLE: PollEvents = PollEvents::IN.union(PollEvents::RDNORM);
/// Writable, in the bits of a notification.
const WRITABLE: PollEvents = PollEvents::OUT.union(PollEvents::WRNORM);

/// A pipe: bytes, and how many ends of each kind are open.
pub struct Pipe {
    state: Mutex<State>,
    queue: WaitQueue,
    /// Made by `pipe(2)`: opening an end again, by `/proc/[pid]/fd`, never waits.
    is_anonymous: bool,
}

#[derive(Default)]
struct State {
    buffer: PipeBuffer,
    /// Where the bytes are instead, if guest code reads and writes them by itself.
    shared: Shared,
    readers: u32,
    writers: u32,
    /// How often a reading or writing end was opened: a FIFO's open waits for these to change.
    reader_opens: u64,
    writer_opens: u64,
}

impl Pipe {
    /// A pipe without ends, for a FIFO.
    pub fn new() -> Arc<Pipe> {
        Pipe::with(false)
    }

    fn with(is_anonymous: bool) -> Arc<Pipe> {
        let state = Mutex::new(Rank::Pipe, State::default());
        Arc::new(Pipe { state, queue: WaitQueue::new(), is_anonymous })
    }

    pub fn wait_queue(&self) -> &WaitQueue {
        &self.queue
    }

    /// Capacity in bytes (`F_GETPIPE_SZ`).
    pub fn capacity(&self) -> usize {
        self.state.lock().buffer.capacity()
    }

    /// Sets the capacity (`F_SETPIPE_SZ`). Errors: as [`PipeBuffer::set_capacity`].
    pub fn set_capacity(&self, bytes: u64, privileged: bool) -> Result<usize, Errno> {
        let (capacity, is_writable) = {
            let mut state = self.state.lock();
            state.take_back();
            let capacity = state.buffer.set_capacity(bytes, privileged)?;
            (capacity, !state.buffer.is_full())
        };
        if is_writable {
            self.queue.notify(WRITABLE);
        }
        Ok(capacity)
    }

    /// Bytes ready to be read (`FIONREAD`).
    pub fn unread(&self) -> usize {
        let state = self.state.lock();
        state.shared.conduit().map_or(state.buffer.len(), |conduit| conduit.len())
    }

    /// Reads; 0 when empty and nobody can write.
    ///
    /// Errors: EAGAIN when empty and somebody can; EFAULT.
    pub fn read(&self, dest: &mut IoDest<'_>) -> Result<usize, Errno> {
        if dest.remaining() == 0 {
            return Ok(0);
        }
        let (result, freed) = {
            let mut state = self.state.lock();
            let was_full = state.is_full();
            if state.is_empty() && state.writers == 0 {
                return Ok(0);
            }
            let result = match state.shared.conduit() {
                Some(conduit) => read_conduit(conduit, dest),
                None => state.buffer.read(dest),
            };
            (result, was_full && !state.is_full())
        };
        if freed {
            self.queue.notify(WRITABLE);
        }
        result
    }

    /// Writes what fits; with `packets` each write is a packet (`O_DIRECT`).
    ///
    /// Errors: EPIPE (nobody can read; the caller raises SIGPIPE), EAGAIN (full), EFAULT.
    pub fn write(&self, source: &mut IoSource<'_>, packets: bool) -> Result<usize, Errno> {
        if source.remaining() == 0 {
            return Ok(0);
        }
        let result = {
            let mut state = self.state.lock();
            if state.readers == 0 {
                return Err(Errno::EPIPE);
            }
            match state.shared.conduit() {
                Some(conduit) => write_conduit(conduit, source, packets),
                None => state.buffer.write(source, packets),
            }
        };
        if result.is_ok() {
            self.queue.notify(READABLE);
        }
        result
    }

    /// Whether a read would not wait.
    pub fn can_read_now(&self) -> bool {
        let state = self.state.lock();
        !state.is_empty() || state.writers == 0
    }

    /// Whether a write would not wait.
    pub fn can_write_now(&self) -> bool {
        let state = self.state.lock();
        !state.is_full() || state.readers == 0
    }

    /// Bytes that [`Pipe::push`] may bring. Errors: EPIPE, EAGAIN (none).
    pub fn room(&self) -> Result<usize, Errno> {
        let mut state = self.state.lock();
        state.take_back();
        match state.buffer.room() {
            _ if state.readers == 0 => Err(Errno::EPIPE),
            0 => Err(Errno::EAGAIN),
            room => Ok(room),
        }
    }

    /// Appends bytes for which there was [room](Pipe::room) just before.
    pub fn push(&self, bytes: &[u8]) {
        if !bytes.is_empty() {
            let mut state = self.state.lock();
            state.take_back();
            state.buffer.push(bytes);
            drop(state);
            self.queue.notify(READABLE);
        }
    }

    /// Gives bytes back that were read last.
    pub fn put_back(&self, bytes: &[u8]) {
        if !bytes.is_empty() {
            let mut state = self.state.lock();
            state.take_back();
            state.buffer.put_back(bytes);
            drop(state);
            self.queue.notify(READABLE);
        }
    }

    /// Adds an end. The caller pairs it with [`Pipe::release`].
    fn acquire(&self, reads: bool, writes: bool) {
        {
            let mut state = self.state.lock();
            state.take_back();
            if reads {
                state.readers += 1;
                state.reader_opens += 1;
            }
            if writes {
                state.writers += 1;
                state.writer_opens += 1;
            }
        }
        // A FIFO's open may wait for this end.
        self.queue.notify(READABLE | WRITABLE);
    }

    fn release(&self, reads: bool, writes: bool) {
        let one_side_left = {
            let mut state = self.state.lock();
            state.readers -= u32::from(reads);
            state.writers -= u32::from(writes);
            if state.readers == 0 && state.writers == 0 {
                // A FIFO forgets its bytes with its last end.
                state.buffer = PipeBuffer::default();
            }
            state.tell_closed();
            if state.readers == 0 && state.writers == 0 {
                state.shared = Shared::default();
            }
            (state.readers == 0) != (state.writers == 0)
        };
        if one_side_left {
            let all = READABLE | WRITABLE | PollEvents::ERR | PollEvents::HUP;
            self.queue.notify(all);
        }
    }
}

#[cfg(test)]
mod tests;
