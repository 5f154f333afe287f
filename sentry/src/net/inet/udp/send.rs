//! Binding, connecting, and a datagram's way to its receiver.

use std::net::{IpAddr, Ipv4Addr};

use linux_abi::Errno;
use linux_abi::net::{
    AF_INET, IP_FREEBIND, IP_RECVERR, IP_TOS, IP_TTL, IPV6_FREEBIND, IPV6_RECVERR, IPV6_TCLASS,
    IPV6_UNICAST_HOPS, SOL_IP, SOL_IPV6,
};
use linux_abi::task::CAP_NET_BIND_SERVICE;

use super::{Datagram, OVERHEAD, UdpSocket};
use crate::memory::IoSource;
use crate::net::READABLE;
use crate::net::inet::address::{Endpoint, is_local, route, unspecified};
use crate::net::inet::tcp::FIRST_FREE_PORT;
use crate::task::Credentials;

/// Largest payloads: 65535 less the headers (IPv6 counts its own header apart).
const MAX_PAYLOAD_V4: usize = 65507;
const MAX_PAYLOAD_V6: usize = 65527;

/// What a message says about its own packet.
#[derive(Clone, Copy, Default)]
pub(super) struct PacketOptions {
    pub source: Option<IpAddr>,
    pub hops: Option<u8>,
    pub class: Option<u8>,
}

