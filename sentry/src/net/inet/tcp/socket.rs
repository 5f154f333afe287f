//! TCP sockets as the socket calls see them.

use std::any::Any;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::net::*;
use linux_abi::poll::PollEvents;

use super::flow::Sent;
use super::{Connection, Phase, TcpSocket, capacity};
use crate::fs::ioctl;
use crate::memory::{IoDest, IoSource, MakeConduit};
use crate::net::inet::address::{Endpoint, family, parse};
use crate::net::option::OptionValue;
use crate::net::way::{self, Way};
use crate::net::{
    MsgFlags, READABLE, Received, SendMessage, Shutdown, Socket, SocketCommon, Summary,
    interface_ioctl,
};
use crate::task::Task;
use crate::vfs::{Conduits, IoContext};

/// Writable, as TCP shows it.
const WRITABLE: PollEvents = PollEvents::OUT.union(PollEvents::WRNORM);

/// The only congestion control there is a name for.
const CONGESTION: &[u8] = b"cubic";

impl TcpSocket {
    pub(super) fn close_hard(&self) {
        self.close_as(true);
    }

    fn close_as(&self, hard: bool) {
        let (phase, lease) = {
            let mut state = self.state.lock();
            (std::mem::replace(&mut state.phase, Phase::Closed), state.lease.take())
        };
        match phase {
            Phase::Connected(connection) => connection.close(hard, lease),
            Phase::Listening(listener) => listener.refuse_all(),
            Phase::Fresh | Phase::Waiting | Phase::Failed | Phase::Closed => {}
        }
    }

    /// `connect` to no family: back to the start. Linux: `tcp_disconnect`.
    fn disconnect(&self) -> Result<(), Errno> {
        self.stop_listening();
        let phase = {
            let mut state = self.state.lock();
            state.is_read_shut = false;
            std::mem::replace(&mut state.phase, Phase::Fresh)
        };
        if let Phase::Connected(connection) = phase {
            connection.close(true, None);
        }
        self.common.take_error();
        Ok(())
    }

    /// The answer to bytes that met nobody: a reset.
    fn break_connection(&self, connection: &Connection) {
        let was_finished = connection.incoming.condition().is_finished;
        connection.incoming.reset();
        connection.outgoing.reset();
        self.common.set_error(if was_finished { Errno::EPIPE } else { Errno::ECONNRESET });
    }

    fn connected_readiness(
        &self,
        connection: &Connection,
        is_read_shut: bool,
        hears: bool,
    ) -> PollEvents {
        let (incoming, outgoing) =
            (connection.incoming.condition(), connection.outgoing.condition());
        let is_reset = incoming.is_reset || outgoing.is_reset;
        let no_more_in = incoming.is_finished || is_read_shut || is_reset;
        let no_more_out = outgoing.is_finished || is_reset;
        let mut ready = PollEvents::empty();
        if no_more_in {
            ready |= READABLE | PollEvents::RDHUP;
        }
        if no_more_in && no_more_out {
            ready |= PollEvents::HUP;
        }
        let has_data = connection.incoming.has_data(hears);
        // What has come since `incoming` was looked at nobody will be told of.
        let low_water = self.common.receive_low_water();
        if has_data && (low_water <= 1 || incoming.unread >= low_water) {
            ready |= READABLE;
        }
        if incoming.has_urgent {
            ready |= PollEvents::PRI;
        }
        let limit = self.send_limit(&connection.peer);
        if no_more_out || connection.outgoing.is_writable(limit, hears) {
            ready |= WRITABLE;
        }
        ready
    }
}

impl Socket for TcpSocket {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn common(&self) -> &SocketCommon {
        &self.common
    }

    fn bind(self: Arc<Self>, address: &[u8], task: &Arc<Task>) -> Result<(), Errno> {
        self.bind_to(parse(self.domain(), address)?, &task.credentials())
    }

    fn listen(self: Arc<Self>, backlog: i32, task: &Arc<Task>) -> Result<(), Errno> {
        self.listen_as(backlog, task.credentials().euid)
    }

    fn connect(self: Arc<Self>, address: &[u8], task: &Arc<Task>) -> Result<(), Errno> {
        if family(address)? == AF_UNSPEC {
            return self.disconnect();
        }
        self.connect_to(parse(self.domain(), address)?, task.credentials().euid)
    }

