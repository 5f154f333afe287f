//! poll, ppoll, select and epoll at streams in much use.

use crate::support::prelude::*;

const IN: u32 = EPOLLIN as u32;
const OUT: u32 = EPOLLOUT as u32;
const ET: u32 = EPOLLET as u32;
const ONESHOT: u32 = EPOLLONESHOT as u32;

fn poll_one(fd: i32, events: i16, wait_ms: i32) -> i16 {
    let mut poll = pollfd { fd, events, revents: 0 };
    sys!(poll, &mut poll, 1, wait_ms).must();
    poll.revents
}

fn ppoll_one(fd: i32, events: i16, wait_ms: i64) -> i16 {
    let mut poll = pollfd { fd, events, revents: 0 };
    sys!(ppoll, &mut poll, 1, &millis(wait_ms), NULL, 8).must();
    poll.revents
}

fn select_readable(fd: i32, wait_ms: i64) -> bool {
    let mut set = [0_u64; 16];
    set[fd as usize / 64] = 1 << (fd % 64);
    let wait = timeval { tv_sec: wait_ms / 1000, tv_usec: wait_ms % 1000 * 1000 };
    sys!(select, fd + 1, &mut set, NULL, NULL, &wait).must() == 1
}

fn epoll_of(fds: &[(i32, u32)]) -> i32 {
    let epoll = sys!(epoll_create1, 0).must() as i32;
    for &(fd, events) in fds {
        set(epoll, EPOLL_CTL_ADD, fd, events);
    }
    epoll
}

fn set(epoll: i32, op: i32, fd: i32, events: u32) {
    let event = epoll_event { events, u64: fd as u64 };
    sys!(epoll_ctl, epoll, op, fd, &event).must();
}

/// Waits and returns what came: events and descriptors.
fn wait(epoll: i32, wait_ms: i32) -> Vec<(u32, i32)> {
    let mut events = [epoll_event { events: 0, u64: 0 }; 16];
    let count = sys!(epoll_wait, epoll, &mut events, 16, wait_ms).must() as usize;
    events[..count].iter().map(|e| (e.events, e.u64 as i32)).collect()
}

/// How somebody can wait for bytes.
type Waiting = fn(fd: i32);

const WAYS: [Waiting; 5] = [
    |fd| check_eq!(poll_one(fd, POLLIN, 5000), POLLIN),
    |fd| check_eq!(ppoll_one(fd, POLLIN, 5000), POLLIN),
    |fd| check!(select_readable(fd, 5000)),
    |fd| {
        let epoll = epoll_of(&[(fd, IN)]);
        check_eq!(wait(epoll, 5000), [(IN, fd)]);
        sys!(close, epoll).must();
    },
    |fd| {
        let inner = epoll_of(&[(fd, IN)]);
        let outer = epoll_of(&[(inner, IN)]);
        check_eq!(wait(outer, 5000), [(IN, inner)]);
        sys!(close, inner).must();
        sys!(close, outer).must();
    },
];

each_stream!(those_who_wait_learn_of_bytes, [poll, ppoll, select, epoll_wait], 20, |kind| {
    for way in WAYS {
        let [one, other] = kind.parties();
        let child = fork(move || {
            for number in 0..150_u8 {
                check_eq!(read_byte(other.r), Ok(Some(number)));
                if number % 10 == 0 {
                    sleep_ms(2);
                }
                check_eq!(sys!(write, other.w, &[number], 1), Ok(1));
            }
        });
        for number in 0..150 {
            check_eq!(sys!(write, one.w, &[number], 1), Ok(1));
            way(one.r);
            check_eq!(read_byte(one.r), Ok(Some(number)));
            check_eq!(poll_one(one.r, POLLIN, 0), 0);
        }
        child.ok();
    }
});

