//! The internet families over the loopback interface: TCP and UDP, ip(7), ipv6(7).
//!
//! Sockets of the sandbox are joined to each other directly, without packets. What programs can
//! see is as with packets: ports, backlogs, half-closed connections, resets, refusals.
//!
//! * [`address`]: addresses of both families in one form, and which of them can be reached.
//! * [`ports`]: who is bound to which port; [`time_wait`]: which are kept for a while.
//! * [`tcp`], [`udp`]: the protocols. [`options`] are those they share.

pub mod address;
mod options;
pub mod ports;
pub mod tcp;
mod time_wait;
pub mod udp;

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::net::{
    AF_INET6, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP, SOCK_DGRAM,
    SOCK_RAW, SOCK_STREAM,
};
use linux_abi::task::CAP_NET_RAW;

use super::Socket;
use crate::task::Task;

/// Makes a socket of `AF_INET` or `AF_INET6`.
///
/// Errors: ESOCKTNOSUPPORT, EPROTONOSUPPORT, EPERM (raw sockets), EACCES (ping sockets).
pub fn socket(
    domain: i32,
    kind: i32,
    protocol: i32,
    task: &Arc<Task>,
) -> Result<Arc<dyn Socket>, Errno> {
    let network = &task.kernel.network;
    if !(0..=255).contains(&protocol) {
        return Err(Errno::EINVAL);
    }
    match (kind, protocol) {
        (SOCK_STREAM, IPPROTO_IP | IPPROTO_TCP) => {
            Ok(tcp::TcpSocket::new(domain, network.tcp.clone()))
        }
        (SOCK_DGRAM, IPPROTO_IP | IPPROTO_UDP) => {
            Ok(udp::UdpSocket::new(domain, network.udp.clone()))
        }
        // Linux: nobody is in `net.ipv4.ping_group_range` unless that is changed.
        (SOCK_DGRAM, IPPROTO_ICMP) if domain != AF_INET6 => Err(Errno::EACCES),
        (SOCK_DGRAM, IPPROTO_ICMPV6) if domain == AF_INET6 => Err(Errno::EACCES),
        (SOCK_RAW, _) if !task.credentials().has(CAP_NET_RAW) => Err(Errno::EPERM),
        // Divergence: there are no packets to be seen, so no raw sockets.
        (SOCK_RAW, _) => Err(Errno::EPROTONOSUPPORT),
        (SOCK_STREAM | SOCK_DGRAM, _) => Err(Errno::EPROTONOSUPPORT),
        _ => Err(Errno::ESOCKTNOSUPPORT),
    }
}
