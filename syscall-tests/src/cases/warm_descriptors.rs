//! Descriptors of streams in much use are closed, replaced, copied and passed on.

use crate::support::clone::clone_on_stack;
use crate::support::prelude::*;
use crate::support::stream::waiting_reader;

each_stream!(the_number_is_another_files_at_once, [dup2, read], |kind| {
    let (zero, null) = (open(c"/dev/zero", O_RDWR), open(c"/dev/null", O_RDWR));
    for fd in [zero, null] {
        for _ in 0..40 {
            sys!(read, fd, &mut [0_u8; 1], 1).must();
        }
    }
    let stream = kind.warm();
    for _ in 0..100 {
        let place = sys!(dup2, stream.r, 77).must() as i32;
        for _ in 0..20 {
            sys!(write, stream.w, b"s", 1).must();
            check_eq!(read_byte(place), Ok(Some(b's')));
        }
        sys!(dup2, zero, place).must();
        check_eq!(read_byte(place), Ok(Some(0)));
        sys!(dup3, null, place, O_CLOEXEC).must();
        check_eq!(read_byte(place), Ok(None));
        sys!(close, place).must();
        check_eq!(read_byte(place), Err(EBADF));
    }
});

each_stream!(a_number_is_used_again, [close, open, read], |kind| {
    create(c"f", b"from the file");
    let stream = kind.stream();
    for _ in 0..60 {
        let copy = sys!(dup, stream.r).must() as i32;
        for _ in 0..20 {
            sys!(write, stream.w, b"s", 1).must();
            check_eq!(read_byte(copy), Ok(Some(b's')));
        }
        sys!(close, copy).must();
        check_eq!(open(c"f", O_RDONLY), copy);
        check_eq!(read_byte(copy), Ok(Some(b'f')));
        check_eq!(sys!(write, copy, b"x", 1), Err(EBADF));
        sys!(close, copy).must();
    }
});

each_stream!(many_streams_come_and_go, [pipe2, socketpair, close], 20, |kind| {
    for round in 0..300 {
        let stream = kind.warm();
        sys!(write, stream.w, &bytes_at(round, 100)[..], 100).must();
        check!(read_exactly(stream.r, 100) == bytes_at(round, 100));
        stream.close();
    }
});

each_stream!(high_numbers_serve_as_well, [dup2, setrlimit], |kind| {
    let stream = kind.warm();
    let mut limit: rlimit = zeroed();
    sys!(getrlimit, RLIMIT_NOFILE, &mut limit).must();
    limit.rlim_cur = limit.rlim_max.min(3000);
    sys!(setrlimit, RLIMIT_NOFILE, &limit).must();
    for number in [1023, 1024, 1025, 2999] {
        if sys!(dup2, stream.r, number).is_ok() {
            for _ in 0..100 {
                sys!(write, stream.w, b"s", 1).must();
                check_eq!(read_byte(number), Ok(Some(b's')));
            }
            // Only the lower half of a register names a descriptor.
            sys!(write, stream.w, b"t", 1).must();
            check_eq!(sys!(read, number as u64 | 1 << 32, &mut [0_u8; 1], 1), Ok(1));
        }
    }
    check_eq!(sys!(read, -1, &mut [0_u8; 1], 1), Err(EBADF));
    check_eq!(sys!(read, i32::MAX, &mut [0_u8; 1], 1), Err(EBADF));
});

each_stream!(a_close_does_not_disturb_a_read_that_waits, [close, read], |kind| {
    for _ in 0..10 {
        let stream = kind.warm();
        let reader = waiting_reader(stream.r, Ok(Some(b'x')), Some(Err(EBADF)));
        sys!(close, stream.r).must();
        sys!(write, stream.w, b"x", 1).must();
        reader.join().ok().must();
        sys!(close, stream.w).must();
    }
});

