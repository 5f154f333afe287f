//! Unix stream sockets: connecting, data, shutdown, options.

use crate::support::prelude::*;

/// Binds a listening stream socket to a path.
fn listener(path: &[u8], backlog: i32) -> i32 {
    let fd = socket(AF_UNIX, SOCK_STREAM);
    let at = unix(path);
    sys!(bind, fd, &at.bytes, at.len).must();
    sys!(listen, fd, backlog).must();
    fd
}

fn connect(path: &[u8], kind: i32) -> Result<i32, Errno> {
    let fd = socket(AF_UNIX, kind);
    let at = unix(path);
    sys!(connect, fd, &at.bytes, at.len).map(|_| fd)
}

case!(connect_accept_talk, [socket, bind, listen, connect, accept, accept4], {
    let server = listener(b"s", 5);
    check_eq!(stat(c"s").st_mode & S_IFMT, S_IFSOCK);
    let client = connect(b"s", SOCK_STREAM).must();
    let peer = sys!(accept, server, NULL, NULL).must();
    check_eq!(sys!(write, client, b"ping", 4), Ok(4));
    let mut buf = [0u8; 8];
    check_eq!(sys!(read, peer, &mut buf, 8), Ok(4));
    check_eq!(sys!(write, peer, b"pong", 4), Ok(4));
    check_eq!(sys!(read, client, &mut buf, 8), Ok(4));
    let _other = connect(b"s", SOCK_STREAM).must();
    let flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
    let fd = sys!(accept4, server, NULL, NULL, flags).must();
    check_eq!(sys!(fcntl, fd, F_GETFD), Ok(1));
    check_eq!(sys!(read, fd, &mut buf, 1), Err(EAGAIN));
    check_eq!(sys!(accept4, server, NULL, NULL, 1), Err(EINVAL));
});

case!(socket_arguments, [socket, socketpair], {
    check_eq!(sys!(socket, 999, SOCK_STREAM, 0), Err(EAFNOSUPPORT));
    check_eq!(sys!(socket, AF_UNIX, 99, 0), Err(EINVAL));
    check_eq!(sys!(socket, AF_UNIX, SOCK_STREAM, 99), Err(EPROTONOSUPPORT));
    check_eq!(sys!(socket, AF_UNIX, SOCK_STREAM | 0x10, 0), Err(EINVAL));
    let mut ends = [0i32; 2];
    check_eq!(sys!(socketpair, AF_INET, SOCK_STREAM, 0, &mut ends), Err(EOPNOTSUPP));
    check_eq!(sys!(socketpair, AF_UNIX, SOCK_STREAM, 0, BAD), Err(EFAULT));
    check_eq!(sys!(socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, &mut ends), Ok(0));
    check_eq!(sys!(fcntl, ends[1], F_GETFD), Ok(1));
});

case!(not_a_socket_is_enotsock, [bind, listen, accept, connect, getsockname, shutdown], {
    let fd = open(c"f", O_RDWR | O_CREAT);
    let at = unix(b"s");
    check_eq!(sys!(bind, fd, &at.bytes, at.len), Err(ENOTSOCK));
    check_eq!(sys!(connect, fd, &at.bytes, at.len), Err(ENOTSOCK));
    check_eq!(sys!(listen, fd, 1), Err(ENOTSOCK));
    check_eq!(sys!(accept, fd, NULL, NULL), Err(ENOTSOCK));
    check_eq!(sys!(getsockname, fd, NULL, NULL), Err(ENOTSOCK));
    check_eq!(sys!(shutdown, fd, SHUT_RD), Err(ENOTSOCK));
    check_eq!(sys!(sendto, fd, b"x", 1, 0, NULL, 0), Err(ENOTSOCK));
    check_eq!(sys!(bind, 99, &at.bytes, at.len), Err(EBADF));
});

