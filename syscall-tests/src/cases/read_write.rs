//! read, write, pread64, pwrite64, readv, writev, preadv, pwritev, preadv2, pwritev2.

use crate::support::prelude::*;

/// Makes the scatter list of some buffers.
fn iov(parts: &mut [&mut [u8]]) -> Vec<iovec> {
    parts.iter_mut().map(|p| iovec { iov_base: p.as_mut_ptr().cast(), iov_len: p.len() }).collect()
}

fn file_with(bytes: &[u8]) -> i32 {
    create(c"f", bytes);
    open(c"f", O_RDWR)
}

case!(read_returns_what_write_wrote, [read, write, lseek], {
    let fd = open(c"f", O_RDWR | O_CREAT);
    check_eq!(sys!(write, fd, b"hello", 5), Ok(5));
    check_eq!(sys!(lseek, fd, 0, SEEK_SET), Ok(0));
    let mut buf = [0u8; 16];
    check_eq!(sys!(read, fd, &mut buf, 16), Ok(5));
    check_eq!(&buf[..5], b"hello");
    check_eq!(sys!(read, fd, &mut buf, 16), Ok(0));
});

case!(read_zero_length_checks_fd, [read], {
    let fd = file_with(b"abc");
    check_eq!(sys!(read, fd, NULL, 0), Ok(0));
    check_eq!(sys!(read, 99, NULL, 0), Err(EBADF));
    check_eq!(sys!(read, -1, NULL, 0), Err(EBADF));
});

case!(read_needs_open_for_reading, [read, write], {
    create(c"f", b"abc");
    let fd = open(c"f", O_WRONLY);
    let mut buf = [0u8; 4];
    check_eq!(sys!(read, fd, &mut buf, 4), Err(EBADF));
    let fd = open(c"f", O_RDONLY);
    check_eq!(sys!(write, fd, b"x", 1), Err(EBADF));
    check_eq!(sys!(write, fd, b"x", 0), Err(EBADF));
    let fd = open(c"f", O_PATH);
    check_eq!(sys!(read, fd, &mut buf, 4), Err(EBADF));
});

case!(read_of_directory_is_eisdir, [read, pread64], {
    let fd = open(c".", O_RDONLY);
    let mut buf = [0u8; 4];
    check_eq!(sys!(read, fd, &mut buf, 4), Err(EISDIR));
    check_eq!(sys!(pread64, fd, &mut buf, 4, 0), Err(EISDIR));
});

case!(read_bad_pointer_is_efault_only_when_data_comes, [read], {
    let fd = file_with(b"abc");
    check_eq!(sys!(read, fd, BAD, 3), Err(EFAULT));
    check_eq!(sys!(read, fd, 8, 3), Err(EFAULT));
    check_eq!(sys!(lseek, fd, 0, SEEK_CUR), Ok(0), "the offset after a failed read");
    sys!(lseek, fd, 0, SEEK_END).must();
    check_eq!(sys!(read, fd, 8, 3), Ok(0), "at the end of the file nothing is copied");
});

case!(read_into_partly_mapped_buffer_is_short, [read], {
    let fd = file_with(&[7; 8192]);
    let area = anon(2 * PAGE);
    sys!(munmap, area + PAGE, PAGE).must();
    check_eq!(sys!(read, fd, area + PAGE - 100, 300), Ok(100));
    check_eq!(peek::<u8>(area + PAGE - 1), 7);
    check_eq!(sys!(lseek, fd, 0, SEEK_CUR), Ok(100));
});

