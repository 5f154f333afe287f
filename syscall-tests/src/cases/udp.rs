//! UDP over the loopback interface, and other families of sockets.

use crate::support::prelude::*;

fn bound() -> (i32, u16) {
    let fd = socket(AF_INET, SOCK_DGRAM);
    if let Err(errno) = sys!(bind, fd, &inet(0), 16) {
        skip!("no loopback interface: {errno:?}");
    }
    (fd, port_of(fd))
}

fn wait_readable(fd: i32) {
    let mut poll = pollfd { fd, events: POLLIN, revents: 0 };
    check_eq!(sys!(poll, &mut poll, 1, 2000), Ok(1));
}

case!(datagrams_carry_their_sender, [sendto, recvfrom], {
    let ((a, port_a), (b, port_b)) = (bound(), bound());
    check_eq!(sys!(sendto, a, b"hello", 5, 0, &inet(port_b), 16), Ok(5));
    let (mut from, mut len, mut buf) = ([0u8; 16], 16u32, [0u8; 16]);
    check_eq!(sys!(recvfrom, b, &mut buf, 16, 0, &mut from, &mut len), Ok(5));
    check_eq!((from, len), (inet(port_a), 16));
    check_eq!(sys!(recvfrom, b, &mut buf, 16, MSG_DONTWAIT, NULL, NULL), Err(EAGAIN));
});

case!(borders_and_truncation, [recvfrom], {
    let ((a, _), (b, port)) = (bound(), bound());
    for text in [&b"first"[..], b"", b"third"] {
        sys!(sendto, a, text, text.len(), 0, &inet(port), 16).must();
    }
    let mut buf = [0u8; 16];
    check_eq!(sys!(recvfrom, b, &mut buf, 2, MSG_TRUNC, NULL, NULL), Ok(5));
    check_eq!(sys!(recvfrom, b, &mut buf, 16, 0, NULL, NULL), Ok(0));
    check_eq!(sys!(recvfrom, b, &mut buf, 16, MSG_PEEK, NULL, NULL), Ok(5));
    check_eq!(sys!(read, b, &mut buf, 16), Ok(5));
});

case!(connected_sockets_filter_and_report_refusal, [connect, write], {
    let ((a, port_a), (b, port_b), (c, _)) = (bound(), bound(), bound());
    sys!(connect, a, &inet(port_b), 16).must();
    check_eq!(sys!(write, a, b"x", 1), Ok(1));
    wait_readable(b);
    sys!(sendto, c, b"stranger", 8, 0, &inet(port_a), 16).must();
    let mut buf = [0u8; 16];
    check_eq!(sys!(recvfrom, a, &mut buf, 16, MSG_DONTWAIT, NULL, NULL), Err(EAGAIN));
    sys!(close, b).must();
    sys!(write, a, b"x", 1).must();
    check_eq!(sys!(read, a, &mut buf, 16), Err(ECONNREFUSED), "the ICMP error of the last one");
    // AF_UNSPEC ends the association.
    check_eq!(sys!(connect, a, &[0u8; 16], 16), Ok(0));
    check_eq!(sys!(write, a, b"x", 1), Err(EDESTADDRREQ));
});

case!(errors, [sendto, listen, accept], {
    let (a, _) = bound();
    check_eq!(sys!(sendto, a, b"x", 1, 0, NULL, 0), Err(EDESTADDRREQ));
    check_eq!(sys!(sendto, a, b"x", 1, 0, &inet(9), 8), Err(EINVAL));
    check_eq!(sys!(sendto, a, BAD, 8, 0, &inet(9), 16), Err(EFAULT));
    let huge = vec![0u8; 65508];
    check_eq!(sys!(sendto, a, &huge[..], 65508, 0, &inet(9), 16), Err(EMSGSIZE));
    check_eq!(sys!(listen, a, 1), Err(EOPNOTSUPP));
    check_eq!(sys!(accept, a, NULL, NULL), Err(EOPNOTSUPP));
    check_eq!(sys!(shutdown, a, SHUT_RD), Err(ENOTCONN));
});

case!(sockets_of_unknown_families, [socket], {
    check_eq!(sys!(socket, AF_INET, SOCK_STREAM, IPPROTO_UDP), Err(EPROTONOSUPPORT));
    check_eq!(sys!(socket, AF_INET, SOCK_SEQPACKET, 0), Err(ESOCKTNOSUPPORT));
    check_eq!(sys!(socket, 45, SOCK_STREAM, 0), Err(EAFNOSUPPORT));
    check_eq!(sys!(socket, -1, SOCK_STREAM, 0), Err(EAFNOSUPPORT));
    as_nobody(|| check_eq!(sys!(socket, AF_INET, SOCK_RAW, IPPROTO_ICMP), Err(EPERM)));
});

case!(interfaces_can_be_listed, [ioctl], {
    let fd = socket(AF_INET, SOCK_DGRAM);
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    check_eq!(sys!(ioctl, fd, SIOCGIFINDEX, &mut request), Ok(0));
    check_eq!(request[16], 1, "the loopback interface is the first");
    check_eq!(sys!(ioctl, fd, SIOCGIFFLAGS, &mut request), Ok(0));
    let flags = i32::from(i16::from_ne_bytes([request[16], request[17]]));
    check!(flags & IFF_LOOPBACK != 0);
    request[..8].copy_from_slice(b"missing\0");
    check_eq!(sys!(ioctl, fd, SIOCGIFINDEX, &mut request), Err(ENODEV));
});

case!(netlink_lists_the_loopback_interface, [socket, sendto, recvfrom], {
    let fd = socket(AF_NETLINK, SOCK_RAW);
    // RTM_GETLINK, a dump request with an empty ifinfomsg.
    let mut request = [0u8; 32];
    request[0] = 32;
    request[4..6].copy_from_slice(&18u16.to_ne_bytes());
    request[6..8].copy_from_slice(&0x301u16.to_ne_bytes());
    request[8] = 1;
    let kernel = [AF_NETLINK as u16, 0, 0, 0, 0, 0];
    check_eq!(sys!(sendto, fd, &request, 32, 0, &kernel, 12), Ok(32));
    let mut reply = vec![0u8; 32768];
    let len = sys!(recvfrom, fd, &mut reply[..], 32768, 0, NULL, NULL).must() as usize;
    check_eq!(u16::from_ne_bytes([reply[4], reply[5]]), 16, "RTM_NEWLINK");
    check!(reply[..len].windows(3).any(|w| w == b"lo\0"));
});
