//! sendfile, copy_file_range, splice, tee, vmsplice.

use crate::support::prelude::*;

fn source() -> i32 {
    create(c"src", b"0123456789");
    open(c"src", O_RDONLY)
}

case!(sendfile_moves_the_offset, [sendfile], {
    let from = source();
    let to = open(c"dst", O_RDWR | O_CREAT);
    check_eq!(sys!(sendfile, to, from, NULL, 4), Ok(4));
    check_eq!(sys!(sendfile, to, from, NULL, 100), Ok(6));
    check_eq!(sys!(sendfile, to, from, NULL, 100), Ok(0));
    check_eq!(content(c"dst"), b"0123456789");
});

case!(sendfile_with_an_offset_leaves_the_files, [sendfile], {
    let from = source();
    let to = open(c"dst", O_RDWR | O_CREAT);
    let mut offset = 3i64;
    check_eq!(sys!(sendfile, to, from, &mut offset, 4), Ok(4));
    check_eq!(offset, 7);
    check_eq!(sys!(lseek, from, 0, SEEK_CUR), Ok(0));
    check_eq!(content(c"dst"), b"3456");
});

case!(sendfile_to_pipes_and_sockets, [sendfile], {
    let from = source();
    let (r, w) = pipe();
    check_eq!(sys!(sendfile, w, from, NULL, 10), Ok(10));
    let mut buf = [0u8; 16];
    check_eq!(sys!(read, r, &mut buf, 16), Ok(10));
    let mut ends = [0i32; 2];
    sys!(socketpair, AF_UNIX, SOCK_STREAM, 0, &mut ends).must();
    let mut offset = 5i64;
    check_eq!(sys!(sendfile, ends[0], from, &mut offset, 100), Ok(5));
    check_eq!(sys!(read, ends[1], &mut buf, 16), Ok(5));
    check_eq!(&buf[..5], b"56789");
});

case!(sendfile_errors, [sendfile], {
    let from = source();
    let to = open(c"dst", O_RDWR | O_CREAT);
    check_eq!(sys!(sendfile, 99, from, NULL, 1), Err(EBADF));
    check_eq!(sys!(sendfile, to, 99, NULL, 1), Err(EBADF));
    check_eq!(sys!(sendfile, from, from, NULL, 1), Err(EBADF), "not open for writing");
    check_eq!(sys!(sendfile, to, from, BAD, 1), Err(EFAULT));
    check_eq!(sys!(sendfile, to, from, &mut -1i64, 1), Err(EINVAL));
    let append = open(c"dst", O_WRONLY | O_APPEND);
    check_eq!(sys!(sendfile, append, from, NULL, 1), Err(EINVAL));
    let (r, _w) = pipe();
    check_eq!(sys!(sendfile, to, r, &mut 0i64, 1), Err(ESPIPE));
});

case!(copy_file_range_copies, [copy_file_range], {
    let from = source();
    let to = open(c"dst", O_RDWR | O_CREAT);
    check_eq!(sys!(copy_file_range, from, NULL, to, NULL, 4, 0), Ok(4));
    let (mut at, mut into) = (8i64, 0i64);
    check_eq!(sys!(copy_file_range, from, &mut at, to, &mut into, 100, 0), Ok(2));
    check_eq!((at, into), (10, 2));
    check_eq!(content(c"dst"), b"8923");
    check_eq!(sys!(lseek, from, 0, SEEK_CUR), Ok(4));
    check_eq!(sys!(copy_file_range, from, &mut 10i64, to, NULL, 4, 0), Ok(0));
});

case!(copy_file_range_errors, [copy_file_range], {
    let from = source();
    let to = open(c"dst", O_RDWR | O_CREAT);
    check_eq!(sys!(copy_file_range, from, NULL, to, NULL, 4, 1), Err(EINVAL));
    check_eq!(sys!(copy_file_range, 99, NULL, to, NULL, 4, 0), Err(EBADF));
    check_eq!(sys!(copy_file_range, from, NULL, from, NULL, 4, 0), Err(EBADF));
    check_eq!(sys!(copy_file_range, from, BAD, to, NULL, 4, 0), Err(EFAULT));
    check_eq!(sys!(copy_file_range, open(c".", O_RDONLY), NULL, to, NULL, 4, 0), Err(EISDIR));
    let (r, _w) = pipe();
    check_eq!(sys!(copy_file_range, r, NULL, to, NULL, 4, 0), Err(EINVAL));
    let same = open(c"src", O_RDWR);
    let (mut a, mut b) = (0i64, 2i64);
    check_eq!(sys!(copy_file_range, same, &mut a, same, &mut b, 4, 0), Err(EINVAL), "overlapping");
});

