//! epoll_create, epoll_create1, epoll_ctl, epoll_wait, epoll_pwait, epoll_pwait2.

use crate::support::prelude::*;

const IN: u32 = EPOLLIN as u32;
const OUT: u32 = EPOLLOUT as u32;
const ET: u32 = EPOLLET as u32;
const ONESHOT: u32 = EPOLLONESHOT as u32;

fn new() -> i32 {
    sys!(epoll_create1, 0).must() as i32
}

fn ctl(epoll: i32, op: i32, fd: i32, events: u32) -> Result<i64, Errno> {
    let event = epoll_event { events, u64: fd as u64 };
    sys!(epoll_ctl, epoll, op, fd, &event)
}

fn add(epoll: i32, fd: i32, events: u32) {
    ctl(epoll, EPOLL_CTL_ADD, fd, events).must();
}

/// Waits and returns what came: events and data.
fn wait(epoll: i32, wait_ms: i32) -> Vec<(u32, u64)> {
    let mut events = [epoll_event { events: 0, u64: 0 }; 16];
    let count = sys!(epoll_wait, epoll, &mut events, 16, wait_ms).must() as usize;
    events[..count].iter().map(|e| (e.events, e.u64)).collect()
}

case!(level_triggered_reports_as_long_as_ready, [epoll_create1, epoll_ctl, epoll_wait], {
    let epoll = new();
    let (r, w) = pipe();
    add(epoll, r, IN);
    check_eq!(wait(epoll, 0), []);
    sys!(write, w, b"ab", 2).must();
    check_eq!(wait(epoll, -1), [(IN, r as u64)]);
    check_eq!(wait(epoll, -1), [(IN, r as u64)]);
    sys!(read, r, &mut [0u8; 2], 2).must();
    check_eq!(wait(epoll, 0), []);
});

case!(edge_triggered_reports_each_arrival_once, [epoll_ctl, epoll_wait], {
    let epoll = new();
    let (r, w) = pipe();
    add(epoll, r, IN | ET);
    sys!(write, w, b"a", 1).must();
    check_eq!(wait(epoll, -1).len(), 1);
    check_eq!(wait(epoll, 0), []);
    sys!(write, w, b"b", 1).must();
    check_eq!(wait(epoll, 0).len(), 1, "more data is a new edge");
    sys!(read, r, &mut [0u8; 1], 1).must();
    check_eq!(wait(epoll, 0), [], "reading a part is not");
});

case!(edge_triggered_starts_with_what_is_ready, [epoll_ctl], {
    let epoll = new();
    let (r, w) = pipe();
    sys!(write, w, b"a", 1).must();
    add(epoll, r, IN | ET);
    check_eq!(wait(epoll, 0).len(), 1);
    check_eq!(wait(epoll, 0), []);
    ctl(epoll, EPOLL_CTL_MOD, r, IN | ET).must();
    check_eq!(wait(epoll, 0).len(), 1, "a change arms it again");
});

case!(oneshot_reports_until_armed_again, [epoll_ctl], {
    let epoll = new();
    let (r, w) = pipe();
    add(epoll, r, IN | ONESHOT);
    sys!(write, w, b"a", 1).must();
    check_eq!(wait(epoll, 0).len(), 1);
    sys!(write, w, b"a", 1).must();
    check_eq!(wait(epoll, 0), []);
    ctl(epoll, EPOLL_CTL_MOD, r, IN | ONESHOT).must();
    check_eq!(wait(epoll, 0).len(), 1);
});

case!(hangup_is_reported_unasked, [epoll_wait], {
    let epoll = new();
    let (r, w) = pipe();
    add(epoll, r, 0);
    sys!(close, w).must();
    check_eq!(wait(epoll, -1), [(EPOLLHUP as u32, r as u64)]);
});

case!(ctl_errors, [epoll_ctl], {
    let epoll = new();
    let (r, _w) = pipe();
    check_eq!(ctl(epoll, EPOLL_CTL_MOD, r, IN), Err(ENOENT));
    check_eq!(ctl(epoll, EPOLL_CTL_DEL, r, IN), Err(ENOENT));
    add(epoll, r, IN);
    check_eq!(ctl(epoll, EPOLL_CTL_ADD, r, IN), Err(EEXIST));
    check_eq!(ctl(epoll, 99, r, IN), Err(EINVAL));
    check_eq!(ctl(epoll, EPOLL_CTL_ADD, 99, IN), Err(EBADF));
    check_eq!(ctl(99, EPOLL_CTL_ADD, r, IN), Err(EBADF));
    check_eq!(ctl(r, EPOLL_CTL_ADD, r, IN), Err(EINVAL));
    check_eq!(ctl(epoll, EPOLL_CTL_ADD, epoll, IN), Err(EINVAL), "in itself");
    check_eq!(sys!(epoll_ctl, epoll, EPOLL_CTL_ADD, r, BAD), Err(EFAULT));
    check_eq!(sys!(epoll_ctl, epoll, EPOLL_CTL_DEL, r, NULL), Ok(0));
    create(c"f", b"");
    check_eq!(ctl(epoll, EPOLL_CTL_ADD, open(c"f", O_RDONLY), IN), Err(EPERM), "always ready");
    check_eq!(ctl(epoll, EPOLL_CTL_ADD, open(c".", O_RDONLY), IN), Err(EPERM));
});

