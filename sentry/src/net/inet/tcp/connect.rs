//! Binding, listening, connecting, accepting.

use std::collections::VecDeque;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::net::{AF_INET, IP_FREEBIND, IPV6_FREEBIND, SOL_IP, SOL_IPV6, SOMAXCONN};
use linux_abi::task::CAP_NET_BIND_SERVICE;

use super::{Connection, Listener, Phase, TcpSocket};
use crate::net::inet::address::{Endpoint, is_local, route};
use crate::net::{HUNG_UP, READABLE, WRITABLE};
use crate::task::Credentials;

/// First port that everybody may bind to (`net.ipv4.ip_unprivileged_port_start`).
pub(in crate::net::inet) const FIRST_FREE_PORT: u16 = 1024;

impl TcpSocket {
    /// Errors: EINVAL (bound already, or IPv4 on an IPv6-only socket), EADDRNOTAVAIL, EACCES,
    /// EADDRINUSE.
    pub(super) fn bind_to(
        &self,
        address: Endpoint,
        credentials: &Credentials,
    ) -> Result<(), Errno> {
        if self.domain() != AF_INET && address.ip.is_ipv4() && self.is_v6_only() {
            return Err(Errno::EINVAL);
        }
        let binds_free =
            self.options.is_on(SOL_IP, IP_FREEBIND) || self.options.is_on(SOL_IPV6, IPV6_FREEBIND);
        if !is_local(address.ip) && !binds_free {
            return Err(Errno::EADDRNOTAVAIL);
        }
        let is_reserved = (1..FIRST_FREE_PORT).contains(&address.port);
        if is_reserved && !credentials.has(CAP_NET_BIND_SERVICE) {
            return Err(Errno::EACCES);
        }
        let mut state = self.state.lock();
        if state.lease.is_some() || !matches!(state.phase, Phase::Fresh) {
            return Err(Errno::EINVAL);
        }
        let claim = self.claim(address.ip, credentials.euid);
        let lease = self.ports.bind(address.port, claim, self.this.clone())?;
        state.local = Endpoint::new(address.ip, lease.port());
        state.lease = Some(lease);
        state.is_bound = true;
        Ok(())
    }

    /// Errors: EINVAL (connected), EADDRINUSE.
    pub(super) fn listen_as(&self, backlog: i32, uid: u32) -> Result<(), Errno> {
        // Linux: a negative backlog is the largest.
        let backlog = (backlog as u32).min(SOMAXCONN as u32) as usize;
        {
            let mut state = self.state.lock();
            match &mut state.phase {
                Phase::Listening(listener) => listener.backlog = backlog,
                Phase::Fresh => {
                    if state.lease.is_none() {
                        let claim = self.claim(state.local.ip, uid);
                        let lease = self.ports.bind(0, claim, self.this.clone())?;
                        state.local.port = lease.port();
                        state.lease = Some(lease);
                    }
                    if let Some(lease) = &state.lease {
                        lease.listen()?;
                    }
                    state.phase = Phase::Listening(Listener {
                        backlog,
                        pending: VecDeque::new(),
                        waiting: VecDeque::new(),
                    });
                }
                _ => return Err(Errno::EINVAL),
            }
        }
        self.admit_waiting();
        Ok(())
    }

    /// Starts to connect, or tells how it went. See [`Socket::connect`](crate::net::Socket::connect):
    /// what has just begun is EAGAIN even if it is complete, as on Linux.
    pub(super) fn connect_to(self: &Arc<Self>, address: Endpoint, uid: u32) -> Result<(), Errno> {
        {
            let mut state = self.state.lock();
            match state.phase {
                Phase::Fresh => {}
                Phase::Waiting => return Err(Errno::EAGAIN),
                Phase::Connected(_) if state.is_unannounced => {
                    state.is_unannounced = false;
                    return Ok(());
                }
                Phase::Connected(_) | Phase::Listening(_) => return Err(Errno::EISCONN),
                Phase::Failed => {
                    state.phase = Phase::Fresh;
                    return Err(self.common.take_error().unwrap_or(Errno::ECONNABORTED));
                }
                Phase::Closed => return Err(Errno::EINVAL),
            }
        }
        let remote = self.prepare(address, uid)?;
        let listener = self.ports.find(remote, |socket| socket.is_listening().then_some(1));
        match listener {
            Some(listener) if !Arc::ptr_eq(&listener, self) => listener.enqueue(self, remote),
            _ => self.fail(Errno::ECONNREFUSED),
        }
        Err(Errno::EAGAIN)
    }

