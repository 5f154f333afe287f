//! `SOCK_DGRAM`: messages into the inbox of whoever they are sent to.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use linux_abi::Errno;
use linux_abi::net::{AF_UNSPEC, MsgFlags, SOCK_DGRAM, Ucred};
use linux_abi::poll::PollEvents;

use super::name::{self, Endpoint, Target};
use super::stream::with_error;
use super::{NOBODY, Shared, UnixAddress, family_option, ioctl, path, sender_of};
use crate::memory::{IoDest, IoSource};
use crate::net::{
    Control, HUNG_UP, OptionValue, READABLE, Received, Rights, SendMessage, Shutdown, Socket,
    SocketCommon, WRITABLE,
};
use crate::sync::{Mutex, Rank};
use crate::task::Task;
use crate::vfs::IoContext;

/// Messages that fit into an inbox, less one (`net.unix.max_dgram_qlen`).
const MAX_QUEUED: usize = 10;
/// What a message takes of its sender's buffer beyond its bytes.
const MESSAGE_OVERHEAD: usize = 32;

/// A datagram socket.
pub struct DatagramSocket {
    this: Weak<DatagramSocket>,
    shared: Arc<Shared>,
    /// Bytes of messages that nobody has received yet.
    unreceived: Arc<AtomicUsize>,
    state: Mutex<State>,
}

struct State {
    inbox: VecDeque<Message>,
    peer: Option<Peer>,
    endpoint: Option<Arc<Endpoint>>,
    shut: Shutdown,
    is_closed: bool,
    /// Senders that found the inbox full.
    waiting: Vec<Weak<Shared>>,
}

#[derive(Clone)]
struct Peer {
    socket: Weak<DatagramSocket>,
    shared: Arc<Shared>,
    credentials: Option<Ucred>,
}

struct Message {
    data: Vec<u8>,
    credentials: Option<Ucred>,
    rights: Option<Rights>,
    charge: Charge,
}

/// A message's share of its sender's buffer, given back when it is received or lost.
struct Charge {
    sender: Arc<Shared>,
    unreceived: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        let before = self.unreceived.fetch_sub(self.bytes, Ordering::AcqRel);
        let limit = self.sender.common.buffers().send;
        if before * 4 > limit && (before - self.bytes) * 4 <= limit {
            self.sender.common.queue().notify(WRITABLE);
        }
    }
}

impl DatagramSocket {
    pub(super) fn new() -> Arc<DatagramSocket> {
        let state = State {
            inbox: VecDeque::new(),
            peer: None,
            endpoint: None,
            shut: Shutdown { read: false, write: false },
            is_closed: false,
            waiting: Vec::new(),
        };
        Arc::new_cyclic(|this| DatagramSocket {
            this: this.clone(),
            shared: Shared::new(SOCK_DGRAM),
            unreceived: Arc::default(),
            state: Mutex::new(Rank::Socket, state),
        })
    }

    /// Two sockets that are each other's peer.
    pub(super) fn pair(creator: Ucred) -> (Arc<DatagramSocket>, Arc<DatagramSocket>) {
        let (first, second) = (DatagramSocket::new(), DatagramSocket::new());
        first.state.lock().peer = Some(second.as_peer(Some(creator)));
        second.state.lock().peer = Some(first.as_peer(Some(creator)));
        (first, second)
    }

    fn as_peer(&self, credentials: Option<Ucred>) -> Peer {
        Peer { socket: self.this.clone(), shared: self.shared.clone(), credentials }
    }

    fn is_peer(&self, peer: &Peer) -> bool {
        std::ptr::eq(peer.socket.as_ptr(), self)
    }

    pub(super) fn bind_to(&self, address: UnixAddress, task: &Arc<Task>) -> Result<(), Errno> {
        if self.shared.name().is_named() {
            return if address.is_named() { Err(Errno::EINVAL) } else { Ok(()) };
        }
        let (endpoint, name) = name::bind(address, Target::Datagram(self.this.clone()), task)?;
        let mut state = self.state.lock();
        if state.endpoint.is_some() {
            return Err(Errno::EINVAL);
        }
        *self.shared.name.lock() = name;
        state.endpoint = Some(endpoint);
        Ok(())
    }