case!(wait_errors, [epoll_wait, epoll_create, epoll_create1], {
    let epoll = new();
    let mut events = [0u64; 16];
    check_eq!(sys!(epoll_wait, epoll, &mut events, 0, 0), Err(EINVAL));
    check_eq!(sys!(epoll_wait, epoll, &mut events, -1, 0), Err(EINVAL));
    check_eq!(sys!(epoll_wait, 99, &mut events, 1, 0), Err(EBADF));
    check_eq!(sys!(epoll_wait, open(c".", O_RDONLY), &mut events, 1, 0), Err(EINVAL));
    let (r, w) = pipe();
    add(epoll, r, IN);
    sys!(write, w, b"x", 1).must();
    check_eq!(sys!(epoll_wait, epoll, BAD, 1, 0), Err(EFAULT));
    check_eq!(sys!(epoll_wait, epoll, &mut events, 1, 0), Ok(1), "nothing was lost");
    check_eq!(sys!(epoll_create, 0), Err(EINVAL));
    check!(sys!(epoll_create, 1).is_ok());
    check_eq!(sys!(epoll_create1, 0x10), Err(EINVAL));
    let fd = sys!(epoll_create1, EPOLL_CLOEXEC).must();
    check_eq!(sys!(fcntl, fd, F_GETFD), Ok(1));
});

case!(wait_blocks_and_times_out, [epoll_wait], {
    let epoll = new();
    let (r, w) = pipe();
    add(epoll, r, IN);
    let start = now();
    check_eq!(wait(epoll, 30), []);
    check!(now() - start >= Duration::from_millis(30));
    let child = fork(|| {
        settle();
        sys!(write, w, b"x", 1).must();
    });
    check_eq!(wait(epoll, -1).len(), 1);
    child.ok();
});

case!(maxevents_is_kept_and_all_get_their_turn, [epoll_wait], {
    let epoll = new();
    let pipes: Vec<_> = (0..5).map(|_| pipe()).collect();
    for (r, w) in &pipes {
        sys!(write, *w, b"x", 1).must();
        add(epoll, *r, IN);
    }
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..5 {
        let mut event = [epoll_event { events: 0, u64: 0 }; 2];
        check_eq!(sys!(epoll_wait, epoll, &mut event, 1, 0), Ok(1));
        seen.insert(event[0].u64);
    }
    check_eq!(seen.len(), 5, "round robin");
});

case!(modify_changes_events_and_data, [epoll_ctl], {
    let epoll = new();
    let (_r, w) = pipe();
    add(epoll, w, IN);
    check_eq!(wait(epoll, 0), []);
    let event = epoll_event { events: OUT, u64: 0xabcd_1234_5678 };
    sys!(epoll_ctl, epoll, EPOLL_CTL_MOD, w, &event).must();
    check_eq!(wait(epoll, 0), [(OUT, 0xabcd_1234_5678)]);
});

case!(closing_the_last_descriptor_removes_it, [epoll_ctl, close, dup], {
    let epoll = new();
    let (r, w) = pipe();
    add(epoll, r, IN);
    sys!(write, w, b"x", 1).must();
    let copy = sys!(dup, r).must() as i32;
    sys!(close, r).must();
    check_eq!(wait(epoll, 0), [(IN, r as u64)], "the open file lives on in the copy");
    sys!(close, copy).must();
    check_eq!(wait(epoll, 0), []);
});

case!(same_file_twice_through_dup, [epoll_ctl, dup], {
    let epoll = new();
    let (r, w) = pipe();
    let copy = sys!(dup, r).must() as i32;
    add(epoll, r, IN);
    add(epoll, copy, IN);
    sys!(write, w, b"x", 1).must();
    check_eq!(wait(epoll, 0).len(), 2);
});

