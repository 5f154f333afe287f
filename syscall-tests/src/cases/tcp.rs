//! TCP over the loopback interface, IPv4 and IPv6.

use crate::support::prelude::*;

/// Makes a listening socket on a port that the kernel chooses; returns it and the port.
fn listener() -> (i32, u16) {
    let fd = socket(AF_INET, SOCK_STREAM);
    let at = inet(0);
    if let Err(errno) = sys!(bind, fd, &at, 16) {
        skip!("no loopback interface: {errno:?}");
    }
    sys!(listen, fd, 16).must();
    (fd, port_of(fd))
}

fn connect(port: u16) -> Result<i32, Errno> {
    let fd = socket(AF_INET, SOCK_STREAM);
    sys!(connect, fd, &inet(port), 16).map(|_| fd)
}

/// Makes a connection: client end, server end.
fn connection() -> (i32, i32) {
    let (server, port) = listener();
    let client = connect(port).must();
    let peer = sys!(accept, server, NULL, NULL).must() as i32;
    sys!(close, server).must();
    (client, peer)
}

fn poll_one(fd: i32, events: i16, wait_ms: i32) -> i16 {
    let mut poll = pollfd { fd, events, revents: 0 };
    sys!(poll, &mut poll, 1, wait_ms).must();
    poll.revents
}

case!(data_flows_both_ways, [socket, bind, listen, connect, accept, read, write], {
    let (client, peer) = connection();
    let mut buf = [0u8; 16];
    check_eq!(sys!(write, client, b"ping", 4), Ok(4));
    check_eq!(sys!(read, peer, &mut buf, 16), Ok(4));
    check_eq!(sys!(write, peer, b"pong!", 5), Ok(5));
    check_eq!(sys!(read, client, &mut buf, 16), Ok(5));
    check_eq!(&buf[..5], b"pong!");
});

case!(names_of_both_ends_match, [getsockname, getpeername, accept], {
    let (server, port) = listener();
    let client = connect(port).must();
    let (mut from, mut len) = ([0u8; 16], 16u32);
    let peer = sys!(accept, server, &mut from, &mut len).must() as i32;
    check_eq!(from, inet(port_of(client)));
    let mut name = [0u8; 16];
    sys!(getpeername, client, &mut name, &mut len).must();
    check_eq!(name, inet(port));
    sys!(getsockname, peer, &mut name, &mut len).must();
    check_eq!(name, inet(port));
});

case!(nobody_listening_is_econnrefused, [connect], {
    let (server, port) = listener();
    sys!(close, server).must();
    check_eq!(connect(port).err(), Some(ECONNREFUSED));
});

case!(bind_errors, [bind], {
    let (_server, port) = listener();
    let fd = socket(AF_INET, SOCK_STREAM);
    check_eq!(sys!(bind, fd, &inet(port), 16), Err(EADDRINUSE));
    let mut foreign = inet(0);
    foreign[4..8].copy_from_slice(&[192, 0, 2, 1]);
    check_eq!(sys!(bind, fd, &foreign, 16), Err(EADDRNOTAVAIL));
    check_eq!(sys!(bind, fd, &inet(0), 8), Err(EINVAL));
    let mut family = inet(0);
    family[0] = AF_INET6 as u8;
    check_eq!(sys!(bind, fd, &family, 16), Err(EAFNOSUPPORT));
    check_eq!(sys!(bind, fd, BAD, 16), Err(EFAULT));
    check_eq!(sys!(bind, fd, &inet(0), 16), Ok(0));
    check_eq!(sys!(bind, fd, &inet(0), 16), Err(EINVAL), "already bound");
});

case!(end_of_stream_and_half_close, [shutdown, read], {
    let (client, peer) = connection();
    let mut buf = [0u8; 16];
    sys!(write, client, b"last", 4).must();
    sys!(shutdown, client, SHUT_WR).must();
    check_eq!((sys!(read, peer, &mut buf, 16), sys!(read, peer, &mut buf, 16)), (Ok(4), Ok(0)));
    check_eq!(sys!(write, peer, b"reply", 5), Ok(5));
    check_eq!(sys!(read, client, &mut buf, 16), Ok(5));
    ignore(SIGPIPE);
    check_eq!(sys!(write, client, b"x", 1), Err(EPIPE));
    sys!(close, peer).must();
    check_eq!(sys!(read, client, &mut buf, 16), Ok(0));
});

case!(close_with_unread_data_resets, [close, read], {
    let (client, peer) = connection();
    sys!(write, client, b"unread", 6).must();
    check!(poll_one(peer, POLLIN, 2000) & POLLIN != 0);
    sys!(close, peer).must();
    check!(poll_one(client, POLLIN, 2000) & POLLIN != 0);
    check_eq!(sys!(read, client, &mut [0u8; 4], 4), Err(ECONNRESET));
});

