//! stat, lstat, fstat, newfstatat, statx.

use crate::support::prelude::*;

fn lstat(path: &std::ffi::CStr) -> stat {
    let mut attributes: stat = zeroed();
    sys!(lstat, path, &mut attributes).must();
    attributes
}

case!(regular_file_attributes, [stat, fstat], {
    create(c"f", b"0123456789");
    let st = stat(c"f");
    check_eq!(st.st_mode, S_IFREG | 0o644);
    check_eq!((st.st_size, st.st_nlink), (10, 1));
    check_eq!(i64::from(st.st_uid), sys!(geteuid).must());
    check_eq!(i64::from(st.st_gid), sys!(getegid).must());
    check!(st.st_blksize >= 512);
    let same = fstat(open(c"f", O_RDONLY));
    check_eq!((same.st_ino, same.st_dev, same.st_mode), (st.st_ino, st.st_dev, st.st_mode));
});

case!(directory_link_count_follows_subdirectories, [stat, mkdir], {
    sys!(mkdir, c"d", 0o755).must();
    check_eq!(stat(c"d").st_mode, S_IFDIR | 0o755);
    check_eq!(stat(c"d").st_nlink, 2);
    sys!(mkdir, c"d/e", 0o755).must();
    check_eq!(stat(c"d").st_nlink, 3);
    sys!(rmdir, c"d/e").must();
    check_eq!(stat(c"d").st_nlink, 2);
});

case!(lstat_does_not_follow, [lstat, stat], {
    create(c"f", b"");
    sys!(symlink, c"f", c"link").must();
    check_eq!(lstat(c"link").st_mode, S_IFLNK | 0o777);
    check_eq!(lstat(c"link").st_size, 1, "the length of the target's name");
    check_eq!(stat(c"link").st_ino, stat(c"f").st_ino);
    sys!(symlink, c"missing", c"dangling").must();
    check_eq!(sys!(stat, c"dangling", &mut zeroed::<stat>()), Err(ENOENT));
    check_eq!(lstat(c"dangling").st_mode & S_IFMT, S_IFLNK);
});

case!(trailing_slash_follows_and_wants_a_directory, [lstat, stat], {
    create(c"f", b"");
    sys!(mkdir, c"d", 0o755).must();
    sys!(symlink, c"d", c"link").must();
    let mut st: stat = zeroed();
    check_eq!(sys!(lstat, c"f/", &mut st), Err(ENOTDIR));
    check_eq!(sys!(stat, c"d//", &mut st), Ok(0));
    check_eq!(lstat(c"link/").st_mode & S_IFMT, S_IFDIR);
    check_eq!(sys!(lstat, c"f/.", &mut st), Err(ENOTDIR));
});

case!(errors, [stat, lstat, fstat, newfstatat], {
    let mut st: stat = zeroed();
    check_eq!(sys!(stat, c"missing", &mut st), Err(ENOENT));
    check_eq!(sys!(stat, c"", &mut st), Err(ENOENT));
    check_eq!(sys!(fstat, 99, &mut st), Err(EBADF));
    check_eq!(sys!(newfstatat, 99, c"x", &mut st, 0), Err(EBADF));
    check_eq!(sys!(newfstatat, AT_FDCWD, c".", &mut st, 0x8000_0000u32), Err(EINVAL));
    check_eq!(sys!(stat, BAD, &mut st), Err(EFAULT));
    check_eq!(sys!(stat, c".", BAD), Err(EFAULT));
    check_eq!(sys!(lstat, c".", 8), Err(EFAULT));
    check_eq!(sys!(fstat, 0, NULL), Err(EFAULT));
    check_eq!(sys!(newfstatat, AT_FDCWD, c".", NULL, 0), Err(EFAULT));
});

case!(search_permission_is_needed_on_the_way, [stat, chmod], {
    need_root();
    sys!(mkdir, c"d", 0o755).must();
    create(c"d/f", b"");
    sys!(chmod, c"d", 0o600).must();
    as_nobody(|| check_eq!(sys!(stat, c"d/f", &mut zeroed::<stat>()), Err(EACCES)));
    sys!(chmod, c"d", 0o711).must();
    as_nobody(|| check_eq!(sys!(stat, c"d/f", &mut zeroed::<stat>()), Ok(0)));
});

case!(newfstatat_takes_a_directory_and_flags, [newfstatat], {
    sys!(mkdir, c"d", 0o755).must();
    create(c"d/f", b"abc");
    sys!(symlink, c"f", c"d/link").must();
    let dir = open(c"d", O_RDONLY);
    let mut st: stat = zeroed();
    check_eq!(sys!(newfstatat, dir, c"f", &mut st, 0), Ok(0));
    check_eq!(st.st_size, 3);
    check_eq!(sys!(newfstatat, dir, c"link", &mut st, AT_SYMLINK_NOFOLLOW), Ok(0));
    check_eq!(st.st_mode & S_IFMT, S_IFLNK);
    let fd = open(c"d/f", O_RDONLY);
    check_eq!(sys!(newfstatat, fd, c"", &mut st, AT_EMPTY_PATH), Ok(0));
    check_eq!(st.st_size, 3);
    check_eq!(sys!(newfstatat, fd, c"", &mut st, 0), Err(ENOENT));
    check_eq!(sys!(newfstatat, AT_FDCWD, c"", &mut st, AT_EMPTY_PATH), Ok(0));
    check_eq!(st.st_mode & S_IFMT, S_IFDIR);
    check_eq!(sys!(newfstatat, fd, c"x", &mut st, 0), Err(ENOTDIR));
});

