//! The master side: a terminal emulator's, or `sshd`'s.

use std::any::Any;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::poll::PollEvents;
use linux_abi::tty::TIOCPKT_DATA;

use super::{Pty, READABLE, SCREEN_LIMIT, TYPED_LIMIT, WRITABLE};
use crate::memory::{IoDest, IoSource};
use crate::sync::WaitQueue;
use crate::vfs::{File, IoContext, Location};

/// Bytes moved at a time.
const PIECE_BYTES: usize = 4096;

/// An open master.
pub struct MasterFile {
    pub(super) pty: Arc<Pty>,
    /// The root of the file system that the slave is in, for `TIOCGPTPEER`.
    pub(super) root: Option<Location>,
}

impl MasterFile {
    pub fn new(pty: Arc<Pty>, root: Option<Location>) -> MasterFile {
        MasterFile { pty, root }
    }

    /// The next output, in packet mode behind its status byte. Errors: EAGAIN, EIO.
    fn take_output(&self, max: usize) -> Result<(Vec<u8>, bool), Errno> {
        let mut state = self.pty.state.lock();
        let mut bytes = Vec::new();
        if let Some(status) = &mut state.packet {
            if *status != 0 {
                return Ok((vec![std::mem::take(status)], false));
            }
            bytes.push(TIOCPKT_DATA);
        }
        if state.screen.is_empty() {
            return Err(if state.is_slave_closed { Errno::EIO } else { Errno::EAGAIN });
        }
        let was_full = state.screen.len() >= SCREEN_LIMIT;
        let room = max - bytes.len();
        let mut dest = IoDest::collect(&mut bytes, max);
        state.screen.drain_to(&mut dest, room)?;
        Ok((bytes, was_full && state.screen.len() < SCREEN_LIMIT))
    }
}

impl Drop for MasterFile {
    fn drop(&mut self) {
        self.pty.close_master();
    }
}

impl File for MasterFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read(&self, dest: &mut IoDest<'_>, _: u64, _: &IoContext<'_>) -> Result<usize, Errno> {
        let max = dest.remaining().min(PIECE_BYTES);
        if max == 0 {
            return Ok(0);
        }
        let (bytes, has_room) = self.take_output(max)?;
        if has_room {
            self.pty.slave_queue.notify(WRITABLE);
        }
        dest.put(&bytes)
    }

    fn write(
        &self,
        source: &mut IoSource<'_>,
        _: u64,
        _: &IoContext<'_>,
    ) -> Result<(usize, u64), Errno> {
        let room = TYPED_LIMIT.saturating_sub(self.pty.state.lock().typed.len());
        if room == 0 {
            return Err(Errno::EAGAIN);
        }
        let mut piece = vec![0; source.remaining().min(room).min(PIECE_BYTES)];
        let taken = source.take(&mut piece)?;
        self.pty.update(|state, _| state.typed.push(&piece[..taken]));
        Ok((taken, 0))
    }

    fn writes_all(&self) -> bool {
        true
    }

    fn ioctl(&self, command: u32, argument: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        self.serve_ioctl(command, argument, io)
    }

    fn readiness(&self) -> PollEvents {
        let state = self.pty.state.lock();
        let mut ready = PollEvents::empty();
        if !state.screen.is_empty() {
            ready |= READABLE;
        }
        if state.has_status() {
            ready |= READABLE | PollEvents::PRI;
        }
        if state.is_slave_closed {
            ready |= PollEvents::HUP;
        }
        if state.typed.len() < TYPED_LIMIT {
            ready |= WRITABLE;
        }
        ready
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.pty.master_queue)
    }

    fn fdinfo(&self) -> String {
        format!("tty-index:\t{}\n", self.pty.index)
    }
}
