//! poll, ppoll, select, pselect6.

use crate::support::prelude::*;

fn poll_one(fd: i32, events: i16, wait_ms: i32) -> i16 {
    let mut poll = pollfd { fd, events, revents: 0x7fff };
    sys!(poll, &mut poll, 1, wait_ms).must();
    poll.revents
}

const RW: i16 = POLLIN | POLLOUT;

case!(pipe_ends, [poll], {
    let (r, w) = pipe();
    check_eq!(poll_one(r, RW, 0), 0);
    check_eq!(poll_one(w, RW, 0), POLLOUT);
    sys!(write, w, b"x", 1).must();
    check_eq!(poll_one(r, POLLIN | POLLRDNORM, 0), POLLIN | POLLRDNORM);
    check_eq!(poll_one(r, 0, 0), 0, "only what was asked for");
    sys!(close, w).must();
    check_eq!(poll_one(r, POLLIN, 0), POLLIN | POLLHUP);
    check_eq!(poll_one(r, 0, 0), POLLHUP, "errors are always reported");
    let (r, w) = pipe();
    sys!(close, r).must();
    check_eq!(poll_one(w, POLLOUT, 0), POLLOUT | POLLERR);
});

case!(full_pipe_is_not_writable, [poll], {
    let (r, w) = pipe();
    sys!(fcntl, w, F_SETFL, O_NONBLOCK).must();
    while sys!(write, w, &[0u8; 4096], 4096).is_ok() {}
    check_eq!(poll_one(w, POLLOUT, 0), 0);
    sys!(read, r, &mut [0u8; 4096], 4096).must();
    check_eq!(poll_one(w, POLLOUT, 0), POLLOUT);
});

case!(files_are_always_ready, [poll], {
    create(c"f", b"");
    check_eq!(poll_one(open(c"f", O_RDWR), RW, 0), RW);
    check_eq!(poll_one(open(c"/dev/null", O_RDWR), RW, 0), RW);
});

case!(bad_descriptors_are_pollnval_and_negative_ones_ignored, [poll], {
    check_eq!(poll_one(99, RW, 1000), POLLNVAL);
    check_eq!(poll_one(-1, RW, 10), 0);
    let (_r, w) = pipe();
    let entry = |fd| pollfd { fd, events: POLLOUT, revents: 0 };
    let mut list = [entry(-5), entry(w), entry(99)];
    check_eq!(sys!(poll, &mut list, 3, 0), Ok(2));
    check_eq!(list.map(|p| p.revents), [0, POLLOUT, POLLNVAL]);
});

case!(timeouts, [poll, ppoll], {
    let (r, _w) = pipe();
    for wait in [0, 30] {
        let start = now();
        check_eq!(poll_one(r, POLLIN, wait), 0);
        check!(now() - start >= Duration::from_millis(wait as u64));
    }
    let mut poll = pollfd { fd: r, events: POLLIN, revents: 0 };
    let start = now();
    check_eq!(sys!(ppoll, &mut poll, 1, &millis(30), NULL, 8), Ok(0));
    check!(now() - start >= Duration::from_millis(30));
    check_eq!(sys!(poll, NULL, 0, 20), Ok(0), "just a sleep");
});

case!(wakes_when_something_happens, [poll], {
    let (r, w) = pipe();
    let child = fork(|| {
        settle();
        sys!(write, w, b"x", 1).must();
    });
    check_eq!(poll_one(r, POLLIN, -1), POLLIN);
    child.ok();
    let (r, w) = pipe();
    let child = fork(settle);
    sys!(close, w).must();
    check_eq!(poll_one(r, POLLIN, -1), POLLHUP, "the child held the last writer");
    child.ok();
});

case!(errors, [poll, ppoll], {
    check_eq!(sys!(poll, BAD, 1, 0), Err(EFAULT));
    check_eq!(sys!(poll, NULL, 1, 0), Err(EFAULT));
    let limit = rlimit { rlim_cur: 50, rlim_max: 50 };
    sys!(setrlimit, RLIMIT_NOFILE, &limit).must();
    let list = vec![pollfd { fd: -1, events: 0, revents: 0 }; 51];
    check_eq!(sys!(poll, &list[..], 51, 0), Err(EINVAL), "more than RLIMIT_NOFILE");
    let mut one = list[0];
    let bad = timespec { tv_sec: 0, tv_nsec: 1_000_000_000 };
    check_eq!(sys!(ppoll, &mut one, 1, &bad, NULL, 8), Err(EINVAL));
    check_eq!(sys!(ppoll, &mut one, 1, BAD, NULL, 8), Err(EFAULT));
    check_eq!(sys!(ppoll, &mut one, 1, &millis(0), BAD, 8), Err(EFAULT));
    check_eq!(sys!(ppoll, &mut one, 1, &millis(0), &0u64, 4), Err(EINVAL));
});

case!(ppoll_swaps_the_mask_while_waiting, [ppoll], {
    count_signal(SIGUSR1, 0);
    block(&[SIGUSR1]);
    raise(SIGUSR1);
    let (r, _w) = pipe();
    let mut poll = pollfd { fd: r, events: POLLIN, revents: 0 };
    check_eq!(sys!(ppoll, &mut poll, 1, &millis(3000), &0u64, 8), Err(EINTR));
    check_eq!((counted(SIGUSR1), set_mask(0)), (1, mask_of(&[SIGUSR1])));
});

