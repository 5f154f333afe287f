//! eventfd, eventfd2, timerfd, signalfd, signalfd4, pidfd: descriptors for events.

use crate::support::prelude::*;

fn read_u64(fd: i32) -> Result<u64, Errno> {
    let mut value = 0u64;
    sys!(read, fd, &mut value, 8).map(|_| value)
}

fn readable(fd: i32, wait_ms: i32) -> bool {
    let mut poll = pollfd { fd, events: POLLIN, revents: 0 };
    sys!(poll, &mut poll, 1, wait_ms).must() == 1
}

fn eventfd(initial: u32, flags: i32) -> i32 {
    sys!(eventfd2, initial, flags).must() as i32
}

case!(eventfd_adds_and_reads_all, [eventfd2, eventfd, read, write], {
    let fd = eventfd(3, 0);
    check_eq!(sys!(write, fd, &4u64, 8), Ok(8));
    check_eq!(read_u64(fd), Ok(7));
    sys!(fcntl, fd, F_SETFL, O_NONBLOCK).must();
    check_eq!(read_u64(fd), Err(EAGAIN));
    check!(sys!(eventfd, 1).is_ok());
});

case!(eventfd_semaphore_counts_down, [eventfd2], {
    let fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
    check_eq!((read_u64(fd), read_u64(fd), read_u64(fd)), (Ok(1), Ok(1), Err(EAGAIN)));
});

case!(eventfd_limits, [eventfd2, write], {
    let fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    check_eq!(sys!(fcntl, fd, F_GETFD), Ok(1));
    check_eq!(sys!(write, fd, &u64::MAX, 8), Err(EINVAL));
    check_eq!(sys!(write, fd, &(u64::MAX - 1), 8), Ok(8));
    check_eq!(sys!(write, fd, &1u64, 8), Err(EAGAIN), "full");
    let mut poll = pollfd { fd, events: POLLIN | POLLOUT, revents: 0 };
    sys!(poll, &mut poll, 1, 0).must();
    check_eq!(poll.revents, POLLIN, "not writable");
    check_eq!(sys!(write, fd, &1u32, 4), Err(EINVAL));
    check_eq!(sys!(read, fd, &mut [0u8; 4], 4), Err(EINVAL));
    check_eq!(sys!(write, fd, BAD, 8), Err(EFAULT));
    check_eq!(sys!(eventfd2, 0, 0x10), Err(EINVAL));
});

case!(eventfd_read_blocks_until_written, [eventfd2, read], {
    let fd = eventfd(0, 0);
    let child = fork(|| check_eq!(read_u64(fd), Ok(9)));
    settle();
    sys!(write, fd, &9u64, 8).must();
    child.ok();
});

fn timer(value_ms: i64, interval_ms: i64) -> itimerspec {
    itimerspec { it_interval: millis(interval_ms), it_value: millis(value_ms) }
}

case!(timerfd_counts_expirations, [timerfd_create, timerfd_settime], {
    let fd = sys!(timerfd_create, CLOCK_MONOTONIC, 0).must() as i32;
    sys!(timerfd_settime, fd, 0, &timer(10, 0), NULL).must();
    let start = now();
    check_eq!(read_u64(fd), Ok(1));
    check!(now() - start >= Duration::from_millis(10));
    sys!(timerfd_settime, fd, 0, &timer(5, 5), NULL).must();
    sleep_ms(60);
    check!(read_u64(fd).must() >= 5);
});

case!(timerfd_nonblocking_and_poll, [timerfd_create, poll], {
    let fd = sys!(timerfd_create, CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC).must() as i32;
    check_eq!(sys!(fcntl, fd, F_GETFD), Ok(1));
    check_eq!(read_u64(fd), Err(EAGAIN));
    sys!(timerfd_settime, fd, 0, &timer(20, 0), NULL).must();
    check!(!readable(fd, 0) && readable(fd, 5000));
    check_eq!(read_u64(fd), Ok(1));
    check!(!readable(fd, 0));
});