case!(blocks_count_what_is_allocated, [fstat], {
    let fd = open(c"f", O_RDWR | O_CREAT);
    check_eq!(fstat(fd).st_blocks, 0);
    sys!(ftruncate, fd, 1 << 20).must();
    check_eq!(fstat(fd).st_blocks, 0, "a hole takes no space");
    sys!(write, fd, &[1u8; PAGE], PAGE).must();
    sys!(fsync, fd).must();
    check!(fstat(fd).st_blocks >= 8);
});

case!(write_and_chmod_move_the_times, [stat, write, chmod], {
    create(c"f", b"a");
    let before = stat(c"f");
    sleep_ms(20);
    create(c"f", b"b");
    let written = stat(c"f");
    let time = |s: i64, ns: i64| (s, ns);
    check!(
        time(written.st_mtime, written.st_mtime_nsec) > time(before.st_mtime, before.st_mtime_nsec)
    );
    sleep_ms(20);
    sys!(chmod, c"f", 0o600).must();
    let changed = stat(c"f");
    check_eq!(changed.st_mtime_nsec, written.st_mtime_nsec);
    check!(
        time(changed.st_ctime, changed.st_ctime_nsec)
            > time(written.st_ctime, written.st_ctime_nsec)
    );
});

case!(directory_times_move_when_entries_change, [stat, unlink], {
    sys!(mkdir, c"d", 0o755).must();
    let time = || (stat(c"d").st_mtime, stat(c"d").st_mtime_nsec);
    let empty = time();
    sleep_ms(20);
    create(c"d/f", b"");
    let one = time();
    check!(one > empty);
    sleep_ms(20);
    create(c"d/f", b"content");
    check_eq!(time(), one, "writing a file is no change of its directory");
    sys!(unlink, c"d/f").must();
    check!(time() > one);
});

case!(pipe_and_socket_attributes, [fstat], {
    let (r, w) = pipe();
    check_eq!(fstat(r).st_ino, fstat(w).st_ino);
    let socket = sys!(socket, AF_UNIX, SOCK_STREAM, 0).must() as i32;
    check_eq!(fstat(socket).st_mode & S_IFMT, S_IFSOCK);
});

case!(device_numbers, [stat], {
    let st = stat(c"/dev/null");
    check_eq!(st.st_mode & S_IFMT, S_IFCHR);
    check_eq!(st.st_rdev, makedev(1, 3));
    check_eq!(stat(c"/dev/zero").st_rdev, makedev(1, 5));
    check_eq!(stat(c"/dev/full").st_rdev, makedev(1, 7));
    check_eq!(stat(c"/dev/random").st_rdev, makedev(1, 8));
    check_eq!(stat(c"/dev/urandom").st_rdev, makedev(1, 9));
    check_eq!(stat(c"/dev/tty").st_rdev, makedev(5, 0));
});

case!(statx_agrees_with_stat, [statx, stat], {
    create(c"f", b"0123456789");
    let st = stat(c"f");
    let mut stx: statx = zeroed();
    check_eq!(sys!(statx, AT_FDCWD, c"f", 0, STATX_BASIC_STATS, &mut stx), Ok(0));
    check_eq!(stx.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
    check_eq!((stx.stx_ino, stx.stx_size), (st.st_ino, st.st_size as u64));
    check_eq!(u32::from(stx.stx_mode), st.st_mode);
    check_eq!(makedev(stx.stx_dev_major, stx.stx_dev_minor), st.st_dev);
    check_eq!(stx.stx_mtime.tv_sec, st.st_mtime);
    check_eq!(i64::from(stx.stx_mtime.tv_nsec), st.st_mtime_nsec);
});

case!(statx_of_a_descriptor_and_flags, [statx], {
    create(c"f", b"0123456789");
    sys!(symlink, c"f", c"link").must();
    let fd = open(c"f", O_RDONLY);
    let mut stx: statx = zeroed();
    check_eq!(sys!(statx, fd, c"", AT_EMPTY_PATH, STATX_SIZE, &mut stx), Ok(0));
    check_eq!(stx.stx_size, 10);
    check_eq!(sys!(statx, AT_FDCWD, c"link", AT_SYMLINK_NOFOLLOW, STATX_TYPE, &mut stx), Ok(0));
    check_eq!(u32::from(stx.stx_mode) & S_IFMT, S_IFLNK);
    check_eq!(sys!(statx, fd, NULL, AT_EMPTY_PATH, STATX_SIZE, &mut stx), Ok(0), "since 6.11");
});

case!(statx_errors, [statx], {
    let mut stx: statx = zeroed();
    check_eq!(sys!(statx, AT_FDCWD, c"missing", 0, 0, &mut stx), Err(ENOENT));
    check_eq!(sys!(statx, AT_FDCWD, c".", 0x10, 0, &mut stx), Err(EINVAL));
    check_eq!(sys!(statx, AT_FDCWD, c".", 0, 0x8000_0000u32, &mut stx), Err(EINVAL));
    check_eq!(sys!(statx, AT_FDCWD, c".", AT_STATX_SYNC_TYPE, 0, &mut stx), Err(EINVAL));
    check_eq!(sys!(statx, AT_FDCWD, c".", 0, 0, BAD), Err(EFAULT));
    check_eq!(sys!(statx, AT_FDCWD, BAD, 0, 0, &mut stx), Err(EFAULT));
    check_eq!(sys!(statx, 99, c"x", 0, 0, &mut stx), Err(EBADF));
});