case!(linger_zero_resets, [setsockopt, close], {
    let (client, peer) = connection();
    sys!(setsockopt, peer, SOL_SOCKET, SO_LINGER, &[1i32, 0], 8).must();
    sys!(close, peer).must();
    check!(poll_one(client, POLLIN, 2000) & POLLERR != 0);
    check_eq!(option(client, SOL_SOCKET, SO_ERROR), Ok(ECONNRESET.0));
    check_eq!(option(client, SOL_SOCKET, SO_ERROR), Ok(0), "taken");
});

case!(writing_to_a_closed_peer_fails_in_the_end, [write], {
    let (client, peer) = connection();
    sys!(close, peer).must();
    ignore(SIGPIPE);
    let mut last = Ok(1);
    for _ in 0..100 {
        last = sys!(write, client, b"x", 1);
        if last.is_err() {
            break;
        }
        sleep_ms(5);
    }
    check!(matches!(last, Err(EPIPE | ECONNRESET)), "{last:?}");
});

case!(nonblocking_connect_and_accept, [connect, accept4, poll], {
    let (server, port) = listener();
    sys!(fcntl, server, F_SETFL, O_NONBLOCK).must();
    check_eq!(sys!(accept, server, NULL, NULL), Err(EAGAIN));
    let client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
    let result = sys!(connect, client, &inet(port), 16);
    check!(matches!(result, Ok(0) | Err(EINPROGRESS)), "{result:?}");
    check!(poll_one(client, POLLOUT, 2000) & POLLOUT != 0);
    check_eq!(option(client, SOL_SOCKET, SO_ERROR), Ok(0));
    check_eq!(sys!(connect, client, &inet(port), 16).err().unwrap_or(EISCONN), EISCONN);
    check!(poll_one(server, POLLIN, 2000) & POLLIN != 0);
    let peer = sys!(accept4, server, NULL, NULL, SOCK_NONBLOCK).must();
    check_eq!(sys!(read, peer, &mut [0u8; 1], 1), Err(EAGAIN));
});

case!(nonblocking_connect_reports_refusal, [connect, getsockopt], {
    let (server, port) = listener();
    sys!(close, server).must();
    let client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
    match sys!(connect, client, &inet(port), 16) {
        Err(ECONNREFUSED) => {}
        other => {
            check_eq!(other, Err(EINPROGRESS));
            check!(poll_one(client, POLLOUT, 2000) & POLLERR != 0);
            check_eq!(option(client, SOL_SOCKET, SO_ERROR), Ok(ECONNREFUSED.0));
        }
    }
});

case!(peek_and_waitall, [recvfrom], {
    let (client, peer) = connection();
    sys!(write, client, b"abc", 3).must();
    let mut buf = [0u8; 16];
    check!(poll_one(peer, POLLIN, 2000) & POLLIN != 0);
    check_eq!(sys!(recvfrom, peer, &mut buf, 16, MSG_PEEK, NULL, NULL), Ok(3));
    let child = fork(|| {
        settle();
        sys!(write, client, b"def", 3).must();
    });
    check_eq!(sys!(recvfrom, peer, &mut buf, 6, MSG_WAITALL, NULL, NULL), Ok(6));
    check_eq!(&buf[..6], b"abcdef");
    child.ok();
});

case!(large_transfer_with_back_pressure, [read, write], {
    let (client, peer) = connection();
    let data: Vec<u8> = (0..3_000_000u32).map(|i| (i % 253) as u8).collect();
    let child = fork(|| {
        sys!(close, peer).must();
        let mut done = 0;
        while done < data.len() {
            done += sys!(write, client, &data[done..], data.len() - done).must() as usize;
        }
    });
    sys!(close, client).must();
    settle();
    check!(read_all(peer) == data, "the data differs");
    child.ok();
});

case!(send_buffer_fills_up, [write], {
    let (client, peer) = connection();
    sys!(fcntl, client, F_SETFL, O_NONBLOCK).must();
    let block = vec![1u8; 65536];
    let mut total = 0;
    while let Ok(count) = sys!(write, client, &block[..], block.len()) {
        total += count;
        check!(total < 1 << 30, "the buffer has no end");
    }
    check_eq!(poll_one(client, POLLOUT, 0), 0);
    let mut received = 0;
    let mut buf = vec![0u8; 65536];
    while received < total {
        received += sys!(read, peer, &mut buf[..], 65536).must();
    }
    check_eq!(received, total);
    check_eq!(poll_one(client, POLLOUT, 2000), POLLOUT);
});