case!(timerfd_gettime_and_disarm, [timerfd_gettime, timerfd_settime], {
    let fd = sys!(timerfd_create, CLOCK_REALTIME, TFD_NONBLOCK).must() as i32;
    sys!(timerfd_settime, fd, 0, &timer(100_000, 7000), NULL).must();
    let mut value: itimerspec = zeroed();
    check_eq!(sys!(timerfd_gettime, fd, &mut value), Ok(0));
    check_eq!((value.it_value.tv_sec, value.it_interval.tv_sec), (99, 7));
    let mut old: itimerspec = zeroed();
    sys!(timerfd_settime, fd, 0, &timer(0, 0), &mut old).must();
    check_eq!(old.it_value.tv_sec, 99);
    sys!(timerfd_gettime, fd, &mut value).must();
    check_eq!((value.it_value.tv_sec, value.it_value.tv_nsec), (0, 0));
});

case!(timerfd_absolute, [timerfd_settime], {
    let fd = sys!(timerfd_create, CLOCK_MONOTONIC, 0).must() as i32;
    let past = itimerspec { it_interval: zeroed(), it_value: timespec { tv_sec: 1, tv_nsec: 0 } };
    sys!(timerfd_settime, fd, TFD_TIMER_ABSTIME, &past, NULL).must();
    check_eq!(read_u64(fd), Ok(1));
});

case!(timerfd_errors, [timerfd_create, timerfd_settime, timerfd_gettime], {
    check_eq!(sys!(timerfd_create, 99, 0), Err(EINVAL));
    check_eq!(sys!(timerfd_create, CLOCK_MONOTONIC, 0x10), Err(EINVAL));
    let fd = sys!(timerfd_create, CLOCK_MONOTONIC, 0).must() as i32;
    let mut value = timer(1, 0);
    check_eq!(sys!(timerfd_settime, 99, 0, &value, NULL), Err(EBADF));
    check_eq!(sys!(timerfd_settime, open(c".", O_RDONLY), 0, &value, NULL), Err(EINVAL));
    check_eq!(sys!(timerfd_settime, fd, 0x10, &value, NULL), Err(EINVAL));
    check_eq!(sys!(timerfd_settime, fd, 0, BAD, NULL), Err(EFAULT));
    check_eq!(sys!(timerfd_gettime, fd, BAD), Err(EFAULT));
    value.it_value.tv_nsec = 1_000_000_000;
    check_eq!(sys!(timerfd_settime, fd, 0, &value, NULL), Err(EINVAL));
    check_eq!(sys!(read, fd, &mut [0u8; 4], 4), Err(EINVAL));
    check_eq!(sys!(write, fd, &1u64, 8), Err(EINVAL));
});

/// The fields of `struct signalfd_siginfo` that the cases look at: signal, code, pid, value.
fn read_signal(fd: i32) -> Result<(i32, i32, i32, u64), Errno> {
    let mut info = [0u32; 32];
    check_eq!(sys!(read, fd, &mut info, 128)?, 128);
    let value = u64::from(info[12]) | u64::from(info[13]) << 32;
    Ok((info[0] as i32, info[2] as i32, info[3] as i32, value))
}

fn signalfd(signals: &[i32], flags: i32) -> i32 {
    sys!(signalfd4, -1, &mask_of(signals), 8, flags).must() as i32
}

case!(signalfd_takes_pending_signals, [signalfd4, signalfd, read], {
    block(&[SIGUSR1, SIGUSR2]);
    let fd = signalfd(&[SIGUSR1], SFD_NONBLOCK | SFD_CLOEXEC);
    check_eq!(sys!(fcntl, fd, F_GETFD), Ok(1));
    check_eq!(read_signal(fd), Err(EAGAIN));
    sys!(kill, getpid(), SIGUSR1).must();
    raise(SIGUSR2);
    check!(readable(fd, 0));
    check_eq!(read_signal(fd), Ok((SIGUSR1, 0, getpid(), 0)));
    check_eq!(pending(), mask_of(&[SIGUSR2]), "taken, and only that one");
    check!(!readable(fd, 0));
    check!(sys!(signalfd, -1, &mask_of(&[SIGUSR1]), 8).is_ok());
});

