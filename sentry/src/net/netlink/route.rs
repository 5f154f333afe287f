//! `NETLINK_ROUTE`: what there is to know of a network that is a loopback interface, rtnetlink(7).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use linux_abi::Errno;
use linux_abi::net::*;
use zerocopy::FromBytes;

use super::answer::Answer;
use crate::net::inet::address::route;
use crate::net::interface::{LOOPBACK, LOOPBACK_INDEX, LOOPBACK_MTU, LOOPBACK_QUEUE};

/// A request and what is needed to answer it.
struct Request<'a> {
    header: NlMsgHdr,
    /// The whole message.
    message: &'a [u8],
    port_id: u32,
}

/// Answers the requests in `bytes`: one datagram for each entry of the result.
pub(super) fn serve(bytes: &[u8], port_id: u32, is_admin: bool) -> Vec<Vec<u8>> {
    let mut answers = Vec::new();
    let mut rest = bytes;
    while let Ok((header, _)) = NlMsgHdr::read_from_prefix(rest) {
        let len = header.len as usize;
        let Some(message) = rest.get(..len).filter(|_| len >= size_of::<NlMsgHdr>()) else {
            break;
        };
        serve_one(&Request { header, message, port_id }, is_admin, &mut answers);
        rest = rest.get(len.next_multiple_of(NLMSG_ALIGNTO)..).unwrap_or_default();
    }
    answers
}

fn serve_one(request: &Request<'_>, is_admin: bool, answers: &mut Vec<Vec<u8>>) {
    let flags = NlmFlags::from_bits_retain(request.header.flags);
    if !flags.contains(NlmFlags::REQUEST) || request.header.kind < NLMSG_MIN_TYPE {
        if flags.contains(NlmFlags::ACK) {
            answers.push(request.result(Ok(())));
        }
        return;
    }
    let is_dump = request.header.flags & NLM_F_DUMP == NLM_F_DUMP;
    let result = match request.header.kind {
        RTM_GETLINK if is_dump => Ok(vec![request.link(NlmFlags::MULTI)]),
        RTM_GETLINK => request.find_link(),
        RTM_GETADDR if is_dump => Ok(request.addresses()),
        RTM_GETROUTE if is_dump => Ok(request.routes()),
        RTM_GETROUTE => request.find_route(),
        // There are none of these.
        RTM_GETNEIGH | RTM_GETRULE | RTM_GETQDISC | RTM_GETTCLASS | RTM_GETTFILTER
        | RTM_GETNEIGHTBL | RTM_GETNSID
            if is_dump =>
        {
            Ok(Vec::new())
        }
        // Linux: three of four kinds change something, each fourth one asks.
        kind if kind % 4 != RTM_GETLINK % 4 && !is_admin => Err(Errno::EPERM),
        _ => Err(Errno::EOPNOTSUPP),
    };
    match result {
        Ok(list) => {
            let joined: Vec<u8> = list.into_iter().flat_map(Answer::finish).collect();
            if !joined.is_empty() {
                answers.push(joined);
            }
            if is_dump {
                answers.push(Answer::done(&request.header, request.port_id).finish());
            } else if flags.contains(NlmFlags::ACK) {
                answers.push(request.result(Ok(())));
            }
        }
        Err(errno) => answers.push(request.result(Err(errno))),
    }
}