case!(bind_errors, [bind], {
    create(c"taken", b"");
    let fd = socket(AF_UNIX, SOCK_STREAM);
    let bind = |fd: i32, at: Unix| sys!(bind, fd, &at.bytes, at.len);
    check_eq!(bind(fd, unix(b"taken")), Err(EADDRINUSE));
    check_eq!(bind(fd, unix(b"missing/s")), Err(ENOENT));
    check_eq!(sys!(bind, fd, &unix(b"s").bytes, 1), Err(EINVAL));
    check_eq!(sys!(bind, fd, &unix(b"s").bytes, 200), Err(EINVAL));
    check_eq!(sys!(bind, fd, BAD, 10), Err(EFAULT));
    let mut other = unix(b"s");
    other.bytes[0] = AF_INET as u8;
    check_eq!(bind(fd, other), Err(EINVAL));
    check_eq!(bind(fd, unix(b"s")), Ok(0));
    check_eq!(bind(fd, unix(b"t")), Err(EINVAL), "already bound");
});

case!(connect_errors, [connect], {
    check_eq!(connect(b"missing", SOCK_STREAM).err(), Some(ENOENT));
    create(c"file", b"");
    check_eq!(connect(b"file", SOCK_STREAM).err(), Some(ECONNREFUSED));
    let server = listener(b"s", 5);
    check_eq!(connect(b"s", SOCK_DGRAM).err(), Some(EPROTOTYPE));
    let client = connect(b"s", SOCK_STREAM).must();
    let at = unix(b"s");
    check_eq!(sys!(connect, client, &at.bytes, at.len), Err(EISCONN));
    check_eq!(sys!(connect, server, &at.bytes, at.len), Err(EINVAL));
    sys!(close, server).must();
    check_eq!(connect(b"s", SOCK_STREAM).err(), Some(ECONNREFUSED), "nobody listens any more");
});

case!(connect_needs_write_permission, [connect], {
    need_root();
    let _server = listener(b"s", 5);
    sys!(chmod, c"s", 0o600).must();
    as_nobody(|| check_eq!(connect(b"s", SOCK_STREAM).err(), Some(EACCES)));
    sys!(chmod, c"s", 0o666).must();
    as_nobody(|| check!(connect(b"s", SOCK_STREAM).is_ok()));
});

case!(listen_and_accept_errors, [listen, accept], {
    let fd = socket(AF_UNIX, SOCK_STREAM);
    check_eq!(sys!(listen, fd, 5), Err(EINVAL), "not bound");
    check_eq!(sys!(accept, fd, NULL, NULL), Err(EINVAL), "not listening");
    let dgram = socket(AF_UNIX, SOCK_DGRAM);
    check_eq!(sys!(listen, dgram, 5), Err(EOPNOTSUPP));
    check_eq!(sys!(accept, dgram, NULL, NULL), Err(EOPNOTSUPP));
    let server = listener(b"s", 5);
    sys!(fcntl, server, F_SETFL, O_NONBLOCK).must();
    check_eq!(sys!(accept, server, NULL, NULL), Err(EAGAIN));
    check_eq!(sys!(read, server, &mut [0u8; 1], 1), Err(EINVAL));
});

case!(full_backlog_blocks_or_gives_eagain, [connect, accept], {
    let server = listener(b"s", 0);
    let mut connected = 0;
    loop {
        match connect(b"s", SOCK_STREAM | SOCK_NONBLOCK) {
            Ok(_) => connected += 1,
            Err(errno) => {
                check_eq!(errno, EAGAIN);
                break;
            }
        }
        check!(connected < 100, "the backlog has no end");
    }
    let child = fork(|| check!(connect(b"s", SOCK_STREAM).is_ok()));
    settle();
    sys!(accept, server, NULL, NULL).must();
    child.ok();
});