case!(read_into_read_only_memory_is_efault, [read], {
    let fd = file_with(b"abc");
    let area = map(PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check_eq!(sys!(read, fd, area, 3), Err(EFAULT));
});

case!(read_huge_count_is_cut_short, [read], {
    let fd = file_with(b"abc");
    let area = anon(PAGE);
    check_eq!(sys!(read, fd, area, 0x7fff_f000u64), Ok(3));
    check_eq!(sys!(read, fd, area, u64::MAX), Err(EFAULT));
    check_eq!(sys!(read, fd, area, i64::MAX), Err(EFAULT));
});

case!(write_bad_pointer_is_efault, [write], {
    let fd = file_with(b"abc");
    check_eq!(sys!(write, fd, BAD, 3), Err(EFAULT));
    check_eq!(sys!(write, fd, 8, 3), Err(EFAULT));
    check_eq!(sys!(write, fd, 8, 0), Ok(0));
    check_eq!(content(c"f"), b"abc");
});

case!(write_from_partly_mapped_buffer_is_short, [write], {
    let fd = file_with(b"");
    let area = anon(2 * PAGE);
    sys!(munmap, area + PAGE, PAGE).must();
    check_eq!(sys!(write, fd, area + PAGE - 100, 300), Ok(100));
    check_eq!(fstat(fd).st_size, 100);
});

case!(write_extends_and_overwrites, [write, lseek], {
    let fd = file_with(b"abcdef");
    sys!(lseek, fd, 4, SEEK_SET).must();
    check_eq!(sys!(write, fd, b"XYZ", 3), Ok(3));
    check_eq!(content(c"f"), b"abcdXYZ");
    check_eq!(fstat(fd).st_size, 7);
});

case!(write_past_end_leaves_zeros, [write, lseek], {
    let fd = file_with(b"ab");
    sys!(lseek, fd, 5, SEEK_SET).must();
    check_eq!(sys!(write, fd, b"c", 1), Ok(1));
    check_eq!(content(c"f"), b"ab\0\0\0c");
});

case!(append_writes_at_end_whatever_the_offset, [write, lseek], {
    create(c"f", b"abc");
    let fd = open(c"f", O_RDWR | O_APPEND);
    check_eq!(sys!(lseek, fd, 0, SEEK_CUR), Ok(0));
    check_eq!(sys!(write, fd, b"d", 1), Ok(1));
    check_eq!(sys!(lseek, fd, 0, SEEK_CUR), Ok(4));
    sys!(lseek, fd, 0, SEEK_SET).must();
    check_eq!(sys!(write, fd, b"e", 1), Ok(1));
    check_eq!(content(c"f"), b"abcde");
});

case!(append_makes_pwrite_append_too, [pwrite64], {
    // pwrite(2), BUGS: on Linux the data goes to the end, regardless of the offset.
    create(c"f", b"abc");
    let fd = open(c"f", O_RDWR | O_APPEND);
    check_eq!(sys!(pwrite64, fd, b"Z", 1, 0), Ok(1));
    check_eq!(content(c"f"), b"abcZ");
    check_eq!(sys!(lseek, fd, 0, SEEK_CUR), Ok(0));
});

case!(pread_and_pwrite_leave_the_offset, [pread64, pwrite64], {
    let fd = file_with(b"abcdef");
    sys!(lseek, fd, 2, SEEK_SET).must();
    let mut buf = [0u8; 3];
    check_eq!(sys!(pread64, fd, &mut buf, 3, 3), Ok(3));
    check_eq!(&buf, b"def");
    check_eq!(sys!(pwrite64, fd, b"X", 1, 0), Ok(1));
    check_eq!(sys!(lseek, fd, 0, SEEK_CUR), Ok(2));
    check_eq!(content(c"f"), b"Xbcdef");
    check_eq!(sys!(pread64, fd, &mut buf, 3, 100), Ok(0));
});

case!(pread_negative_offset_is_einval, [pread64, pwrite64], {
    let fd = file_with(b"abc");
    let mut buf = [0u8; 3];
    check_eq!(sys!(pread64, fd, &mut buf, 3, -1), Err(EINVAL));
    check_eq!(sys!(pwrite64, fd, &buf, 3, -1), Err(EINVAL));
    check_eq!(sys!(pread64, 99, &mut buf, 3, 0), Err(EBADF));
    check_eq!(sys!(pwrite64, fd, &buf, 1, i64::MAX), Err(EINVAL), "the end would overflow");
});

case!(pread_on_pipe_is_espipe, [pread64, pwrite64, lseek, preadv, pwritev], {
    let (r, w) = pipe();
    let mut buf = [0u8; 3];
    check_eq!(sys!(pread64, r, &mut buf, 3, 0), Err(ESPIPE));
    check_eq!(sys!(pwrite64, w, &buf, 3, 0), Err(ESPIPE));
    check_eq!(sys!(lseek, r, 0, SEEK_CUR), Err(ESPIPE));
    let list = iov(&mut [&mut buf]);
    check_eq!(sys!(preadv, r, &list[..], 1, 0, 0), Err(ESPIPE));
    check_eq!(sys!(pwritev, w, &list[..], 1, 0, 0), Err(ESPIPE));
});

case!(readv_fills_buffers_in_order, [readv], {
    let fd = file_with(b"abcdefg");
    let (mut a, mut b, mut c) = ([0u8; 2], [0u8; 0], [0u8; 10]);
    let list = iov(&mut [&mut a, &mut b, &mut c]);
    check_eq!(sys!(readv, fd, &list[..], 3), Ok(7));
    check_eq!(&a, b"ab");
    check_eq!(&c[..5], b"cdefg");
});

case!(writev_gathers_buffers, [writev], {
    let fd = file_with(b"");
    let (mut a, mut b, mut c) = (*b"ab", *b"", *b"cde");
    let list = iov(&mut [&mut a, &mut b, &mut c]);
    check_eq!(sys!(writev, fd, &list[..], 3), Ok(5));
    check_eq!(content(c"f"), b"abcde");
});

case!(vector_count_limits, [readv, writev], {
    let fd = file_with(b"abc");
    check_eq!(sys!(readv, fd, NULL, 0), Ok(0));
    check_eq!(sys!(writev, fd, NULL, 0), Ok(0));
    check_eq!(sys!(readv, fd, NULL, -1), Err(EINVAL));
    let list = vec![iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; 1025];
    check_eq!(sys!(readv, fd, &list[..], 1025), Err(EINVAL));
    check_eq!(sys!(readv, fd, &list[..], 1024), Ok(0));
    check_eq!(sys!(writev, fd, &list[..], 1025), Err(EINVAL));
    check_eq!(sys!(readv, fd, BAD, 1), Err(EFAULT));
    check_eq!(sys!(readv, 99, BAD, 1), Err(EBADF));
});

case!(vector_negative_length_is_einval, [readv, writev], {
    let fd = file_with(b"abc");
    let mut buf = [0u8; 4];
    let base = buf.as_mut_ptr().cast();
    let list =
        [iovec { iov_base: base, iov_len: 1 }, iovec { iov_base: base, iov_len: usize::MAX }];
    check_eq!(sys!(readv, fd, &list, 2), Err(EINVAL));
    check_eq!(sys!(writev, fd, &list, 2), Err(EINVAL));
});

case!(vector_fault_in_second_part_is_short, [writev, readv], {
    let fd = file_with(b"");
    let mut good = *b"good";
    let bad = iovec { iov_base: std::ptr::without_provenance_mut(8), iov_len: 4 };
    let good = iovec { iov_base: good.as_mut_ptr().cast(), iov_len: 4 };
    check_eq!(sys!(writev, fd, &[good, bad], 2), Ok(4));
    check_eq!(sys!(writev, fd, &[bad, good], 2), Err(EFAULT));
    sys!(lseek, fd, 0, SEEK_SET).must();
    sys!(pwrite64, fd, b"12345678", 8, 0).must();
    check_eq!(sys!(readv, fd, &[good, bad], 2), Ok(4));
});

case!(preadv_and_pwritev_take_an_offset, [preadv, pwritev], {
    let fd = file_with(b"abcdef");
    let (mut a, mut b) = ([0u8; 2], [0u8; 2]);
    let list = iov(&mut [&mut a, &mut b]);
    check_eq!(sys!(preadv, fd, &list[..], 2, 2, 0), Ok(4));
    check_eq!((&a, &b), (b"cd", b"ef"));
    check_eq!(sys!(pwritev, fd, &list[..], 2, 0, 0), Ok(4));
    check_eq!(content(c"f"), b"cdefef");
    check_eq!(sys!(lseek, fd, 0, SEEK_CUR), Ok(0));
    check_eq!(sys!(preadv, fd, &list[..], 2, -1, -1), Err(EINVAL));
});

case!(preadv2_minus_one_uses_the_file_offset, [preadv2, pwritev2], {
    let fd = file_with(b"abcdef");
    let mut a = [0u8; 3];
    let list = iov(&mut [&mut a]);
    check_eq!(sys!(preadv2, fd, &list[..], 1, -1, -1, 0), Ok(3));
    check_eq!(&a, b"abc");
    check_eq!(sys!(lseek, fd, 0, SEEK_CUR), Ok(3));
    check_eq!(sys!(pwritev2, fd, &list[..], 1, -1, -1, 0), Ok(3));
    check_eq!(content(c"f"), b"abcabc");
    check_eq!(sys!(preadv2, fd, &list[..], 1, 0, 0, 0), Ok(3));
    check_eq!(sys!(lseek, fd, 0, SEEK_CUR), Ok(6));
});

case!(preadv2_refuses_unknown_flags, [preadv2, pwritev2], {
    let fd = file_with(b"abcdef");
    let mut a = [0u8; 3];
    let list = iov(&mut [&mut a]);
    check_eq!(sys!(preadv2, fd, &list[..], 1, 0, 0, 0x4000_0000), Err(EOPNOTSUPP));
    check_eq!(sys!(pwritev2, fd, &list[..], 1, 0, 0, 0x4000_0000), Err(EOPNOTSUPP));
});

case!(pwritev2_append_flag_appends, [pwritev2], {
    let fd = file_with(b"abc");
    let mut a = *b"Z";
    let list = iov(&mut [&mut a]);
    check_eq!(sys!(pwritev2, fd, &list[..], 1, 0, 0, RWF_APPEND), Ok(1));
    check_eq!(content(c"f"), b"abcZ");
    check_eq!(sys!(pwritev2, fd, &list[..], 1, 0, 0, RWF_DSYNC), Ok(1));
    check_eq!(content(c"f"), b"ZbcZ");
});

case!(write_over_file_size_limit_is_efbig_and_sigxfsz, [write, setrlimit], {
    let fd = file_with(b"");
    let limit = rlimit { rlim_cur: 10, rlim_max: 10 };
    sys!(setrlimit, RLIMIT_FSIZE, &limit).must();
    count_signal(SIGXFSZ, 0);
    check_eq!(sys!(write, fd, &[1u8; 20], 20), Ok(10), "a write across the limit");
    check_eq!(counted(SIGXFSZ), 0);
    check_eq!(sys!(write, fd, &[1u8; 20], 20), Err(EFBIG));
    check_eq!(counted(SIGXFSZ), 1);
    check_eq!(sys!(ftruncate, fd, 11), Err(EFBIG));
    check_eq!(counted(SIGXFSZ), 2);
});

case!(threads_sharing_an_offset_do_not_overlap, [read, write], {
    // write(2): since 3.14 the file offset is updated atomically (POSIX.1-2008, 2.9.7).
    let fd = file_with(b"");
    let writers: Vec<_> = (0..4u8)
        .map(|id| {
            spawn(move || {
                for _ in 0..100 {
                    check_eq!(sys!(write, fd, &[id; 16], 16), Ok(16));
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().ok().must();
    }
    let all = content(c"f");
    check_eq!(all.len(), 4 * 100 * 16);
    for block in all.chunks(16) {
        check!(block.iter().all(|b| *b == block[0]), "a torn write: {block:?}");
    }
    check!((0..4u8).all(|id| all.iter().filter(|b| **b == id).count() == 1600));
});

case!(dev_null_and_zero, [read, write], {
    let null = open(c"/dev/null", O_RDWR);
    let mut buf = [9u8; 8];
    check_eq!(sys!(read, null, &mut buf, 8), Ok(0));
    check_eq!(sys!(write, null, &buf, 8), Ok(8));
    let zero = open(c"/dev/zero", O_RDWR);
    check_eq!(sys!(read, zero, &mut buf, 8), Ok(8));
    check_eq!(buf, [0; 8]);
    check_eq!(sys!(write, zero, &buf, 8), Ok(8));
    let full = open(c"/dev/full", O_RDWR);
    check_eq!(sys!(write, full, &buf, 8), Err(ENOSPC));
    check_eq!(sys!(read, full, &mut buf, 8), Ok(8));
});
