//! The slave side: what programs see as their terminal.

use std::any::Any;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::poll::PollEvents;
use linux_abi::signal::{SIGTTIN, SIGTTOU};

use super::{HUNG_UP, Pty, READABLE, SCREEN_LIMIT, State, TYPED_LIMIT, WRITABLE};
use crate::fs::tty::check_background;
use crate::memory::{IoDest, IoSource};
use crate::sync::WaitQueue;
use crate::vfs::{File, IoContext, Pacing};

/// Bytes moved at a time.
const PIECE_BYTES: usize = 4096;

/// An open slave.
pub struct SlaveFile {
    pub(super) pty: Arc<Pty>,
    /// Hang-ups before it was opened.
    hangups: u64,
}

impl SlaveFile {
    /// Opens the slave.
    ///
    /// Errors: EIO (locked, or the master is gone); EBUSY (`TIOCEXCL`) unless `privileged`.
    pub fn open(pty: &Arc<Pty>, privileged: bool) -> Result<SlaveFile, Errno> {
        let hangups = {
            let mut state = pty.state.lock();
            if !state.has_master || state.is_locked {
                return Err(Errno::EIO);
            }
            if state.is_exclusive && state.slaves > 0 && !privileged {
                return Err(Errno::EBUSY);
            }
            state.slaves += 1;
            state.is_slave_closed = false;
            state.hangups
        };
        Ok(SlaveFile { pty: pty.clone(), hangups })
    }

    pub(super) fn is_hung_up(&self, state: &State) -> bool {
        state.hangups != self.hangups
    }

    /// Errors: as [`check_background`].
    pub(super) fn check(&self, io: &IoContext<'_>, signal: i32) -> Result<(), Errno> {
        io.task.map_or(Ok(()), |task| check_background(&self.pty.control, task, signal))
    }

    /// What was typed. Errors: EAGAIN.
    fn take_input(&self, max: usize) -> Result<Vec<u8>, Errno> {
        let (bytes, was_full) = self.pty.update(|state, _| {
            if self.is_hung_up(state) {
                return Ok((Vec::new(), false));
            }
            let was_full = state.typed.len() >= TYPED_LIMIT;
            if state.discipline.is_readable(false) {
                return Ok((state.discipline.input().read(max), was_full));
            }
            if !state.discipline.is_canonical() && state.discipline.pacing() == (0, 0) {
                return Ok((Vec::new(), false));
            }
            Err(Errno::EAGAIN)
        })?;
        if was_full {
            self.pty.master_queue.notify(WRITABLE);
        }
        Ok(bytes)
    }
}

impl Drop for SlaveFile {
    fn drop(&mut self) {
        let is_last = {
            let mut state = self.pty.state.lock();
            state.slaves -= 1;
            state.is_slave_closed = state.slaves == 0;
            state.is_slave_closed
        };
        if is_last {
            self.pty.master_queue.notify(READABLE | PollEvents::HUP);
        }
    }
}

impl File for SlaveFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read(&self, dest: &mut IoDest<'_>, _: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        if !self.is_hung_up(&self.pty.state.lock()) {
            self.check(io, SIGTTIN)?;
        }
        let max = dest.remaining().min(PIECE_BYTES);
        if max == 0 {
            return Ok(0);
        }
        dest.put(&self.take_input(max)?)
    }

    fn write(
        &self,
        source: &mut IoSource<'_>,
        _: u64,
        io: &IoContext<'_>,
    ) -> Result<(usize, u64), Errno> {
        if self.pty.state.lock().discipline.stops_background_output() {
            self.check(io, SIGTTOU)?;
        }
        let room = {
            let state = self.pty.state.lock();
            if self.is_hung_up(&state) || !state.has_master {
                return Err(Errno::EIO);
            }
            match SCREEN_LIMIT.saturating_sub(state.screen.len()) {
                0 => return Err(Errno::EAGAIN),
                _ if state.discipline.is_stopped() => return Err(Errno::EAGAIN),
                room => room,
            }
        };
        let mut piece = vec![0; source.remaining().min(room).min(PIECE_BYTES)];
        let taken = source.take(&mut piece)?;
        self.pty.update(|state, effects| {
            let screen = state.discipline.write(&piece[..taken]);
            effects.screen.extend_from_slice(&screen);
        });
        Ok((taken, 0))
    }

    fn writes_all(&self) -> bool {
        true
    }

    fn pacing(&self) -> Option<Pacing> {
        let state = self.pty.state.lock();
        if state.discipline.is_canonical() || self.is_hung_up(&state) {
            return None;
        }
        let (min, time) = state.discipline.pacing();
        Some(Pacing { min: usize::from(min), tenths: u32::from(time) })
    }

    fn ioctl(&self, command: u32, argument: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        self.serve_ioctl(command, argument, io)
    }

    fn readiness(&self) -> PollEvents {
        let state = self.pty.state.lock();
        if self.is_hung_up(&state) {
            return HUNG_UP;
        }
        let mut ready = PollEvents::empty();
        if state.discipline.is_readable(true) {
            ready |= READABLE;
        }
        if !state.discipline.is_stopped() && state.screen.len() < SCREEN_LIMIT {
            ready |= WRITABLE;
        }
        ready
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.pty.slave_queue)
    }
}
