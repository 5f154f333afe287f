//! Listening, connecting and accepting.

use std::collections::VecDeque;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::net::{AF_UNIX, SOMAXCONN, Ucred};

use super::name::{self, Target};
use super::stream::{Connection, Listener, Phase, StreamSocket};
use super::{Shared, UnixAddress, credentials_of, path};
use crate::net::{READABLE, SocketCommon, WRITABLE};
use crate::task::Task;

impl StreamSocket {
    /// Gives the socket a name. Errors: EINVAL (it has one), EADDRINUSE, and those of making a node.
    pub(super) fn bind_to(
        self: &Arc<Self>,
        address: UnixAddress,
        task: &Arc<Task>,
    ) -> Result<(), Errno> {
        if self.state.lock().endpoint.is_some() || self.shared.name().is_named() {
            // Linux: to bind to no name a socket that has one is no error.
            return if address.is_named() { Err(Errno::EINVAL) } else { Ok(()) };
        }
        let target = Target::Stream(self.this.clone());
        let (endpoint, name) = name::bind(address, target, task)?;
        let mut state = self.state.lock();
        if state.endpoint.is_some() {
            return Err(Errno::EINVAL);
        }
        *self.shared.name.lock() = name;
        state.endpoint = Some(endpoint);
        Ok(())
    }

    /// Errors: EINVAL for a socket without a name or with a connection.
    pub(super) fn listen_as(&self, backlog: i32, credentials: Ucred) -> Result<(), Errno> {
        if !self.shared.name().is_named() {
            return Err(Errno::EINVAL);
        }
        // Linux: a negative backlog is the largest.
        let backlog = (backlog as u32).min(SOMAXCONN as u32) as usize;
        let waiting = {
            let mut state = self.state.lock();
            match &mut state.phase {
                Phase::Fresh => {
                    state.phase = Phase::Listening(Listener {
                        pending: VecDeque::new(),
                        backlog,
                        credentials,
                        waiting: Vec::new(),
                    });
                    Vec::new()
                }
                Phase::Listening(listener) => {
                    listener.backlog = backlog;
                    listener.credentials = credentials;
                    std::mem::take(&mut listener.waiting)
                }
                _ => return Err(Errno::EINVAL),
            }
        };
        for client in waiting.iter().filter_map(|client| client.upgrade()) {
            client.common.queue().notify(WRITABLE);
        }
        Ok(())
    }

    /// Connects to the socket that `address` leads to.
    pub(super) fn connect_to_address(
        self: &Arc<Self>,
        address: &[u8],
        task: &Arc<Task>,
    ) -> Result<(), Errno> {
        let address = UnixAddress::parse(address)?;
        if self.shared.common.passes_credentials() && !self.shared.name().is_named() {
            self.bind_to(UnixAddress::Unnamed, task)?;
        }
        let endpoint = path::find(&address, task)?;
        match endpoint.stream() {
            Some(listener) if listener.shared.common.kind() == self.shared.common.kind() => {
                self.connect_to(&listener, credentials_of(task))
            }
            Some(_) => Err(Errno::EPROTOTYPE),
            None if endpoint.datagram().is_some() => Err(Errno::EPROTOTYPE),
            None => Err(Errno::ECONNREFUSED),
        }
    }

    /// Connects to `listener`. The connection is complete at once; `accept` only picks it up.
    ///
    /// Errors: EISCONN, EINVAL (this one listens), ECONNREFUSED (the other does not), EAGAIN (its
    /// queue is full).
    pub(super) fn connect_to(
        &self,
        listener: &Arc<StreamSocket>,
        credentials: Ucred,
    ) -> Result<(), Errno> {
        self.begin_connect()?;
        let result = self.enqueue_at(listener, credentials);
        let mut state = self.state.lock();
        match (&state.phase, result) {
            (Phase::Connecting, Ok(connection)) => {
                state.phase = Phase::Connected(connection);
                drop(state);
                self.shared.common.queue().notify(WRITABLE);
                Ok(())
            }
            (Phase::Connecting, Err(errno)) => {
                state.phase = Phase::Fresh;
                Err(errno)
            }
            // Closed meanwhile.
            (_, Ok(connection)) => {
                drop(state);
                connection.close(true);
                Err(Errno::ECONNREFUSED)
            }
            (_, Err(errno)) => Err(errno),
        }
    }

    fn begin_connect(&self) -> Result<(), Errno> {
        let mut state = self.state.lock();
        match state.phase {
            Phase::Fresh => {
                state.phase = Phase::Connecting;
                Ok(())
            }
            Phase::Connected(_) => Err(Errno::EISCONN),
            Phase::Connecting => Err(Errno::EALREADY),
            Phase::Listening(_) | Phase::Closed => Err(Errno::EINVAL),
        }
    }

    /// Makes the server's end and puts it in the queue of `listener`; answers with our end.
    fn enqueue_at(
        &self,
        listener: &Arc<StreamSocket>,
        credentials: Ucred,
    ) -> Result<Arc<Connection>, Errno> {
        let connection = {
            let mut state = listener.state.lock();
            let is_shut = state.shut.read;
            let Phase::Listening(queue) = &mut state.phase else {
                return Err(Errno::ECONNREFUSED);
            };
            if is_shut {
                return Err(Errno::ECONNREFUSED);
            }
            // Linux: one more than the backlog fits.
            if queue.pending.len() > queue.backlog {
                queue.waiting.retain(|client| client.strong_count() > 0);
                queue.waiting.push(Arc::downgrade(&self.shared));
                return Err(Errno::EAGAIN);
            }
            let common = SocketCommon::new(AF_UNIX, self.shared.common.kind(), 0);
            common.set_passes_credentials(listener.shared.common.passes_credentials());
            let server = Shared::with(common, listener.shared.name());
            let (ours, theirs) =
                Connection::between(&self.shared, &server, credentials, queue.credentials);
            queue.pending.push_back(StreamSocket::with(server, Phase::Connected(theirs)));
            ours
        };
        listener.shared.common.queue().notify(READABLE);
        Ok(connection)
    }

    /// Errors: EINVAL (not listening), EAGAIN.
    pub(super) fn accept_pending(&self) -> Result<Arc<StreamSocket>, Errno> {
        let (socket, waiting) = {
            let mut state = self.state.lock();
            let is_shut = state.shut.read;
            let Phase::Listening(listener) = &mut state.phase else {
                return Err(Errno::EINVAL);
            };
            match listener.pending.pop_front() {
                Some(socket) => (socket, std::mem::take(&mut listener.waiting)),
                // Linux: accept on a listener that was shut down is EINVAL.
                None => return Err(if is_shut { Errno::EINVAL } else { Errno::EAGAIN }),
            }
        };
        for client in waiting.iter().filter_map(|client| client.upgrade()) {
            client.common.queue().notify(WRITABLE);
        }
        Ok(socket)
    }
}

impl Listener {
    /// Resets the connections that nobody will accept.
    pub(super) fn refuse_all(self) {
        for socket in self.pending {
            socket.close_as(true);
        }
        for client in self.waiting.iter().filter_map(|client| client.upgrade()) {
            client.common.queue().notify(WRITABLE);
        }
    }
}
