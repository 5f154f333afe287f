//! lseek, with holes and directories.

use crate::support::prelude::*;

case!(whence_is_relative_to_start_offset_and_end, [lseek], {
    create(c"f", b"0123456789");
    let fd = open(c"f", O_RDONLY);
    check_eq!(sys!(lseek, fd, 4, SEEK_SET), Ok(4));
    check_eq!(sys!(lseek, fd, 3, SEEK_CUR), Ok(7));
    check_eq!(sys!(lseek, fd, -2, SEEK_CUR), Ok(5));
    check_eq!(sys!(lseek, fd, -1, SEEK_END), Ok(9));
    check_eq!(sys!(lseek, fd, 100, SEEK_END), Ok(110), "beyond the end is allowed");
});

case!(bad_arguments, [lseek], {
    create(c"f", b"0123456789");
    let fd = open(c"f", O_RDONLY);
    sys!(lseek, fd, 5, SEEK_SET).must();
    check_eq!(sys!(lseek, fd, -6, SEEK_CUR), Err(EINVAL));
    check_eq!(sys!(lseek, fd, -1, SEEK_SET), Err(EINVAL));
    check_eq!(sys!(lseek, fd, 0, 99), Err(EINVAL));
    check_eq!(sys!(lseek, fd, 0, -1), Err(EINVAL));
    check_eq!(sys!(lseek, fd, 0, SEEK_CUR), Ok(5), "a failed lseek moves nothing");
    check_eq!(sys!(lseek, 99, 0, SEEK_SET), Err(EBADF));
});

case!(offset_overflow_is_refused, [lseek], {
    create(c"f", b"0123456789");
    let fd = open(c"f", O_RDONLY);
    sys!(lseek, fd, 5, SEEK_SET).must();
    let result = sys!(lseek, fd, i64::MAX, SEEK_CUR);
    check!(matches!(result, Err(EINVAL | EOVERFLOW)), "{result:?}");
});

case!(pipes_and_sockets_are_espipe, [lseek], {
    let (r, _w) = pipe();
    check_eq!(sys!(lseek, r, 0, SEEK_SET), Err(ESPIPE));
    let socket = sys!(socket, AF_UNIX, SOCK_STREAM, 0).must();
    check_eq!(sys!(lseek, socket, 0, SEEK_SET), Err(ESPIPE));
});

case!(offset_is_shared_by_dup_and_fork_but_not_by_open, [lseek, dup, fork], {
    create(c"f", b"0123456789");
    let fd = open(c"f", O_RDONLY);
    let other = open(c"f", O_RDONLY);
    let copy = sys!(dup, fd).must();
    sys!(lseek, copy, 3, SEEK_SET).must();
    check_eq!(sys!(lseek, fd, 0, SEEK_CUR), Ok(3));
    fork(|| {
        sys!(lseek, fd, 7, SEEK_SET).must();
    })
    .ok();
    check_eq!(sys!(lseek, fd, 0, SEEK_CUR), Ok(7));
    check_eq!(sys!(lseek, other, 0, SEEK_CUR), Ok(0));
});

case!(seek_data_and_hole_in_a_dense_file, [lseek], {
    create(c"f", b"0123456789");
    let fd = open(c"f", O_RDONLY);
    check_eq!(sys!(lseek, fd, 0, SEEK_DATA), Ok(0));
    check_eq!(sys!(lseek, fd, 4, SEEK_DATA), Ok(4));
    check_eq!(sys!(lseek, fd, 0, SEEK_HOLE), Ok(10), "the end is a hole");
    check_eq!(sys!(lseek, fd, 10, SEEK_DATA), Err(ENXIO));
    check_eq!(sys!(lseek, fd, 10, SEEK_HOLE), Err(ENXIO));
    check_eq!(sys!(lseek, fd, -1, SEEK_DATA), Err(ENXIO));
});

case!(seek_finds_data_after_a_hole, [lseek], {
    let fd = open(c"f", O_RDWR | O_CREAT);
    sys!(pwrite64, fd, b"x", 1, 1 << 20).must();
    let data = sys!(lseek, fd, 0, SEEK_DATA).must();
    // A file system may also treat the hole as data.
    check!(data == 0 || data == 1 << 20, "data at {data}");
    check_eq!(sys!(lseek, fd, 1 << 20, SEEK_HOLE), Ok((1 << 20) + 1));
});

case!(directory_offset_zero_rewinds, [lseek, getdents64], {
    create(c"f", b"");
    let fd = open(c".", O_RDONLY);
    let mut buf = [0u8; 1024];
    let first = sys!(getdents64, fd, &mut buf, 1024).must();
    check_eq!(sys!(getdents64, fd, &mut buf, 1024), Ok(0));
    check_eq!(sys!(lseek, fd, 0, SEEK_SET), Ok(0));
    check_eq!(sys!(getdents64, fd, &mut buf, 1024), Ok(first));
});