    fn connect_in_progress(&self) -> Errno {
        let mut state = self.state.lock();
        match std::mem::replace(&mut state.told_progress, true) {
            true => Errno::EALREADY,
            false => Errno::EINPROGRESS,
        }
    }

    fn accept(&self) -> Result<Arc<dyn Socket>, Errno> {
        self.accept_pending().map(|socket| -> Arc<dyn Socket> { socket })
    }

    fn local_address(&self) -> Result<Vec<u8>, Errno> {
        Ok(self.state.lock().local.to_bytes(self.domain()))
    }

    fn peer_address(&self) -> Result<Vec<u8>, Errno> {
        Ok(self.connection(Errno::ENOTCONN)?.remote.to_bytes(self.domain()))
    }

    fn send(
        self: Arc<Self>,
        source: &mut IoSource<'_>,
        message: &mut SendMessage<'_>,
        _: &Arc<Task>,
    ) -> Result<usize, Errno> {
        self.send_bytes(source, message.flags)
    }

    fn receive(&self, dest: &mut IoDest<'_>, flags: MsgFlags) -> Result<Received, Errno> {
        self.receive_bytes(dest, flags)
    }

    fn is_stream(&self) -> bool {
        true
    }

    fn shutdown(&self, how: Shutdown) -> Result<(), Errno> {
        if self.is_listening() {
            if how.read {
                self.stop_listening();
            }
            return Ok(());
        }
        let connection = self.connection(Errno::ENOTCONN)?;
        self.take_back();
        if how.read {
            self.state.lock().is_read_shut = true;
            self.common.queue().notify(READABLE | PollEvents::RDHUP);
        }
        if how.write {
            connection.finish();
        }
        Ok(())
    }

    fn option(&self, level: i32, name: i32) -> Result<OptionValue, Errno> {
        match (level, name) {
            (SOL_SOCKET, SO_ACCEPTCONN) => Ok(OptionValue::bool(self.is_listening())),
            (SOL_TCP, TCP_INFO) => Ok(OptionValue::of(&self.info())),
            (SOL_TCP, TCP_CONGESTION) => {
                let mut name = CONGESTION.to_vec();
                name.resize(TCP_CA_NAME_MAX, 0);
                Ok(OptionValue::Bytes(name))
            }
            (SOL_IP, IP_MTU) | (SOL_IPV6, IPV6_MTU) => {
                self.connection(Errno::ENOTCONN)?;
                Ok(OptionValue::Int(65536))
            }
            _ => self.options.get(level, name),
        }
    }

    fn set_option(
        &self,
        level: i32,
        name: i32,
        value: &[u8],
        task: &Arc<Task>,
    ) -> Result<(), Errno> {
        match (level, name) {
            (SOL_SOCKET, SO_BINDTODEVICE) => crate::net::check_device(value),
            (SOL_TCP, TCP_CONGESTION) => {
                let name = value.split(|&byte| byte == 0).next().unwrap_or_default();
                if name == CONGESTION { Ok(()) } else { Err(Errno::ENOENT) }
            }
            (SOL_TCP, TCP_REPAIR) => Err(Errno::EPERM),
            (SOL_IPV6, IPV6_V6ONLY) if self.state.lock().lease.is_some() => Err(Errno::EINVAL),
            _ => self.options.set(level, name, value, &task.credentials()),
        }
    }

    fn ioctl(&self, command: u32, argument: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        let connection = self.connection(Errno::ENOTCONN).ok();
        if self.is_listening() && matches!(command, SIOCINQ | SIOCOUTQ) {
            return Err(Errno::EINVAL);
        }
        let value = match command {
            SIOCINQ => connection.map_or(0, |connection| connection.incoming.condition().unread),
            SIOCOUTQ => connection.map_or(0, |connection| connection.unsent()),
            SIOCATMARK => {
                connection.map_or(0, |connection| usize::from(connection.incoming.is_at_mark()))
            }
            _ => return interface_ioctl(command, argument, io),
        };
        ioctl::put(io, argument, &(value as i32))
    }

    fn summary(&self) -> Summary {
        let state = self.info().state;
        let (mut unsent, mut unread) = (0, 0);
        match &self.state.lock().phase {
            Phase::Connected(connection) => {
                unread = connection.incoming.condition().unread;
                unsent = connection.unsent();
            }
            Phase::Listening(listener) => unread = listener.pending.len(),
            Phase::Fresh | Phase::Waiting | Phase::Failed | Phase::Closed => {}
        }
        Summary { state, unsent, unread }
    }