each_stream!(who_serves_many_learns_of_each, [epoll_wait, fstat], 30, |kind| {
    // Both sides make call after call, but rest at times, and end right behind their last word.
    let parties: [_; 6] = std::array::from_fn(|_| kind.parties());
    let readers = |side: usize| {
        let fds: Vec<_> = parties.iter().map(|party| (party[side].r, IN)).collect();
        (epoll_of(&fds), fds)
    };
    let ready = |epoll| {
        let events = wait(epoll, 5000);
        check!(!events.is_empty(), "nobody tells of bytes");
        events.into_iter().map(|(_, fd)| fd)
    };
    let child = fork(move || {
        let (epoll, fds) = readers(1);
        let mut left = 600 * fds.len();
        while left > 0 {
            for fd in ready(epoll) {
                let mut byte = 0_u8;
                check_eq!(sys!(read, fd, &mut byte, 1), Ok(1));
                (0..3).for_each(|_| check_eq!(sys!(fstat, 0, &mut [0_u64; 18]), Ok(0)));
                let peers = parties.iter().filter(|party| party[1].r == fd);
                peers.for_each(|party| check_eq!(sys!(write, party[1].w, &[!byte], 1), Ok(1)));
                left -= 1;
            }
        }
    });
    let (epoll, fds) = readers(0);
    for round in 0..600_u32 {
        for party in parties {
            check_eq!(sys!(write, party[0].w, &[round as u8], 1), Ok(1));
        }
        let mut left = fds.len();
        while left > 0 {
            for fd in ready(epoll) {
                check_eq!(read_byte(fd), Ok(Some(!(round as u8))));
                left -= 1;
            }
        }
        if round % 50 == 0 {
            sleep_ms(1);
        }
    }
    child.ok();
});

each_stream!(who_waits_before_the_others_begin_learns_too, [poll, epoll_wait], |kind| {
    for way in [WAYS[0], WAYS[2], WAYS[3]] {
        let (asked, told) = (kind.stream(), kind.stream());
        let child = fork(move || {
            told.warm_up();
            way(asked.r);
            sys!(write, told.w, b"y", 1).must();
        });
        settle();
        // In much use by others, while the child waits for it.
        let helper = kind.stream();
        for _ in 0..100 {
            helper.warm_up();
        }
        for _ in 0..30 {
            check_eq!(sys!(write, asked.w, b"x", 1), Ok(1));
        }
        child.ok();
        check_eq!(read_exactly(asked.r, 30), [b'x'; 30]);
    }
});

each_stream!(a_poller_does_not_keep_others_from_use, [poll], |kind| {
    // Somebody waits for the end only, while others use the stream.
    let stream = kind.stream();
    let child = fork(move || {
        sys!(close, stream.w).must();
        check!(poll_one(stream.r, 0x2000, 5000) != 0); // POLLRDHUP, or else POLLHUP
    });
    settle();
    for _ in 0..50 {
        stream.warm_up();
    }
    sys!(close, stream.w).must();
    child.ok();
});

each_stream!(those_who_wait_learn_of_room, [poll, epoll_wait], 20, |kind| {
    let stream = kind.warm();
    set_nonblocking(stream.w, true);
    for round in 0..20 {
        let total = stream.fill(PAGE);
        check_eq!(poll_one(stream.w, POLLOUT, 0), 0);
        let epoll = epoll_of(&[(stream.w, if round % 2 == 0 { OUT } else { OUT | ET })]);
        check_eq!(wait(epoll, 0), []);
        let reader = fork(move || {
            sleep_ms(round % 4);
            check!(read_exactly(stream.r, total).iter().all(|&byte| byte == 0xa5));
        });
        match round % 3 {
            0 => check_eq!(poll_one(stream.w, POLLOUT, 5000), POLLOUT),
            1 => check_eq!(wait(epoll, 5000), [(OUT, stream.w)]),
            _ => check_eq!(ppoll_one(stream.w, POLLOUT, 5000), POLLOUT),
        }
        reader.ok();
        check_eq!(poll_one(stream.w, POLLOUT, 0), POLLOUT);
        sys!(close, epoll).must();
    }
});

case!(a_page_makes_room_in_a_full_pipe, [poll, pipe2], {
    let mut ends = [0; 2];
    sys!(pipe2, &mut ends, O_NONBLOCK).must();
    let stream = Stream { r: ends[0], w: ends[1] };
    stream.warm_up();
    let epoll = epoll_of(&[(stream.w, OUT | ET)]);
    for _ in 0..50 {
        check_eq!(stream.fill(PAGE), 65536);
        wait(epoll, 0);
        check_eq!(poll_one(stream.w, POLLOUT, 0), 0);
        check_eq!(read_exactly(stream.r, PAGE - 1).len(), PAGE - 1);
        check_eq!(poll_one(stream.w, POLLOUT, 0), 0, "no page is free");
        check_eq!(read_byte(stream.r), Ok(Some(0xa5)));
        check_eq!(poll_one(stream.w, POLLOUT, 0), POLLOUT);
        check_eq!(wait(epoll, 0).len(), 1);
        read_exactly(stream.r, 15 * PAGE);
    }
});

