//! One direction of a connection: bytes in records.
//!
//! In a stream a record is a run of bytes from one sender with the same credentials, and only a
//! record with descriptors ends a read. In a `SOCK_SEQPACKET` connection a record is a message.
//! Lock: rank `Pipe`; like a pipe's it is held across the copy from or to guest memory.

use std::collections::VecDeque;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::net::{MsgFlags, Ucred};
use platform::{Conduit, End, Listener};

use super::super::{Control, HUNG_UP, READABLE, Received, Rights, WRITABLE};
use crate::memory::{
    ByteRing, IoDest, IoSource, MakeConduit, Shared, is_conduit_ready, peek_conduit, read_conduit,
    write_conduit,
};
use crate::net::way::Way;
use crate::sync::{Mutex, Rank, WaitQueue};

/// Room that the sender's buffer loses to bookkeeping, as `EMSGSIZE` shows on Linux.
const MESSAGE_OVERHEAD: usize = 32;

/// Bytes on their way from one end to the other.
pub(super) struct Channel {
    state: Mutex<State>,
    reader: Arc<WaitQueue>,
    writer: Arc<WaitQueue>,
    keeps_messages: bool,
}

#[derive(Default)]
struct State {
    bytes: ByteRing,
    /// Where the bytes are instead, without records, if guest code reads and writes them by itself.
    shared: Shared,
    records: VecDeque<Record>,
    /// No more will be written: the reader sees the end when it has read all.
    is_write_shut: bool,
    /// Nobody will read: writing is EPIPE.
    is_read_shut: bool,
}

struct Record {
    len: usize,
    credentials: Option<Ucred>,
    rights: Option<Rights>,
}

/// What a send attaches.
pub(super) struct Attachment {
    pub credentials: Option<Ucred>,
    pub rights: Option<Rights>,
}

/// Which directions are closed.
#[derive(Clone, Copy)]
pub(super) struct Closed {
    pub by_writer: bool,
    pub by_reader: bool,
}

impl Channel {
    pub(super) fn new(
        keeps_messages: bool,
        reader: Arc<WaitQueue>,
        writer: Arc<WaitQueue>,
    ) -> Arc<Channel> {
        Arc::new(Channel {
            state: Mutex::new(Rank::Pipe, State::default()),
            reader,
            writer,
            keeps_messages,
        })
    }

    /// Sends with a send buffer of `limit` bytes: a message, or what fits of a stream's bytes.
    /// The attachment's rights are taken out if something was sent.
    ///
    /// Errors: EPIPE, EAGAIN, EMSGSIZE (the message never fits), EFAULT.
    pub(super) fn send(
        &self,
        source: &mut IoSource<'_>,
        limit: usize,
        attachment: &mut Attachment,
    ) -> Result<usize, Errno> {
        let sent = {
            let mut state = self.state.lock();
            if state.is_write_shut || state.is_read_shut {
                return Err(Errno::EPIPE);
            }
            let want = source.remaining();
            if self.keeps_messages && want > limit.saturating_sub(MESSAGE_OVERHEAD) {
                return Err(Errno::EMSGSIZE);
            }
            if want == 0 && !self.keeps_messages {
                return Ok(0);
            }
            if attachment.credentials.is_some() || attachment.rights.is_some() {
                state.take_back();
            }
            if let Some(conduit) = state.shared.conduit() {
                let sent = write_conduit(conduit, source, false);
                drop(state);
                self.reader.notify(READABLE);
                return sent;
            }
            let room = limit.saturating_sub(state.used(self.keeps_messages));
            if room == 0 {
                return Err(Errno::EAGAIN);
            }
            // Linux: a message goes as soon as there is any room.
            let room = if self.keeps_messages { want } else { room };
            state.append(source, room, self.keeps_messages, attachment)?
        };
        self.reader.notify(READABLE);
        Ok(sent)
    }