case!(signalfd_carries_queued_values, [signalfd4, rt_sigqueueinfo], {
    block(&[40]);
    let fd = signalfd(&[40], 0);
    for value in [1, 2] {
        let info = SigInfo::queued(40, -1, getpid(), 0, value);
        sys!(rt_sigqueueinfo, getpid(), 40, &info).must();
    }
    let mut both = [0u32; 64];
    check_eq!(sys!(read, fd, &mut both, 256), Ok(256), "as many as fit");
    check_eq!((both[0], both[12], both[32], both[44]), (40, 1, 40, 2));
});

case!(signalfd_mask_can_be_changed, [signalfd4], {
    block(&[SIGUSR1, SIGUSR2]);
    let fd = signalfd(&[SIGUSR1], SFD_NONBLOCK);
    raise(SIGUSR2);
    check_eq!(read_signal(fd).err(), Some(EAGAIN));
    check_eq!(sys!(signalfd4, fd, &mask_of(&[SIGUSR2]), 8, 0), Ok(i64::from(fd)));
    check_eq!(read_signal(fd).must().0, SIGUSR2);
});

case!(signalfd_wakes_a_blocked_reader, [signalfd4, read], {
    block(&[SIGUSR1]);
    let parent = getpid();
    let child = fork(|| {
        settle();
        sys!(kill, parent, SIGUSR1).must();
    });
    check_eq!(read_signal(signalfd(&[SIGUSR1], 0)).must().2, child.pid);
    child.ok();
});

case!(signalfd_errors, [signalfd4], {
    let mask = mask_of(&[SIGUSR1]);
    check_eq!(sys!(signalfd4, -1, &mask, 4, 0), Err(EINVAL));
    check_eq!(sys!(signalfd4, -1, &mask, 8, 0x10), Err(EINVAL));
    check_eq!(sys!(signalfd4, -1, BAD, 8, 0), Err(EFAULT));
    check_eq!(sys!(signalfd4, 99, &mask, 8, 0), Err(EBADF));
    check_eq!(sys!(signalfd4, open(c".", O_RDONLY), &mask, 8, 0), Err(EINVAL));
    let fd = signalfd(&[SIGUSR1], 0);
    check_eq!(sys!(read, fd, &mut [0u8; 64], 64), Err(EINVAL));
});

case!(pidfd_becomes_readable_at_the_end, [pidfd_open, poll, waitid], {
    let gate = Gate::new();
    let child = fork(|| gate.wait());
    let fd = sys!(pidfd_open, child.pid, 0).must() as i32;
    check!(!readable(fd, 0));
    gate.open();
    check!(readable(fd, 5000));
    child.ok();
    check!(readable(fd, 0), "and stays so");
});

case!(pidfd_getfd_copies_a_descriptor, [pidfd_getfd], {
    let gate = Gate::new();
    let child = fork(|| {
        sys!(dup2, open(c"f", O_RDWR | O_CREAT), 60).must();
        sys!(write, 60, b"abc", 3).must();
        gate.open();
        sleep_ms(10_000);
    });
    gate.wait();
    let pidfd = sys!(pidfd_open, child.pid, 0).must();
    let fd = match sys!(pidfd_getfd, pidfd, 60, 0) {
        Err(EPERM) => skip!("may not look into another process"),
        other => other.must() as i32,
    };
    check_eq!(sys!(lseek, fd, 0, SEEK_CUR), Ok(3), "the same open file");
    check_eq!(sys!(fcntl, fd, F_GETFD), Ok(1));
    check_eq!(sys!(pidfd_getfd, pidfd, 61, 0), Err(EBADF));
    check_eq!(sys!(pidfd_getfd, pidfd, 60, 1), Err(EINVAL));
    child.end();
});