impl Request<'_> {
    fn result(&self, result: Result<(), Errno>) -> Vec<u8> {
        Answer::result(&self.header, self.port_id, result, self.message).finish()
    }

    /// The fixed structure behind the header; zeros where the request is shorter.
    fn body<T: FromBytes>(&self) -> T {
        let given = self.message.get(size_of::<NlMsgHdr>()..).unwrap_or_default();
        let mut bytes = vec![0; size_of::<T>()];
        let len = given.len().min(bytes.len());
        bytes[..len].copy_from_slice(&given[..len]);
        T::read_from_bytes(&bytes).unwrap_or_else(|_| T::new_zeroed())
    }

    /// The value of attribute `kind` behind a fixed structure of `body` bytes.
    fn attribute(&self, body: usize, kind: u16) -> Option<&[u8]> {
        let mut rest = self.message.get(size_of::<NlMsgHdr>() + body..)?;
        while let Ok((attribute, _)) = NlAttr::read_from_prefix(rest) {
            let len = usize::from(attribute.len);
            let value = rest.get(size_of::<NlAttr>()..len)?;
            if attribute.kind & !(NLA_F_NESTED | NLA_F_NET_BYTEORDER) == kind {
                return Some(value);
            }
            rest = rest.get(len.next_multiple_of(NLMSG_ALIGNTO)..)?;
        }
        None
    }

    /// The loopback interface.
    fn link(&self, flags: NlmFlags) -> Answer {
        let up = InterfaceFlags::UP
            | InterfaceFlags::LOOPBACK
            | InterfaceFlags::RUNNING
            | InterfaceFlags::LOWER_UP;
        let body = IfInfoMsg {
            kind: ARPHRD_LOOPBACK,
            index: LOOPBACK_INDEX,
            flags: up.bits(),
            ..IfInfoMsg::default()
        };
        let statistics = RtnlLinkStats64::default();
        Answer::new(&self.header, self.port_id, RTM_NEWLINK, flags, &body)
            .with_text(IFLA_IFNAME, LOOPBACK)
            .with_u32(IFLA_TXQLEN, LOOPBACK_QUEUE as u32)
            .with_u8(IFLA_OPERSTATE, IF_OPER_UNKNOWN)
            .with_u8(IFLA_LINKMODE, 0)
            .with_u32(IFLA_MTU, LOOPBACK_MTU as u32)
            .with_u32(IFLA_MIN_MTU, 0)
            .with_u32(IFLA_MAX_MTU, 0)
            .with_u32(IFLA_GROUP, 0)
            .with_u32(IFLA_PROMISCUITY, 0)
            .with_u32(IFLA_NUM_TX_QUEUES, 1)
            .with_u32(IFLA_NUM_RX_QUEUES, 1)
            .with_u8(IFLA_CARRIER, 1)
            .with_text(IFLA_QDISC, b"noqueue")
            .with(IFLA_ADDRESS, &[0; 6])
            .with(IFLA_BROADCAST, &[0; 6])
            .with(IFLA_STATS64, zerocopy::IntoBytes::as_bytes(&statistics))
    }

    /// The interface with a certain index or name. Errors: ENODEV.
    fn find_link(&self) -> Result<Vec<Answer>, Errno> {
        let body: IfInfoMsg = self.body();
        let name = self.attribute(size_of::<IfInfoMsg>(), IFLA_IFNAME);
        let name = name.map(|name| name.split(|&byte| byte == 0).next().unwrap_or_default());
        let is_known = match (body.index, name) {
            (0, Some(name)) => name == LOOPBACK,
            (index, _) => index == LOOPBACK_INDEX,
        };
        if is_known { Ok(vec![self.link(NlmFlags::empty())]) } else { Err(Errno::ENODEV) }
    }

    /// `127.0.0.1/8` and `::1/128`, as far as the request's family wants them.
    fn addresses(&self) -> Vec<Answer> {
        let wanted = self.body::<RtGenMsg>().family;
        let mut list = Vec::new();
        let forever =
            IfaCacheInfo { prefered: u32::MAX, valid: u32::MAX, ..IfaCacheInfo::default() };
        let message = |family, prefixlen| IfAddrMsg {
            family,
            prefixlen,
            flags: IFA_F_PERMANENT as u8,
            scope: RT_SCOPE_HOST,
            index: LOOPBACK_INDEX as u32,
        };
        let finish = |answer: Answer| {
            answer
                .with_u32(IFA_FLAGS, IFA_F_PERMANENT)
                .with(IFA_CACHEINFO, zerocopy::IntoBytes::as_bytes(&forever))
        };
        if wants(wanted, AF_INET) {
            let ip = Ipv4Addr::LOCALHOST.octets();
            let body = message(AF_INET as u8, 8);
            let answer =
                Answer::new(&self.header, self.port_id, RTM_NEWADDR, NlmFlags::MULTI, &body)
                    .with(IFA_ADDRESS, &ip)
                    .with(IFA_LOCAL, &ip)
                    .with_text(IFA_LABEL, LOOPBACK);
            list.push(finish(answer));
        }
        if wants(wanted, AF_INET6) {
            let ip = Ipv6Addr::LOCALHOST.octets();
            let body = message(AF_INET6 as u8, 128);
            let answer =
                Answer::new(&self.header, self.port_id, RTM_NEWADDR, NlmFlags::MULTI, &body)
                    .with(IFA_ADDRESS, &ip);
            list.push(finish(answer));
        }
        list
    }

    fn route_to(
        &self,
        ip: IpAddr,
        prefixlen: u8,
        source: Option<IpAddr>,
        flags: NlmFlags,
    ) -> Answer {
        let family = if ip.is_ipv4() { AF_INET } else { AF_INET6 };
        let body = RtMsg {
            family: family as u8,
            dst_len: prefixlen,
            table: RT_TABLE_LOCAL,
            protocol: RTPROT_KERNEL,
            scope: RT_SCOPE_HOST,
            kind: RTN_LOCAL,
            ..RtMsg::default()
        };
        let answer = Answer::new(&self.header, self.port_id, RTM_NEWROUTE, flags, &body)
            .with_u32(RTA_TABLE, u32::from(RT_TABLE_LOCAL))
            .with(RTA_DST, &octets(ip));
        let answer = match source {
            Some(source) => answer.with(RTA_PREFSRC, &octets(source)),
            None => answer,
        };
        answer.with_u32(RTA_OIF, LOOPBACK_INDEX as u32)
    }

    /// The routes of the local table.
    fn routes(&self) -> Vec<Answer> {
        let wanted = self.body::<RtGenMsg>().family;
        let mut list = Vec::new();
        if wants(wanted, AF_INET) {
            let network = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0));
            let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
            list.push(self.route_to(network, 8, Some(host), NlmFlags::MULTI));
            list.push(self.route_to(host, 32, Some(host), NlmFlags::MULTI));
        }
        if wants(wanted, AF_INET6) {
            let host = IpAddr::V6(Ipv6Addr::LOCALHOST);
            list.push(self.route_to(host, 128, None, NlmFlags::MULTI));
        }
        list
    }

    /// The route to an address. Errors: ENETUNREACH, EINVAL.
    fn find_route(&self) -> Result<Vec<Answer>, Errno> {
        let target = self.attribute(size_of::<RtMsg>(), RTA_DST).unwrap_or_default();
        let ip = match *target {
            [a, b, c, d] => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            _ => match <[u8; 16]>::try_from(target) {
                Ok(octets) => IpAddr::V6(octets.into()),
                Err(_) => return Err(Errno::EINVAL),
            },
        };
        let (ip, source) = route(ip)?;
        let prefixlen = if ip.is_ipv4() { 32 } else { 128 };
        Ok(vec![self.route_to(ip, prefixlen, Some(source), NlmFlags::empty())])
    }
}

fn wants(wanted: u8, family: i32) -> bool {
    i32::from(wanted) == AF_UNSPEC || i32::from(wanted) == family
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}
