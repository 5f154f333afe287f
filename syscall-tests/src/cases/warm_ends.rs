//! The last one at an end of a stream in much use goes.

use crate::support::prelude::*;

each_stream!(the_end_comes_behind_the_bytes, [read, close], |kind| {
    let stream = kind.warm();
    sys!(write, stream.w, &bytes_at(0, 5000)[..], 5000).must();
    sys!(close, stream.w).must();
    check!(read_exactly(stream.r, 5000) == bytes_at(0, 5000));
    for _ in 0..50 {
        check_eq!(read_byte(stream.r), Ok(None));
    }
});

/// Somebody who waits for bytes finds the end as soon as the writer, a child, has ended so.
fn end_is_found(kind: Kind, end: impl Fn(Stream) + Copy) {
    for round in 0..10 {
        let stream = kind.warm();
        let child = fork(move || {
            sys!(close, stream.r).must();
            write_all(stream.w, &bytes_at(0, 100));
            // The reader waits, or is about to.
            sleep_ms(round % 3 * 15);
            end(stream);
        });
        sys!(close, stream.w).must();
        check!(read_exactly(stream.r, 100) == bytes_at(0, 100));
        check_eq!(read_byte(stream.r), Ok(None), "round {round}");
        let _ = child.wait();
        sys!(close, stream.r).must();
    }
}

each_stream!(the_end_comes_with_the_last_close, [read, close], |kind| {
    end_is_found(kind, |stream| {
        sys!(close, stream.w).must();
        sleep_ms(5);
    });
});

each_stream!(the_end_comes_with_the_exit, [read, exit_group], |kind| {
    end_is_found(kind, |_| {});
});

each_stream!(the_end_comes_with_the_kill, [read, kill], |kind| {
    end_is_found(kind, |_| {
        sys!(kill, getpid(), SIGKILL).must();
    });
});

each_stream!(the_end_comes_with_another_file_in_its_place, [read, dup2], |kind| {
    end_is_found(kind, |stream| {
        let null = open(c"/dev/null", O_RDWR);
        sys!(dup2, null, stream.w).must();
        check_eq!(sys!(write, stream.w, b"into nothing", 12), Ok(12));
        sleep_ms(5);
    });
});

each_stream!(the_end_comes_with_another_program, [read, execve], |kind| {
    end_is_found(kind, |stream| {
        sys!(fcntl, stream.w, F_SETFD, FD_CLOEXEC).must();
        // Nobody sends it a signal: it is there for longer than the reader waits.
        let errno = exec(&self_exe(), &["syscall-cases", "helper", "exit", "0"], &[]);
        fail!("execve: {errno:?}");
    });
});

each_stream!(threads_find_the_end_too, [read, close], |kind| {
    for round in 0..10 {
        let stream = kind.warm();
        let readers: Vec<_> = (0..3)
            .map(|_| {
                spawn(move || {
                    while let Some(byte) = read_byte(stream.r).must() {
                        check_eq!(byte, 7);
                    }
                })
            })
            .collect();
        for _ in 0..200 {
            check_eq!(sys!(write, stream.w, &[7_u8; 30], 30), Ok(30));
        }
        sleep_ms(round % 3 * 10);
        sys!(close, stream.w).must();
        for reader in readers {
            reader.join().ok().must();
        }
        sys!(close, stream.r).must();
    }
});

each_stream!(nobody_reads_any_more, [write, close], |kind| {
    let stream = kind.warm();
    count_signal(SIGPIPE, 0);
    sys!(close, stream.r).must();
    if kind == Kind::Tcp {
        // The peer's answer to it makes the difference.
        check_eq!(sys!(write, stream.w, b"x", 1), Ok(1));
        sleep_ms(20);
    }
    for round in 1..=30 {
        check_eq!(sys!(write, stream.w, b"x", 1), Err(EPIPE));
        check_eq!(counted(SIGPIPE), round);
    }
    ignore(SIGPIPE);
    check_eq!(sys!(write, stream.w, b"x", 1), Err(EPIPE));
    default_action(SIGPIPE);
    let child = fork(|| {
        let _ = sys!(write, stream.w, b"x", 1);
    });
    check_eq!(child.wait(), Status::Signaled(SIGPIPE));
});