    /// Receives: a message, or bytes up to the end of a record with descriptors. With
    /// `splits_senders` bytes of different senders are not put together (`SO_PASSCRED`).
    ///
    /// Errors: EAGAIN (empty and not closed), EFAULT.
    pub(super) fn receive(
        &self,
        dest: &mut IoDest<'_>,
        flags: MsgFlags,
        splits_senders: bool,
        limit: usize,
    ) -> Result<Received, Errno> {
        let (received, became_writable) = {
            let mut state = self.state.lock();
            if let Some(conduit) = state.shared.conduit() {
                let (conduit, was_full) = (conduit.clone(), !conduit.readiness().is_writable);
                let count = match flags.contains(MsgFlags::PEEK) {
                    true => peek_conduit(&conduit, dest)?,
                    false => read_conduit(&conduit, dest)?,
                };
                drop(state);
                if was_full {
                    self.writer.notify(WRITABLE);
                }
                return Ok(Received { count, full_len: count, ..Received::default() });
            }
            if state.records.is_empty() {
                let is_end = state.is_write_shut || state.is_read_shut;
                return if is_end { Ok(Received::default()) } else { Err(Errno::EAGAIN) };
            }
            let was_writable = state.is_writable(self.keeps_messages, limit);
            let received = if self.keeps_messages {
                state.receive_message(dest, flags)?
            } else {
                state.receive_bytes(dest, flags, splits_senders)?
            };
            (received, !was_writable && state.is_writable(self.keeps_messages, limit))
        };
        if became_writable {
            self.writer.notify(WRITABLE);
        }
        Ok(received)
    }

    /// Closes the writing side.
    pub(super) fn shut_write(&self) {
        {
            let mut state = self.state.lock();
            state.take_back();
            state.is_write_shut = true;
        }
        self.reader.notify(HUNG_UP);
        self.writer.notify(HUNG_UP);
    }

    /// Closes the reading side; what is there can still be read.
    pub(super) fn shut_read(&self) {
        {
            let mut state = self.state.lock();
            state.take_back();
            state.is_read_shut = true;
        }
        self.reader.notify(HUNG_UP);
        self.writer.notify(HUNG_UP);
    }

    /// The reader is gone: drops what is unread and tells whether there was something.
    pub(super) fn abandon(&self) -> bool {
        let unread = {
            let mut state = self.state.lock();
            state.take_back();
            state.is_read_shut = true;
            state.bytes.clear();
            std::mem::take(&mut state.records)
        };
        self.writer.notify(HUNG_UP);
        !unread.is_empty()
    }

    pub(super) fn closed(&self) -> Closed {
        let state = self.state.lock();
        Closed { by_writer: state.is_write_shut, by_reader: state.is_read_shut }
    }

    /// Whether there is something to read. With `hears`, whoever waits for that hears when there is,
    /// also of what guest code does by itself.
    pub(super) fn has_data(&self, hears: bool) -> bool {
        let is_awaited = hears && !self.reader.is_empty();
        let state = self.state.lock();
        match state.shared.conduit() {
            Some(conduit) => is_conduit_ready(conduit, End::Reading, is_awaited),
            None => !state.records.is_empty(),
        }
    }

    /// Bytes of the stream, or of the first message with `first_only`.
    pub(super) fn unread(&self, first_only: bool) -> usize {
        let state = self.state.lock();
        if let Some(conduit) = state.shared.conduit() {
            return conduit.len();
        }
        if first_only {
            state.records.front().map_or(0, |record| record.len)
        } else {
            state.bytes.len()
        }
    }

    /// Whether a writer with a buffer of `limit` bytes counts as ready. `hears`: as for
    /// [`Channel::has_data`].
    pub(super) fn is_writable(&self, limit: usize, hears: bool) -> bool {
        let is_awaited = hears && !self.writer.is_empty();
        let state = self.state.lock();
        match state.shared.conduit() {
            Some(conduit) => is_conduit_ready(conduit, End::Writing, is_awaited),
            None => state.is_writable(self.keeps_messages, limit),
        }
    }
}