case!(a_change_is_seen_by_all_threads, [dup2, read], {
    let (zero, null) = (open(c"/dev/zero", O_RDONLY), open(c"/dev/null", O_RDONLY));
    const PLACE: i32 = 88;
    let turn = AtomicU32::new(0);
    for fd in [zero, null] {
        for _ in 0..40 {
            sys!(read, fd, &mut [0_u8; 1], 1).must();
        }
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=300 {
                while turn.load(SeqCst) != 2 * round - 1 {
                    std::thread::yield_now();
                }
                let want = if round % 2 == 0 { Ok(Some(0)) } else { Ok(None) };
                for _ in 0..20 {
                    check_eq!(read_byte(PLACE), want, "round {round}");
                }
                turn.store(2 * round, SeqCst);
            }
        });
        for round in 1..=300 {
            sys!(dup2, if round % 2 == 0 { zero } else { null }, PLACE).must();
            turn.store(2 * round - 1, SeqCst);
            while turn.load(SeqCst) != 2 * round {
                std::thread::yield_now();
            }
        }
    });
});

case!(a_change_in_the_middle_gives_one_file_or_the_other, [dup2, read], {
    const PLACE: i32 = 88;
    let stream = Kind::Pipe.warm();
    let zero = open(c"/dev/zero", O_RDONLY);
    sys!(dup2, zero, PLACE).must();
    let stop = AtomicU32::new(0);
    let from_pipe = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while stop.load(SeqCst) == 0 {
                    let mut bytes = [0xff_u8; 64];
                    check_eq!(sys!(read, PLACE, &mut bytes, 64), Ok(64));
                    check!(bytes == [0; 64] || bytes == [7; 64], "{bytes:?}");
                    from_pipe.fetch_add(usize::from(bytes[0] == 7), SeqCst);
                }
            });
        }
        let mut sent = 0;
        let end = now() + Duration::from_secs(1);
        while now() < end {
            // As many as it holds, so that nobody waits there.
            sys!(dup2, stream.r, PLACE).must();
            for _ in 0..50 {
                check_eq!(sys!(write, stream.w, &[7_u8; 64], 64), Ok(64));
                sent += 1;
            }
            sys!(dup2, zero, PLACE).must();
            for _ in 0..20 {
                std::thread::yield_now();
            }
        }
        // Whoever waits at the pipe still.
        stop.store(1, SeqCst);
        for _ in 0..2 {
            sys!(write, stream.w, &[7_u8; 64], 64).must();
            sent += 1;
        }
        // Who has read something is about to say so.
        let known = || {
            let mut left = -1_i32;
            sys!(ioctl, stream.r, FIONREAD, &mut left).must();
            from_pipe.load(SeqCst) + left as usize / 64
        };
        wait_for(|| known() == sent);
        settle();
        check_eq!(known(), sent);
    });
});

each_stream!(close_range_closes_them, [close_range, read], |kind| {
    for round in 0..30 {
        let stream = kind.warm();
        for number in 60..64 {
            sys!(dup2, stream.r, number).must();
            for _ in 0..20 {
                sys!(write, stream.w, b"s", 1).must();
                check_eq!(read_byte(number), Ok(Some(b's')));
            }
        }
        sys!(close_range, 61, if round % 2 == 0 { 62 } else { 63 }, 0).must();
        check_eq!(read_byte(61), Err(EBADF));
        check_eq!(read_byte(62), Err(EBADF));
        sys!(write, stream.w, b"st", 2).must();
        check_eq!(read_byte(60), Ok(Some(b's')));
        check_eq!(read_byte(if round % 2 == 0 { 63 } else { 60 }), Ok(Some(b't')));
        stream.close();
    }
});

/// A thread gets a table of its own in this way, and puts another file into the place of a stream.
fn own_tables_differ(kind: Kind, part: fn()) {
    let stream = kind.warm();
    let done = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            part();
            stream.warm_up();
            let zero = open(c"/dev/zero", O_RDONLY);
            for _ in 0..40 {
                check_eq!(read_byte(zero), Ok(Some(0)));
            }
            sys!(dup2, zero, stream.r).must();
            for _ in 0..100 {
                check_eq!(read_byte(stream.r), Ok(Some(0)));
            }
            done.store(1, SeqCst);
            while done.load(SeqCst) == 1 {
                check_eq!(read_byte(stream.r), Ok(Some(0)));
            }
        });
        while done.load(SeqCst) == 0 {
            std::thread::yield_now();
        }
        for _ in 0..10 {
            stream.warm_up();
        }
        // A new thread has the table of the one that makes it.
        scope.spawn(|| stream.warm_up());
        done.store(2, SeqCst);
    });
    stream.warm_up();
}

