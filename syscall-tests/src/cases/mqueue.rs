//! POSIX message queues.

use crate::support::prelude::*;

fn attributes(flags: i64, max: i64, size: i64) -> [i64; 8] {
    [flags, max, size, 0, 0, 0, 0, 0]
}

/// Opens a new queue of this process's own name.
fn queue(flags: i32, max: i64, size: i64) -> i32 {
    let name = cstr(&format!("case-{}", getpid()));
    let create = O_RDWR | O_CREAT | O_EXCL | flags;
    match sys!(mq_open, name.as_c_str(), create, 0o600, &attributes(0, max, size)) {
        Err(ENOSYS) => skip!("no POSIX message queues"),
        other => {
            sys!(mq_unlink, name.as_c_str()).must();
            other.must() as i32
        }
    }
}

fn receive(fd: i32) -> (String, u32) {
    let mut buf = [0u8; 64];
    let mut priority = 0u32;
    let len = sys!(mq_timedreceive, fd, &mut buf, 64, &mut priority, NULL).must() as usize;
    (String::from_utf8_lossy(&buf[..len]).into_owned(), priority)
}

fn send(fd: i32, text: &[u8], priority: u32) -> Result<i64, Errno> {
    sys!(mq_timedsend, fd, text, text.len(), priority, NULL)
}

case!(highest_priority_comes_first, [mq_open, mq_timedsend, mq_timedreceive], {
    let fd = queue(0, 10, 64);
    for (text, priority) in [(&b"low"[..], 1), (b"high", 9), (b"low2", 1), (b"", 5)] {
        check_eq!(send(fd, text, priority), Ok(0));
    }
    let order: Vec<_> = (0..4).map(|_| receive(fd)).collect();
    let want = [("high", 9), ("", 5), ("low", 1), ("low2", 1)];
    check_eq!(order, want.map(|(t, p)| (t.to_owned(), p)).to_vec());
});

case!(limits_and_errors, [mq_timedsend, mq_timedreceive, mq_open, mq_unlink], {
    let fd = queue(O_NONBLOCK, 2, 64);
    check_eq!(send(fd, &[0; 65], 0), Err(EMSGSIZE));
    check_eq!(send(fd, b"x", 32768), Err(EINVAL));
    check_eq!(sys!(mq_timedreceive, fd, &mut [0u8; 63], 63, NULL, NULL), Err(EMSGSIZE));
    check_eq!(sys!(mq_timedreceive, fd, &mut [0u8; 64], 64, NULL, NULL), Err(EAGAIN));
    send(fd, b"1", 0).must();
    send(fd, b"2", 0).must();
    check_eq!(send(fd, b"3", 0), Err(EAGAIN));
    check_eq!(sys!(mq_timedsend, fd, BAD, 4, 0, NULL), Err(EAGAIN).or(Err(EFAULT)));
    check_eq!(send(99, b"x", 0), Err(EBADF));
    check_eq!(sys!(mq_open, c"missing-queue", O_RDWR, 0, NULL), Err(ENOENT));
    check_eq!(sys!(mq_open, c"a/b", O_RDWR | O_CREAT, 0o600, NULL), Err(EACCES));
    check_eq!(sys!(mq_unlink, c"missing-queue"), Err(ENOENT));
    check_eq!(sys!(mq_open, c"bad", O_RDWR | O_CREAT, 0o600, &attributes(0, 0, 8)), Err(EINVAL));
});

case!(attributes_of_a_queue, [mq_getsetattr], {
    let fd = queue(0, 4, 16);
    send(fd, b"x", 0).must();
    let mut now = attributes(9, 9, 9);
    check_eq!(sys!(mq_getsetattr, fd, NULL, &mut now), Ok(0));
    check_eq!(now[..4], [0, 4, 16, 1]);
    let nonblock = attributes(i64::from(O_NONBLOCK), 99, 99);
    check_eq!(sys!(mq_getsetattr, fd, &nonblock, &mut now), Ok(0));
    sys!(mq_getsetattr, fd, NULL, &mut now).must();
    check_eq!(now[..3], [i64::from(O_NONBLOCK), 4, 16], "only the flag can change");
});

case!(timeouts_are_absolute, [mq_timedreceive], {
    let fd = queue(0, 4, 16);
    let mut time: timespec = zeroed();
    sys!(clock_gettime, CLOCK_REALTIME, &mut time).must();
    time.tv_nsec += 40_000_000;
    if time.tv_nsec >= 1_000_000_000 {
        (time.tv_sec, time.tv_nsec) = (time.tv_sec + 1, time.tv_nsec - 1_000_000_000);
    }
    let start = now();
    check_eq!(sys!(mq_timedreceive, fd, &mut [0u8; 16], 16, NULL, &time), Err(ETIMEDOUT));
    check!(now() - start >= Duration::from_millis(35));
    time.tv_nsec = 1_000_000_000;
    check_eq!(sys!(mq_timedreceive, fd, &mut [0u8; 16], 16, NULL, &time), Err(EINVAL));
});

case!(receiver_waits_and_poll_tells, [mq_timedreceive, poll], {
    let fd = queue(0, 1, 16);
    let ready = |events: i16| {
        let mut poll = pollfd { fd, events, revents: 0 };
        sys!(poll, &mut poll, 1, 0).must();
        poll.revents
    };
    check_eq!(ready(POLLIN | POLLOUT), POLLOUT);
    let child = fork(|| check_eq!(receive(fd).0, "hello"));
    settle();
    send(fd, b"hello", 0).must();
    child.ok();
    send(fd, b"again", 0).must();
    check_eq!(ready(POLLIN | POLLOUT), POLLIN);
});

case!(notification_by_signal, [mq_notify], {
    let fd = queue(0, 4, 16);
    count_signal(SIGUSR1, 0);
    // struct sigevent: value, signal, SIGEV_SIGNAL.
    let event = [7u64, SIGUSR1 as u64, 0, 0, 0, 0, 0, 0];
    check_eq!(sys!(mq_notify, fd, &event), Ok(0));
    check_eq!(sys!(mq_notify, fd, &event), Err(EBUSY));
    send(fd, b"x", 0).must();
    check_eq!(counted(SIGUSR1), 1);
    send(fd, b"y", 0).must();
    check_eq!(counted(SIGUSR1), 1, "once, and not while messages wait");
    check_eq!(sys!(mq_notify, fd, NULL), Ok(0));
    check_eq!(sys!(mq_notify, 99, NULL), Err(EBADF));
});