impl Way for Channel {
    fn share(self: &Arc<Self>, make: MakeConduit<'_>) -> Option<Arc<Conduit>> {
        let is_awaited = !self.reader.is_empty() || !self.writer.is_empty();
        let mut state = self.state.lock();
        if let Some(conduit) = state.shared.conduit() {
            return Some(conduit.clone());
        }
        let is_plain = |record: &Record| record.credentials.is_none() && record.rights.is_none();
        let may_begin = !self.keeps_messages
            && !state.is_write_shut
            && !state.is_read_shut
            && state.shared.may_begin()
            && state.bytes.len() <= Shared::CAPACITY
            && state.records.iter().all(is_plain);
        if !may_begin {
            return None;
        }
        let bytes = state.bytes.take_all();
        let begun = state.shared.begin(make, &bytes, self.clone(), is_awaited);
        match &begun {
            Ok(_) => state.records.clear(),
            Err(_) => state.bytes.push(&bytes),
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

impl Listener for Channel {
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
            self.records.push_back(Record { len: bytes.len(), credentials: None, rights: None });
        }
    }

    /// How much of the writer's buffer is taken. An empty message takes some, too.
    fn used(&self, keeps_messages: bool) -> usize {
        let overhead = if keeps_messages { MESSAGE_OVERHEAD * self.records.len() } else { 0 };
        self.bytes.len() + overhead
    }

    /// Linux: a writer is woken when three quarters of its buffer are free.
    fn is_writable(&self, keeps_messages: bool, limit: usize) -> bool {
        self.used(keeps_messages) * 4 <= limit
    }

    fn append(
        &mut self,
        source: &mut IoSource<'_>,
        room: usize,
        is_message: bool,
        attachment: &mut Attachment,
    ) -> Result<usize, Errno> {
        let want = source.remaining();
        let len = self.bytes.fill_from(source, room)?;
        if is_message && len < want {
            self.bytes.truncate(self.bytes.len() - len);
            return Err(Errno::EFAULT);
        }
        let rights = attachment.rights.take();
        if !is_message
            && rights.is_none()
            && let Some(last) = self.records.back_mut()
            && last.rights.is_none()
            && last.credentials == attachment.credentials
        {
            last.len += len;
        } else {
            let credentials = attachment.credentials;
            self.records.push_back(Record { len, credentials, rights });
        }
        Ok(len)
    }

    fn receive_message(
        &mut self,
        dest: &mut IoDest<'_>,
        flags: MsgFlags,
    ) -> Result<Received, Errno> {
        let Some(record) = self.records.front() else { return Err(Errno::EAGAIN) };
        let (full_len, credentials) = (record.len, record.credentials);
        let want = full_len.min(dest.remaining());
        let count = self.bytes.peek_to(0, dest, want)?;
        let mut received = Received { count, full_len, ..Received::default() };
        if count < full_len {
            received.flags |= MsgFlags::TRUNC;
        }
        received.control.credentials = credentials;
        if flags.contains(MsgFlags::PEEK) {
            received.control.files = record.rights.as_ref().map(Rights::peek).unwrap_or_default();
        } else if let Some(record) = self.records.pop_front() {
            self.bytes.discard(full_len);
            received.control.files = record.rights.map(Rights::take).unwrap_or_default();
        }
        Ok(received)
    }

    fn receive_bytes(
        &mut self,
        dest: &mut IoDest<'_>,
        flags: MsgFlags,
        splits_senders: bool,
    ) -> Result<Received, Errno> {
        let span = self.readable_span(dest.remaining(), splits_senders);
        let count = self.bytes.peek_to(0, dest, span)?;
        let mut control = Control {
            credentials: self.records.front().and_then(|record| record.credentials),
            ..Control::default()
        };
        if flags.contains(MsgFlags::PEEK) {
            control.files = self.rights_within(count).map(Rights::peek).unwrap_or_default();
        } else {
            self.bytes.discard(count);
            control.files = self.consume(count).map(Rights::take).unwrap_or_default();
        }
        Ok(Received { count, full_len: count, control, ..Received::default() })
    }

    /// How many bytes one read may get: to the end of the first record with descriptors.
    fn readable_span(&self, room: usize, splits_senders: bool) -> usize {
        let mut span = 0;
        let sender = self.records.front().and_then(|record| record.credentials);
        for record in &self.records {
            if splits_senders && record.credentials != sender {
                break;
            }
            span += record.len;
            if record.rights.is_some() || span >= room {
                break;
            }
        }
        span.min(room)
    }

    /// The descriptors in the first `count` bytes. There is at most one record with some.
    fn rights_within(&self, count: usize) -> Option<&Rights> {
        let mut start = 0;
        for record in &self.records {
            if start >= count && count > 0 {
                return None;
            }
            if record.rights.is_some() {
                return record.rights.as_ref();
            }
            start += record.len;
        }
        None
    }

    /// Takes `count` bytes off the records; answers with the descriptors that came with them. They
    /// come with the first byte of their record.
    fn consume(&mut self, count: usize) -> Option<Rights> {
        let mut rest = count;
        let mut rights = None;
        while rest > 0 {
            let Some(record) = self.records.front_mut() else { break };
            rights = rights.or_else(|| record.rights.take());
            let step = rest.min(record.len);
            record.len -= step;
            rest -= step;
            if record.len == 0 {
                self.records.pop_front();
            }
        }
        rights
    }
}