case!(epoll_descriptor_can_be_polled, [epoll_wait, poll], {
    let epoll = new();
    let (r, w) = pipe();
    add(epoll, r, IN);
    let mut poll = pollfd { fd: epoll, events: POLLIN, revents: 0 };
    check_eq!(sys!(poll, &mut poll, 1, 0), Ok(0));
    sys!(write, w, b"x", 1).must();
    check_eq!(sys!(poll, &mut poll, 1, 0), Ok(1));
});

case!(nested_epolls, [epoll_ctl], {
    let (outer, inner) = (new(), new());
    let (r, w) = pipe();
    add(inner, r, IN);
    add(outer, inner, IN);
    check_eq!(wait(outer, 0), []);
    sys!(write, w, b"x", 1).must();
    check_eq!(wait(outer, -1), [(IN, inner as u64)]);
    check_eq!(ctl(inner, EPOLL_CTL_ADD, outer, IN), Err(ELOOP), "a circle");
});

case!(nesting_depth_is_limited, [epoll_ctl], {
    let mut chain = new();
    let mut refused = false;
    for _ in 0..10 {
        let next = new();
        if ctl(next, EPOLL_CTL_ADD, chain, IN) == Err(ELOOP) {
            refused = true;
            break;
        }
        chain = next;
    }
    check!(refused, "ten levels were accepted");
});

case!(epoll_shared_by_fork, [epoll_wait, fork], {
    let epoll = new();
    let (r, w) = pipe();
    add(epoll, r, IN);
    sys!(write, w, b"x", 1).must();
    fork(|| {
        check_eq!(wait(epoll, 0).len(), 1);
        ctl(epoll, EPOLL_CTL_DEL, r, 0).must();
    })
    .ok();
    check_eq!(wait(epoll, 0), [], "one set for both");
});

case!(exclusive_wakes_and_refuses_changes, [epoll_ctl], {
    let epoll = new();
    let (r, w) = pipe();
    let exclusive = EPOLLEXCLUSIVE as u32;
    add(epoll, r, IN | exclusive);
    check_eq!(ctl(epoll, EPOLL_CTL_MOD, r, IN), Err(EINVAL));
    let (r2, _w2) = pipe();
    check_eq!(ctl(epoll, EPOLL_CTL_ADD, r2, IN | exclusive | ONESHOT), Err(EINVAL));
    sys!(write, w, b"x", 1).must();
    check_eq!(wait(epoll, 0).len(), 1);
});

case!(pwait_swaps_the_mask, [epoll_pwait], {
    let epoll = new();
    count_signal(SIGUSR1, 0);
    block(&[SIGUSR1]);
    raise(SIGUSR1);
    let mut events = [0u64; 4];
    check_eq!(sys!(epoll_pwait, epoll, &mut events, 1, 3000, &0u64, 8), Err(EINTR));
    check_eq!((counted(SIGUSR1), set_mask(0)), (1, mask_of(&[SIGUSR1])));
    check_eq!(sys!(epoll_pwait, epoll, &mut events, 1, 0, &0u64, 4), Err(EINVAL));
    check_eq!(sys!(epoll_pwait, epoll, &mut events, 1, 0, BAD, 8), Err(EFAULT));
});

case!(pwait2_takes_nanoseconds, [epoll_pwait2], {
    let epoll = new();
    let mut events = [0u64; 4];
    let start = now();
    check_eq!(sys!(epoll_pwait2, epoll, &mut events, 1, &millis(20), NULL, 8), Ok(0));
    check!(now() - start >= Duration::from_millis(20));
    let bad = timespec { tv_sec: 0, tv_nsec: 1_000_000_000 };
    check_eq!(sys!(epoll_pwait2, epoll, &mut events, 1, &bad, NULL, 8), Err(EINVAL));
    check_eq!(sys!(epoll_pwait2, epoll, &mut events, 1, BAD, NULL, 8), Err(EFAULT));
});

case!(several_threads_share_the_work, [epoll_wait], {
    let epoll = new();
    let fd = sys!(eventfd2, 0, EFD_SEMAPHORE | EFD_NONBLOCK).must() as i32;
    add(epoll, fd, IN);
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let workers: Vec<_> = (0..3)
        .map(|_| {
            spawn(move || {
                while TAKEN.load(SeqCst) < 100 {
                    if !wait(epoll, 10).is_empty() && sys!(read, fd, &mut 0u64, 8).is_ok() {
                        TAKEN.fetch_add(1, SeqCst);
                    }
                }
            })
        })
        .collect();
    for _ in 0..100 {
        sys!(write, fd, &1u64, 8).must();
    }
    for worker in workers {
        worker.join().ok().must();
    }
    check_eq!(TAKEN.load(SeqCst), 100);
});
