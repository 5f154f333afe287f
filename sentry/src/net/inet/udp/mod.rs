//! UDP over loopback, udp(7): a datagram goes straight into the inbox of its receiver.
//!
//! Locks: one socket's state (rank `Socket`) at a time. A receiver is looked up in the port table
//! while no socket is locked.

mod control;
mod send;
mod socket;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use linux_abi::net::{AF_INET6, IPPROTO_UDP, IPV6_V6ONLY, SOCK_DGRAM, SOL_IP, SOL_IPV6, SOL_UDP};
use linux_abi::time::Timespec;

use super::address::Endpoint;
use super::options::Options;
use super::ports::{Claim, Lease, Ports};
use crate::net::{Shutdown, SocketCommon};
use crate::sync::{Mutex, Rank};

/// A UDP socket.
pub struct UdpSocket {
    this: Weak<UdpSocket>,
    ports: Arc<Ports<UdpSocket>>,
    common: SocketCommon,
    options: Options,
    state: Mutex<State>,
}

struct State {
    /// The address it is bound to; port 0 while it is not.
    local: Endpoint,
    lease: Option<Lease<UdpSocket>>,
    /// Whether `bind` chose the address and the port, which `connect` then leaves alone.
    is_ip_bound: bool,
    is_port_bound: bool,
    remote: Option<Endpoint>,
    inbox: VecDeque<Datagram>,
    /// Bytes in the inbox, with what they cost.
    queued: usize,
    shut: Shutdown,
}

struct Datagram {
    data: Vec<u8>,
    source: Endpoint,
    target: Endpoint,
    hops: u8,
    class: u8,
    arrived: Timespec,
}

/// What a datagram costs beyond its bytes (`skb->truesize`, roughly).
const OVERHEAD: usize = 512;

impl UdpSocket {
    pub fn new(domain: i32, ports: Arc<Ports<UdpSocket>>) -> Arc<UdpSocket> {
        let levels: &[i32] = match domain {
            AF_INET6 => &[SOL_IP, SOL_IPV6, SOL_UDP],
            _ => &[SOL_IP, SOL_UDP],
        };
        let state = State {
            local: Endpoint::any(domain),
            lease: None,
            is_ip_bound: false,
            is_port_bound: false,
            remote: None,
            inbox: VecDeque::new(),
            queued: 0,
            shut: Shutdown { read: false, write: false },
        };
        Arc::new_cyclic(|this| UdpSocket {
            this: this.clone(),
            ports,
            common: SocketCommon::new(domain, SOCK_DGRAM, IPPROTO_UDP),
            options: Options::new(levels),
            state: Mutex::new(Rank::Socket, state),
        })
    }

    fn domain(&self) -> i32 {
        self.common.domain()
    }

    fn is_v6_only(&self) -> bool {
        self.options.is_on(SOL_IPV6, IPV6_V6ONLY)
    }

    fn claim(&self, ip: std::net::IpAddr, uid: u32) -> Claim {
        Claim {
            ip,
            is_dual: ip.is_ipv6() && ip.is_unspecified() && !self.is_v6_only(),
            reuses_address: self.common.reuses_address(),
            reuses_port: self.common.reuses_port(),
            uid,
        }
    }
}