case!(accept_waits, [accept], {
    let server = listener(b"s", 5);
    let child = fork(|| {
        settle();
        let fd = connect(b"s", SOCK_STREAM).must();
        sys!(write, fd, b"x", 1).must();
        sys!(read, fd, &mut [0u8; 1], 1).must();
    });
    let peer = sys!(accept, server, NULL, NULL).must();
    check_eq!(sys!(read, peer, &mut [0u8; 1], 1), Ok(1));
    sys!(close, peer).must();
    child.ok();
});

case!(names_of_both_ends, [getsockname, getpeername, accept], {
    let server = listener(b"s", 5);
    let client = connect(b"s", SOCK_STREAM).must();
    let (mut name, mut len) = ([0u8; 110], 110u32);
    let peer = sys!(accept, server, &mut name, &mut len).must();
    check_eq!((len, name[0]), (2, AF_UNIX as u8), "an unnamed client");
    len = 110;
    check_eq!(sys!(getpeername, client, &mut name, &mut len), Ok(0));
    check_eq!((len, &name[2..4]), (4, &b"s\0"[..]));
    len = 110;
    check_eq!(sys!(getsockname, peer, &mut name, &mut len), Ok(0));
    check_eq!(name[2], b's', "accepted sockets have the listener's name");
    len = 3;
    check_eq!(sys!(getsockname, peer, &mut name, &mut len), Ok(0));
    check_eq!(len, 4, "the true length, even if it does not fit");
    check_eq!(sys!(getpeername, server, &mut name, &mut len), Err(ENOTCONN));
    check_eq!(sys!(getsockname, peer, BAD, &mut len), Err(EFAULT));
    check_eq!(sys!(getsockname, peer, &mut name, BAD), Err(EFAULT));
    check_eq!(sys!(getsockname, peer, &mut name, &-1i32), Err(EINVAL));
});

case!(abstract_names, [bind, connect, getsockname], {
    let name = format!("\0case-{}", getpid());
    let server = listener(name.as_bytes(), 5);
    check!(connect(name.as_bytes(), SOCK_STREAM).is_ok());
    let other = socket(AF_UNIX, SOCK_STREAM);
    let at = unix(name.as_bytes());
    check_eq!(sys!(bind, other, &at.bytes, at.len), Err(EADDRINUSE));
    sys!(close, server).must();
    check_eq!(connect(name.as_bytes(), SOCK_STREAM).err(), Some(ECONNREFUSED));
    check_eq!(sys!(bind, other, &at.bytes, at.len), Ok(0), "the name is free again");
    let auto = socket(AF_UNIX, SOCK_STREAM);
    check_eq!(sys!(bind, auto, &unix(b"").bytes, 2), Ok(0));
    let (mut name, mut len) = ([0u8; 110], 110u32);
    sys!(getsockname, auto, &mut name, &mut len).must();
    check_eq!((len, name[2]), (8, 0), "a name of five digits is chosen");
});

case!(pair_carries_a_byte_stream, [socketpair, read, write], {
    let (a, b) = socketpair(SOCK_STREAM);
    sys!(write, a, b"abc", 3).must();
    sys!(write, a, b"def", 3).must();
    let mut buf = [0u8; 16];
    check_eq!(sys!(read, b, &mut buf, 4), Ok(4));
    check_eq!(sys!(read, b, &mut buf, 16), Ok(2), "messages are not kept apart");
    sys!(close, a).must();
    check_eq!(sys!(read, b, &mut buf, 16), Ok(0));
    count_signal(SIGPIPE, 0);
    check_eq!(sys!(write, b, b"x", 1), Err(EPIPE));
    check_eq!(counted(SIGPIPE), 1);
    check_eq!(sys!(sendto, b, b"x", 1, MSG_NOSIGNAL, NULL, 0), Err(EPIPE));
    check_eq!(counted(SIGPIPE), 1);
});

case!(close_with_unread_data_is_a_reset, [close, read], {
    let (a, b) = socketpair(SOCK_STREAM);
    sys!(write, a, b"unread", 6).must();
    sys!(close, b).must();
    check_eq!(sys!(read, a, &mut [0u8; 4], 4), Err(ECONNRESET));
    check_eq!(sys!(read, a, &mut [0u8; 4], 4), Ok(0), "the error is told once");
});

