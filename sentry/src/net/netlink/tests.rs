use linux_abi::net::*;

use super::*;
use crate::memory::IoDest;
use crate::net::MsgFlags;

fn open() -> Arc<NetlinkSocket> {
    NetlinkSocket::new(SOCK_RAW, NETLINK_ROUTE, Arc::default())
}

fn request(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let len = (size_of::<NlMsgHdr>() + body.len()) as u32;
    let header = NlMsgHdr { len, kind, flags: flags | NlmFlags::REQUEST.bits(), seq: 7, pid: 0 };
    [header.as_bytes(), body].concat()
}

/// The messages of the next datagram: header and the rest.
fn next(socket: &NetlinkSocket) -> Vec<(NlMsgHdr, Vec<u8>)> {
    let mut bytes = Vec::new();
    socket.receive(&mut IoDest::collect(&mut bytes, 10_000), MsgFlags::empty()).unwrap();
    let mut rest = bytes.as_slice();
    let mut messages = Vec::new();
    while let Ok((header, _)) = NlMsgHdr::read_from_prefix(rest) {
        let (message, others) = rest.split_at(header.len as usize);
        messages.push((header, message[size_of::<NlMsgHdr>()..].to_vec()));
        rest = others;
    }
    messages
}

#[test]
fn a_dump_lists_loopback_and_ends() {
    let socket = open();
    socket.request(&request(RTM_GETLINK, NLM_F_DUMP, &[0]), 42, false);
    let links = next(&socket);
    assert_eq!(links.len(), 1);
    assert_eq!((links[0].0.kind, links[0].0.seq, links[0].0.pid), (RTM_NEWLINK, 7, 42));
    assert!(links[0].1.windows(3).any(|bytes| bytes == b"lo\0"));
    assert_eq!(next(&socket)[0].0.kind, NLMSG_DONE);
    socket.request(&request(RTM_GETADDR, NLM_F_DUMP, &[AF_INET as u8]), 42, false);
    let addresses = next(&socket);
    assert_eq!(addresses.len(), 1);
    assert!(addresses[0].1.windows(4).any(|bytes| bytes == [127, 0, 0, 1]));
}

#[test]
fn changes_are_refused_and_unknown_links_are_enodev() {
    let socket = open();
    let error = |socket: &NetlinkSocket| {
        let (header, body) = next(socket).remove(0);
        assert_eq!(header.kind, NLMSG_ERROR);
        -NlMsgErr::read_from_prefix(&body).unwrap().0.error
    };
    let link = |index| IfInfoMsg { index, ..IfInfoMsg::default() };
    socket.request(&request(RTM_NEWLINK, 0, link(1).as_bytes()), 1, false);
    assert_eq!(error(&socket), Errno::EPERM.raw());
    socket.request(&request(RTM_NEWLINK, 0, link(1).as_bytes()), 1, true);
    assert_eq!(error(&socket), Errno::EOPNOTSUPP.raw());
    socket.request(&request(RTM_GETLINK, 0, link(9).as_bytes()), 1, false);
    assert_eq!(error(&socket), Errno::ENODEV.raw());
    socket.request(&request(RTM_GETLINK, NlmFlags::ACK.bits(), link(1).as_bytes()), 1, false);
    assert_eq!(next(&socket)[0].0.kind, RTM_NEWLINK);
    assert_eq!(error(&socket), 0);
}

#[test]
fn malformed_requests_are_ignored() {
    let socket = open();
    for bytes in [&b""[..], &[0; 3], &[0; 16], &[255; 64]] {
        socket.request(bytes, 1, true);
        assert!(socket.state.lock().inbox.is_empty());
    }
    let mut cut = request(RTM_GETROUTE, 0, &[0; 12]);
    cut.extend_from_slice(&[200, 0, 1, 0]);
    socket.request(&cut, 1, true);
    assert_eq!(next(&socket)[0].0.kind, NLMSG_ERROR);
}

#[test]
fn port_ids_are_unique() {
    let ids = Arc::new(PortIds::default());
    let open = || NetlinkSocket::new(SOCK_RAW, NETLINK_ROUTE, ids.clone());
    let (one, other) = (open(), open());
    let any = SockaddrNl::default();
    one.bind_to(any, 5).unwrap();
    other.bind_to(any, 5).unwrap();
    assert_eq!(one.state.lock().port_id, 5);
    assert_ne!(other.state.lock().port_id, 5);
    let third = open();
    let taken = SockaddrNl { pid: 5, ..any };
    assert_eq!(third.bind_to(taken, 9), Err(Errno::EADDRINUSE));
    one.close();
    assert_eq!(third.bind_to(taken, 9), Ok(()));
}
