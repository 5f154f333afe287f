//! Socket addresses, messages and options.

use std::net::{Ipv4Addr, Ipv6Addr};

use linux_abi::net::{
    AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX, MMsgHdr, MsgFlags, MsgHdr,
    SOCKADDR_STORAGE_SIZE, SockaddrIn, SockaddrIn6, SockaddrLl, SockaddrNl,
};
use zerocopy::FromBytes;

use super::choices::named;
use super::flags::join;
use super::memory::{ReadMemory, read, read_array, read_bytes};
use super::text::{MAX_ELEMENTS, array, iovec, quote, quote_memory};
use super::{Arg, ArgKind, names};

/// Shows what socket calls have in memory; `None` for other kinds.
pub(super) fn socket_argument(kind: ArgKind, arg: &Arg<'_>) -> Option<String> {
    let (memory, addr) = (arg.memory, arg.value());
    match kind {
        ArgKind::Sockaddr => address_in_memory(memory, addr, arg.next()),
        ArgKind::OutSockaddr => {
            let len: u32 = read(memory, arg.next())?;
            address_in_memory(memory, addr, len.into())
        }
        ArgKind::SockoptValue => option_value(memory, addr, arg.next()),
        ArgKind::OutSockoptValue => {
            let len: u32 = read(memory, arg.next())?;
            option_value(memory, addr, len.into())
        }
        ArgKind::MsgHdr => message(memory, addr, u64::MAX),
        ArgKind::OutMsgHdr => message(memory, addr, arg.returned()),
        ArgKind::MMsgHdr => messages(memory, addr, arg.next()),
        _ => None,
    }
}

fn address_in_memory(memory: ReadMemory<'_>, addr: u64, len: u64) -> Option<String> {
    if addr == 0 {
        return Some("NULL".to_owned());
    }
    let len = (len as u32 as usize).min(SOCKADDR_STORAGE_SIZE);
    let bytes = read_bytes(memory, addr, len)?;
    Some(address(&bytes))
}

/// A socket address as far as its family is known, else its bytes.
pub(super) fn address(bytes: &[u8]) -> String {
    let Some((&[low, high], data)) = bytes.split_first_chunk::<2>() else {
        return quote(bytes, false);
    };
    let family = i32::from(u16::from_le_bytes([low, high]));
    let shown = match family {
        AF_UNIX => Some(format!("sun_path={}", unix_path(data))),
        AF_INET => internet(bytes),
        AF_INET6 => internet6(bytes),
        AF_NETLINK => SockaddrNl::read_from_prefix(bytes)
            .ok()
            .map(|(nl, _)| format!("nl_pid={}, nl_groups={:08x}", { nl.pid }, { nl.groups })),
        AF_PACKET => SockaddrLl::read_from_prefix(bytes).ok().map(|(ll, _)| {
            let protocol = u16::from_be_bytes(ll.protocol);
            format!("sll_protocol=htons({protocol:#x}), sll_ifindex={}", ll.ifindex)
        }),
        _ => None,
    };
    let shown = shown.unwrap_or_else(|| format!("sa_data={}", quote(data, false)));
    format!("{{sa_family={}, {shown}}}", named(names::ADDRESS_FAMILY, family.into()))
}

/// A path; one of the abstract name space begins with a zero byte, shown as `@`.
fn unix_path(data: &[u8]) -> String {
    match data {
        [] => "\"\"".to_owned(),
        [0, name @ ..] => format!("@{}", quote(name, false)),
        path => {
            let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
            quote(&path[..end], false)
        }
    }
}

fn internet(bytes: &[u8]) -> Option<String> {
    let (ip, _) = SockaddrIn::read_from_prefix(bytes).ok()?;
    let port = u16::from_be_bytes(ip.port);
    Some(format!("sin_port=htons({port}), sin_addr=inet_addr(\"{}\")", Ipv4Addr::from(ip.addr)))
}

fn internet6(bytes: &[u8]) -> Option<String> {
    let (ip, _) = SockaddrIn6::read_from_prefix(bytes).ok()?;
    let port = u16::from_be_bytes(ip.port);
    let flow = u32::from_be_bytes(ip.flowinfo);
    let addr = Ipv6Addr::from(ip.addr);
    Some(format!(
        "sin6_port=htons({port}), sin6_flowinfo=htonl({flow}), \
         inet_pton(AF_INET6, \"{addr}\", &sin6_addr), sin6_scope_id={}",
        ip.scope_id
    ))
}

/// Most options are an `int`; others are shown as bytes.
fn option_value(memory: ReadMemory<'_>, addr: u64, len: u64) -> Option<String> {
    match len as u32 {
        4 => read::<i32>(memory, addr).map(|value| format!("[{value}]")),
        len => quote_memory(memory, addr, len.into()),
    }
}

fn message(memory: ReadMemory<'_>, addr: u64, filled: u64) -> Option<String> {
    let header: MsgHdr = read(memory, addr)?;
    Some(format!("{{{}}}", message_fields(memory, &header, filled)))
}

fn message_fields(memory: ReadMemory<'_>, header: &MsgHdr, filled: u64) -> String {
    let pointer = |addr: u64| if addr == 0 { "NULL".to_owned() } else { format!("{addr:#x}") };
    let name = address_in_memory(memory, header.name, header.namelen.into())
        .unwrap_or_else(|| pointer(header.name));
    let iov =
        iovec(memory, header.iov, header.iovlen, filled).unwrap_or_else(|| pointer(header.iov));
    format!(
        "msg_name={name}, msg_namelen={}, msg_iov={iov}, msg_iovlen={}, msg_controllen={}, \
         msg_flags={}",
        header.namelen,
        header.iovlen,
        header.controllen,
        join::<MsgFlags>("MSG_", header.flags.into()),
    )
}

fn messages(memory: ReadMemory<'_>, addr: u64, count: u64) -> Option<String> {
    let count = count as u32 as usize;
    let headers: Vec<MMsgHdr> = read_array(memory, addr, count.min(MAX_ELEMENTS))?;
    let is_cut = headers.len() < count;
    let shown = headers.iter().map(|message| {
        let header = message_fields(memory, &message.hdr, u64::MAX);
        format!("{{msg_hdr={{{header}}}, msg_len={}}}", message.len)
    });
    Some(array(shown.collect(), is_cut))
}