case!(shutdown_of_each_direction, [shutdown], {
    let (a, b) = socketpair(SOCK_STREAM);
    ignore(SIGPIPE);
    sys!(write, a, b"last", 4).must();
    check_eq!(sys!(shutdown, a, SHUT_WR), Ok(0));
    check_eq!(sys!(write, a, b"x", 1), Err(EPIPE));
    let mut buf = [0u8; 8];
    check_eq!((sys!(read, b, &mut buf, 8), sys!(read, b, &mut buf, 8)), (Ok(4), Ok(0)));
    check_eq!(sys!(write, b, b"back", 4), Ok(4), "the other way still works");
    check_eq!(sys!(read, a, &mut buf, 8), Ok(4));
    check_eq!(sys!(shutdown, a, SHUT_RD), Ok(0));
    check_eq!(sys!(write, b, b"x", 1), Err(EPIPE));
    check_eq!(sys!(shutdown, a, 3), Err(EINVAL));
    check_eq!(sys!(shutdown, socket(AF_UNIX, SOCK_STREAM), SHUT_RD), Ok(0), "even unconnected");
});

case!(shutdown_wakes_a_blocked_reader, [shutdown, read], {
    let (a, _b) = socketpair(SOCK_STREAM);
    let reader = spawn(move || check_eq!(sys!(read, a, &mut [0u8; 4], 4), Ok(0)));
    settle();
    sys!(shutdown, a, SHUT_RD).must();
    reader.join().ok().must();
});

