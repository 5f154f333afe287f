//! Unix datagram and seqpacket sockets, passed descriptors and credentials.

use crate::support::prelude::*;

fn bound(path: &[u8]) -> i32 {
    let fd = socket(AF_UNIX, SOCK_DGRAM);
    let at = unix(path);
    sys!(bind, fd, &at.bytes, at.len).must();
    fd
}

fn send_to(fd: i32, data: &[u8], path: &[u8]) -> Result<i64, Errno> {
    let at = unix(path);
    sys!(sendto, fd, data, data.len(), MSG_DONTWAIT, &at.bytes, at.len)
}

case!(datagrams_keep_their_borders, [socketpair, recvfrom], {
    let (a, b) = socketpair(SOCK_DGRAM);
    sys!(write, a, b"one", 3).must();
    sys!(write, a, b"", 0).must();
    sys!(write, a, b"three", 5).must();
    let mut buf = [0u8; 16];
    check_eq!(sys!(read, b, &mut buf, 16), Ok(3));
    check_eq!(sys!(read, b, &mut buf, 16), Ok(0), "an empty datagram");
    check_eq!(sys!(read, b, &mut buf, 2), Ok(2), "the rest of it is lost");
    check_eq!(sys!(recvfrom, b, &mut buf, 16, MSG_DONTWAIT, NULL, NULL), Err(EAGAIN));
    sys!(write, a, b"long one", 8).must();
    check_eq!(sys!(recvfrom, b, &mut buf, 2, MSG_TRUNC, NULL, NULL), Ok(8), "the true length");
});

case!(datagrams_by_name_tell_their_sender, [sendto, recvfrom, bind], {
    let (server, client) = (bound(b"server"), bound(b"client"));
    check_eq!(send_to(client, b"hello", b"server"), Ok(5));
    let (mut from, mut len, mut buf) = ([0u8; 110], 110u32, [0u8; 16]);
    check_eq!(sys!(recvfrom, server, &mut buf, 16, 0, &mut from, &mut len), Ok(5));
    check_eq!((len, &from[2..9]), (9, &b"client\0"[..]));
    let unnamed = socket(AF_UNIX, SOCK_DGRAM);
    send_to(unnamed, b"x", b"server").must();
    len = 110;
    sys!(recvfrom, server, &mut buf, 16, 0, &mut from, &mut len).must();
    check!(len == 0 || len == 2, "{len}");
    check_eq!(send_to(client, b"x", b"missing"), Err(ENOENT));
    check_eq!(sys!(write, client, b"x", 1), Err(ENOTCONN));
});

case!(connected_datagram_sockets, [connect, sendto], {
    let server = bound(b"server");
    let client = socket(AF_UNIX, SOCK_DGRAM);
    let at = unix(b"server");
    sys!(connect, client, &at.bytes, at.len).must();
    check_eq!(sys!(write, client, b"abc", 3), Ok(3));
    check_eq!(sys!(read, server, &mut [0u8; 4], 4), Ok(3));
    sys!(close, server).must();
    check_eq!(sys!(write, client, b"abc", 3), Err(ECONNREFUSED));
});

case!(datagram_queue_is_limited, [sendto], {
    let _server = bound(b"server");
    let client = socket(AF_UNIX, SOCK_DGRAM);
    let mut sent = 0;
    while send_to(client, b"x", b"server").is_ok() {
        sent += 1;
        check!(sent < 100_000, "the queue has no end");
    }
    check_eq!(send_to(client, b"x", b"server"), Err(EAGAIN));
});

case!(oversized_datagram_is_emsgsize, [write], {
    let (a, _b) = socketpair(SOCK_DGRAM);
    let huge = vec![0u8; 32 << 20];
    check_eq!(sys!(write, a, &huge[..], huge.len()), Err(EMSGSIZE));
});

case!(seqpacket_is_connected_and_keeps_borders, [socketpair, recvmsg], {
    let (a, b) = socketpair(SOCK_SEQPACKET);
    sys!(write, a, b"one", 3).must();
    sys!(write, a, b"twotwo", 6).must();
    let mut buf = [0u8; 16];
    check_eq!(sys!(read, b, &mut buf, 16), Ok(3));
    let message = recv_message(b, 3, 0, 0).must();
    check_eq!((message.data.len(), message.flags & MSG_TRUNC), (3, MSG_TRUNC));
    sys!(close, a).must();
    check_eq!(sys!(read, b, &mut buf, 16), Ok(0));
    ignore(SIGPIPE);
    check_eq!(sys!(write, b, b"x", 1), Err(EPIPE));
});