each_stream!(a_writer_that_waits_learns_that_nobody_reads, [write, close], |kind| {
    let stream = kind.warm();
    let child = fork(move || {
        sys!(close, stream.r).must();
        count_signal(SIGPIPE, 0);
        let block = [1_u8; PAGE];
        let errno = loop {
            if let Err(errno) = sys!(write, stream.w, &block, PAGE) {
                break errno;
            }
        };
        match kind {
            Kind::Pipe => check_eq!((errno, counted(SIGPIPE)), (EPIPE, 1)),
            // Bytes were lost.
            Kind::Unix => check_eq!((errno, counted(SIGPIPE)), (ECONNRESET, 0)),
            Kind::Tcp => check!(errno == ECONNRESET || errno == EPIPE, "{errno:?}"),
        }
        check_eq!(sys!(write, stream.w, &block, PAGE), Err(EPIPE));
    });
    sys!(close, stream.w).must();
    sleep_ms(150);
    sys!(close, stream.r).must();
    child.ok();
});

case!(a_killed_reader_is_the_last_one, [write, kill], {
    ignore(SIGPIPE);
    for round in 0..20 {
        let stream = Kind::Pipe.warm();
        let reader = fork(move || {
            sys!(close, stream.w).must();
            loop {
                read_byte(stream.r).must();
            }
        });
        sys!(close, stream.r).must();
        for at in 0..500 + round * 100 {
            check_eq!(sys!(write, stream.w, &bytes_at(at, 10)[..], 10), Ok(10));
        }
        reader.kill(SIGKILL);
        while let Ok(count) = sys!(write, stream.w, &bytes_at(0, 10)[..], 10) {
            check_eq!(count, 10);
        }
        check_eq!(sys!(write, stream.w, b"x", 1), Err(EPIPE));
        check_eq!(reader.wait(), Status::Signaled(SIGKILL));
        sys!(close, stream.w).must();
    }
});

case!(the_last_bytes_of_a_killed_writer_are_there, [read, kill], {
    for round in 0..20 {
        let stream = Kind::Pipe.warm();
        let writer = fork(move || {
            sys!(close, stream.r).must();
            for at in 0.. {
                let _ = sys!(write, stream.w, &bytes_at(at * 10, 10)[..], 10);
            }
        });
        sys!(close, stream.w).must();
        sleep_ms(round % 5);
        writer.kill(SIGKILL);
        let all = read_all(stream.r);
        check_eq!(all.len() % 10, 0);
        check!(all == bytes_at(0, all.len()));
        let _ = writer.wait();
        sys!(close, stream.r).must();
    }
});

case!(half_a_connection_can_be_shut, [shutdown, read, write], {
    ignore(SIGPIPE);
    for kind in [Kind::Unix, Kind::Tcp] {
        let [one, other] = kind.parties();
        for stream in [Stream { r: one.r, w: other.w }, Stream { r: other.r, w: one.w }] {
            stream.warm_up();
        }
        sys!(write, one.w, b"last", 4).must();
        sys!(shutdown, one.w, SHUT_WR).must();
        check_eq!(sys!(write, one.w, b"x", 1), Err(EPIPE));
        check_eq!(read_exactly(other.r, 4), *b"last");
        check_eq!(read_byte(other.r), Ok(None));
        for number in 0..50 {
            sys!(write, other.w, &[number], 1).must();
            check_eq!(read_byte(one.r), Ok(Some(number)));
        }
        sys!(shutdown, other.w, SHUT_RDWR).must();
        check_eq!(read_byte(one.r), Ok(None));
        check_eq!(read_byte(other.r), Ok(None));
        check_eq!(sys!(write, other.w, b"x", 1), Err(EPIPE));
    }
});

case!(a_shutdown_wakes_those_who_wait, [shutdown, read], {
    for (kind, how) in [
        (Kind::Unix, SHUT_RD),
        (Kind::Unix, SHUT_RDWR),
        (Kind::Tcp, SHUT_RD),
        (Kind::Tcp, SHUT_RDWR),
    ] {
        let stream = kind.warm();
        let reader = spawn(move || check_eq!(read_byte(stream.r), Ok(None)));
        settle();
        sys!(shutdown, stream.r, how).must();
        reader.join().ok().must();
        let stream = kind.warm();
        let reader = spawn(move || check_eq!(read_byte(stream.r), Ok(None)));
        settle();
        sys!(shutdown, stream.w, SHUT_WR).must();
        reader.join().ok().must();
    }
});
