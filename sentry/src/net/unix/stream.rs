//! Connected sockets: `SOCK_STREAM` and `SOCK_SEQPACKET`.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use linux_abi::Errno;
use linux_abi::net::{MsgFlags, SOCK_SEQPACKET, Ucred};
use linux_abi::poll::PollEvents;

use super::channel::{Attachment, Channel};
use super::name::Endpoint;
use super::{Shared, UnixAddress, family_option, ioctl, sender_of};
use crate::memory::{IoDest, IoSource, MakeConduit};
use crate::net::way::{self, Way};
use crate::net::{
    HUNG_UP, OptionValue, READABLE, Received, SendMessage, Shutdown, Socket, SocketCommon, WRITABLE,
};
use crate::sync::{Mutex, Rank};
use crate::task::Task;
use crate::vfs::{Conduits, IoContext};

/// A stream or sequenced-packet socket.
pub struct StreamSocket {
    pub(super) this: Weak<StreamSocket>,
    pub(super) shared: Arc<Shared>,
    pub(super) state: Mutex<State>,
}

/// A socket's life, and what it is known as.
pub(super) struct State {
    pub phase: Phase,
    /// What its name leads to while it is bound.
    pub endpoint: Option<Arc<Endpoint>>,
    /// `shutdown` before a connection.
    pub shut: Shutdown,
}

pub(super) enum Phase {
    Fresh,
    /// A `connect` is going on.
    Connecting,
    Listening(Listener),
    Connected(Arc<Connection>),
    Closed,
}

/// A queue of connections that nobody has accepted yet.
pub(super) struct Listener {
    pub pending: VecDeque<Arc<StreamSocket>>,
    pub backlog: usize,
    /// Who called `listen`: the peer of those who connect.
    pub credentials: Ucred,
    /// Sockets that wait for room in the queue.
    pub waiting: Vec<Weak<Shared>>,
}

/// One end's view of a connection.
pub(super) struct Connection {
    pub incoming: Arc<Channel>,
    pub outgoing: Arc<Channel>,
    pub peer: Arc<Shared>,
    pub peer_credentials: Ucred,
}

impl StreamSocket {
    pub(super) fn new(kind: i32) -> Arc<StreamSocket> {
        StreamSocket::with(Shared::new(kind), Phase::Fresh)
    }

    pub(super) fn with(shared: Arc<Shared>, phase: Phase) -> Arc<StreamSocket> {
        let shut = Shutdown { read: false, write: false };
        Arc::new_cyclic(|this| StreamSocket {
            this: this.clone(),
            shared,
            state: Mutex::new(Rank::Socket, State { phase, endpoint: None, shut }),
        })
    }

    /// Two sockets connected to each other.
    pub(super) fn pair(kind: i32, creator: Ucred) -> (Arc<StreamSocket>, Arc<StreamSocket>) {
        let (first, second) = (Shared::new(kind), Shared::new(kind));
        let (one, other) = Connection::between(&first, &second, creator, creator);
        (
            StreamSocket::with(first, Phase::Connected(one)),
            StreamSocket::with(second, Phase::Connected(other)),
        )
    }

    pub(super) fn keeps_messages(&self) -> bool {
        self.shared.common.kind() == SOCK_SEQPACKET
    }

    /// Errors: the error that a socket without a connection answers with.
    fn connection(&self, otherwise: Errno) -> Result<Arc<Connection>, Errno> {
        match &self.state.lock().phase {
            Phase::Connected(connection) => Ok(connection.clone()),
            _ => Err(otherwise),
        }
    }

    fn send_buffer(&self) -> usize {
        self.shared.common.buffers().send
    }
}

impl Connection {
    /// Both ends of a new connection. The credentials are those that the *other* end sees.
    pub(super) fn between(
        first: &Arc<Shared>,
        second: &Arc<Shared>,
        first_credentials: Ucred,
        second_credentials: Ucred,
    ) -> (Arc<Connection>, Arc<Connection>) {
        let keeps_messages = first.common.kind() == SOCK_SEQPACKET;
        let queue = |shared: &Shared| shared.common.shared_queue();
        let forth = Channel::new(keeps_messages, queue(second), queue(first));
        let back = Channel::new(keeps_messages, queue(first), queue(second));
        let one = Connection {
            incoming: back.clone(),
            outgoing: forth.clone(),
            peer: second.clone(),
            peer_credentials: second_credentials,
        };
        let other = Connection {
            incoming: forth,
            outgoing: back,
            peer: first.clone(),
            peer_credentials: first_credentials,
        };
        (Arc::new(one), Arc::new(other))
    }