case!(poll_states, [poll, shutdown], {
    let (a, b) = socketpair(SOCK_STREAM);
    let poll = |fd: i32| {
        let all = POLLIN | POLLOUT | POLLRDHUP;
        let mut poll = pollfd { fd, events: all, revents: 0 };
        sys!(poll, &mut poll, 1, 0).must();
        poll.revents
    };
    check_eq!(poll(a), POLLOUT);
    sys!(write, b, b"x", 1).must();
    check_eq!(poll(a), POLLIN | POLLOUT);
    sys!(shutdown, b, SHUT_WR).must();
    check_eq!(poll(a), POLLIN | POLLOUT | POLLRDHUP);
    sys!(close, b).must();
    check_eq!(poll(a), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
    let server = listener(b"s", 5);
    check_eq!(poll(server), 0);
    let _client = connect(b"s", SOCK_STREAM).must();
    check_eq!(poll(server), POLLIN);
    check_eq!(poll(socket(AF_UNIX, SOCK_STREAM)), POLLOUT | POLLHUP);
});

case!(nonblocking_writes_fill_the_buffer, [write, fcntl], {
    let (a, b) = socketpair(SOCK_STREAM | SOCK_NONBLOCK);
    let mut total = 0;
    while let Ok(count) = sys!(write, a, &[7u8; 4096], 4096) {
        total += count;
        check!(total < 100 << 20, "the buffer has no end");
    }
    check!(total >= 4096);
    check_eq!(sys!(write, a, &[7u8; 4096], 4096), Err(EAGAIN));
    let mut received = 0;
    while let Ok(count) = sys!(read, b, &mut [0u8; 65536], 65536) {
        received += count;
    }
    check_eq!(received, total);
});

case!(large_transfer_arrives_whole, [read, write], {
    let (a, b) = socketpair(SOCK_STREAM);
    let data: Vec<u8> = (0..2_000_000u32).map(|i| (i % 251) as u8).collect();
    let child = fork(|| {
        sys!(close, b).must();
        let mut done = 0;
        while done < data.len() {
            done += sys!(write, a, &data[done..], data.len() - done).must() as usize;
        }
    });
    sys!(close, a).must();
    check!(read_all(b) == data, "the data differs");
    child.ok();
});

case!(receive_flags, [recvfrom], {
    let (a, b) = socketpair(SOCK_STREAM);
    let mut buf = [0u8; 16];
    let mut recv = |flags: i32, len: usize| sys!(recvfrom, b, &mut buf, len, flags, NULL, NULL);
    check_eq!(recv(MSG_DONTWAIT, 4), Err(EAGAIN));
    sys!(write, a, b"abcdef", 6).must();
    check_eq!(recv(MSG_PEEK, 3), Ok(3));
    check_eq!(recv(MSG_PEEK, 16), Ok(6));
    check_eq!(recv(0, 2), Ok(2));
    check_eq!(recv(MSG_OOB, 1), Err(EINVAL), "no urgent data");
    let child = fork(|| {
        settle();
        sys!(write, a, b"gh", 2).must();
    });
    check_eq!(recv(MSG_WAITALL, 6), Ok(6), "waits for all of it");
    child.ok();
});

case!(receive_timeout_is_eagain, [setsockopt, recvfrom], {
    let (a, _b) = socketpair(SOCK_STREAM);
    let timeout = timeval { tv_sec: 0, tv_usec: 40_000 };
    check_eq!(sys!(setsockopt, a, SOL_SOCKET, SO_RCVTIMEO, &timeout, 16), Ok(0));
    let start = now();
    check_eq!(sys!(read, a, &mut [0u8; 4], 4), Err(EAGAIN));
    check!(now() - start >= Duration::from_millis(35));
    let mut back: timeval = zeroed();
    sys!(getsockopt, a, SOL_SOCKET, SO_RCVTIMEO, &mut back, &mut 16u32).must();
    check_eq!((back.tv_sec, back.tv_usec), (0, 40_000));
    let bad = timeval { tv_sec: 0, tv_usec: 1_000_000 };
    check_eq!(sys!(setsockopt, a, SOL_SOCKET, SO_RCVTIMEO, &bad, 16), Err(EDOM));
});

case!(options, [getsockopt, setsockopt], {
    let (a, _b) = socketpair(SOCK_STREAM);
    check_eq!(option(a, SOL_SOCKET, SO_TYPE), Ok(SOCK_STREAM));
    check_eq!(option(a, SOL_SOCKET, SO_DOMAIN), Ok(AF_UNIX));
    check_eq!(option(a, SOL_SOCKET, SO_PROTOCOL), Ok(0));
    check_eq!(option(a, SOL_SOCKET, SO_ERROR), Ok(0));
    check_eq!(option(a, SOL_SOCKET, SO_ACCEPTCONN), Ok(0));
    check_eq!(option(listener(b"s", 1), SOL_SOCKET, SO_ACCEPTCONN), Ok(1));
    check_eq!(set_option(a, SOL_SOCKET, SO_SNDBUF, 20_000), Ok(0));
    check_eq!(option(a, SOL_SOCKET, SO_SNDBUF), Ok(40_000), "doubled");
    check_eq!(set_option(a, SOL_SOCKET, SO_PASSCRED, 1), Ok(0));
    check_eq!(option(a, SOL_SOCKET, SO_PASSCRED), Ok(1));
    check_eq!(option(a, SOL_SOCKET, 9999), Err(ENOPROTOOPT));
    check_eq!(option(a, SOL_TCP, 1), Err(EOPNOTSUPP));
    check_eq!(set_option(a, SOL_SOCKET, 9999, 1), Err(ENOPROTOOPT));
    check_eq!(sys!(setsockopt, a, SOL_SOCKET, SO_SNDBUF, BAD, 4), Err(EFAULT));
    check_eq!(sys!(setsockopt, a, SOL_SOCKET, SO_SNDBUF, &1i32, 3), Err(EINVAL));
    check_eq!(sys!(getsockopt, a, SOL_SOCKET, SO_TYPE, BAD, &mut 4u32), Err(EFAULT));
    check_eq!(sys!(getsockopt, a, SOL_SOCKET, SO_TYPE, &mut 0i32, BAD), Err(EFAULT));
});
