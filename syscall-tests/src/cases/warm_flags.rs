//! Flags and sizes of streams in much use, and calls that are more than reading and writing.

use crate::support::prelude::*;
use crate::support::stream::waiting_reader;

fn unread(fd: i32) -> i32 {
    let mut count = -1;
    sys!(ioctl, fd, FIONREAD, &mut count).must();
    count
}

fn by_ioctl(fd: i32, is_set: bool) {
    sys!(ioctl, fd, FIONBIO, &i32::from(is_set)).must();
}

/// A reader that is made not to wait, and to wait again.
fn waits_as_told(kind: Kind, tell: fn(i32, bool)) {
    let stream = kind.warm();
    for round in 0..25 {
        tell(stream.r, true);
        for _ in 0..20 {
            check_eq!(read_byte(stream.r), Err(EAGAIN));
            check_eq!(sys!(write, stream.w, b"a", 1), Ok(1));
            check_eq!(read_byte(stream.r), Ok(Some(b'a')));
        }
        tell(stream.r, false);
        stream.warm_up();
        let writer = spawn(move || {
            sleep_ms(round % 3 * 4);
            sys!(write, stream.w, b"b", 1).must();
        });
        check_eq!(read_byte(stream.r), Ok(Some(b'b')));
        writer.join().ok().must();
    }
}

each_stream!(fcntl_says_whether_to_wait, [fcntl, read], |kind| {
    waits_as_told(kind, set_nonblocking);
});

each_stream!(ioctl_says_whether_to_wait, [ioctl, read], |kind| {
    waits_as_told(kind, by_ioctl);
});

each_stream!(another_process_says_whether_to_wait, [fcntl, read], |kind| {
    waits_as_told(kind, |fd, is_set| fork(|| set_nonblocking(fd, is_set)).ok());
});

each_stream!(a_copy_says_whether_to_wait, [fcntl, dup, read], |kind| {
    waits_as_told(kind, |fd, is_set| {
        let copy = sys!(dup, fd).must() as i32;
        set_nonblocking(copy, is_set);
        sys!(close, copy).must();
    });
});

each_stream!(one_end_waits_and_the_other_does_not, [fcntl, write], |kind| {
    let stream = kind.warm();
    set_nonblocking(stream.w, true);
    let total = stream.fill(1000);
    let reader = fork(move || {
        check_eq!(read_exactly(stream.r, total).len(), total);
        check_eq!(read_byte(stream.r), Ok(Some(7)));
    });
    // Room for one comes, but nobody waits for it here.
    while sys!(write, stream.w, &[7_u8], 1).is_err() {
        sleep_ms(1);
    }
    reader.ok();
    set_nonblocking(stream.w, false);
    stream.warm_up();
});

each_stream!(who_waits_already_goes_on_waiting, [fcntl, read], |kind| {
    let stream = kind.warm();
    for _ in 0..5 {
        let reader = waiting_reader(stream.r, Ok(Some(b'x')), None);
        set_nonblocking(stream.r, true);
        sleep_ms(5);
        sys!(write, stream.w, b"x", 1).must();
        reader.join().ok().must();
        set_nonblocking(stream.r, false);
        stream.warm_up();
    }
});

/// Waits for one more `SIGIO` than there were.
fn await_sigio(before: u32) {
    let limit = now() + Duration::from_secs(5);
    while counted(SIGIO) == before {
        check!(now() < limit, "no signal");
    }
}

each_stream!(sigio_comes_for_each_write, [fcntl], |kind| {
    let stream = kind.warm();
    count_signal(SIGIO, SA_RESTART);
    sys!(fcntl, stream.r, F_SETOWN, getpid()).must();
    let flags = sys!(fcntl, stream.r, F_GETFL).must() as i32;
    sys!(fcntl, stream.r, F_SETFL, flags | O_ASYNC).must();
    for _ in 0..40 {
        let before = counted(SIGIO);
        sys!(write, stream.w, b"x", 1).must();
        await_sigio(before);
        check_eq!(read_byte(stream.r), Ok(Some(b'x')));
    }
    sys!(fcntl, stream.r, F_SETFL, flags).must();
    stream.warm_up();
    let before = counted(SIGIO);
    stream.warm_up();
    check_eq!(counted(SIGIO), before);
});