    fn readiness(&self) -> PollEvents {
        self.ready(true)
    }

    fn look(&self) -> PollEvents {
        self.ready(false)
    }

    fn share(&self, make: MakeConduit<'_>) -> Option<()> {
        let connection = self.connection(Errno::ENOTCONN).ok()?;
        let is_plain = self.common.is_plain() && connection.peer.is_plain();
        if !is_plain || self.state.lock().is_read_shut {
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
        self.close_as(self.common.linger() == Some(0));
    }
}

impl TcpSocket {
    /// What holds now; with `hears`, whoever waits for more hears of it.
    fn ready(&self, hears: bool) -> PollEvents {
        let state = self.state.lock();
        let is_read_shut = state.is_read_shut;
        let ready = match &state.phase {
            // Linux: a socket that was never connected is writable and hung up.
            Phase::Fresh => WRITABLE | PollEvents::HUP,
            Phase::Waiting => PollEvents::empty(),
            Phase::Listening(listener) if listener.pending.is_empty() => PollEvents::empty(),
            Phase::Listening(_) => READABLE,
            Phase::Connected(connection) => {
                let connection = connection.clone();
                drop(state);
                self.connected_readiness(&connection, is_read_shut, hears)
            }
            Phase::Failed | Phase::Closed => {
                READABLE | WRITABLE | PollEvents::HUP | PollEvents::RDHUP
            }
        };
        if self.common.has_error() { ready | PollEvents::ERR } else { ready }
    }

    /// Errors: EPIPE, EAGAIN, ECONNRESET, EFAULT.
    pub(super) fn send_bytes(
        &self,
        source: &mut IoSource<'_>,
        flags: MsgFlags,
    ) -> Result<usize, Errno> {
        let connection = {
            let state = self.state.lock();
            match &state.phase {
                Phase::Connected(connection) => connection.clone(),
                Phase::Waiting => return Err(Errno::EAGAIN),
                _ => {
                    drop(state);
                    self.common.check_error()?;
                    return Err(Errno::EPIPE);
                }
            }
        };
        self.common.check_error()?;
        let limit = self.send_limit(&connection.peer);
        match connection.outgoing.send(source, limit, flags.contains(MsgFlags::OOB))? {
            Sent::Queued(count) => Ok(count),
            Sent::Lost(count) => {
                self.break_connection(&connection);
                // As far as the sender knows, the bytes went out.
                source.drain(count, |_, piece| Ok(piece.len()))
            }
        }
    }

    /// Errors: ENOTCONN, EAGAIN, ECONNRESET, EFAULT, EINVAL (no urgent data).
    pub(super) fn receive_bytes(
        &self,
        dest: &mut IoDest<'_>,
        flags: MsgFlags,
    ) -> Result<Received, Errno> {
        if flags.contains(MsgFlags::ERRQUEUE) {
            return Err(Errno::EAGAIN);
        }
        let (connection, is_read_shut) = {
            let state = self.state.lock();
            match &state.phase {
                Phase::Connected(connection) => (connection.clone(), state.is_read_shut),
                Phase::Waiting => return Err(Errno::EAGAIN),
                _ => {
                    drop(state);
                    self.common.check_error()?;
                    return Err(Errno::ENOTCONN);
                }
            }
        };
        let inline = self.common.oob_inline();
        if flags.contains(MsgFlags::OOB) {
            if inline {
                return Err(Errno::EINVAL);
            }
            let count = connection.incoming.receive_urgent(dest, flags)?;
            let flags = MsgFlags::OOB;
            return Ok(Received { count, full_len: count, flags, ..Received::default() });
        }
        let peer_limit = capacity(&connection.peer, &self.common);
        let result = connection.incoming.receive(dest, flags, peer_limit, inline);
        let was_finished = connection.incoming.condition().is_finished;
        match result {
            Ok(0) if !was_finished => {
                // Reset: the error first, then the end.
                self.common.check_error()?;
                Ok(Received::default())
            }
            Err(Errno::EAGAIN) => {
                self.common.check_error()?;
                if is_read_shut { Ok(Received::default()) } else { Err(Errno::EAGAIN) }
            }
            result => result.map(Received::bytes),
        }
    }

    /// The address it is bound to.
    pub fn local(&self) -> Endpoint {
        self.state.lock().local
    }
}