impl UdpSocket {
    /// Errors: EINVAL (bound already), EADDRNOTAVAIL, EACCES, EADDRINUSE.
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
        let is_group = address.ip.is_multicast() || is_broadcast(address.ip);
        if !is_local(address.ip) && !is_group && !binds_free {
            return Err(Errno::EADDRNOTAVAIL);
        }
        let is_reserved = (1..FIRST_FREE_PORT).contains(&address.port);
        if is_reserved && !credentials.has(CAP_NET_BIND_SERVICE) {
            return Err(Errno::EACCES);
        }
        let mut state = self.state.lock();
        if state.lease.is_some() {
            return Err(Errno::EINVAL);
        }
        let claim = self.claim(address.ip, credentials.euid);
        let lease = self.ports.bind(address.port, claim, self.this.clone())?;
        state.local = Endpoint::new(address.ip, lease.port());
        state.is_ip_bound = !address.ip.is_unspecified();
        state.is_port_bound = address.port != 0;
        state.lease = Some(lease);
        Ok(())
    }

    /// Binds to a port of our choice unless it is bound. Errors: EADDRINUSE (Linux: EAGAIN).
    fn autobind(&self, uid: u32) -> Result<(), Errno> {
        let mut state = self.state.lock();
        if state.lease.is_none() {
            let claim = self.claim(state.local.ip, uid);
            let lease = self.ports.bind(0, claim, self.this.clone());
            let lease = lease.map_err(|_| Errno::EAGAIN)?;
            state.local.port = lease.port();
            state.lease = Some(lease);
        }
        Ok(())
    }

    /// Makes `remote` the only peer. Errors: ENETUNREACH, EACCES (broadcast), EAGAIN.
    pub(super) fn connect_to(&self, remote: Endpoint, uid: u32) -> Result<(), Errno> {
        let (ip, source) = self.check_target(remote.ip)?;
        self.autobind(uid)?;
        let mut state = self.state.lock();
        state.remote = Some(Endpoint::new(ip, remote.port));
        if !state.is_ip_bound {
            state.local.ip = source;
            if let Some(lease) = &state.lease {
                lease.set_ip(source);
            }
        }
        Ok(())
    }

    /// No peer any more; what `bind` did not choose is given up.
    pub(super) fn disconnect(&self) {
        let lease = {
            let mut state = self.state.lock();
            state.remote = None;
            if !state.is_ip_bound {
                state.local.ip = unspecified(self.domain());
            }
            if state.is_port_bound {
                if let (Some(lease), false) = (&state.lease, state.is_ip_bound) {
                    lease.set_ip(state.local.ip);
                }
                None
            } else {
                state.local.port = 0;
                state.lease.take()
            }
        };
        drop(lease);
        self.common.take_error();
    }

    /// Where packets to `ip` go and come from. Errors: EACCES, ENETUNREACH.
    fn check_target(&self, ip: IpAddr) -> Result<(IpAddr, IpAddr), Errno> {
        if self.domain() != AF_INET && ip.is_ipv4() && self.is_v6_only() {
            return Err(Errno::ENETUNREACH);
        }
        if is_broadcast(ip) && !self.common.may_broadcast() {
            return Err(Errno::EACCES);
        }
        route(ip)
    }

    /// Sends a datagram to `to`, or to the peer.
    ///
    /// Errors: EPIPE, EDESTADDRREQ, EINVAL (port 0), EMSGSIZE, ENETUNREACH, EACCES, EFAULT, and
    /// what an earlier datagram met (ECONNREFUSED).
    pub(super) fn send_to(
        &self,
        to: Option<Endpoint>,
        source: &mut IoSource<'_>,
        options: PacketOptions,
        uid: u32,
    ) -> Result<usize, Errno> {
        let len = source.remaining();
        let (remote, is_connected) = {
            let state = self.state.lock();
            if state.shut.write {
                return Err(Errno::EPIPE);
            }
            (to.or(state.remote).ok_or(Errno::EDESTADDRREQ)?, state.remote.is_some())
        };
        if remote.port == 0 {
            return Err(Errno::EINVAL);
        }
        let is_v4 = remote.ip.is_ipv4();
        if len > if is_v4 { MAX_PAYLOAD_V4 } else { MAX_PAYLOAD_V6 } {
            return Err(Errno::EMSGSIZE);
        }
        self.common.check_error()?;
        let (ip, from) = self.check_target(remote.ip)?;
        self.autobind(uid)?;
        let start = source.mark();
        let mut data = vec![0; len];
        if source.take(&mut data)? < len {
            source.rewind(start);
            return Err(Errno::EFAULT);
        }
        let local = self.state.lock().local;
        let from = match options.source {
            Some(ip) => ip,
            None if local.ip.is_unspecified() => from,
            None => local.ip,
        };
        let datagram = Datagram {
            data,
            source: Endpoint::new(from, local.port),
            target: Endpoint::new(ip, remote.port),
            hops: options.hops.unwrap_or_else(|| self.number(is_v4, IP_TTL, IPV6_UNICAST_HOPS)),
            class: options.class.unwrap_or_else(|| self.number(is_v4, IP_TOS, IPV6_TCLASS)),
            arrived: crate::vfs::now(),
        };
        if !self.deliver(datagram) {
            let wants_errors = self.options.is_on(SOL_IP, IP_RECVERR)
                || self.options.is_on(SOL_IPV6, IPV6_RECVERR);
            // The answer is "port unreachable"; a socket without a peer does not hear it.
            if is_connected || wants_errors {
                self.common.set_error(Errno::ECONNREFUSED);
            }
        }
        Ok(len)
    }

    fn number(&self, is_v4: bool, v4: i32, v6: i32) -> u8 {
        let (level, name) = if is_v4 { (SOL_IP, v4) } else { (SOL_IPV6, v6) };
        self.options.number(level, name).unwrap_or(0) as u8
    }

    /// Hands a datagram over; false if nobody is bound there. A full inbox loses it.
    fn deliver(&self, datagram: Datagram) -> bool {
        let source = datagram.source;
        let judge = |socket: &std::sync::Arc<UdpSocket>| match socket.state.lock().remote {
            Some(remote) => (remote == source).then_some(2),
            None => Some(1),
        };
        let Some(receiver) = self.ports.find(datagram.target, judge) else { return false };
        {
            let mut state = receiver.state.lock();
            let cost = datagram.data.len() + OVERHEAD;
            if state.queued + cost > receiver.common.buffers().receive || state.shut.read {
                return true;
            }
            state.queued += cost;
            state.inbox.push_back(datagram);
        }
        receiver.common.queue().notify(READABLE);
        true
    }
}

/// The limited broadcast address, and that of the loopback network.
fn is_broadcast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_broadcast() || ip == Ipv4Addr::new(127, 255, 255, 255),
        IpAddr::V6(_) => false,
    }
}