each_stream!(sigio_comes_for_writes_of_others, [fcntl], |kind| {
    let (stream, back) = (kind.warm(), kind.warm());
    let child = fork(move || {
        for number in 0..100 {
            check_eq!(sys!(write, stream.w, &[number], 1), Ok(1));
            check_eq!(read_byte(back.r), Ok(Some(number)));
        }
    });
    for number in 0..60 {
        check_eq!(read_byte(stream.r), Ok(Some(number)));
        sys!(write, back.w, &[number], 1).must();
    }
    check_eq!(read_byte(stream.r), Ok(Some(60)));
    count_signal(SIGIO, SA_RESTART);
    sys!(fcntl, stream.r, F_SETOWN, getpid()).must();
    let flags = sys!(fcntl, stream.r, F_GETFL).must() as i32;
    sys!(fcntl, stream.r, F_SETFL, flags | O_ASYNC).must();
    for number in 60..99 {
        let before = counted(SIGIO);
        sys!(write, back.w, &[number], 1).must();
        await_sigio(before);
        check_eq!(read_byte(stream.r), Ok(Some(number + 1)));
    }
    sys!(write, back.w, &[99_u8], 1).must();
    child.ok();
});

each_stream!(fionread_counts, [ioctl], |kind| {
    let stream = kind.warm();
    for round in 0..60 {
        check_eq!(unread(stream.r), 0);
        sys!(write, stream.w, &[1_u8; 5000], 5000).must();
        check_eq!(unread(stream.r), 5000);
        read_exactly(stream.r, 100 + round);
        sys!(write, stream.w, &[1_u8; 77], 77).must();
        check_eq!(unread(stream.r), 4977 - round as i32);
        read_exactly(stream.r, 4977 - round);
    }
});

case!(another_size_keeps_the_bytes, [fcntl], {
    let stream = Kind::Pipe.warm();
    let mut at = 0;
    for round in 0..12 {
        check_eq!(
            sys!(fcntl, stream.w, F_GETPIPE_SZ),
            Ok(if round == 0 { 65536 } else { 65536 * 2 })
        );
        write_all(stream.w, &bytes_at(at, 20_000));
        check_eq!(sys!(fcntl, stream.r, F_SETPIPE_SZ, 4096), Err(EBUSY));
        check_eq!(sys!(fcntl, stream.r, F_SETPIPE_SZ, 65536 * 2), Ok(65536 * 2));
        check_eq!(sys!(write, stream.w, &bytes_at(at + 20_000, 80_000)[..], 80_000), Ok(80_000));
        check_eq!(unread(stream.r), 100_000);
        check!(read_exactly(stream.r, 100_000) == bytes_at(at, 100_000));
        at += 100_000;
        stream.warm_up();
    }
    check_eq!(sys!(fcntl, stream.r, F_SETPIPE_SZ, 4096), Ok(4096));
    stream.warm_up();
    set_nonblocking(stream.w, true);
    check_eq!(stream.fill(PAGE), PAGE);
    read_exactly(stream.r, PAGE);
    check_eq!(sys!(fcntl, stream.r, F_SETPIPE_SZ, 65536), Ok(65536));
    stream.warm_up();
    check_eq!(stream.fill(PAGE), 65536);
});

case!(another_size_makes_room_for_those_who_wait, [fcntl, write], {
    let stream = Kind::Pipe.warm();
    let writer = fork(move || {
        for at in 0..24 {
            check_eq!(sys!(write, stream.w, &bytes_at(at * PAGE, PAGE)[..], PAGE), Ok(PAGE as i64));
        }
    });
    settle();
    check_eq!(sys!(fcntl, stream.r, F_SETPIPE_SZ, 65536 * 2), Ok(65536 * 2));
    writer.ok();
    check!(read_exactly(stream.r, 24 * PAGE) == bytes_at(0, 24 * PAGE));
});

