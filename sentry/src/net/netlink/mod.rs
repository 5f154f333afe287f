//! Netlink sockets, netlink(7): questions about interfaces, addresses and routes (`NETLINK_ROUTE`).
//!
//! The kernel's side answers within the `send`: what it has to say is in the socket's inbox when
//! the call returns. `NETLINK_KOBJECT_UEVENT` sockets exist and never hear of a device.

mod answer;
mod route;
mod socket;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::net::{
    AF_NETLINK, NETLINK_KOBJECT_UEVENT, NETLINK_ROUTE, SOCK_DGRAM, SOCK_RAW, SockaddrNl,
};
use zerocopy::{FromBytes, IntoBytes};

use super::{Socket, SocketCommon};
use crate::sync::{Mutex, Rank};
use crate::task::Task;

/// Port ids in use, with the family they are used in.
pub struct PortIds {
    taken: Mutex<BTreeSet<(i32, u32)>>,
}

impl Default for PortIds {
    fn default() -> PortIds {
        PortIds { taken: Mutex::new(Rank::Leaf, BTreeSet::new()) }
    }
}

impl PortIds {
    /// Errors: EADDRINUSE.
    fn take(&self, family: i32, id: u32) -> Result<(), Errno> {
        let is_new = self.taken.lock().insert((family, id));
        if is_new { Ok(()) } else { Err(Errno::EADDRINUSE) }
    }

    /// `wanted` if it is free, else another one that no process has.
    fn choose(&self, family: i32, wanted: u32) -> u32 {
        let mut taken = self.taken.lock();
        let mut id = wanted;
        let mut next = 0xffff_f000_u32;
        while !taken.insert((family, id)) {
            id = next;
            next -= 1;
        }
        id
    }

    fn give_back(&self, family: i32, id: u32) {
        self.taken.lock().remove(&(family, id));
    }
}

/// A netlink socket.
pub struct NetlinkSocket {
    common: SocketCommon,
    ids: Arc<PortIds>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// 0 while it is not bound.
    port_id: u32,
    groups: u32,
    /// Where `connect` points to.
    peer: Option<SockaddrNl>,
    inbox: VecDeque<Vec<u8>>,
    queued: usize,
    options: u32,
}

/// Makes a socket.
///
/// Errors: ESOCKTNOSUPPORT, EPROTONOSUPPORT.
pub fn socket(kind: i32, protocol: i32, task: &Arc<Task>) -> Result<Arc<dyn Socket>, Errno> {
    if kind != SOCK_RAW && kind != SOCK_DGRAM {
        return Err(Errno::ESOCKTNOSUPPORT);
    }
    if protocol != NETLINK_ROUTE && protocol != NETLINK_KOBJECT_UEVENT {
        return Err(Errno::EPROTONOSUPPORT);
    }
    Ok(NetlinkSocket::new(kind, protocol, task.kernel.network.netlink.clone()))
}

impl NetlinkSocket {
    fn new(kind: i32, protocol: i32, ids: Arc<PortIds>) -> Arc<NetlinkSocket> {
        Arc::new(NetlinkSocket {
            common: SocketCommon::new(AF_NETLINK, kind, protocol),
            ids,
            state: Mutex::new(Rank::Socket, State::default()),
        })
    }
}

/// Reads a `struct sockaddr_nl`. Errors: EINVAL.
fn parse(address: &[u8]) -> Result<SockaddrNl, Errno> {
    let (address, _) = SockaddrNl::read_from_prefix(address).map_err(|_| Errno::EINVAL)?;
    if i32::from(address.family) != AF_NETLINK {
        return Err(Errno::EINVAL);
    }
    Ok(address)
}

fn address(pid: u32, groups: u32) -> Vec<u8> {
    let address = SockaddrNl { family: AF_NETLINK as u16, _pad: 0, pid, groups };
    address.as_bytes().to_vec()
}
