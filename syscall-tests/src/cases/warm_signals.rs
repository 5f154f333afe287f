//! Signals, stops and ends of threads at streams in much use.

use crate::support::prelude::*;

/// Sends the calling thread a signal from another one, in a while.
fn signal_soon(signal: i32, ms: i64) {
    let (pid, tid) = (getpid(), gettid());
    let _ = spawn(move || {
        sleep_ms(ms);
        sys!(tgkill, pid, tid, signal).must();
    });
}

/// Writes blocks of a page until that fails; answers with how many bytes, and the error.
fn write_until_error(stream: Stream) -> (usize, Errno) {
    let block = [0x5a_u8; PAGE];
    let mut total = 0;
    loop {
        match sys!(write, stream.w, &block, PAGE) {
            Ok(count) => total += count as usize,
            Err(errno) => return (total, errno),
        }
    }
}

each_stream!(a_read_that_waits_is_interrupted, [read], |kind| {
    let stream = kind.warm();
    for round in 1..=20 {
        let before = counted(SIGALRM);
        storm(round % 5 * 4000 + 100, 0);
        check_eq!(read_byte(stream.r), Err(EINTR), "round {round}");
        check!(counted(SIGALRM) > before);
        stream.warm_up();
        calm();
    }
});

each_stream!(a_read_that_waits_is_restarted, [read], |kind| {
    let stream = kind.warm();
    count_signal(SIGUSR1, SA_RESTART);
    for round in 1..=20_u8 {
        signal_soon(SIGUSR1, i64::from(round) % 5 * 3);
        let writer = spawn(move || {
            while counted(SIGUSR1) < u32::from(round) {
                sleep_ms(1);
            }
            sys!(write, stream.w, &[round], 1).must();
        });
        check_eq!(read_byte(stream.r), Ok(Some(round)));
        check_eq!(counted(SIGUSR1), u32::from(round));
        writer.join().ok().must();
    }
});

each_stream!(a_read_that_waits_is_restarted_again_and_again, [read], |kind| {
    let stream = kind.warm();
    let child = fork(move || {
        stream.warm_up();
        storm(500, SA_RESTART);
        for number in 0..20 {
            check_eq!(read_byte(stream.r), Ok(Some(number)));
        }
        calm();
    });
    settle();
    for number in 0..20 {
        sleep_ms(5);
        sys!(write, stream.w, &[number], 1).must();
    }
    child.ok();
});

each_stream!(a_blocked_or_ignored_signal_interrupts_nobody, [read], |kind| {
    let stream = kind.warm();
    count_signal(SIGUSR1, 0);
    block(&[SIGUSR1]);
    ignore(SIGUSR2);
    signal_soon(SIGUSR1, 10);
    signal_soon(SIGUSR2, 15);
    signal_soon(SIGCHLD, 20);
    let writer = spawn(move || {
        sleep_ms(50);
        sys!(write, stream.w, b"x", 1).must();
    });
    check_eq!(read_byte(stream.r), Ok(Some(b'x')));
    check_eq!(pending(), mask_of(&[SIGUSR1]));
    writer.join().ok().must();
    stream.warm_up();
    check_eq!(counted(SIGUSR1), 0);
    set_mask(0);
    check_eq!(counted(SIGUSR1), 1);
});

each_stream!(a_write_that_waits_is_interrupted, [write], |kind| {
    let stream = kind.warm();
    for _ in 0..3 {
        storm(60_000, 0);
        let (total, errno) = write_until_error(stream);
        check_eq!(errno, EINTR);
        check!(!kind.is_pipe() || total == 65536, "{total}");
        // No more and no less has been written than was said.
        check!(read_exactly(stream.r, total).iter().all(|&byte| byte == 0x5a));
        calm();
        stream.warm_up();
    }
});

each_stream!(a_write_that_waits_is_restarted, [write], |kind| {
    const BLOCKS: usize = 4000;
    let stream = kind.warm();
    let child = fork(move || {
        storm(2000, SA_RESTART);
        for number in 0..BLOCKS {
            let block = bytes_at(number * 1000, 1000);
            match kind {
                Kind::Pipe => check_eq!(sys!(write, stream.w, &block[..], 1000), Ok(1000)),
                _ => write_all(stream.w, &block),
            }
        }
        calm();
    });
    let mut at = 0;
    while at < BLOCKS * 1000 {
        if at % 500_000 == 0 {
            sleep_ms(20);
        }
        check!(read_exactly(stream.r, 1000) == bytes_at(at, 1000));
        at += 1000;
    }
    child.ok();
});