    /// Binds to an automatic name if the peer is to see who sends.
    fn autobind(&self, task: &Arc<Task>) -> Result<(), Errno> {
        if self.shared.common.passes_credentials() && !self.shared.name().is_named() {
            self.bind_to(UnixAddress::Unnamed, task)?;
        }
        Ok(())
    }

    /// Makes `target` the peer, or nobody. Errors: EPERM (it has another peer).
    pub(super) fn set_peer(&self, target: Option<&Arc<DatagramSocket>>) -> Result<(), Errno> {
        if let Some(target) = target
            && !target.accepts_from(self)
        {
            return Err(Errno::EPERM);
        }
        let (old, lost) = {
            let mut state = self.state.lock();
            let old = std::mem::replace(&mut state.peer, target.map(|target| target.as_peer(None)));
            let is_same = match (&old, target) {
                (Some(old), Some(target)) => target.is_peer(old),
                (None, _) => true,
                _ => false,
            };
            // Linux: what came from the old peer is lost.
            let lost = if is_same { VecDeque::new() } else { std::mem::take(&mut state.inbox) };
            (old.filter(|_| !is_same), lost)
        };
        drop(lost);
        if let Some(old) = old.and_then(|old| old.socket.upgrade())
            && old.state.lock().peer.as_ref().is_some_and(|peer| self.is_peer(peer))
        {
            old.shared.common.set_error(Errno::ECONNRESET);
        }
        self.shared.common.queue().notify(WRITABLE);
        Ok(())
    }

    /// Whether a message of `sender` may go here: a socket with a peer hears nobody else.
    fn accepts_from(&self, sender: &DatagramSocket) -> bool {
        self.state.lock().peer.as_ref().is_none_or(|peer| sender.is_peer(peer))
    }

    /// The connected peer. Errors: ENOTCONN; ECONNREFUSED (it is gone; the socket forgets it).
    fn living_peer(&self) -> Result<Arc<DatagramSocket>, Errno> {
        let mut state = self.state.lock();
        let peer = state.peer.as_ref().ok_or(Errno::ENOTCONN)?;
        let socket = peer.socket.upgrade();
        match socket {
            Some(socket) if std::ptr::eq(&*socket, self) => Ok(socket),
            Some(socket) => {
                drop(state);
                if socket.state.lock().is_closed {
                    self.state.lock().peer = None;
                    return Err(Errno::ECONNREFUSED);
                }
                Ok(socket)
            }
            None => {
                state.peer = None;
                Err(Errno::ECONNREFUSED)
            }
        }
    }

    /// Puts a message into the inbox of `target`.
    ///
    /// Errors: EPIPE, EMSGSIZE, EPERM, ECONNREFUSED, EAGAIN, EFAULT.
    pub(super) fn send_to(
        &self,
        target: &Arc<DatagramSocket>,
        source: &mut IoSource<'_>,
        message: &mut SendMessage<'_>,
        sender: Ucred,
    ) -> Result<usize, Errno> {
        let len = source.remaining();
        let limit = self.shared.common.buffers().send;
        if len > limit.saturating_sub(MESSAGE_OVERHEAD) {
            return Err(Errno::EMSGSIZE);
        }
        if self.unreceived.load(Ordering::Acquire) >= limit {
            return Err(Errno::EAGAIN);
        }
        target.check_room(self)?;
        let start = source.mark();
        let mut data = vec![0; len];
        if source.take(&mut data)? < len {
            source.rewind(start);
            return Err(Errno::EFAULT);
        }
        let shows_sender =
            self.shared.common.passes_credentials() || target.shared.common.passes_credentials();
        let bytes = len + MESSAGE_OVERHEAD;
        self.unreceived.fetch_add(bytes, Ordering::AcqRel);
        let charge =
            Charge { sender: self.shared.clone(), unreceived: self.unreceived.clone(), bytes };
        let credentials = message.credentials.or(shows_sender.then_some(sender));
        let rights = message.rights.take();
        target.state.lock().inbox.push_back(Message { data, credentials, rights, charge });
        target.shared.common.queue().notify(READABLE);
        Ok(len)
    }

