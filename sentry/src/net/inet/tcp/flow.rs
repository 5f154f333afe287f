//! One direction of a TCP connection: a ring of bytes that both ends share.
//!
//! Lock: rank `Pipe`; like a pipe's it is held across the copy from or to guest memory.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::net::MsgFlags;
use linux_abi::poll::PollEvents;
use platform::{Conduit, End, Listener};

use super::TcpSocket;
use crate::memory::{
    ByteRing, IoDest, IoSource, MakeConduit, Shared, discard_conduit, is_conduit_ready,
    peek_conduit, read_conduit, write_conduit,
};
use crate::net::inet::ports::Lease;
use crate::net::way::Way;
use crate::net::{HUNG_UP, READABLE};
use crate::sync::{Mutex, Rank, WaitQueue};

/// Writable, in the bits of a notification.
const WRITABLE: PollEvents = PollEvents::OUT.union(PollEvents::WRNORM);
/// Bytes thrown away at a time by `MSG_TRUNC`.
const DISCARD_STEP: usize = 1 << 20;

/// Bytes from one end to the other.
pub(super) struct Flow {
    state: Mutex<State>,
    reader: Arc<WaitQueue>,
    writer: Arc<WaitQueue>,
}

#[derive(Default)]
struct State {
    bytes: ByteRing,
    /// Where the bytes are instead, if guest code reads and writes them by itself. They do not count
    /// in `read` and `written`.
    shared: Shared,
    /// Bytes read and written since the start.
    read: u64,
    written: u64,
    urgent: Option<Urgent>,
    /// The writer sent its last byte (FIN).
    is_finished: bool,
    /// It did so before the other direction was finished.
    was_first: bool,
    /// The port of a reader that has closed already, until the writer has finished too.
    port_of_reader: Option<Lease<TcpSocket>>,
    /// The reader's socket is gone: what is sent is answered with a reset.
    is_abandoned: bool,
    is_reset: bool,
}

/// The urgent byte: one at most, tcp(7).
#[derive(Clone, Copy)]
struct Urgent {
    position: u64,
    byte: u8,
    is_taken: bool,
}

/// What became of bytes that were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// On their way.
    Queued(usize),
    /// Nobody is there any more: the connection is broken.
    Lost(usize),
}

/// How a direction is.
#[derive(Clone, Copy)]
pub(super) struct Condition {
    pub unread: usize,
    pub is_finished: bool,
    pub is_reset: bool,
    pub has_urgent: bool,
    pub total: u64,
}

impl Flow {
    pub(super) fn new(reader: Arc<WaitQueue>, writer: Arc<WaitQueue>) -> Arc<Flow> {
        Arc::new(Flow { state: Mutex::new(Rank::Pipe, State::default()), reader, writer })
    }

    /// Sends what fits into `limit` bytes; with `urgent` the last byte is out of band.
    ///
    /// Errors: EPIPE (finished or reset), EAGAIN, EFAULT.
    pub(super) fn send(
        &self,
        source: &mut IoSource<'_>,
        limit: usize,
        urgent: bool,
    ) -> Result<Sent, Errno> {
        let (count, is_urgent) = {
            let mut state = self.state.lock();
            if state.is_finished || state.is_reset {
                return Err(Errno::EPIPE);
            }
            let want = source.remaining();
            if want == 0 {
                return Ok(Sent::Queued(0));
            }
            if state.is_abandoned {
                return Ok(Sent::Lost(want));
            }
            if urgent {
                state.take_back();
            }
            if let Some(conduit) = state.shared.conduit() {
                let sent = write_conduit(conduit, source, false);
                drop(state);
                self.reader.notify(READABLE);
                return sent.map(Sent::Queued);
            }
            let room = limit.saturating_sub(state.bytes.len());
            if room == 0 {
                return Err(Errno::EAGAIN);
            }
            let count = state.bytes.fill_from(source, room)?;
            state.written += count as u64;
            let is_urgent = urgent && source.remaining() == 0;
            if is_urgent {
                state.mark_urgent();
            }
            (count, is_urgent)
        };
        let urgent = if is_urgent { PollEvents::PRI } else { PollEvents::empty() };
        self.reader.notify(READABLE | urgent);
        Ok(Sent::Queued(count))
    }