each_stream!(a_thread_leaves_the_common_table, [unshare, dup2], |kind| {
    own_tables_differ(kind, || {
        sys!(unshare, CLONE_FILES).must();
    });
});

each_stream!(a_thread_leaves_the_common_table_by_closing, [close_range, dup2], |kind| {
    own_tables_differ(kind, || {
        sys!(close_range, 800, 850, CLOSE_RANGE_UNSHARE).must();
    });
});

static PLACES: [AtomicI32; 3] = [const { AtomicI32::new(-1) }; 3];

/// A child on a stack of its own puts another file in the place of the first one, closes the
/// second, and says with its status whether it finds what it has put there.
extern "C" fn replace_and_close(_: usize) -> i32 {
    let [place, closed, zero] = [0, 1, 2].map(|at: usize| PLACES[at].load(SeqCst));
    let mut is_right = sys!(dup2, zero, place).is_ok() && sys!(close, closed).is_ok();
    for _ in 0..100 {
        let mut byte = [1_u8];
        is_right &= sys!(read, place, &mut byte, 1) == Ok(1) && byte == [0];
        is_right &= sys!(write, closed, &byte, 1) == Err(EBADF);
    }
    i32::from(!is_right)
}

fn clone_and_replace(stream: Stream, flags: i32) {
    let zero = open(c"/dev/zero", O_RDONLY);
    for (at, fd) in [stream.r, stream.w, zero].into_iter().enumerate() {
        PLACES[at].store(fd, SeqCst);
    }
    let pid = clone_on_stack(flags | SIGCHLD, 0, 0, 0, replace_and_close, 0).must() as i32;
    if flags & (CLONE_VFORK | CLONE_FILES) == 0 {
        // Beside it.
        for _ in 0..20 {
            stream.warm_up();
        }
    }
    check_eq!(wait_pid(pid, 0), Status::Exited(0));
    sys!(close, zero).must();
}

each_stream!(a_child_in_the_same_memory_has_its_own_descriptors, [clone, dup2, close], |kind| {
    for _ in 0..20 {
        let stream = kind.warm();
        clone_and_replace(stream, CLONE_VM | CLONE_VFORK);
        stream.warm_up();
        clone_and_replace(stream, CLONE_VM);
        stream.warm_up();
        stream.close();
    }
});

each_stream!(a_child_in_other_memory_has_the_same_descriptors, [clone, dup2, close], |kind| {
    for _ in 0..10 {
        let stream = kind.warm();
        clone_and_replace(stream, CLONE_FILES);
        for _ in 0..40 {
            check_eq!(read_byte(stream.r), Ok(Some(0)), "it is the other file");
            check_eq!(sys!(write, stream.w, b"x", 1), Err(EBADF));
        }
        sys!(close, stream.r).must();
        let stream = kind.warm();
        clone_and_replace(stream, CLONE_FILES | CLONE_VM);
        check_eq!(read_byte(stream.r), Ok(Some(0)), "it is the other file");
        check_eq!(sys!(write, stream.w, b"x", 1), Err(EBADF));
        sys!(close, stream.r).must();
    }
});

each_stream!(two_memories_and_one_table, [clone, dup2], |kind| {
    // Both use the stream much; then the child puts another file into its place.
    static FDS: [AtomicI32; 4] = [const { AtomicI32::new(-1) }; 4];
    extern "C" fn child(_: usize) -> i32 {
        let [r, w, zero, told] = [0, 1, 2, 3].map(|at: usize| FDS[at].load(SeqCst));
        let stream = Stream { r, w };
        stream.warm_up();
        let replaced = sys!(dup2, zero, r).is_ok();
        let said = sys!(write, told, b"x", 1) == Ok(1);
        i32::from(!replaced || !said)
    }
    for _ in 0..10 {
        let (stream, gate) = (kind.stream(), Kind::Pipe.stream());
        let zero = open(c"/dev/zero", O_RDONLY);
        for (at, fd) in [stream.r, stream.w, zero, gate.w].into_iter().enumerate() {
            FDS[at].store(fd, SeqCst);
        }
        stream.warm_up();
        let pid = clone_on_stack(CLONE_FILES | SIGCHLD, 0, 0, 0, child, 0).must() as i32;
        check_eq!(read_byte(gate.r), Ok(Some(b'x')));
        for _ in 0..40 {
            check_eq!(read_byte(stream.r), Ok(Some(0)));
        }
        check_eq!(wait_pid(pid, 0), Status::Exited(0));
        stream.close();
        gate.close();
        sys!(close, zero).must();
    }
});