each_stream!(a_long_write_tells_how_far_it_came, [write], |kind| {
    let stream = kind.warm();
    const LEN: usize = 20_000_000;
    let bytes = bytes_at(0, LEN);
    storm(100_000, SA_RESTART);
    let count = sys!(write, stream.w, &bytes[..], LEN).must() as usize;
    check!(count < LEN && (!kind.is_pipe() || count == 65536), "{count}");
    check!(read_exactly(stream.r, count) == bytes[..count]);
    calm();
    stream.warm_up();
});

static STREAM: [AtomicI32; 2] = [const { AtomicI32::new(-1) }; 2];

fn use_in_handlers(stream: Stream) {
    STREAM[0].store(stream.r, SeqCst);
    STREAM[1].store(stream.w, SeqCst);
}

each_stream!(a_handler_writes_what_the_thread_waits_for, [read, write], |kind| {
    let stream = kind.warm();
    use_in_handlers(stream);
    on(SIGUSR1, SA_RESTART, |_, _| {
        check_eq!(sys!(write, STREAM[1].load(SeqCst), b"h", 1), Ok(1));
    });
    for round in 0..200 {
        if round % 10 == 0 {
            signal_soon(SIGUSR1, round % 3 * 5);
        } else {
            raise(SIGUSR1);
        }
        check_eq!(read_byte(stream.r), Ok(Some(b'h')));
    }
});

each_stream!(a_handler_may_come_at_any_moment_of_traffic, [read, write], 20, |kind| {
    // What the handler sends is another stream's; the thread's own must not notice.
    static HANDLED: AtomicU32 = AtomicU32::new(0);
    let (own, others) = (kind.warm(), kind.warm());
    use_in_handlers(others);
    on(SIGALRM, SA_RESTART, |_, _| {
        let byte = [9_u8];
        let mut got = [0_u8; 2];
        check_eq!(sys!(write, STREAM[1].load(SeqCst), &byte, 1), Ok(1));
        check_eq!(sys!(read, STREAM[0].load(SeqCst), &mut got, 2), Ok(1));
        check_eq!(got, [9, 0]);
        HANDLED.fetch_add(1, SeqCst);
    });
    let mut alarms = Alarms::after(300);
    for at in 0..20_000 {
        let sent = bytes_at(at, 100);
        check_eq!(sys!(write, own.w, &sent[..], 100), Ok(100));
        let mut got = [0; 100];
        check_eq!(sys!(read, own.r, &mut got, 100), Ok(100));
        check!(got[..] == sent[..]);
        alarms.go_on(HANDLED.load(SeqCst));
    }
    check!(HANDLED.load(SeqCst) > 0);
});

each_stream!(a_stop_does_not_end_a_read_that_waits, [read, kill], |kind| {
    let stream = kind.warm();
    let child = fork(move || {
        stream.warm_up();
        for number in 0..10 {
            check_eq!(read_byte(stream.r), Ok(Some(number)));
        }
    });
    settle();
    for number in 0..10_u8 {
        sleep_ms(5);
        child.kill(SIGSTOP);
        check_eq!(child.wait_stop(), Status::Stopped(SIGSTOP));
        if number % 2 == 0 {
            sys!(write, stream.w, &[number], 1).must();
        }
        child.kill(SIGCONT);
        if number % 2 == 1 {
            sys!(write, stream.w, &[number], 1).must();
        }
    }
    child.ok();
});

each_stream!(a_stop_in_the_middle_harms_nobody, [read, write, kill], 20, |kind| {
    let stream = kind.warm();
    let child = fork(move || {
        for at in 0.. {
            write_all(stream.w, &bytes_at(at * 100, 100));
        }
    });
    let mut at = 0;
    for round in 0..60 {
        let until = at + 300 + round * 17;
        while at < until {
            check!(read_exactly(stream.r, 100) == bytes_at(at * 100, 100), "block {at}");
            at += 1;
        }
        child.kill(SIGSTOP);
        check_eq!(child.wait_stop(), Status::Stopped(SIGSTOP));
        // What has been written is there at once, even if the writer does not go on.
        let mut left = -1_i32;
        sys!(ioctl, stream.r, FIONREAD, &mut left).must();
        let rest = read_exactly(stream.r, left as usize / 100 * 100);
        check!(rest == bytes_at(at * 100, rest.len()));
        at += rest.len() / 100;
        child.kill(SIGCONT);
    }
    child.end();
});