each_stream!(epoll_tells_of_the_level, [epoll_wait], |kind| {
    let stream = kind.warm();
    let epoll = epoll_of(&[(stream.r, IN)]);
    for number in 0..100 {
        check_eq!(wait(epoll, 0), []);
        sys!(write, stream.w, &[number; 2], 2).must();
        check_eq!(wait(epoll, 0), [(IN, stream.r)]);
        check_eq!(read_byte(stream.r), Ok(Some(number)));
        check_eq!(wait(epoll, 0), [(IN, stream.r)]);
        check_eq!(read_byte(stream.r), Ok(Some(number)));
    }
});

each_stream!(epoll_tells_of_each_edge, [epoll_wait], |kind| {
    let stream = kind.warm();
    let epoll = epoll_of(&[(stream.r, IN | ET)]);
    check_eq!(wait(epoll, 0), []);
    for number in 0..50 {
        sys!(write, stream.w, &[number], 1).must();
        check_eq!(wait(epoll, 0), [(IN, stream.r)]);
        check_eq!(wait(epoll, 0), []);
        // More bytes are another edge, although nobody has read the others.
        sys!(write, stream.w, &[number], 1).must();
        check_eq!(wait(epoll, 0), [(IN, stream.r)]);
        check_eq!(wait(epoll, 0), []);
        check_eq!(read_byte(stream.r), Ok(Some(number)));
        check_eq!(wait(epoll, 0), []);
        sys!(write, stream.w, &[number], 1).must();
        check_eq!(wait(epoll, 0), [(IN, stream.r)]);
        check_eq!(read_exactly(stream.r, 2), [number; 2]);
        check_eq!(wait(epoll, 0), []);
    }
});

each_stream!(epoll_tells_of_edges_that_others_make, [epoll_wait], 20, |kind| {
    let (stream, back) = (kind.warm(), kind.warm());
    let child = fork(move || {
        for number in 0..400_u32 {
            let count = 1 + number as usize % 3;
            check_eq!(sys!(write, stream.w, &[1_u8; 3], count), Ok(count as i64));
            check_eq!(read_byte(back.r), Ok(Some(number as u8)));
        }
    });
    let epoll = epoll_of(&[(stream.r, IN | ET)]);
    let mut there = 0;
    for number in 0..400_u32 {
        check_eq!(wait(epoll, 5000), [(IN, stream.r)], "round {number}");
        there += 1 + number as usize % 3;
        if number % 4 == 3 {
            read_exactly(stream.r, there);
            there = 0;
        }
        sys!(write, back.w, &[number as u8], 1).must();
    }
    child.ok();
});

each_stream!(epoll_tells_once_if_asked_so, [epoll_wait, epoll_ctl], |kind| {
    let stream = kind.warm();
    let epoll = epoll_of(&[(stream.r, IN | ONESHOT)]);
    for number in 0..100 {
        sys!(write, stream.w, &[number; 2], 2).must();
        check_eq!(wait(epoll, 0), [(IN, stream.r)]);
        check_eq!(wait(epoll, 0), []);
        sys!(write, stream.w, &[number], 1).must();
        check_eq!(wait(epoll, 0), []);
        set(epoll, EPOLL_CTL_MOD, stream.r, IN | ONESHOT);
        check_eq!(wait(epoll, 0), [(IN, stream.r)]);
        check_eq!(read_exactly(stream.r, 3), [number; 3]);
        set(epoll, EPOLL_CTL_MOD, stream.r, IN | ONESHOT);
        check_eq!(wait(epoll, 0), []);
    }
});