each_stream!(opened_anew_by_their_names, [open, read, write], |kind| {
    let stream = kind.warm();
    let name = cstr(&format!("/proc/self/fd/{}", stream.r));
    if !kind.is_pipe() {
        check_eq!(sys!(open, name.as_c_str(), O_RDONLY), Err(ENXIO));
        return;
    }
    for round in 0..12 {
        sys!(write, stream.w, b"abc", 3).must();
        let again = open(&name, O_RDONLY | O_NONBLOCK);
        check_eq!(read_byte(again), Ok(Some(b'a')));
        check_eq!(read_byte(stream.r), Ok(Some(b'b')));
        let both = open(&name, O_RDWR);
        sys!(write, both, b"d", 1).must();
        check_eq!(read_exactly(again, 2), *b"cd");
        for _ in 0..40 {
            check_eq!(read_byte(again), Err(EAGAIN));
            sys!(write, both, b"e", 1).must();
            check_eq!(read_byte(both), Ok(Some(b'e')));
        }
        sys!(close, again).must();
        sys!(close, both).must();
        stream.warm_up();
        if round == 11 {
            let last = open(&name, O_RDONLY);
            sys!(close, stream.w).must();
            check_eq!(read_byte(last), Ok(None));
        }
    }
});

each_stream!(passed_to_another_process, [sendmsg, recvmsg, read], |kind| {
    let (a, b) = socketpair(SOCK_STREAM);
    let child = fork(move || {
        let message = recv_message(b, 8, 64, 0).must();
        let ends = &message.control[0].2;
        let end = |at: usize| i32::from_ne_bytes(ends[at..at + 4].try_into().ok().must());
        let stream = Stream { r: end(0), w: end(4) };
        for number in 0..100 {
            check_eq!(read_byte(stream.r), Ok(Some(number)));
            check_eq!(sys!(write, stream.w, &[number], 1), Ok(1));
        }
    });
    let (to, from) = (kind.warm(), kind.warm());
    let ends = [to.r.to_ne_bytes(), from.w.to_ne_bytes()].concat();
    sys!(write, to.w, &[0_u8], 1).must();
    check_eq!(send_message(a, b"x", &[(SCM_RIGHTS, &ends)]), Ok(1));
    sys!(close, to.r).must();
    sys!(close, from.w).must();
    for number in 0..100 {
        check_eq!(read_byte(from.r), Ok(Some(number)));
        if number < 99 {
            sys!(write, to.w, &[number + 1], 1).must();
        }
    }
    child.ok();
    check_eq!(read_byte(from.r), Ok(None));
    check_eq!(counted(SIGPIPE), 0);
});

case!(passed_through_themselves, [sendmsg, recvmsg, read], {
    // Messages with descriptors among plain bytes.
    let (a, b) = socketpair(SOCK_STREAM);
    let stream = Stream { r: b, w: a };
    for number in 0..12_u8 {
        stream.warm_up();
        let (r, w) = pipe();
        check_eq!(sys!(write, a, &[1, number], 2), Ok(2));
        check_eq!(send_message(a, &[2, number], &[(SCM_RIGHTS, &w.to_ne_bytes())]), Ok(2));
        check_eq!(sys!(write, a, &[3, number], 2), Ok(2));
        sys!(close, w).must();
        check_eq!(read_exactly(b, 2), [1, number]);
        let message = recv_message(b, 2, 64, 0).must();
        check_eq!(message.data, [2, number]);
        let passed = i32::from_ne_bytes(message.control[0].2[..4].try_into().ok().must());
        check_eq!(read_exactly(b, 2), [3, number]);
        check_eq!(sys!(write, passed, &[number], 1), Ok(1));
        check_eq!(read_byte(r), Ok(Some(number)));
        sys!(close, passed).must();
        check_eq!(read_byte(r), Ok(None));
        sys!(close, r).must();
    }
});