case!(descriptors_are_passed, [sendmsg, recvmsg], {
    let (a, b) = socketpair(SOCK_STREAM);
    let (r, w) = pipe();
    check_eq!(send_message(a, b"x", &[(SCM_RIGHTS, &w.to_ne_bytes())]), Ok(1));
    sys!(close, w).must();
    let message = recv_message(b, 8, 64, 0).must();
    check_eq!(message.data, b"x");
    let (level, kind, payload) = &message.control[0];
    check_eq!((*level, *kind, payload.len()), (SOL_SOCKET, SCM_RIGHTS, 4));
    let received = i32::from_ne_bytes([payload[0], payload[1], payload[2], payload[3]]);
    sys!(write, received, b"through", 7).must();
    check_eq!(sys!(read, r, &mut [0u8; 8], 8), Ok(7));
    sys!(close, received).must();
    check_eq!(sys!(read, r, &mut [0u8; 8], 8), Ok(0), "no other copy is left");
});

case!(passed_descriptors_share_the_open_file, [sendmsg, lseek], {
    create(c"f", b"0123456789");
    let fd = open(c"f", O_RDONLY);
    let (a, b) = socketpair(SOCK_DGRAM);
    send_message(a, b"x", &[(SCM_RIGHTS, &fd.to_ne_bytes())]).must();
    let message = recv_message(b, 8, 64, MSG_CMSG_CLOEXEC).must();
    let payload = &message.control[0].2;
    let other = i32::from_ne_bytes([payload[0], payload[1], payload[2], payload[3]]);
    check_eq!(sys!(fcntl, other, F_GETFD), Ok(1));
    sys!(lseek, other, 4, SEEK_SET).must();
    check_eq!(sys!(lseek, fd, 0, SEEK_CUR), Ok(4));
});

case!(passed_descriptors_without_room_are_closed, [recvmsg], {
    let (a, b) = socketpair(SOCK_STREAM);
    let (r, w) = pipe();
    send_message(a, b"x", &[(SCM_RIGHTS, &w.to_ne_bytes())]).must();
    sys!(close, w).must();
    let message = recv_message(b, 8, 0, 0).must();
    check_eq!((message.flags & MSG_CTRUNC, message.control.len()), (MSG_CTRUNC, 0));
    check_eq!(sys!(read, r, &mut [0u8; 8], 8), Ok(0));
});

case!(unread_descriptors_go_with_the_socket, [sendmsg, close], {
    let (a, b) = socketpair(SOCK_STREAM);
    let (r, w) = pipe();
    send_message(a, b"x", &[(SCM_RIGHTS, &w.to_ne_bytes())]).must();
    sys!(close, w).must();
    sys!(close, a).must();
    sys!(close, b).must();
    check_eq!(sys!(read, r, &mut [0u8; 8], 8), Ok(0));
});

case!(read_drops_descriptors_and_streams_stop_at_them, [read, sendmsg], {
    let (a, b) = socketpair(SOCK_STREAM);
    let (r, w) = pipe();
    sys!(write, a, b"one", 3).must();
    send_message(a, b"two", &[(SCM_RIGHTS, &w.to_ne_bytes())]).must();
    sys!(close, w).must();
    let mut buf = [0u8; 16];
    let first = sys!(read, b, &mut buf, 16).must();
    check!(first == 3 || first == 6, "{first}");
    if first == 3 {
        check_eq!(sys!(read, b, &mut buf, 16), Ok(3));
    }
    check_eq!(sys!(read, r, &mut buf, 8), Ok(0));
});

case!(bad_descriptors_are_refused, [sendmsg], {
    let (a, b) = socketpair(SOCK_STREAM);
    check_eq!(send_message(a, b"x", &[(SCM_RIGHTS, &99i32.to_ne_bytes())]), Err(EBADF));
    check_eq!(sys!(recvfrom, b, &mut [0u8; 4], 4, MSG_DONTWAIT, NULL, NULL), Err(EAGAIN));
    let many = [0u8; 4 * 254];
    check_eq!(send_message(a, b"x", &[(SCM_RIGHTS, &many)]), Err(EINVAL), "more than SCM_MAX_FD");
});

case!(socket_passed_through_itself_is_collected, [sendmsg, close], {
    let (a, b) = socketpair(SOCK_STREAM);
    send_message(a, b"x", &[(SCM_RIGHTS, &b.to_ne_bytes())]).must();
    send_message(b, b"x", &[(SCM_RIGHTS, &a.to_ne_bytes())]).must();
    check_eq!((sys!(close, a), sys!(close, b)), (Ok(0), Ok(0)));
});