case!(ppoll_prefers_a_ready_descriptor_to_a_blocked_signal, [ppoll], {
    count_signal(SIGUSR1, 0);
    block(&[SIGUSR1]);
    let (_r, w) = pipe();
    let mut poll = pollfd { fd: w, events: POLLOUT, revents: 0 };
    raise(SIGUSR1);
    check_eq!(sys!(ppoll, &mut poll, 1, NULL, &mask_of(&[SIGUSR1]), 8), Ok(1));
    check_eq!(counted(SIGUSR1), 0);
});

case!(ppoll_writes_back_the_time_left, [ppoll], {
    let (r, w) = pipe();
    let mut poll = pollfd { fd: r, events: POLLIN, revents: 0 };
    let child = fork(|| {
        settle();
        sys!(write, w, b"x", 1).must();
    });
    let mut left = millis(10_000);
    check_eq!(sys!(ppoll, &mut poll, 1, &mut left, NULL, 8), Ok(1));
    check_eq!(left.tv_sec, 9);
    child.ok();
});

/// A set of descriptors as select takes it.
fn set(fds: &[i32]) -> [u64; 16] {
    let mut set = [0u64; 16];
    for fd in fds {
        set[*fd as usize / 64] |= 1 << (fd % 64);
    }
    set
}

case!(select_reports_ready_descriptors, [select], {
    let (r, w) = pipe();
    let (mut reads, mut writes) = (set(&[r]), set(&[w]));
    check_eq!(sys!(select, w + 1, &mut reads, &mut writes, NULL, NULL), Ok(1));
    check_eq!((reads, writes), (set(&[]), set(&[w])));
    sys!(write, w, b"x", 1).must();
    let (mut reads, mut writes) = (set(&[r]), set(&[w]));
    check_eq!(sys!(select, w + 1, &mut reads, &mut writes, NULL, NULL), Ok(2));
    check_eq!(reads, set(&[r]));
});

case!(select_looks_only_below_nfds, [select], {
    let (r, w) = pipe();
    sys!(write, w, b"x", 1).must();
    let mut reads = set(&[r]);
    let zero = timeval { tv_sec: 0, tv_usec: 0 };
    check_eq!(sys!(select, r, &mut reads, NULL, NULL, &zero), Ok(0));
    check_eq!(sys!(select, 1024, &mut set(&[r]), NULL, NULL, &zero), Ok(1));
});

case!(select_timeout_is_updated, [select], {
    let (r, w) = pipe();
    let start = now();
    let mut timeout = timeval { tv_sec: 0, tv_usec: 30_000 };
    check_eq!(sys!(select, r + 1, &mut set(&[r]), NULL, NULL, &mut timeout), Ok(0));
    check!(now() - start >= Duration::from_millis(30));
    check_eq!((timeout.tv_sec, timeout.tv_usec), (0, 0));
    sys!(write, w, b"x", 1).must();
    let mut timeout = timeval { tv_sec: 10, tv_usec: 0 };
    check_eq!(sys!(select, r + 1, &mut set(&[r]), NULL, NULL, &mut timeout), Ok(1));
    check!(timeout.tv_sec >= 9);
});

case!(select_errors, [select, pselect6], {
    check_eq!(sys!(select, -1, NULL, NULL, NULL, NULL), Err(EINVAL));
    check_eq!(sys!(select, 100, &mut set(&[99]), NULL, NULL, NULL), Err(EBADF));
    check_eq!(sys!(select, 10, BAD, NULL, NULL, NULL), Err(EFAULT));
    check_eq!(sys!(select, 0, NULL, NULL, NULL, BAD), Err(EFAULT));
    let bad = timeval { tv_sec: -1, tv_usec: 0 };
    check_eq!(sys!(select, 0, NULL, NULL, NULL, &bad), Err(EINVAL));
    check_eq!(sys!(pselect6, 0, NULL, NULL, NULL, BAD, NULL), Err(EFAULT));
    check_eq!(sys!(pselect6, 0, NULL, NULL, NULL, NULL, BAD), Err(EFAULT));
});

case!(select_hangup_and_error_sets, [select], {
    let (r, w) = pipe();
    sys!(close, w).must();
    let (mut reads, mut except) = (set(&[r]), set(&[r]));
    check_eq!(sys!(select, r + 1, &mut reads, NULL, &mut except, NULL), Ok(1));
    check_eq!((reads, except), (set(&[r]), set(&[])), "end of file is readable");
});

case!(pselect_swaps_the_mask_while_waiting, [pselect6], {
    count_signal(SIGUSR1, 0);
    block(&[SIGUSR1]);
    raise(SIGUSR1);
    let mask = 0u64;
    let argument = [&raw const mask as usize, 8];
    check_eq!(sys!(pselect6, 0, NULL, NULL, NULL, &millis(3000), &argument), Err(EINTR));
    check_eq!((counted(SIGUSR1), set_mask(0)), (1, mask_of(&[SIGUSR1])));
});

case!(many_descriptors, [poll], {
    let pipes: Vec<_> = (0..100).map(|_| pipe()).collect();
    let mut list: Vec<_> =
        pipes.iter().map(|(r, _)| pollfd { fd: *r, events: POLLIN, revents: 0 }).collect();
    check_eq!(sys!(poll, &mut list[..], 100, 0), Ok(0));
    let child = fork(|| {
        settle();
        sys!(write, pipes[77].1, b"x", 1).must();
    });
    check_eq!(sys!(poll, &mut list[..], 100, -1), Ok(1));
    check_eq!(list.iter().position(|p| p.revents != 0), Some(77));
    child.ok();
});
