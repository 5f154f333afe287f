//! pipe, pipe2 and the behaviour of pipes.

use crate::support::prelude::*;

case!(data_flows_in_order, [pipe, read, write], {
    let mut ends = [0i32; 2];
    check_eq!(sys!(pipe, &mut ends), Ok(0));
    let [r, w] = ends;
    check_eq!(sys!(write, w, b"abc", 3), Ok(3));
    check_eq!(sys!(write, w, b"def", 3), Ok(3));
    let mut buf = [0u8; 4];
    check_eq!(sys!(read, r, &mut buf, 4), Ok(4));
    check_eq!(&buf, b"abcd");
    check_eq!(sys!(read, r, &mut buf, 4), Ok(2));
    check_eq!(&buf[..2], b"ef");
});

case!(bad_pointer_leaks_no_descriptors, [pipe, pipe2], {
    let before = open(c".", O_RDONLY);
    check_eq!(sys!(pipe, BAD), Err(EFAULT));
    check_eq!(sys!(pipe2, 8, O_CLOEXEC), Err(EFAULT));
    check_eq!(open(c".", O_RDONLY), before + 1);
});

case!(unknown_flags_are_einval, [pipe2], {
    let mut ends = [0i32; 2];
    check_eq!(sys!(pipe2, &mut ends, 0x4), Err(EINVAL));
    check_eq!(sys!(pipe2, &mut ends, O_APPEND), Err(EINVAL));
    check_eq!(sys!(pipe2, &mut ends, O_CLOEXEC | O_NONBLOCK | O_DIRECT), Ok(0));
});

case!(flags_are_set_on_both_ends, [pipe2, fcntl], {
    let mut ends = [0i32; 2];
    sys!(pipe2, &mut ends, O_CLOEXEC | O_NONBLOCK).must();
    for end in ends {
        check_eq!(sys!(fcntl, end, F_GETFD), Ok(1));
        check!(sys!(fcntl, end, F_GETFL).must() as i32 & O_NONBLOCK != 0);
    }
    check_eq!(sys!(fcntl, ends[0], F_GETFL).must() as i32 & O_ACCMODE, O_RDONLY);
    check_eq!(sys!(fcntl, ends[1], F_GETFL).must() as i32 & O_ACCMODE, O_WRONLY);
});

case!(wrong_end_is_ebadf, [read, write], {
    let (r, w) = pipe();
    let mut buf = [0u8; 1];
    check_eq!(sys!(read, w, &mut buf, 1), Err(EBADF));
    check_eq!(sys!(write, r, &buf, 1), Err(EBADF));
});

case!(end_of_file_when_writers_are_gone, [read, close], {
    let (r, w) = pipe();
    sys!(write, w, b"ab", 2).must();
    sys!(close, w).must();
    let mut buf = [0u8; 8];
    check_eq!(sys!(read, r, &mut buf, 8), Ok(2));
    check_eq!(sys!(read, r, &mut buf, 8), Ok(0));
});

case!(write_without_reader_is_epipe_and_sigpipe, [write], {
    let (r, w) = pipe();
    sys!(close, r).must();
    count_signal(SIGPIPE, 0);
    check_eq!(sys!(write, w, b"x", 1), Err(EPIPE));
    check_eq!(counted(SIGPIPE), 1);
    check_eq!(sys!(write, w, b"x", 0), Ok(0), "an empty write says nothing");
    ignore(SIGPIPE);
    check_eq!(sys!(write, w, b"x", 1), Err(EPIPE));
});

case!(sigpipe_kills_by_default, [write], {
    let (r, w) = pipe();
    sys!(close, r).must();
    let child = fork(|| {
        let _ = sys!(write, w, b"x", 1);
    });
    check_eq!(child.wait(), Status::Signaled(SIGPIPE));
});

case!(nonblocking_ends_give_eagain, [read, write, pipe2], {
    let mut ends = [0i32; 2];
    sys!(pipe2, &mut ends, O_NONBLOCK).must();
    let [r, w] = ends;
    let mut buf = [0u8; PAGE];
    check_eq!(sys!(read, r, &mut buf, 1), Err(EAGAIN));
    let mut total = 0;
    while let Ok(count) = sys!(write, w, &buf, PAGE) {
        total += count;
    }
    check_eq!(sys!(write, w, &buf, PAGE), Err(EAGAIN));
    check_eq!(total, 65536, "the default capacity");
    check_eq!(sys!(read, r, &mut buf, PAGE), Ok(4096));
    check_eq!(sys!(write, w, &buf, PAGE), Ok(4096));
});

case!(nonblocking_small_write_is_all_or_nothing, [write], {
    // pipe(7): n <= PIPE_BUF is atomic; n > PIPE_BUF may be partial.
    let mut ends = [0i32; 2];
    sys!(pipe2, &mut ends, O_NONBLOCK).must();
    let [r, w] = ends;
    let big = vec![1u8; 65536];
    check_eq!(sys!(write, w, &big[..], 65536), Ok(65536));
    let mut buf = [0u8; 100];
    check_eq!(sys!(read, r, &mut buf, 100), Ok(100));
    check_eq!(sys!(write, w, &big[..], 4096), Err(EAGAIN), "no whole page is free");
    let mut page = [0u8; PAGE];
    check_eq!(sys!(read, r, &mut page, 3996), Ok(3996));
    check_eq!(sys!(write, w, &big[..], 8192), Ok(4096), "a large write may be partial");
});

case!(blocked_reader_wakes_on_write, [read, write], {
    let (r, w) = pipe();
    let reader = fork(|| {
        let mut buf = [0u8; 8];
        check_eq!(sys!(read, r, &mut buf, 8), Ok(3));
        check_eq!(&buf[..3], b"abc");
    });
    settle();
    sys!(write, w, b"abc", 3).must();
    reader.ok();
});