    /// Checks where a connection goes and binds this end. Errors: ENETUNREACH, EADDRNOTAVAIL,
    /// EINVAL.
    fn prepare(&self, address: Endpoint, uid: u32) -> Result<Endpoint, Errno> {
        if self.domain() != AF_INET && address.ip.is_ipv4() && self.is_v6_only() {
            return Err(Errno::ENETUNREACH);
        }
        let (ip, source) = route(address.ip)?;
        let remote = Endpoint::new(ip, address.port);
        let mut state = self.state.lock();
        if !matches!(state.phase, Phase::Fresh) {
            return Err(Errno::EALREADY);
        }
        if state.local.ip.is_unspecified() {
            state.local.ip = source;
        } else if state.local.ip.is_ipv4() != ip.is_ipv4() {
            return Err(Errno::EINVAL);
        }
        match &state.lease {
            Some(lease) => lease.set_ip(state.local.ip),
            None => {
                let claim = self.claim(state.local.ip, uid);
                let lease = self.ports.bind_connection(remote, claim, self.this.clone())?;
                state.local.port = lease.port();
                state.lease = Some(lease);
            }
        }
        state.phase = Phase::Waiting;
        state.is_unannounced = true;
        state.told_progress = false;
        Ok(remote)
    }

    /// Puts a client's connection to `target` into the backlog, or lets it wait for room.
    fn enqueue(&self, client: &Arc<TcpSocket>, target: Endpoint) {
        let local = client.state.lock().local;
        let connection = {
            let mut state = self.state.lock();
            let Phase::Listening(listener) = &mut state.phase else {
                drop(state);
                return client.fail(Errno::ECONNREFUSED);
            };
            // Linux: one more than the backlog fits.
            if listener.pending.len() > listener.backlog {
                listener.waiting.push_back((Arc::downgrade(client), target));
                return;
            }
            let (server, connection) = self.new_end(client, local, target);
            listener.pending.push_back(server);
            connection
        };
        client.complete(connection);
        self.common.queue().notify(READABLE);
    }

    /// Makes the server's end of a connection; answers with it and the client's view.
    fn new_end(
        &self,
        client: &Arc<TcpSocket>,
        client_address: Endpoint,
        address: Endpoint,
    ) -> (Arc<TcpSocket>, Arc<Connection>) {
        let common = self.common.inherit();
        let options = self.options.inherit();
        let server = TcpSocket::with(self.ports.clone(), common, options, Phase::Fresh, address);
        let (ours, theirs) =
            Connection::between((&client.common, client_address), (&server.common, address));
        let claim = self.claim(address.ip, 0);
        let weak = Arc::downgrade(&server);
        let lease = self.ports.share(address.port, claim, client_address, weak);
        {
            // Nobody else knows this socket yet; it is locked inside of the listener.
            let mut state = server.state.lock_nested();
            state.phase = Phase::Connected(theirs);
            state.lease = Some(lease);
        }
        (server, ours)
    }

    /// A connection of this client came about.
    fn complete(&self, connection: Arc<Connection>) {
        {
            let mut state = self.state.lock();
            if !matches!(state.phase, Phase::Waiting) {
                drop(state);
                // Closed meanwhile.
                connection.close(true, None);
                return;
            }
            state.phase = Phase::Connected(connection);
        }
        self.common.queue().notify(WRITABLE);
    }

    /// A connection of this client did not come about.
    fn fail(&self, errno: Errno) {
        {
            let mut state = self.state.lock();
            if !matches!(state.phase, Phase::Waiting) {
                return;
            }
            state.phase = Phase::Failed;
            if !state.is_bound {
                state.lease = None;
                state.local = Endpoint::any(self.domain());
            }
        }
        self.common.set_error(errno);
    }

    /// Lets clients that wait for room in.
    fn admit_waiting(&self) {
        loop {
            let (client, target) = {
                let mut state = self.state.lock();
                let Phase::Listening(listener) = &mut state.phase else { return };
                if listener.pending.len() > listener.backlog {
                    return;
                }
                let Some(next) = listener.waiting.pop_front() else { return };
                next
            };
            if let Some(client) = client.upgrade()
                && matches!(client.state.lock().phase, Phase::Waiting)
            {
                self.enqueue(&client, target);
            }
        }
    }

    /// Errors: EINVAL (not listening), EAGAIN.
    pub(super) fn accept_pending(&self) -> Result<Arc<TcpSocket>, Errno> {
        let socket = {
            let mut state = self.state.lock();
            let Phase::Listening(listener) = &mut state.phase else {
                return Err(Errno::EINVAL);
            };
            listener.pending.pop_front().ok_or(Errno::EAGAIN)?
        };
        self.admit_waiting();
        Ok(socket)
    }

    /// Stops listening: connections that nobody accepted are reset.
    pub(super) fn stop_listening(&self) {
        let listener = {
            let mut state = self.state.lock();
            if !matches!(state.phase, Phase::Listening(_)) {
                return;
            }
            if let Some(lease) = &state.lease {
                lease.stop_listening();
            }
            std::mem::replace(&mut state.phase, Phase::Fresh)
        };
        if let Phase::Listening(listener) = listener {
            listener.refuse_all();
        }
        self.common.queue().notify(HUNG_UP);
    }
}

impl Listener {
    pub(super) fn refuse_all(self) {
        for socket in self.pending {
            socket.close_hard();
        }
        for (client, _) in self.waiting {
            if let Some(client) = client.upgrade() {
                client.fail(Errno::ECONNREFUSED);
            }
        }
    }
}