    /// Ends it from this side: the peer sees the end, or a reset if something was left unread.
    pub(super) fn close(&self, is_reset: bool) {
        self.outgoing.shut_write();
        // Whoever waits to write finds the error before the end.
        let was_told = is_reset || self.incoming.unread(false) > 0;
        if was_told {
            self.peer.common.set_error(Errno::ECONNRESET);
        }
        if self.incoming.abandon() && !was_told {
            self.peer.common.set_error(Errno::ECONNRESET);
        }
    }

    fn readiness(&self, send_buffer: usize, hears: bool) -> PollEvents {
        let (incoming, outgoing) = (self.incoming.closed(), self.outgoing.closed());
        let no_more_in = incoming.by_writer || incoming.by_reader;
        let no_more_out = outgoing.by_writer || outgoing.by_reader;
        let mut ready = PollEvents::empty();
        if no_more_in {
            ready |= READABLE | PollEvents::RDHUP;
        }
        if no_more_in && no_more_out {
            ready |= PollEvents::HUP;
        }
        if self.incoming.has_data(hears) {
            ready |= READABLE;
        }
        if self.outgoing.is_writable(send_buffer, hears) {
            ready |= WRITABLE;
        }
        ready
    }
}

impl Socket for StreamSocket {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn common(&self) -> &SocketCommon {
        &self.shared.common
    }

    fn bind(self: Arc<Self>, address: &[u8], task: &Arc<Task>) -> Result<(), Errno> {
        self.bind_to(UnixAddress::parse(address)?, task)
    }

    fn listen(self: Arc<Self>, backlog: i32, task: &Arc<Task>) -> Result<(), Errno> {
        self.listen_as(backlog, super::credentials_of(task))
    }

    fn connect(self: Arc<Self>, address: &[u8], task: &Arc<Task>) -> Result<(), Errno> {
        self.connect_to_address(address, task)
    }

    fn accept(&self) -> Result<Arc<dyn Socket>, Errno> {
        self.accept_pending().map(|socket| -> Arc<dyn Socket> { socket })
    }

    fn local_address(&self) -> Result<Vec<u8>, Errno> {
        Ok(self.shared.name().to_bytes())
    }

    fn peer_address(&self) -> Result<Vec<u8>, Errno> {
        Ok(self.connection(Errno::ENOTCONN)?.peer.name().to_bytes())
    }

    fn send(
        self: Arc<Self>,
        source: &mut IoSource<'_>,
        message: &mut SendMessage<'_>,
        task: &Arc<Task>,
    ) -> Result<usize, Errno> {
        self.send_as(source, message, sender_of(task))
    }

    fn receive(&self, dest: &mut IoDest<'_>, flags: MsgFlags) -> Result<Received, Errno> {
        if flags.contains(MsgFlags::OOB) {
            // A stream could have urgent data but has none: sending it is not supported.
            let is_stream = !self.keeps_messages();
            return Err(if is_stream { Errno::EINVAL } else { Errno::EOPNOTSUPP });
        }
        let otherwise = if self.keeps_messages() { Errno::ENOTCONN } else { Errno::EINVAL };
        let connection = self.connection(otherwise)?;
        let wants_credentials = self.shared.common.passes_credentials();
        let peer_buffer = connection.peer.common.buffers().send;
        let result = connection.incoming.receive(dest, flags, wants_credentials, peer_buffer);
        let at_end = match &result {
            Ok(received) => received.count == 0 && !connection.incoming.has_data(false),
            Err(errno) => *errno == Errno::EAGAIN,
        };
        if at_end {
            self.shared.common.check_error()?;
        }
        let mut received = result?;
        if !wants_credentials {
            received.control.credentials = None;
        } else if received.control.credentials.is_none() && received.count > 0 {
            let nobody = Ucred { pid: 0, uid: super::NOBODY, gid: super::NOBODY };
            received.control.credentials = Some(nobody);
        }
        if received.count > 0 || self.keeps_messages() {
            let name = connection.peer.name();
            received.source = if name.is_named() { name.to_bytes() } else { Vec::new() };
        }
        Ok(received)
    }

    fn is_stream(&self) -> bool {
        !self.keeps_messages()
    }

    fn shutdown(&self, how: Shutdown) -> Result<(), Errno> {
        let connection = {
            let mut state = self.state.lock();
            state.shut.read |= how.read;
            state.shut.write |= how.write;
            match &state.phase {
                Phase::Connected(connection) => Some(connection.clone()),
                _ => None,
            }
        };
        match connection {
            Some(connection) => {
                if how.read {
                    connection.incoming.shut_read();
                }
                if how.write {
                    connection.outgoing.shut_write();
                }
            }
            None => self.shared.common.queue().notify(HUNG_UP),
        }
        Ok(())
    }