    /// Receives bytes, no further than the urgent mark. `limit` is the writer's buffer.
    ///
    /// Errors: EAGAIN (nothing there), EFAULT.
    pub(super) fn receive(
        &self,
        dest: &mut IoDest<'_>,
        flags: MsgFlags,
        limit: usize,
        inline: bool,
    ) -> Result<usize, Errno> {
        let (count, became_writable) = {
            let mut state = self.state.lock();
            if let Some(conduit) = state.shared.conduit() {
                let (conduit, was_full) = (conduit.clone(), !conduit.readiness().is_writable);
                let count = receive_shared(&conduit, dest, flags)?;
                drop(state);
                if was_full {
                    self.writer.notify(WRITABLE);
                }
                return Ok(count);
            }
            if !inline && !flags.contains(MsgFlags::PEEK) {
                state.skip_urgent();
            }
            if state.bytes.is_empty() {
                return if state.is_finished || state.is_reset {
                    Ok(0)
                } else {
                    Err(Errno::EAGAIN)
                };
            }
            let was_writable = state.is_writable(limit);
            let count = state.take(dest, flags)?;
            (count, !was_writable && state.is_writable(limit))
        };
        if became_writable {
            self.writer.notify(WRITABLE);
        }
        Ok(count)
    }

    /// The urgent byte (`MSG_OOB`). Errors: EINVAL (there is none, or it was taken).
    pub(super) fn receive_urgent(
        &self,
        dest: &mut IoDest<'_>,
        flags: MsgFlags,
    ) -> Result<usize, Errno> {
        let byte = {
            let mut state = self.state.lock();
            let urgent = state.urgent.as_mut().filter(|urgent| !urgent.is_taken);
            let urgent = urgent.ok_or(Errno::EINVAL)?;
            urgent.is_taken = !flags.contains(MsgFlags::PEEK);
            urgent.byte
        };
        dest.put(&[byte])
    }

    /// Whether the next byte is the urgent one (`SIOCATMARK`).
    pub(super) fn is_at_mark(&self) -> bool {
        let state = self.state.lock();
        state.urgent.is_some_and(|urgent| urgent.position == state.read)
    }

    /// The writer has no more to say; `is_first`: nor has the other side said so. Answers whether it
    /// was the first when it did this for the first time.
    pub(super) fn finish(&self, is_first: bool) -> bool {
        let (was_first, port) = {
            let mut state = self.state.lock();
            state.take_back();
            if !state.is_finished {
                state.is_finished = true;
                state.was_first = is_first;
            }
            (state.was_first, state.port_of_reader.take())
        };
        if let Some(port) = port {
            port.end_after_wait();
        }
        self.reader.notify(HUNG_UP);
        self.writer.notify(HUNG_UP);
        was_first
    }

    /// The reader closed first: its port is kept until the writer finishes (`FIN_WAIT2`), and for a
    /// while after that (`TIME_WAIT`).
    ///
    /// Divergence: Linux gives up waiting for the writer after a minute.
    pub(super) fn keep_port(&self, port: Lease<TcpSocket>) {
        let port = {
            let mut state = self.state.lock();
            if !state.is_finished && !state.is_reset {
                state.port_of_reader = Some(port);
                return;
            }
            if state.is_reset { None } else { Some(port) }
        };
        if let Some(port) = port {
            port.end_after_wait();
        }
    }

    /// The reader goes away; answers whether it left something unread.
    pub(super) fn abandon(&self) -> bool {
        let mut state = self.state.lock();
        state.take_back();
        state.is_abandoned = true;
        let had_unread = !state.bytes.is_empty();
        state.bytes.clear();
        drop(state);
        self.writer.notify(WRITABLE);
        had_unread
    }

    /// Breaks it; what has arrived can still be read.
    pub(super) fn reset(&self) {
        let port = {
            let mut state = self.state.lock();
            state.take_back();
            state.is_reset = true;
            state.port_of_reader.take()
        };
        drop(port);
        self.reader.notify(HUNG_UP);
        self.writer.notify(HUNG_UP);
    }

    pub(super) fn condition(&self) -> Condition {
        let state = self.state.lock();
        Condition {
            unread: state.shared.conduit().map_or(state.bytes.len(), |conduit| conduit.len()),
            is_finished: state.is_finished,
            is_reset: state.is_reset,
            has_urgent: state.urgent.is_some_and(|urgent| !urgent.is_taken),
            total: state.written,
        }
    }

    /// Whether there is room. `hears`: as for [`Flow::has_data`].
    pub(super) fn is_writable(&self, limit: usize, hears: bool) -> bool {
        let is_awaited = hears && !self.writer.is_empty();
        let state = self.state.lock();
        match state.shared.conduit() {
            Some(conduit) => is_conduit_ready(conduit, End::Writing, is_awaited),
            None => state.is_writable(limit),
        }
    }