case!(copies_end_at_the_limit_of_file_sizes, [copy_file_range, sendfile], {
    let from = source();
    let limit = rlimit { rlim_cur: 6, rlim_max: 6 };
    sys!(setrlimit, RLIMIT_FSIZE, &limit).must();
    count_signal(SIGXFSZ, 0);
    let to = open(c"dst", O_RDWR | O_CREAT);
    check_eq!(sys!(copy_file_range, from, &mut 0i64, to, NULL, 10, 0), Ok(6));
    check_eq!(sys!(copy_file_range, from, &mut 0i64, to, NULL, 10, 0), Err(EFBIG));
    check_eq!(sys!(copy_file_range, from, &mut 10i64, to, NULL, 10, 0), Err(EFBIG));
    check_eq!(counted(SIGXFSZ), 2);
    let other = open(c"other", O_RDWR | O_CREAT);
    check_eq!(sys!(sendfile, other, from, &mut 0i64, 10), Ok(6));
    check_eq!(sys!(sendfile, other, from, &mut 10i64, 10), Ok(0), "nothing to send");
    check_eq!(counted(SIGXFSZ), 3, "by a transfer that goes on at the limit");
    check_eq!(content(c"dst"), b"012345");
    check_eq!(content(c"other"), b"012345");
});

case!(splice_between_file_and_pipe, [splice], {
    let from = source();
    let (r, w) = pipe();
    check_eq!(sys!(splice, from, NULL, w, NULL, 100, 0), Ok(10));
    let to = open(c"dst", O_RDWR | O_CREAT);
    let mut at = 5i64;
    check_eq!(sys!(splice, r, NULL, to, &mut at, 4, 0), Ok(4));
    check_eq!(at, 9);
    check_eq!(content(c"dst"), b"\0\0\0\0\x000123");
    check_eq!(sys!(splice, r, NULL, to, NULL, 100, 0), Ok(6));
});

case!(splice_between_pipes, [splice], {
    let (r1, w1) = pipe();
    let (r2, w2) = pipe();
    sys!(write, w1, b"abcdef", 6).must();
    check_eq!(sys!(splice, r1, NULL, w2, NULL, 4, 0), Ok(4));
    let mut buf = [0u8; 8];
    check_eq!(sys!(read, r2, &mut buf, 8), Ok(4));
    check_eq!(sys!(read, r1, &mut buf, 8), Ok(2));
    check_eq!(sys!(splice, r1, NULL, w2, NULL, 4, SPLICE_F_NONBLOCK), Err(EAGAIN));
    sys!(close, w1).must();
    check_eq!(sys!(splice, r1, NULL, w2, NULL, 4, 0), Ok(0), "end of file");
});

case!(splice_errors, [splice], {
    let from = source();
    let (r, w) = pipe();
    let to = open(c"dst", O_RDWR | O_CREAT);
    check_eq!(sys!(splice, from, NULL, to, NULL, 4, 0), Err(EINVAL), "one must be a pipe");
    check_eq!(sys!(splice, r, &mut 0i64, to, NULL, 4, 0), Err(ESPIPE));
    check_eq!(sys!(splice, 99, NULL, w, NULL, 4, 0), Err(EBADF));
    check_eq!(sys!(splice, w, NULL, to, NULL, 4, 0), Err(EBADF));
    check_eq!(sys!(splice, r, NULL, to, NULL, 4, 0x100), Err(EINVAL));
    check_eq!(sys!(splice, r, NULL, to, NULL, 0, 0), Ok(0));
    check_eq!(sys!(splice, from, BAD, w, NULL, 4, 0), Err(EFAULT));
    check_eq!(sys!(splice, r, NULL, w, NULL, 4, 0), Err(EINVAL), "a pipe to itself");
});

case!(splice_waits_for_data, [splice], {
    let (r, w) = pipe();
    let to = open(c"dst", O_RDWR | O_CREAT);
    let child = fork(|| check_eq!(sys!(splice, r, NULL, to, NULL, 100, 0), Ok(3)));
    settle();
    sys!(write, w, b"abc", 3).must();
    child.ok();
    check_eq!(content(c"dst"), b"abc");
});

case!(tee_copies_without_consuming, [tee], {
    let (r1, w1) = pipe();
    let (r2, w2) = pipe();
    sys!(write, w1, b"abcdef", 6).must();
    check_eq!(sys!(tee, r1, w2, 4, 0), Ok(4));
    let mut buf = [0u8; 8];
    check_eq!(sys!(read, r2, &mut buf, 8), Ok(4));
    check_eq!(sys!(read, r1, &mut buf, 8), Ok(6));
    check_eq!(sys!(tee, r1, w2, 4, SPLICE_F_NONBLOCK), Err(EAGAIN));
    check_eq!(sys!(tee, source(), w2, 4, 0), Err(EINVAL));
    check_eq!(sys!(tee, r1, w1, 4, 0), Err(EINVAL));
});

case!(vmsplice_moves_memory_into_a_pipe_and_out, [vmsplice], {
    let (r, w) = pipe();
    let mut data = *b"hello";
    let list = [iovec { iov_base: data.as_mut_ptr().cast(), iov_len: 5 }];
    check_eq!(sys!(vmsplice, w, &list, 1, 0), Ok(5));
    let mut back = [0u8; 8];
    let into = [iovec { iov_base: back.as_mut_ptr().cast(), iov_len: 8 }];
    check_eq!(sys!(vmsplice, r, &into, 1, 0), Ok(5));
    check_eq!(&back[..5], b"hello");
    check_eq!(sys!(vmsplice, source(), &list, 1, 0), Err(EBADF));
    check_eq!(sys!(vmsplice, w, BAD, 1, 0), Err(EFAULT));
});