case!(blocked_reader_wakes_on_last_close, [read, close], {
    let (r, w) = pipe();
    let reader = spawn(move || {
        let mut buf = [0u8; 8];
        check_eq!(sys!(read, r, &mut buf, 8), Ok(0));
    });
    settle();
    sys!(close, w).must();
    reader.join().ok().must();
});

case!(blocked_writer_wakes_when_space_is_freed, [write, read], {
    let (r, w) = pipe();
    let big = vec![5u8; 200_000];
    let writer = fork(|| check_eq!(sys!(write, w, &big[..], big.len()), Ok(200_000)));
    sys!(close, w).must();
    check_eq!(read_all(r).len(), 200_000);
    writer.ok();
});

case!(blocked_writer_gets_epipe_when_reader_goes, [write], {
    let (r, w) = pipe();
    let child = fork_asleep(|| {
        sys!(close, r).must();
        ignore(SIGPIPE);
        let big = vec![5u8; 200_000];
        check_eq!(sys!(write, w, &big[..], big.len()), Ok(65536));
        check_eq!(sys!(write, w, b"x", 1), Err(EPIPE));
    });
    sys!(close, r).must();
    child.ok();
});

case!(interrupted_read_is_eintr, [read], {
    let (r, _w) = pipe();
    count_signal(SIGALRM, 0);
    sys!(alarm, 1).must();
    let mut buf = [0u8; 8];
    check_eq!(sys!(read, r, &mut buf, 8), Err(EINTR));
    check_eq!(counted(SIGALRM), 1);
});

case!(interrupted_write_returns_what_was_written, [write], {
    let (_r, w) = pipe();
    count_signal(SIGALRM, SA_RESTART);
    sys!(alarm, 1).must();
    let big = vec![5u8; 200_000];
    check_eq!(sys!(write, w, &big[..], big.len()), Ok(65536));
});

case!(small_writes_are_atomic, [write], {
    let (r, w) = pipe();
    let writers: Vec<_> = (0..3u8)
        .map(|id| {
            fork(|| {
                for _ in 0..200 {
                    check_eq!(sys!(write, w, &[id; 1000], 1000), Ok(1000));
                }
            })
        })
        .collect();
    sys!(close, w).must();
    let all = read_all(r);
    check_eq!(all.len(), 3 * 200 * 1000);
    for block in all.chunks(1000) {
        check!(block.iter().all(|b| *b == block[0]), "two writes were mixed");
    }
    for writer in writers {
        writer.ok();
    }
});

case!(size_can_be_changed, [fcntl], {
    let (r, w) = pipe();
    check_eq!(sys!(fcntl, r, F_GETPIPE_SZ), Ok(65536));
    check_eq!(sys!(fcntl, w, F_SETPIPE_SZ, 4096), Ok(4096));
    check_eq!(sys!(fcntl, r, F_GETPIPE_SZ), Ok(4096));
    check_eq!(
        sys!(fcntl, w, F_SETPIPE_SZ, 5000),
        Ok(8192),
        "rounded up to a power of two of pages"
    );
    check_eq!(sys!(fcntl, w, F_SETPIPE_SZ, 1), Ok(4096));
    sys!(fcntl, w, F_SETPIPE_SZ, 65536).must();
    sys!(write, w, &[0u8; 20000], 20000).must();
    check_eq!(sys!(fcntl, w, F_SETPIPE_SZ, 4096), Err(EBUSY), "smaller than what is in it");
    check_eq!(sys!(fcntl, open(c".", O_RDONLY), F_GETPIPE_SZ), Err(EBADF));
});

case!(packet_mode_keeps_writes_apart, [pipe2, read], {
    let mut ends = [0i32; 2];
    sys!(pipe2, &mut ends, O_DIRECT).must();
    let [r, w] = ends;
    sys!(write, w, b"first", 5).must();
    sys!(write, w, b"second", 6).must();
    let mut buf = [0u8; 32];
    check_eq!(sys!(read, r, &mut buf, 32), Ok(5));
    check_eq!(sys!(read, r, &mut buf, 3), Ok(3), "the rest of the packet is lost");
    sys!(fcntl, r, F_SETFL, O_NONBLOCK).must();
    check_eq!(sys!(read, r, &mut buf, 32), Err(EAGAIN));
});

case!(fionread_counts_waiting_bytes, [ioctl], {
    let (r, w) = pipe();
    let mut count = -1i32;
    sys!(ioctl, r, FIONREAD, &mut count).must();
    check_eq!(count, 0);
    sys!(write, w, b"abcde", 5).must();
    sys!(ioctl, r, FIONREAD, &mut count).must();
    check_eq!(count, 5);
    check_eq!(sys!(ioctl, r, FIONREAD, BAD), Err(EFAULT));
});

case!(fifo_stat_and_proc_name, [fstat, readlink], {
    let (r, _w) = pipe();
    check_eq!(fstat(r).st_mode, S_IFIFO | 0o600);
    let mut buf = [0u8; 64];
    let link = cstr(&format!("/proc/self/fd/{r}"));
    let len = sys!(readlink, link.as_c_str(), &mut buf, 64).must() as usize;
    check_eq!(String::from_utf8_lossy(&buf[..len]), format!("pipe:[{}]", fstat(r).st_ino));
});

case!(reading_bad_pointer_keeps_the_data, [read], {
    let (r, w) = pipe();
    sys!(write, w, b"abc", 3).must();
    check_eq!(sys!(read, r, BAD, 3), Err(EFAULT));
    let mut buf = [0u8; 8];
    check_eq!(sys!(read, r, &mut buf, 8), Ok(3));
});