    /// Errors: ECONNREFUSED (closed), EPIPE (does not read any more), EPERM, EAGAIN (full; the
    /// sender is woken when there is room).
    fn check_room(&self, sender: &DatagramSocket) -> Result<(), Errno> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(Errno::ECONNREFUSED);
        }
        if state.peer.as_ref().is_some_and(|peer| !sender.is_peer(peer)) {
            return Err(Errno::EPERM);
        }
        if state.shut.read {
            return Err(Errno::EPIPE);
        }
        // Linux: between mutual peers only the sender's buffer counts.
        let is_mutual = state.peer.is_some();
        if !is_mutual && state.inbox.len() > MAX_QUEUED {
            state.wait_for_room(&sender.shared);
            return Err(Errno::EAGAIN);
        }
        Ok(())
    }
}

impl State {
    fn wait_for_room(&mut self, sender: &Arc<Shared>) {
        self.waiting.retain(|other| other.strong_count() > 0);
        if !self.waiting.iter().any(|other| std::ptr::eq(other.as_ptr(), Arc::as_ptr(sender))) {
            self.waiting.push(Arc::downgrade(sender));
        }
    }
}

fn wake(waiting: Vec<Weak<Shared>>) {
    for sender in waiting.iter().filter_map(Weak::upgrade) {
        sender.common.queue().notify(WRITABLE);
    }
}

impl Socket for DatagramSocket {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn common(&self) -> &SocketCommon {
        &self.shared.common
    }

    fn bind(self: Arc<Self>, address: &[u8], task: &Arc<Task>) -> Result<(), Errno> {
        self.bind_to(UnixAddress::parse(address)?, task)
    }

    fn connect(self: Arc<Self>, address: &[u8], task: &Arc<Task>) -> Result<(), Errno> {
        let family = address.first_chunk::<2>().ok_or(Errno::EINVAL)?;
        if i32::from(u16::from_ne_bytes(*family)) == AF_UNSPEC {
            return self.set_peer(None);
        }
        let address = UnixAddress::parse(address)?;
        self.autobind(task)?;
        let target = find(&address, task)?;
        self.set_peer(Some(&target))
    }

    fn local_address(&self) -> Result<Vec<u8>, Errno> {
        Ok(self.shared.name().to_bytes())
    }

    fn peer_address(&self) -> Result<Vec<u8>, Errno> {
        let peer = self.state.lock().peer.clone().ok_or(Errno::ENOTCONN)?;
        Ok(peer.shared.name().to_bytes())
    }