    /// Whether there is something to read. With `hears`, whoever waits for that hears when there is,
    /// also of what guest code does by itself.
    pub(super) fn has_data(&self, hears: bool) -> bool {
        let is_awaited = hears && !self.reader.is_empty();
        let state = self.state.lock();
        match state.shared.conduit() {
            Some(conduit) => is_conduit_ready(conduit, End::Reading, is_awaited),
            None => !state.bytes.is_empty(),
        }
    }
}

/// Receives from a conduit. Errors: EAGAIN, EFAULT.
fn receive_shared(
    conduit: &Conduit,
    dest: &mut IoDest<'_>,
    flags: MsgFlags,
) -> Result<usize, Errno> {
    match (flags.contains(MsgFlags::PEEK), flags.contains(MsgFlags::TRUNC)) {
        (false, false) => read_conduit(conduit, dest),
        (false, true) => discard_conduit(conduit, dest.remaining()),
        (true, false) => peek_conduit(conduit, dest),
        (true, true) => {
            peek_conduit(conduit, &mut IoDest::collect(&mut Vec::new(), dest.remaining()))
        }
    }
}

impl Way for Flow {
    fn share(self: &Arc<Self>, make: MakeConduit<'_>) -> Option<Arc<Conduit>> {
        let is_awaited = !self.reader.is_empty() || !self.writer.is_empty();
        let mut state = self.state.lock();
        if let Some(conduit) = state.shared.conduit() {
            return Some(conduit.clone());
        }
        let may_begin = !state.is_finished
            && !state.is_abandoned
            && !state.is_reset
            && state.urgent.is_none()
            && state.shared.may_begin()
            && state.bytes.len() <= Shared::CAPACITY;
        if !may_begin {
            return None;
        }
        let bytes = state.bytes.take_all();
        let begun = state.shared.begin(make, &bytes, self.clone(), is_awaited);
        if begun.is_err() {
            state.bytes.push(&bytes);
        }
        drop(state);
        // Who has begun to wait meanwhile looks again, and is heard of then.
        self.reader.notify(READABLE);
        self.writer.notify(WRITABLE);
        begun.ok()
    }

    fn conduit(&self) -> Option<Arc<Conduit>> {
        self.state.lock().shared.conduit().cloned()
    }

    fn take_back(&self) {
        self.state.lock().take_back();
    }
}

impl Listener for Flow {
    fn changed(&self, is_readable: bool) {
        match is_readable {
            true => self.reader.notify(READABLE),
            false => self.writer.notify(WRITABLE),
        }
    }
}

impl State {
    fn take_back(&mut self) {
        for (bytes, _) in self.shared.end().unwrap_or_default() {
            self.bytes.push(&bytes);
        }
    }

    /// Linux: a third of the buffer must be free.
    fn is_writable(&self, limit: usize) -> bool {
        self.bytes.len() * 3 <= limit * 2
    }

    fn mark_urgent(&mut self) {
        let mut byte = [0];
        let last = self.bytes.len() - 1;
        // The byte was put there just now, and the destination is ours.
        let _ = self.bytes.peek_to(last, &mut IoDest::kernel(&mut byte), 1);
        self.urgent = Some(Urgent { position: self.written - 1, byte: byte[0], is_taken: false });
    }

    /// Drops the urgent byte from the stream when reading has come to it.
    fn skip_urgent(&mut self) {
        if self.urgent.is_some_and(|urgent| urgent.position == self.read) {
            self.bytes.discard(1);
            self.read += 1;
            self.urgent = self.urgent.filter(|urgent| !urgent.is_taken);
        }
    }

    fn take(&mut self, dest: &mut IoDest<'_>, flags: MsgFlags) -> Result<usize, Errno> {
        let to_mark = match self.urgent {
            Some(urgent) if urgent.position > self.read => (urgent.position - self.read) as usize,
            _ => usize::MAX,
        };
        let want = dest.remaining().min(to_mark).min(self.bytes.len());
        let count = if flags.contains(MsgFlags::TRUNC) {
            want.min(DISCARD_STEP)
        } else {
            self.bytes.peek_to(0, dest, want)?
        };
        if !flags.contains(MsgFlags::PEEK) {
            self.bytes.discard(count);
            self.read += count as u64;
        }
        Ok(count)
    }
}
