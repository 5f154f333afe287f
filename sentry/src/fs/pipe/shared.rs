//! A pipe whose bytes lie in a conduit: guest code reads and writes it by itself.
//!
//! The conduit holds just what [`PipeBuffer`](super::PipeBuffer) does, as long as that has its first
//! size.

use std::sync::Arc;

use linux_abi::poll::PollEvents;
use platform::{Conduit, End, Listener};

use super::{Pipe, READABLE, State, WRITABLE};
use crate::memory::{MakeConduit, Shared, is_conduit_ready};

impl Pipe {
    /// The conduit with the pipe's bytes from now on, if that can be.
    pub(super) fn share(self: &Arc<Self>, make: MakeConduit<'_>) -> Option<Arc<Conduit>> {
        let is_awaited = !self.queue.is_empty();
        let mut state = self.state.lock();
        if let Some(conduit) = state.shared.conduit() {
            return Some(conduit.clone());
        }
        let is_plain = self.is_anonymous
            && state.readers > 0
            && state.writers > 0
            && state.buffer.is_plain()
            && state.buffer.capacity() == Shared::CAPACITY
            && state.buffer.len() <= Shared::CAPACITY;
        if !is_plain || !state.shared.may_begin() {
            return None;
        }
        let bytes = state.buffer.take_all();
        let begun = state.shared.begin(make, &bytes, self.clone(), is_awaited);
        if begun.is_err() {
            state.buffer.push(&bytes);
        }
        drop(state);
        // Who has begun to wait meanwhile looks again, and is heard of then.
        self.queue.notify(READABLE | WRITABLE);
        begun.ok()
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
        for (bytes, is_packet) in self.shared.end().unwrap_or_default() {
            match is_packet {
                true => self.buffer.push_packet(&bytes),
                false => self.buffer.push(&bytes),
            }
        }
    }

    /// Nobody may be left at an end.
    pub(super) fn tell_closed(&self) {
        let Some(conduit) = self.shared.conduit() else { return };
        if self.readers == 0 {
            conduit.close(End::Reading);
        }
        if self.writers == 0 {
            conduit.close(End::Writing);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.shared.conduit().map_or(self.buffer.is_empty(), |conduit| conduit.is_empty())
    }

    pub(super) fn is_full(&self) -> bool {
        let is_full = |conduit: &Arc<Conduit>| !conduit.readiness().is_writable;
        self.shared.conduit().map_or(self.buffer.is_full(), is_full)
    }

    /// What an end is ready for; if somebody waits for that, the pipe hears when it becomes so.
    pub(super) fn ready(&self, end: End, is_awaited: bool) -> PollEvents {
        let is_ready = match (self.shared.conduit(), end) {
            (Some(conduit), _) => is_conduit_ready(conduit, end, is_awaited),
            (None, End::Reading) => !self.buffer.is_empty(),
            (None, End::Writing) => !self.buffer.is_full(),
        };
        match end {
            End::Reading if is_ready => READABLE,
            End::Writing if is_ready => WRITABLE,
            _ => PollEvents::empty(),
        }
    }
}