case!(a_kill_in_the_middle_harms_nobody, [read, write, kill], 60, {
    let stream = Kind::Pipe.warm();
    for round in 0..60 {
        let victims = [10_u8, 20].map(|id| {
            fork(move || {
                loop {
                    let _ = sys!(write, stream.w, &[id; 1000], 1000);
                }
            })
        });
        let start = now();
        let mut bytes = [0_u8; 1000];
        for _ in 0..200 + round * 11 {
            check_eq!(sys!(read, stream.r, &mut bytes, 1000), Ok(1000));
            check!(bytes.iter().all(|&byte| byte == bytes[0]), "a part of a record");
        }
        for victim in victims {
            victim.end();
        }
        let mut left = -1_i32;
        sys!(ioctl, stream.r, FIONREAD, &mut left).must();
        check_eq!(left % 1000, 0, "a part of a record is there");
        let rest = read_exactly(stream.r, left as usize);
        check!(rest.chunks(1000).all(|part| part.iter().all(|&byte| byte == part[0])));
        stream.warm_up();
        check!(now() - start < Duration::from_secs(3), "round {round} took {:?}", now() - start);
    }
});

each_stream!(a_kill_ends_those_who_wait, [read, write, kill], |kind| {
    let stream = kind.warm();
    for round in 0..20 {
        let reader = fork(move || {
            let _ = read_byte(stream.r);
            fail!("there is nothing to read");
        });
        sleep_ms(round % 4 * 10);
        reader.kill(SIGKILL);
        check_eq!(reader.wait(), Status::Signaled(SIGKILL));
        stream.warm_up();
    }
    let other = kind.warm();
    let writer = fork(move || {
        write_until_error(other);
    });
    sleep_ms(100);
    writer.kill(SIGTERM);
    check_eq!(writer.wait(), Status::Signaled(SIGTERM));
    stream.warm_up();
});

each_stream!(the_process_ends_while_threads_wait, [read, exit_group], |kind| {
    let stream = kind.warm();
    for round in 0..20 {
        let start = now();
        let child = fork(move || {
            for _ in 0..3 {
                let _ = spawn(move || read_byte(stream.r));
            }
            sleep_ms(round % 4 * 5);
        });
        child.ok();
        check!(now() - start < Duration::from_secs(2));
    }
    stream.warm_up();
});

each_stream!(a_program_is_replaced_while_threads_wait, [read, execve], |kind| {
    let stream = kind.warm();
    let (status, output) = run_helper(&["args", "here"], move || {
        stream.warm_up();
        for _ in 0..3 {
            let _ = spawn(move || read_byte(stream.r));
        }
        settle();
    });
    check_eq!((status, output.as_str()), (Status::Exited(0), "here"));
    stream.warm_up();
});

each_stream!(ticks_are_counted_during_traffic, [setitimer], 20, |kind| {
    let stream = kind.warm();
    let start = now();
    storm(2000, SA_RESTART);
    while now() - start < Duration::from_millis(600) {
        stream.warm_up();
    }
    calm();
    // 300 of them, if nobody else wanted the processor.
    check!(counted(SIGALRM) >= 60, "{}", counted(SIGALRM));
    check!(counted(SIGALRM) <= 400, "{}", counted(SIGALRM));
});

each_stream!(waiting_takes_no_time_of_the_processor, [read, getrusage], |kind| {
    let [one, other] = kind.parties();
    let spent = || {
        let mut usage: rusage = zeroed();
        sys!(getrusage, RUSAGE_SELF, &mut usage).must();
        let micros = |time: timeval| time.tv_sec * 1_000_000 + time.tv_usec;
        micros(usage.ru_utime) + micros(usage.ru_stime)
    };
    let child = fork(move || {
        while let Ok(Some(byte)) = read_byte(other.r) {
            sleep_ms(if byte == 255 { 1000 } else { 0 });
            write_all(other.w, &[byte]);
        }
    });
    let ask = |byte: u8| {
        write_all(one.w, &[byte]);
        check_eq!(read_byte(one.r), Ok(Some(byte)));
    };
    (0..200).for_each(ask);
    let before = spent();
    ask(255);
    let waiting = spent() - before;
    check!(waiting < 500_000, "{waiting} us");
    child.end();
});
