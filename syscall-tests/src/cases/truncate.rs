//! truncate, ftruncate, fallocate.

use crate::support::prelude::*;

case!(shrinks_and_grows_with_zeros, [truncate, ftruncate], {
    create(c"f", b"0123456789");
    check_eq!(sys!(truncate, c"f", 4), Ok(0));
    check_eq!(content(c"f"), b"0123");
    let fd = open(c"f", O_RDWR);
    check_eq!(sys!(ftruncate, fd, 8), Ok(0));
    check_eq!(content(c"f"), b"0123\0\0\0\0", "what was cut off does not come back");
    check_eq!(sys!(lseek, fd, 0, SEEK_CUR), Ok(0));
});

case!(errors, [truncate, ftruncate], {
    create(c"f", b"");
    check_eq!(sys!(truncate, c"missing", 0), Err(ENOENT));
    check_eq!(sys!(truncate, c".", 0), Err(EISDIR));
    check_eq!(sys!(truncate, c"f", -1), Err(EINVAL));
    check_eq!(sys!(truncate, BAD, 0), Err(EFAULT));
    check_eq!(sys!(ftruncate, open(c"f", O_RDONLY), 0), Err(EINVAL));
    check_eq!(sys!(ftruncate, open(c"f", O_RDWR), -1), Err(EINVAL));
    check_eq!(sys!(ftruncate, 99, 0), Err(EBADF));
    check_eq!(sys!(ftruncate, open(c".", O_RDONLY), 0), Err(EINVAL));
    let (_r, w) = pipe();
    check_eq!(sys!(ftruncate, w, 0), Err(EINVAL));
});

case!(needs_write_permission, [truncate], {
    need_root();
    create(c"f", b"abc");
    as_nobody(|| check_eq!(sys!(truncate, c"f", 0), Err(EACCES)));
});

case!(same_size_still_moves_the_times, [ftruncate], {
    create(c"f", b"abc");
    let fd = open(c"f", O_RDWR);
    let before = fstat(fd);
    sleep_ms(20);
    sys!(ftruncate, fd, 3).must();
    let after = fstat(fd);
    check!((after.st_mtime, after.st_mtime_nsec) > (before.st_mtime, before.st_mtime_nsec));
});

case!(readers_see_the_new_end, [ftruncate, read], {
    create(c"f", b"0123456789");
    let (reader, writer) = (open(c"f", O_RDONLY), open(c"f", O_RDWR));
    sys!(lseek, reader, 5, SEEK_SET).must();
    sys!(ftruncate, writer, 3).must();
    let mut buf = [0u8; 8];
    check_eq!(sys!(read, reader, &mut buf, 8), Ok(0));
});

case!(fallocate_grows_unless_keep_size, [fallocate], {
    let fd = open(c"f", O_RDWR | O_CREAT);
    if sys!(fallocate, fd, 0, 0, 100) == Err(EOPNOTSUPP) {
        skip!("the file system has no fallocate");
    }
    check_eq!(fstat(fd).st_size, 100);
    check_eq!(sys!(fallocate, fd, FALLOC_FL_KEEP_SIZE, 0, 100_000), Ok(0));
    check_eq!(fstat(fd).st_size, 100);
    check!(fstat(fd).st_blocks * 512 >= 100_000, "the space is reserved");
    check_eq!(sys!(fallocate, fd, 0, 0, 10), Ok(0));
    check_eq!(fstat(fd).st_size, 100, "never shrinks");
});

case!(fallocate_punches_holes, [fallocate], {
    create(c"f", &[7u8; 3 * PAGE]);
    let fd = open(c"f", O_RDWR);
    let punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    if sys!(fallocate, fd, punch, PAGE, PAGE) == Err(EOPNOTSUPP) {
        skip!("the file system cannot punch holes");
    }
    let all = content(c"f");
    check_eq!(all.len(), 3 * PAGE);
    check!(all[..PAGE].iter().all(|b| *b == 7) && all[2 * PAGE..].iter().all(|b| *b == 7));
    check!(all[PAGE..2 * PAGE].iter().all(|b| *b == 0));
    check_eq!(sys!(fallocate, fd, FALLOC_FL_PUNCH_HOLE, 0, 1), Err(EOPNOTSUPP));
});

case!(fallocate_errors, [fallocate], {
    create(c"f", b"");
    let fd = open(c"f", O_RDWR);
    check_eq!(sys!(fallocate, fd, 0, 0, 0), Err(EINVAL));
    check_eq!(sys!(fallocate, fd, 0, -1, 10), Err(EINVAL));
    check_eq!(sys!(fallocate, fd, 0, 0, -1), Err(EINVAL));
    check_eq!(sys!(fallocate, fd, 0, i64::MAX, 10), Err(EFBIG));
    check_eq!(sys!(fallocate, fd, 0x1000, 0, 10), Err(EOPNOTSUPP));
    check_eq!(sys!(fallocate, open(c"f", O_RDONLY), 0, 0, 10), Err(EBADF));
    check_eq!(sys!(fallocate, 99, 0, 0, 10), Err(EBADF));
    let (_r, w) = pipe();
    check_eq!(sys!(fallocate, w, 0, 0, 10), Err(ESPIPE));
    check_eq!(sys!(fallocate, open(c"/dev/null", O_RDWR), 0, 0, 10), Err(ENODEV));
});