    fn option(&self, level: i32, name: i32) -> Result<OptionValue, Errno> {
        let (is_listening, peer) = match &self.state.lock().phase {
            Phase::Listening(listener) => (true, Some(listener.credentials)),
            Phase::Connected(connection) => (false, Some(connection.peer_credentials)),
            _ => (false, None),
        };
        family_option(level, name, is_listening, peer)
    }

    fn ioctl(&self, command: u32, argument: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        let state = self.state.lock();
        let (unread, unsent) = match &state.phase {
            Phase::Listening(_) => (None, 0),
            Phase::Connected(connection) => {
                (Some(connection.incoming.unread(false)), connection.outgoing.unread(false))
            }
            _ => (Some(0), 0),
        };
        drop(state);
        ioctl::answer(command, argument, io, unread, unsent)
    }

    fn readiness(&self) -> PollEvents {
        self.ready(true)
    }

    fn look(&self) -> PollEvents {
        self.ready(false)
    }

    fn share(&self, make: MakeConduit<'_>) -> Option<()> {
        let connection = self.connection(Errno::ENOTCONN).ok()?;
        if !self.shared.common.is_plain() || !connection.peer.common.is_plain() {
            return None;
        }
        way::share(&connection.incoming, &connection.outgoing, make)
    }

    fn conduits(&self) -> Option<Conduits> {
        let connection = self.connection(Errno::ENOTCONN).ok()?;
        way::conduits(&*connection.incoming, &*connection.outgoing)
    }

    fn take_back(&self) {
        if let Ok(connection) = self.connection(Errno::ENOTCONN) {
            connection.incoming.take_back();
            connection.outgoing.take_back();
        }
    }

    fn close(&self) {
        self.close_as(false);
    }
}

impl StreamSocket {
    /// What holds now; with `hears`, whoever waits for more hears of it.
    fn ready(&self, hears: bool) -> PollEvents {
        let state = self.state.lock();
        let mut ready = match &state.phase {
            Phase::Listening(listener) if listener.pending.is_empty() => PollEvents::empty(),
            Phase::Listening(_) => READABLE,
            Phase::Connected(connection) => {
                let connection = connection.clone();
                drop(state);
                let ready = connection.readiness(self.send_buffer(), hears);
                return with_error(ready, &self.shared.common);
            }
            // Linux: a socket that was never connected is writable and hung up.
            Phase::Fresh | Phase::Connecting | Phase::Closed => WRITABLE | PollEvents::HUP,
        };
        if state.shut.read {
            ready |= READABLE | PollEvents::RDHUP;
        }
        if state.shut.read && state.shut.write {
            ready |= PollEvents::HUP;
        }
        drop(state);
        with_error(ready, &self.shared.common)
    }

    /// Ends it; with `is_reset` the peer learns that nobody ever took the connection.
    pub(super) fn close_as(&self, is_reset: bool) {
        let (phase, endpoint) = {
            let mut state = self.state.lock();
            (std::mem::replace(&mut state.phase, Phase::Closed), state.endpoint.take())
        };
        drop(endpoint);
        match phase {
            Phase::Connected(connection) => connection.close(is_reset),
            Phase::Listening(listener) => listener.refuse_all(),
            Phase::Fresh | Phase::Connecting | Phase::Closed => {}
        }
    }

    /// Sends with the kernel's idea of who sends.
    pub(super) fn send_as(
        &self,
        source: &mut IoSource<'_>,
        message: &mut SendMessage<'_>,
        sender: Ucred,
    ) -> Result<usize, Errno> {
        if message.flags.contains(MsgFlags::OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        if message.to.is_some() && !self.keeps_messages() {
            let is_connected = self.connection(Errno::ENOTCONN).is_ok();
            return Err(if is_connected { Errno::EISCONN } else { Errno::EOPNOTSUPP });
        }
        let connection = match self.connection(Errno::ENOTCONN) {
            Ok(connection) => connection,
            Err(_) if self.state.lock().shut.write => return Err(Errno::EPIPE),
            Err(errno) => return Err(errno),
        };
        self.shared.common.check_error()?;
        let shows_sender =
            self.shared.common.passes_credentials() || connection.peer.common.passes_credentials();
        let mut attachment = Attachment {
            credentials: message.credentials.or(shows_sender.then_some(sender)),
            rights: message.rights.take(),
        };
        let sent = connection.outgoing.send(source, self.send_buffer(), &mut attachment);
        // What was not sent stays with the message.
        message.rights = attachment.rights;
        sent
    }
}

/// Adds a waiting error to what is ready.
pub(super) fn with_error(ready: PollEvents, common: &SocketCommon) -> PollEvents {
    if common.has_error() { ready | PollEvents::ERR } else { ready }
}
