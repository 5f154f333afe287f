//! Control messages of datagrams: where one arrived, its hops and class, when.

use std::net::IpAddr;

use linux_abi::Errno;
use linux_abi::net::*;
use linux_abi::time::Timeval;
use zerocopy::{FromBytes, IntoBytes};

use super::send::PacketOptions;
use super::{Datagram, UdpSocket};
use crate::net::option::int_or_byte;

/// Index of the loopback interface.
const LOOPBACK_INDEX: i32 = 1;

/// A control message: level, kind, data.
type Message = (i32, i32, Vec<u8>);

/// Reads what a sender says about its packet. Errors: EINVAL (unknown or malformed), ENODEV.
pub(super) fn parse(messages: &[Message]) -> Result<PacketOptions, Errno> {
    let mut options = PacketOptions::default();
    for (level, kind, data) in messages {
        match (*level, *kind) {
            (SOL_IP, IP_TTL) => match int_or_byte(data)? {
                hops @ 1..=255 => options.hops = Some(hops as u8),
                _ => return Err(Errno::EINVAL),
            },
            (SOL_IP, IP_TOS) | (SOL_IPV6, IPV6_TCLASS) => match int_or_byte(data)? {
                class @ 0..=255 => options.class = Some(class as u8),
                _ => return Err(Errno::EINVAL),
            },
            (SOL_IPV6, IPV6_HOPLIMIT) => match int_or_byte(data)? {
                hops @ 0..=255 => options.hops = Some(hops as u8),
                -1 => {}
                _ => return Err(Errno::EINVAL),
            },
            (SOL_IP, IP_PKTINFO) => {
                let info = InPktInfo::read_from_bytes(data).map_err(|_| Errno::EINVAL)?;
                check_interface(info.ifindex)?;
                options.source = chosen(IpAddr::V4(info.spec_dst.into()));
            }
            (SOL_IPV6, IPV6_PKTINFO) => {
                let info = In6PktInfo::read_from_bytes(data).map_err(|_| Errno::EINVAL)?;
                check_interface(info.ifindex as i32)?;
                options.source = chosen(IpAddr::V6(info.addr.into()));
            }
            (SOL_IP | SOL_SOCKET, _) => return Err(Errno::EINVAL),
            _ => {}
        }
    }
    Ok(options)
}

fn check_interface(index: i32) -> Result<(), Errno> {
    if index == 0 || index == LOOPBACK_INDEX { Ok(()) } else { Err(Errno::ENODEV) }
}

fn chosen(ip: IpAddr) -> Option<IpAddr> {
    (!ip.is_unspecified()).then_some(ip)
}

impl UdpSocket {
    /// What a receiver asked to be told of a datagram.
    pub(super) fn describe(&self, datagram: &Datagram) -> Vec<Message> {
        let mut messages = Vec::new();
        let (as_timeval, as_timespec) = self.common.timestamps();
        if as_timespec {
            let time = datagram.arrived.as_bytes().to_vec();
            messages.push((SOL_SOCKET, SCM_TIMESTAMPNS, time));
        } else if as_timeval {
            let time = Timeval::from_nanos(datagram.arrived.to_nanos());
            messages.push((SOL_SOCKET, SCM_TIMESTAMP, time.as_bytes().to_vec()));
        }
        let wants = |level, name| self.options.is_on(level, name);
        if let IpAddr::V4(ip) = datagram.target.ip {
            if wants(SOL_IP, IP_PKTINFO) {
                let (spec_dst, addr) = (ip.octets(), ip.octets());
                let info = InPktInfo { ifindex: LOOPBACK_INDEX, spec_dst, addr };
                messages.push((SOL_IP, IP_PKTINFO, info.as_bytes().to_vec()));
            }
            if wants(SOL_IP, IP_RECVTTL) {
                let hops = i32::from(datagram.hops);
                messages.push((SOL_IP, IP_TTL, hops.as_bytes().to_vec()));
            }
            if wants(SOL_IP, IP_RECVTOS) {
                messages.push((SOL_IP, IP_TOS, vec![datagram.class]));
            }
            if wants(SOL_IP, IP_RECVORIGDSTADDR) {
                let target = datagram.target.to_bytes(AF_INET);
                messages.push((SOL_IP, IP_ORIGDSTADDR, target));
            }
        }
        if self.domain() == AF_INET6 {
            self.describe_v6(datagram, &mut messages);
        }
        messages
    }

    fn describe_v6(&self, datagram: &Datagram, messages: &mut Vec<Message>) {
        let wants = |name| self.options.is_on(SOL_IPV6, name);
        if wants(IPV6_RECVPKTINFO) {
            let addr = match datagram.target.ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            let info = In6PktInfo { addr, ifindex: LOOPBACK_INDEX as u32 };
            messages.push((SOL_IPV6, IPV6_PKTINFO, info.as_bytes().to_vec()));
        }
        if wants(IPV6_RECVHOPLIMIT) {
            let hops = i32::from(datagram.hops);
            messages.push((SOL_IPV6, IPV6_HOPLIMIT, hops.as_bytes().to_vec()));
        }
        if wants(IPV6_RECVTCLASS) {
            let class = i32::from(datagram.class);
            messages.push((SOL_IPV6, IPV6_TCLASS, class.as_bytes().to_vec()));
        }
    }
}