case!(credentials_are_added_on_request, [setsockopt, recvmsg], {
    let (a, b) = socketpair(SOCK_STREAM);
    set_option(b, SOL_SOCKET, SO_PASSCRED, 1).must();
    sys!(write, a, b"x", 1).must();
    let message = recv_message(b, 8, 64, 0).must();
    let (_, kind, payload) = &message.control[0];
    check_eq!((*kind, payload.len()), (SCM_CREDENTIALS, 12));
    check_eq!(payload[..4], getpid().to_ne_bytes());
});

case!(credentials_cannot_be_forged, [sendmsg], {
    need_root();
    let (a, b) = socketpair(SOCK_DGRAM);
    set_option(b, SOL_SOCKET, SO_PASSCRED, 1).must();
    as_nobody(|| {
        let mine: Vec<u8> =
            [getpid() as u32, 65534, 65534].iter().flat_map(|v| v.to_ne_bytes()).collect();
        check_eq!(send_message(a, b"x", &[(SCM_CREDENTIALS, &mine)]), Ok(1));
        let root: Vec<u8> = [getpid() as u32, 0, 0].iter().flat_map(|v| v.to_ne_bytes()).collect();
        check_eq!(send_message(a, b"x", &[(SCM_CREDENTIALS, &root)]), Err(EPERM));
    });
    let message = recv_message(b, 8, 64, 0).must();
    check_eq!(message.control[0].2[4..8], 65534u32.to_ne_bytes());
});

case!(peer_credentials_are_those_of_the_connector, [getsockopt], {
    let (a, _b) = socketpair(SOCK_STREAM);
    let mut peer = [0u32; 3];
    check_eq!(sys!(getsockopt, a, SOL_SOCKET, SO_PEERCRED, &mut peer, &mut 12u32), Ok(0));
    check_eq!(peer[0], getpid() as u32);
    check_eq!(i64::from(peer[1]), sys!(geteuid).must());
});

case!(many_messages_in_one_call, [sendmmsg, recvmmsg], {
    let (a, b) = socketpair(SOCK_DGRAM);
    let mut texts = [*b"one", *b"two"];
    let lists = texts.each_mut().map(|t| iovec { iov_base: t.as_mut_ptr().cast(), iov_len: 3 });
    let header = |list: &iovec| {
        let mut all: mmsghdr = zeroed();
        all.msg_hdr.msg_iov = std::ptr::from_ref(list).cast_mut();
        all.msg_hdr.msg_iovlen = 1;
        all
    };
    let mut messages = [header(&lists[0]), header(&lists[1])];
    check_eq!(sys!(sendmmsg, a, &mut messages, 2, 0), Ok(2));
    check_eq!(messages[1].msg_len, 3);
    check_eq!(sys!(recvmmsg, b, &mut messages, 2, 0, NULL), Ok(2));
    check_eq!(sys!(recvmmsg, b, &mut messages, 2, MSG_DONTWAIT, NULL), Err(EAGAIN));
    let start = now();
    sys!(write, a, b"x", 1).must();
    let wait = MSG_WAITFORONE;
    check_eq!(sys!(recvmmsg, b, &mut messages, 2, wait, NULL), Ok(1));
    check!(now() - start < Duration::from_secs(5));
    check_eq!(sys!(sendmmsg, a, BAD, 2, 0), Err(EFAULT));
    check_eq!(sys!(recvmmsg, b, &mut messages, 2, 0, BAD), Err(EFAULT));
});

case!(message_header_errors, [sendmsg, recvmsg], {
    let (a, b) = socketpair(SOCK_STREAM);
    check_eq!(sys!(sendmsg, a, BAD, 0), Err(EFAULT));
    check_eq!(sys!(recvmsg, b, BAD, 0), Err(EFAULT));
    let mut header: msghdr = zeroed();
    header.msg_iovlen = 1025;
    check_eq!(sys!(sendmsg, a, &header, 0), Err(EMSGSIZE));
    header.msg_iovlen = 1;
    check_eq!(sys!(sendmsg, a, &header, 0), Err(EFAULT), "no vector");
    header.msg_iovlen = 0;
    check_eq!(sys!(sendmsg, a, &header, 0), Ok(0));
    header.msg_controllen = usize::MAX;
    check_eq!(sys!(sendmsg, a, &header, 0), Err(ENOBUFS));
});