each_stream!(one_epoll_serves_many_streams, [epoll_wait], 20, |kind| {
    const STREAMS: usize = 24;
    const ROUNDS: usize = 120;
    let streams: Vec<Stream> = (0..STREAMS).map(|_| kind.stream()).collect();
    let children: Vec<_> = (0..3)
        .map(|writer| {
            let streams = &streams;
            fork(move || {
                for round in 0..ROUNDS {
                    for stream in streams.iter().skip(writer).step_by(3) {
                        check_eq!(sys!(write, stream.w, &[round as u8; 5], 5), Ok(5));
                    }
                    if round % 20 == writer {
                        sleep_ms(3);
                    }
                }
            })
        })
        .collect();
    let fds: Vec<_> = streams
        .iter()
        .enumerate()
        .map(|(at, stream)| (stream.r, if at % 2 == 0 { IN } else { IN | ET }))
        .collect();
    let epoll = epoll_of(&fds);
    let mut got = vec![0; STREAMS];
    while got.iter().any(|&count| count < ROUNDS * 5) {
        let ready = wait(epoll, 5000);
        check!(!ready.is_empty(), "{got:?}");
        for (_, fd) in ready {
            let at = streams.iter().position(|stream| stream.r == fd).must();
            // All that is there; a level would do with less.
            loop {
                let mut bytes = [0_u8; 64];
                let count = match sys!(recvfrom, fd, &mut bytes, 64, MSG_DONTWAIT, NULL, NULL) {
                    Err(ENOTSOCK) if poll_one(fd, POLLIN, 0) == 0 => break,
                    Err(ENOTSOCK) => sys!(read, fd, &mut bytes, 64).must(),
                    Err(errno) => {
                        check_eq!(errno, EAGAIN);
                        break;
                    }
                    Ok(count) => count,
                };
                for &byte in &bytes[..count as usize] {
                    check_eq!(usize::from(byte), got[at] / 5);
                    got[at] += 1;
                }
            }
        }
    }
    children.into_iter().for_each(Child::ok);
});

each_stream!(a_loop_of_poll_and_read_misses_nothing, [poll, read], 20, |kind| {
    const COUNT: usize = 3000;
    let [one, other] = kind.parties();
    let child = fork(move || {
        for number in 0..COUNT {
            check_eq!(poll_one(other.r, POLLIN, 5000), POLLIN, "{number}");
            check_eq!(read_byte(other.r), Ok(Some(number as u8)));
            check_eq!(sys!(write, other.w, &[number as u8], 1), Ok(1));
        }
    });
    for number in 0..COUNT {
        check_eq!(sys!(write, one.w, &[number as u8], 1), Ok(1));
        if number % 2 == 0 {
            check_eq!(poll_one(one.r, POLLIN, 5000), POLLIN, "{number}");
        }
        check_eq!(read_byte(one.r), Ok(Some(number as u8)));
    }
    child.ok();
});

each_stream!(a_signal_ends_the_wait_of_a_self_pipe, [ppoll], |kind| {
    static WAKER: AtomicI32 = AtomicI32::new(-1);
    let stream = kind.warm();
    WAKER.store(stream.w, SeqCst);
    on(SIGALRM, SA_RESTART, |_, _| {
        check_eq!(sys!(write, WAKER.load(SeqCst), b"s", 1), Ok(1));
    });
    let interval = timeval { tv_sec: 0, tv_usec: 1000 };
    let timer = itimerval { it_interval: interval, it_value: interval };
    sys!(setitimer, ITIMER_REAL, &timer, 0).must();
    let mut read = 0;
    while read < 300 {
        let mut poll = pollfd { fd: stream.r, events: POLLIN, revents: 0 };
        match sys!(poll, &mut poll, 1, 5000) {
            Err(EINTR) => {}
            count => {
                check_eq!(count, Ok(1));
                check_eq!(read_byte(stream.r), Ok(Some(b's')));
                read += 1;
            }
        }
    }
});

each_stream!(a_hang_up_ends_the_wait, [poll, epoll_wait], |kind| {
    for round in 0..10 {
        let stream = kind.warm();
        let child = fork(move || {
            sys!(close, stream.r).must();
            sleep_ms(round % 3 * 10);
        });
        sys!(close, stream.w).must();
        if round % 2 == 0 {
            check!(poll_one(stream.r, POLLIN, 5000) & (POLLHUP | POLLIN) != 0);
        } else {
            let epoll = epoll_of(&[(stream.r, IN | ET)]);
            check_eq!(wait(epoll, 5000).len(), 1);
        }
        check_eq!(read_byte(stream.r), Ok(None));
        child.ok();
        let stream = kind.warm();
        let child = fork(move || {
            sys!(close, stream.w).must();
            sleep_ms(round % 3 * 10);
        });
        sys!(close, stream.r).must();
        let events = poll_one(stream.w, 0, if kind == Kind::Tcp { 50 } else { 5000 });
        check!(kind == Kind::Tcp || events & (POLLERR | POLLHUP) != 0, "{events:#x}");
        child.ok();
    }
});