case!(options, [getsockopt, setsockopt], {
    let (client, _peer) = connection();
    check_eq!(option(client, SOL_SOCKET, SO_TYPE), Ok(SOCK_STREAM));
    check_eq!(option(client, SOL_SOCKET, SO_DOMAIN), Ok(AF_INET));
    check_eq!(option(client, SOL_SOCKET, SO_PROTOCOL), Ok(IPPROTO_TCP));
    for name in [TCP_NODELAY, TCP_QUICKACK] {
        check_eq!(set_option(client, IPPROTO_TCP, name, 1), Ok(0));
        check_eq!(option(client, IPPROTO_TCP, name), Ok(1));
    }
    for (name, value) in [(TCP_KEEPIDLE, 77), (TCP_KEEPINTVL, 7), (TCP_KEEPCNT, 3)] {
        check_eq!(set_option(client, IPPROTO_TCP, name, value), Ok(0));
        check_eq!(option(client, IPPROTO_TCP, name), Ok(value));
    }
    for name in [SO_KEEPALIVE, SO_REUSEADDR, SO_REUSEPORT, SO_BROADCAST] {
        check_eq!(set_option(client, SOL_SOCKET, name, 1), Ok(0));
        check_eq!(option(client, SOL_SOCKET, name), Ok(1), "option {name}");
    }
    check_eq!(set_option(client, IPPROTO_TCP, 9999, 1), Err(ENOPROTOOPT));
    check_eq!(option(client, IPPROTO_TCP, 9999), Err(ENOPROTOOPT));
    check_eq!(set_option(client, SOL_SOCKET, 9999, 1), Err(ENOPROTOOPT));
    let state = option(client, IPPROTO_TCP, TCP_INFO).must();
    check_eq!(state & 0xff, 1, "TCP_ESTABLISHED");
});

case!(reuse_address_allows_binding_over_time_wait, [setsockopt, bind], {
    let (server, port) = listener();
    // Both sockets must agree to it.
    set_option(server, SOL_SOCKET, SO_REUSEADDR, 1).must();
    let client = connect(port).must();
    let peer = sys!(accept, server, NULL, NULL).must();
    // The side that closes first keeps the address for a while.
    sys!(close, peer).must();
    check_eq!(sys!(read, client, &mut [0u8; 1], 1), Ok(0));
    sys!(close, client).must();
    sys!(close, server).must();
    let fd = socket(AF_INET, SOCK_STREAM);
    check_eq!(sys!(bind, fd, &inet(port), 16), Err(EADDRINUSE));
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1).must();
    check_eq!(sys!(bind, fd, &inet(port), 16), Ok(0));
});

case!(ipv6_loopback, [socket, bind, connect], {
    let Ok(server) = sys!(socket, AF_INET6, SOCK_STREAM, 0) else { skip!("no IPv6") };
    let server = server as i32;
    if let Err(errno) = sys!(bind, server, &inet6(0), 28) {
        skip!("no IPv6 loopback: {errno:?}");
    }
    sys!(listen, server, 5).must();
    let client = socket(AF_INET6, SOCK_STREAM);
    check_eq!(sys!(connect, client, &inet6(port_of(server)), 28), Ok(0));
    let peer = sys!(accept, server, NULL, NULL).must();
    sys!(write, client, b"six", 3).must();
    check_eq!(sys!(read, peer, &mut [0u8; 4], 4), Ok(3));
});

case!(dual_stack_sockets_take_ipv4, [socket, setsockopt], {
    let Ok(server) = sys!(socket, AF_INET6, SOCK_STREAM, 0) else { skip!("no IPv6") };
    let server = server as i32;
    set_option(server, IPPROTO_IPV6, IPV6_V6ONLY, 0).must();
    let mut any = inet6(0);
    any[23] = 0;
    sys!(bind, server, &any, 28).must();
    sys!(listen, server, 5).must();
    check!(connect(port_of(server)).is_ok());
    let (mut from, mut len) = ([0u8; 28], 28u32);
    sys!(accept, server, &mut from, &mut len).must();
    check_eq!(from[18..24], [0xff, 0xff, 127, 0, 0, 1]);
});

case!(accept_survives_a_client_that_left, [accept], {
    let (server, port) = listener();
    let client = connect(port).must();
    sys!(write, client, b"x", 1).must();
    sys!(close, client).must();
    let peer = sys!(accept, server, NULL, NULL).must();
    let mut buf = [0u8; 4];
    check_eq!((sys!(read, peer, &mut buf, 4), sys!(read, peer, &mut buf, 4)), (Ok(1), Ok(0)));
});

case!(bytes_waiting, [ioctl], {
    let (client, peer) = connection();
    sys!(write, client, b"abcde", 5).must();
    check!(poll_one(peer, POLLIN, 2000) & POLLIN != 0);
    let mut count = 0i32;
    sys!(ioctl, peer, FIONREAD, &mut count).must();
    check_eq!(count, 5);
});