    fn send(
        self: Arc<Self>,
        source: &mut IoSource<'_>,
        message: &mut SendMessage<'_>,
        task: &Arc<Task>,
    ) -> Result<usize, Errno> {
        if message.flags.contains(MsgFlags::OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        self.autobind(task)?;
        if self.state.lock().shut.write {
            return Err(Errno::EPIPE);
        }
        let target = match message.to {
            Some(to) => find(&UnixAddress::parse(to)?, task)?,
            None => self.living_peer()?,
        };
        self.send_to(&target, source, message, sender_of(task))
    }

    fn receive(&self, dest: &mut IoDest<'_>, flags: MsgFlags) -> Result<Received, Errno> {
        if flags.contains(MsgFlags::OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        self.shared.common.check_error()?;
        if flags.contains(MsgFlags::PEEK) {
            return self.peek(dest);
        }
        let (message, waiting) = {
            let mut state = self.state.lock();
            match state.inbox.pop_front() {
                Some(message) => (message, std::mem::take(&mut state.waiting)),
                None if state.shut.read => return Ok(Received::default()),
                None => return Err(Errno::EAGAIN),
            }
        };
        wake(waiting);
        let mut received = self.describe(dest, &message)?;
        received.control.files = message.rights.map(Rights::take).unwrap_or_default();
        Ok(received)
    }

    fn is_stream(&self) -> bool {
        false
    }

    fn shutdown(&self, how: Shutdown) -> Result<(), Errno> {
        let waiting = {
            let mut state = self.state.lock();
            state.shut.read |= how.read;
            state.shut.write |= how.write;
            std::mem::take(&mut state.waiting)
        };
        wake(waiting);
        self.shared.common.queue().notify(HUNG_UP);
        Ok(())
    }

    fn option(&self, level: i32, name: i32) -> Result<OptionValue, Errno> {
        let peer = self.state.lock().peer.as_ref().and_then(|peer| peer.credentials);
        family_option(level, name, false, peer)
    }

    fn ioctl(&self, command: u32, argument: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        let unread = self.state.lock().inbox.front().map_or(0, |message| message.data.len());
        let unsent = self.unreceived.load(Ordering::Acquire);
        ioctl::answer(command, argument, io, Some(unread), unsent)
    }

    fn readiness(&self) -> PollEvents {
        let (mut ready, peer) = {
            let state = self.state.lock();
            let mut ready = PollEvents::empty();
            if !state.inbox.is_empty() {
                ready |= READABLE;
            }
            if state.shut.read {
                ready |= READABLE | PollEvents::RDHUP;
            }
            if state.shut.read && state.shut.write {
                ready |= PollEvents::HUP;
            }
            (ready, state.peer.clone())
        };
        let has_room =
            self.unreceived.load(Ordering::Acquire) * 4 <= self.shared.common.buffers().send;
        let peer = peer.and_then(|peer| peer.socket.upgrade());
        let is_peer_full = peer.is_some_and(|peer| peer.check_room(self) == Err(Errno::EAGAIN));
        if has_room && !is_peer_full {
            ready |= WRITABLE;
        }
        with_error(ready, &self.shared.common)
    }

    fn close(&self) {
        let (inbox, waiting, endpoint) = {
            let mut state = self.state.lock();
            state.is_closed = true;
            state.peer = None;
            let endpoint = state.endpoint.take();
            (std::mem::take(&mut state.inbox), std::mem::take(&mut state.waiting), endpoint)
        };
        drop((inbox, endpoint));
        wake(waiting);
    }
}

impl DatagramSocket {
    fn peek(&self, dest: &mut IoDest<'_>) -> Result<Received, Errno> {
        let state = self.state.lock();
        let Some(message) = state.inbox.front() else {
            return if state.shut.read { Ok(Received::default()) } else { Err(Errno::EAGAIN) };
        };
        // The copy is small and must see the message that stays: the lock is held over it.
        let mut received = self.describe(dest, message)?;
        received.control.files = message.rights.as_ref().map(Rights::peek).unwrap_or_default();
        Ok(received)
    }

    fn describe(&self, dest: &mut IoDest<'_>, message: &Message) -> Result<Received, Errno> {
        let want = message.data.len().min(dest.remaining());
        let count = dest.put(&message.data[..want])?;
        if count < want {
            return Err(Errno::EFAULT);
        }
        let mut flags = MsgFlags::empty();
        flags.set(MsgFlags::TRUNC, count < message.data.len());
        let mut control = Control::default();
        if self.shared.common.passes_credentials() {
            let nobody = Ucred { pid: 0, uid: NOBODY, gid: NOBODY };
            control.credentials = Some(message.credentials.unwrap_or(nobody));
        }
        let name = message.charge.sender.name();
        let source = if name.is_named() { name.to_bytes() } else { Vec::new() };
        Ok(Received { count, full_len: message.data.len(), flags, source, control })
    }
}

/// The datagram socket that `address` leads to. Errors: ECONNREFUSED, EPROTOTYPE, those of a walk.
fn find(address: &UnixAddress, task: &Arc<Task>) -> Result<Arc<DatagramSocket>, Errno> {
    let endpoint = path::find(address, task)?;
    match endpoint.datagram() {
        Some(socket) => Ok(socket),
        None if endpoint.stream().is_some() => Err(Errno::EPROTOTYPE),
        None => Err(Errno::ECONNREFUSED),
    }
}