case!(a_pipe_holds_as_many_writes_as_ever, [pipe2, write, read], {
    let mut ends = [0; 2];
    sys!(pipe2, &mut ends, O_NONBLOCK).must();
    let stream = Stream { r: ends[0], w: ends[1] };
    stream.warm_up();
    // Writes share a page as far as they fit as a whole.
    let fits = [(1, 65536), (1000, 64_000), (4095, 65520), (4096, 65536), (1365, 65520)];
    // Single bytes take long: only once.
    for (block, total) in fits.into_iter().chain(fits.into_iter().skip(1).cycle().take(8)) {
        check_eq!(stream.fill(block), total, "{block}");
        check_eq!(sys!(write, stream.w, &[0_u8; 1], 1).is_ok(), total < 65536);
        check_eq!(unread(stream.r), total as i32 + i32::from(total < 65536));
        read_exactly(stream.r, unread(stream.r) as usize);
        check_eq!(read_byte(stream.r), Err(EAGAIN));
    }
    check_eq!(sys!(write, stream.w, &vec![1_u8; 100_000][..], 100_000), Ok(65536));
    read_exactly(stream.r, 4096);
    check_eq!(sys!(write, stream.w, &[1_u8; 5000], 5000), Ok(4096), "a part of a large one");
    read_exactly(stream.r, 4095);
    check_eq!(sys!(write, stream.w, &[1_u8; 10], 10), Err(EAGAIN), "no page is free");
    read_exactly(stream.r, 1);
    check_eq!(sys!(write, stream.w, &[1_u8; 10], 10), Ok(10));
});

case!(packets_begin_in_much_use, [fcntl, read], {
    let stream = Kind::Pipe.warm();
    for _ in 0..10 {
        sys!(fcntl, stream.w, F_SETFL, O_DIRECT).must();
        let mut bytes = [0_u8; 100];
        for count in (1..=12).cycle().take(40) {
            for _ in 0..count {
                check_eq!(sys!(write, stream.w, b"de", 2), Ok(2));
            }
            for _ in 0..count {
                check_eq!(sys!(read, stream.r, &mut bytes, 100), Ok(2));
            }
        }
        sys!(fcntl, stream.w, F_SETFL, 0).must();
        stream.warm_up();
    }
});

case!(splice_and_tee_join_in, [splice, tee, vmsplice, read, write], {
    let (one, other) = (Kind::Pipe.warm(), Kind::Pipe.warm());
    for round in 0..12 {
        let sent = bytes_at(round * 1000, 10_000);
        sys!(write, one.w, &sent[..], 10_000).must();
        check_eq!(sys!(tee, one.r, other.w, 10_000, 0), Ok(10_000));
        check!(read_exactly(other.r, 10_000) == sent);
        check_eq!(sys!(splice, one.r, NULL, other.w, NULL, 6000, 0), Ok(6000));
        check!(read_exactly(one.r, 4000) == sent[6000..]);
        sys!(write, other.w, b"behind", 6).must();
        check!(read_exactly(other.r, 6006) == [&sent[..6000], b"behind"].concat());
        let part = [iovec { iov_base: sent.as_ptr().cast_mut().cast(), iov_len: 5000 }];
        check_eq!(sys!(vmsplice, one.w, &part, 1, 0), Ok(5000));
        check!(read_exactly(one.r, 5000) == sent[..5000]);
        one.warm_up();
        other.warm_up();
    }
});

case!(splice_waits_for_a_writer_in_much_use, [splice], {
    let (one, other) = (Kind::Pipe.warm(), Kind::Pipe.warm());
    let writer = fork(move || {
        sys!(close, one.r).must();
        for at in 0..3000 {
            check_eq!(sys!(write, one.w, &bytes_at(at * 100, 100)[..], 100), Ok(100));
        }
    });
    let reader = fork(move || {
        check!(read_exactly(other.r, 300_000) == bytes_at(0, 300_000));
    });
    let mut done = 0;
    while done < 300_000 {
        let count = sys!(splice, one.r, NULL, other.w, NULL, 1 << 20, 0).must();
        check!(count > 0);
        done += count;
    }
    writer.ok();
    reader.ok();
});

each_stream!(files_are_sent, [sendfile, splice], |kind| {
    let stream = kind.warm();
    create(c"f", &bytes_at(0, 10_000));
    let file = open(c"f", O_RDONLY);
    for _ in 0..12 {
        let mut offset = 500_i64;
        check_eq!(sys!(sendfile, stream.w, file, &mut offset, 5000), Ok(5000));
        sys!(write, stream.w, b"tail", 4).must();
        check!(read_exactly(stream.r, 5000) == bytes_at(500, 5000));
        check_eq!(read_exactly(stream.r, 4), *b"tail");
        stream.warm_up();
    }
});
