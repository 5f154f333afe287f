//! A pipe whose bytes lie in a conduit: guest code reads and writes it by itself.
//!
//! The conduit has just what [`PipeBuffer`] has, but for packets and other sizes. Whatever goes beyond
//! reading, writing and waiting takes the bytes back first ([`State::take_back`]).

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::poll::PollEvents;
use platform::{Conduit, End, Listener};

use super::buffer::{DEFAULT_SLOTS, SLOT_BYTES};
use super::{Pipe, READABLE, State, WRITABLE};
use crate::memory::{IoDest, IoSource};

/// How often a pipe's bytes may be given away.
const TIMES_MAX: u32 = 8;

impl Pipe {
    /// The conduit with the pipe's bytes from now on, if that can be.
    pub(super) fn share(
        self: &Arc<Self>,
        make: &dyn Fn() -> Result<Arc<Conduit>, Errno>,
    ) -> Option<Arc<Conduit>> {
        let mut state = self.state.lock();
        if let Some(conduit) = &state.conduit {
            return Some(conduit.clone());
        }
        let is_plain = self.is_anonymous
            && state.readers > 0
            && state.writers > 0
            && state.buffer.is_plain()
            && state.buffer.capacity() == DEFAULT_SLOTS * SLOT_BYTES
            && state.buffer.len() <= DEFAULT_SLOTS * SLOT_BYTES;
        if !is_plain || state.times_shared == TIMES_MAX {
            return None;
        }
        let conduit = make().ok()?;
        state.times_shared += 1;
        let bytes = state.buffer.take_all();
        let filled = conduit.write_with(bytes.len(), |to| {
            to.copy_from_slice(&bytes[..to.len()]);
            Ok(to.len())
        });
        debug_assert_eq!(filled, Ok(bytes.len()));
        let listener: Arc<dyn Listener> = self.clone();
        conduit.set_listener(Arc::downgrade(&listener));
        state.conduit = Some(conduit.clone());
        if !self.queue.is_empty() {
            conduit.watch(End::Reading);
            conduit.watch(End::Writing);
        }
        Some(conduit)
    }

    /// Takes the bytes back, if they are in a conduit.
    pub(super) fn take_back(&self) {
        self.state.lock().take_back();
    }
}

impl Listener for Pipe {
    fn changed(&self, is_readable: bool) {
        self.queue.notify(if is_readable { READABLE } else { WRITABLE });
    }
}

impl State {
    pub(super) fn take_back(&mut self) {
        if let Some(conduit) = self.conduit.take() {
            self.buffer.push(&conduit.revoke());
        }
    }

    /// Nobody is left at an end.
    pub(super) fn tell_closed(&self) {
        let Some(conduit) = &self.conduit else { return };
        if self.readers == 0 {
            conduit.close(End::Reading);
        }
        if self.writers == 0 {
            conduit.close(End::Writing);
        }
    }
}

/// What [`Pipe::read`] does if the bytes are in a conduit. Errors: EAGAIN, EFAULT.
pub(super) fn read(conduit: &Conduit, dest: &mut IoDest<'_>) -> Result<usize, Errno> {
    loop {
        match conduit.read_with(dest.remaining(), |bytes| dest.put(bytes))? {
            0 if conduit.watch(End::Reading).is_readable => {}
            0 => return Err(Errno::EAGAIN),
            count => return Ok(count),
        }
    }
}

/// What [`Pipe::write`] does if the bytes are in a conduit. Errors: EAGAIN, EFAULT.
pub(super) fn write(conduit: &Conduit, source: &mut IoSource<'_>) -> Result<usize, Errno> {
    loop {
        match conduit.write_with(source.remaining(), |bytes| source.take(bytes))? {
            0 if conduit.watch(End::Writing).is_writable => {}
            0 => return Err(Errno::EAGAIN),
            count => return Ok(count),
        }
    }
}

/// Whether an end is ready; if somebody waits for that, has the listener told when it becomes so.
pub(super) fn readiness(conduit: &Conduit, end: End, is_awaited: bool) -> PollEvents {
    let ready = if is_awaited { conduit.watch(end) } else { conduit.readiness() };
    match end {
        End::Reading if ready.is_readable => READABLE,
        End::Writing if ready.is_writable => WRITABLE,
        _ => PollEvents::empty(),
    }
}
