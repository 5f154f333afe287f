//! TCP over loopback, tcp(7).
//!
//! A connection is two [`flow`]s that both ends share. `connect` finds the listener and completes
//! the connection at once, if its backlog has room; `accept` only picks it up. There are no
//! segments: nothing is lost, delayed or retransmitted. The side that closes first leaves its port
//! in `TIME_WAIT`.

mod connect;
mod flow;
mod info;
mod socket;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use linux_abi::Errno;
use linux_abi::net::{AF_INET6, IPPROTO_TCP, IPV6_V6ONLY, SOCK_STREAM, SOL_IP, SOL_IPV6, SOL_TCP};

pub(in crate::net::inet) use self::connect::FIRST_FREE_PORT;
use self::flow::Flow;
use super::address::Endpoint;
use super::options::Options;
use super::ports::{Claim, Lease, Ports};
use crate::net::{Buffers, SocketCommon};
use crate::sync::{Mutex, Rank};

/// What `SO_SNDBUF` and `SO_RCVBUF` say at first (`net.ipv4.tcp_wmem`, `tcp_rmem`).
const BUFFERS: Buffers = Buffers { send: 16384, receive: 131_072 };
/// What a send buffer grows to by itself while nobody sets it.
const GROWN_SEND_BUFFER: usize = 256 << 10;

/// A TCP socket.
pub struct TcpSocket {
    this: Weak<TcpSocket>,
    ports: Arc<Ports<TcpSocket>>,
    common: Arc<SocketCommon>,
    options: Options,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    /// The address it is bound to; port 0 while it is not.
    local: Endpoint,
    lease: Option<Lease<TcpSocket>>,
    /// Bound by `bind`, so that a failed connect leaves it bound.
    is_bound: bool,
    /// `connect` has not yet told how it went.
    is_unannounced: bool,
    /// A `connect` was answered with EINPROGRESS.
    told_progress: bool,
    /// `shutdown(SHUT_RD)`.
    is_read_shut: bool,
}

enum Phase {
    Fresh,
    /// Waits for room in a listener's backlog (`SYN_SENT`).
    Waiting,
    Listening(Listener),
    Connected(Arc<Connection>),
    /// A connect failed; the error waits.
    Failed,
    Closed,
}

struct Listener {
    backlog: usize,
    /// Connections that nobody has accepted yet.
    pending: VecDeque<Arc<TcpSocket>>,
    /// Clients that found the backlog full, with the address they want.
    waiting: VecDeque<(Weak<TcpSocket>, Endpoint)>,
}

/// One end's view of a connection.
struct Connection {
    incoming: Arc<Flow>,
    outgoing: Arc<Flow>,
    remote: Endpoint,
    peer: Arc<SocketCommon>,
}

impl TcpSocket {
    pub fn new(domain: i32, ports: Arc<Ports<TcpSocket>>) -> Arc<TcpSocket> {
        let common = SocketCommon::with_buffers(domain, SOCK_STREAM, IPPROTO_TCP, BUFFERS);
        let levels: &[i32] = match domain {
            AF_INET6 => &[SOL_IP, SOL_IPV6, SOL_TCP],
            _ => &[SOL_IP, SOL_TCP],
        };
        let local = Endpoint::any(domain);
        TcpSocket::with(ports, common, Options::new(levels), Phase::Fresh, local)
    }

    fn with(
        ports: Arc<Ports<TcpSocket>>,
        common: SocketCommon,
        options: Options,
        phase: Phase,
        local: Endpoint,
    ) -> Arc<TcpSocket> {
        let state = State {
            phase,
            local,
            lease: None,
            is_bound: false,
            is_unannounced: false,
            told_progress: false,
            is_read_shut: false,
        };
        Arc::new_cyclic(|this| TcpSocket {
            this: this.clone(),
            ports,
            common: Arc::new(common),
            options,
            state: Mutex::new(Rank::Socket, state),
        })
    }

    fn domain(&self) -> i32 {
        self.common.domain()
    }

    fn is_v6_only(&self) -> bool {
        self.options.is_on(SOL_IPV6, IPV6_V6ONLY)
    }

    /// What it asks the port table for. `uid` is its owner.
    fn claim(&self, ip: std::net::IpAddr, uid: u32) -> Claim {
        Claim {
            ip,
            is_dual: ip.is_ipv6() && ip.is_unspecified() && !self.is_v6_only(),
            reuses_address: self.common.reuses_address(),
            reuses_port: self.common.reuses_port(),
            uid,
        }
    }

    fn is_listening(&self) -> bool {
        matches!(self.state.lock().phase, Phase::Listening(_))
    }

    /// Errors: `otherwise` without a connection.
    fn connection(&self, otherwise: Errno) -> Result<Arc<Connection>, Errno> {
        match &self.state.lock().phase {
            Phase::Connected(connection) => Ok(connection.clone()),
            _ => Err(otherwise),
        }
    }

    /// Bytes that may be on their way to `peer`: what this end may send and that one keep.
    fn send_limit(&self, peer: &SocketCommon) -> usize {
        capacity(&self.common, peer)
    }
}

/// The room of a flow from `writer` to `reader`.
fn capacity(writer: &SocketCommon, reader: &SocketCommon) -> usize {
    let send = match writer.has_fixed_send_buffer() {
        true => writer.buffers().send,
        false => GROWN_SEND_BUFFER,
    };
    send + reader.buffers().receive
}

impl Connection {
    /// Both ends of a new connection.
    fn between(
        client: (&Arc<SocketCommon>, Endpoint),
        server: (&Arc<SocketCommon>, Endpoint),
    ) -> (Arc<Connection>, Arc<Connection>) {
        let queue = |common: &SocketCommon| common.shared_queue();
        let forth = Flow::new(queue(server.0), queue(client.0));
        let back = Flow::new(queue(client.0), queue(server.0));
        let ours = Connection {
            incoming: back.clone(),
            outgoing: forth.clone(),
            remote: server.1,
            peer: server.0.clone(),
        };
        let theirs = Connection {
            incoming: forth,
            outgoing: back,
            remote: client.1,
            peer: client.0.clone(),
        };
        (Arc::new(ours), Arc::new(theirs))
    }

    /// Ends this side: with FIN, or with a reset if something is unread or `hard` asks for it.
    /// `port` is its own.
    fn close(&self, hard: bool, port: Option<Lease<TcpSocket>>) {
        // Whoever waits to write finds the error before the end.
        let is_reset = hard || self.incoming.condition().unread > 0;
        if is_reset {
            self.reset_peer();
        }
        if self.incoming.abandon() && !is_reset {
            self.reset_peer();
        } else if !is_reset
            && self.finish()
            && let Some(port) = port
        {
            self.incoming.keep_port(port);
        }
    }

    /// Bytes that do not fit into the other side's buffer.
    fn unsent(&self) -> usize {
        let unread = self.outgoing.condition().unread;
        unread.saturating_sub(self.peer.buffers().receive)
    }

    /// Sends FIN; answers whether this side was the first to do so.
    fn finish(&self) -> bool {
        let is_first = !self.incoming.condition().is_finished;
        self.outgoing.finish(is_first)
    }

    /// The other side sees a reset.
    fn reset_peer(&self) {
        self.peer.set_error(Errno::ECONNRESET);
        self.incoming.reset();
        self.outgoing.reset();
    }
}
