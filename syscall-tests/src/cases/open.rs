//! open, openat, creat, close.

use crate::support::prelude::*;

case!(open_missing_is_enoent, [open, openat, creat], {
    check_eq!(sys!(open, c"missing", O_RDONLY, 0), Err(ENOENT));
    check_eq!(sys!(openat, AT_FDCWD, c"missing", O_RDONLY, 0), Err(ENOENT));
    check_eq!(sys!(open, c"missing/f", O_RDWR | O_CREAT, 0o644), Err(ENOENT));
    check_eq!(sys!(creat, c"missing/f", 0o644), Err(ENOENT));
    check_eq!(sys!(open, c"", O_RDONLY, 0), Err(ENOENT));
});

case!(open_gives_the_lowest_free_descriptor, [open, close], {
    let first = open(c"f", O_RDWR | O_CREAT);
    let second = open(c"f", O_RDONLY);
    check_eq!(second, first + 1);
    sys!(close, first).must();
    check_eq!(open(c"f", O_RDONLY), first);
});

case!(close_twice_is_ebadf, [close], {
    let fd = open(c"f", O_RDWR | O_CREAT);
    check_eq!(sys!(close, fd), Ok(0));
    check_eq!(sys!(close, fd), Err(EBADF));
    check_eq!(sys!(close, -1), Err(EBADF));
    check_eq!(sys!(close, i32::MAX), Err(EBADF));
});

case!(creat_truncates_and_opens_for_writing, [creat], {
    create(c"f", b"old content");
    let fd = sys!(creat, c"f", 0o600).must() as i32;
    check_eq!(fstat(fd).st_size, 0);
    check_eq!(fstat(fd).st_mode & 0o777, 0o644, "the mode of an existing file stays");
    let mut buf = [0u8; 1];
    check_eq!(sys!(read, fd, &mut buf, 1), Err(EBADF));
    check_eq!(sys!(write, fd, b"x", 1), Ok(1));
});

case!(create_applies_umask, [open, umask], {
    sys!(umask, 0o027).must();
    let fd = sys!(open, c"f", O_RDWR | O_CREAT, 0o777).must() as i32;
    check_eq!(fstat(fd).st_mode, S_IFREG | 0o750);
    let fd = sys!(open, c"g", O_RDWR | O_CREAT, 0o7777).must() as i32;
    check_eq!(fstat(fd).st_mode & 0o777, 0o750);
});

case!(create_read_only_file_is_writable_through_its_first_descriptor, [open], {
    let fd = sys!(open, c"f", O_RDWR | O_CREAT, 0o400).must() as i32;
    check_eq!(sys!(write, fd, b"x", 1), Ok(1));
});

case!(excl_refuses_what_exists, [open], {
    create(c"f", b"");
    check_eq!(sys!(open, c"f", O_RDWR | O_CREAT | O_EXCL, 0o644), Err(EEXIST));
    sys!(symlink, c"nowhere", c"dangling").must();
    check_eq!(sys!(open, c"dangling", O_RDWR | O_CREAT | O_EXCL, 0o644), Err(EEXIST));
    check_eq!(sys!(open, c"new", O_RDWR | O_CREAT | O_EXCL, 0o644).is_ok(), true);
});

case!(create_through_dangling_symlink_makes_the_target, [open], {
    sys!(symlink, c"target", c"link").must();
    let fd = open(c"link", O_RDWR | O_CREAT);
    check_eq!(fstat(fd).st_ino, stat(c"target").st_ino);
});

case!(nofollow_on_symlink_is_eloop, [open], {
    create(c"f", b"");
    sys!(symlink, c"f", c"link").must();
    check_eq!(sys!(open, c"link", O_RDONLY | O_NOFOLLOW, 0), Err(ELOOP));
    check_eq!(sys!(open, c"f", O_RDONLY | O_NOFOLLOW, 0).is_ok(), true);
    let fd = open(c"link", O_PATH | O_NOFOLLOW);
    check_eq!(fstat(fd).st_mode & S_IFMT, S_IFLNK);
});

case!(symlink_loop_is_eloop, [open], {
    sys!(symlink, c"b", c"a").must();
    sys!(symlink, c"a", c"b").must();
    check_eq!(sys!(open, c"a", O_RDONLY, 0), Err(ELOOP));
    check_eq!(sys!(open, c"a/x", O_RDONLY, 0), Err(ELOOP));
});

case!(forty_symlinks_are_followed_and_no_more, [open], {
    create(c"l0", b"");
    for i in 1..=41 {
        let (to, from) = (cstr(&format!("l{}", i - 1)), cstr(&format!("l{i}")));
        sys!(symlink, to.as_c_str(), from.as_c_str()).must();
    }
    check_eq!(sys!(open, c"l40", O_RDONLY, 0).is_ok(), true);
    check_eq!(sys!(open, c"l41", O_RDONLY, 0), Err(ELOOP));
});

case!(directory_flag_refuses_files, [open], {
    create(c"f", b"");
    check_eq!(sys!(open, c"f", O_RDONLY | O_DIRECTORY, 0), Err(ENOTDIR));
    check_eq!(sys!(open, c".", O_RDONLY | O_DIRECTORY, 0).is_ok(), true);
    check_eq!(sys!(open, c"f/x", O_RDONLY, 0), Err(ENOTDIR));
    check_eq!(sys!(open, c"f/", O_RDONLY, 0), Err(ENOTDIR));
    check_eq!(sys!(open, c"x", O_RDONLY | O_DIRECTORY | O_CREAT, 0o644), Err(EINVAL));
});

case!(directories_open_read_only, [open, creat], {
    sys!(mkdir, c"d", 0o755).must();
    check_eq!(sys!(open, c"d", O_RDONLY, 0).is_ok(), true);
    check_eq!(sys!(open, c"d", O_WRONLY, 0), Err(EISDIR));
    check_eq!(sys!(open, c"d", O_RDWR, 0), Err(EISDIR));
    check_eq!(sys!(open, c"d", O_RDONLY | O_CREAT, 0o644), Err(EISDIR));
    check_eq!(sys!(open, c"d", O_RDONLY | O_TRUNC, 0), Err(EISDIR));
    check_eq!(sys!(open, c"new/", O_RDWR | O_CREAT, 0o644), Err(EISDIR));
    check_eq!(sys!(creat, c"d", 0o644), Err(EISDIR));
});

case!(long_names_and_paths, [open], {
    let name = cstr(&"n".repeat(255));
    check_eq!(sys!(open, name.as_c_str(), O_RDWR | O_CREAT, 0o644).is_ok(), true);
    let name = cstr(&"n".repeat(256));
    check_eq!(sys!(open, name.as_c_str(), O_RDWR | O_CREAT, 0o644), Err(ENAMETOOLONG));
    let path = cstr(&format!("{}f", "./".repeat(2047)));
    check_eq!(sys!(open, path.as_c_str(), O_RDWR | O_CREAT, 0o644).is_ok(), true);
    let path = cstr(&format!("{}ff", "./".repeat(2047)));
    check_eq!(sys!(open, path.as_c_str(), O_RDWR | O_CREAT, 0o644), Err(ENAMETOOLONG));
});

case!(bad_path_pointer_is_efault, [open, openat, creat], {
    check_eq!(sys!(open, BAD, O_RDONLY, 0), Err(EFAULT));
    check_eq!(sys!(open, NULL, O_RDONLY, 0), Err(EFAULT));
    check_eq!(sys!(openat, AT_FDCWD, BAD, O_RDONLY, 0), Err(EFAULT));
    check_eq!(sys!(openat, 99, BAD, O_RDONLY, 0), Err(EFAULT), "the path is read first");
    check_eq!(sys!(creat, BAD, 0o644), Err(EFAULT));
    // A path that runs into unmapped memory before its end.
    let area = anon(2 * PAGE);
    sys!(munmap, area + PAGE, PAGE).must();
    poke_bytes(area + PAGE - 3, b"abc");
    check_eq!(sys!(open, area + PAGE - 3, O_RDONLY, 0), Err(EFAULT));
    poke_bytes(area + PAGE - 3, b"ab\0");
    check_eq!(sys!(open, area + PAGE - 3, O_RDONLY, 0), Err(ENOENT));
});

case!(openat_is_relative_to_its_directory, [openat], {
    sys!(mkdir, c"d", 0o755).must();
    create(c"d/f", b"in d");
    let dir = open(c"d", O_RDONLY | O_DIRECTORY);
    let fd = sys!(openat, dir, c"f", O_RDONLY, 0).must() as i32;
    check_eq!(read_all(fd), b"in d");
    check_eq!(sys!(openat, 99, c"f", O_RDONLY, 0), Err(EBADF));
    check_eq!(sys!(openat, fd, c"f", O_RDONLY, 0), Err(ENOTDIR));
    check_eq!(sys!(openat, 99, path("d/f").as_c_str(), O_RDONLY, 0).is_ok(), true);
    let at = open(c"d", O_PATH);
    check_eq!(sys!(openat, at, c"f", O_RDONLY, 0).is_ok(), true, "relative to an O_PATH directory");
});

case!(openat_works_in_a_moved_and_a_removed_directory, [openat], {
    sys!(mkdir, c"d", 0o755).must();
    create(c"d/f", b"x");
    let dir = open(c"d", O_RDONLY);
    sys!(rename, c"d", c"e").must();
    check_eq!(sys!(openat, dir, c"f", O_RDONLY, 0).is_ok(), true);
    sys!(unlink, c"e/f").must();
    sys!(rmdir, c"e").must();
    check_eq!(sys!(openat, dir, c"g", O_RDWR | O_CREAT, 0o644), Err(ENOENT));
    check_eq!(sys!(openat, dir, c".", O_RDONLY, 0).is_ok(), true);
});

case!(descriptor_limit_is_emfile, [open, dup, pipe, socket], {
    let limit = rlimit { rlim_cur: 5, rlim_max: 5 };
    sys!(setrlimit, RLIMIT_NOFILE, &limit).must();
    while sys!(open, c".", O_RDONLY, 0).is_ok() {}
    check_eq!(sys!(open, c".", O_RDONLY, 0), Err(EMFILE));
    check_eq!(sys!(dup, 0), Err(EMFILE));
    check_eq!(sys!(pipe, &mut [0i32; 2]), Err(EMFILE));
    check_eq!(sys!(socket, AF_UNIX, SOCK_STREAM, 0), Err(EMFILE));
    check_eq!(sys!(fcntl, 0, F_DUPFD, 5), Err(EINVAL));
    check_eq!(sys!(dup2, 0, 5), Err(EBADF));
});

case!(unlinked_file_lives_while_open, [open, unlink], {
    create(c"f", b"abc");
    let fd = open(c"f", O_RDWR);
    sys!(unlink, c"f").must();
    check_eq!(fstat(fd).st_nlink, 0);
    check_eq!(sys!(write, fd, b"X", 1), Ok(1));
    sys!(lseek, fd, 0, SEEK_SET).must();
    check_eq!(read_all(fd), b"Xbc");
});

case!(truncate_flag_empties_the_file, [open], {
    create(c"f", b"abc");
    let fd = open(c"f", O_RDWR | O_TRUNC);
    check_eq!(fstat(fd).st_size, 0);
});

case!(permission_is_checked, [open], {
    need_root();
    create(c"f", b"x");
    sys!(chmod, c"f", 0o600).must();
    sys!(mkdir, c"d", 0o700).must();
    create(c"d/f", b"x");
    as_nobody(|| {
        check_eq!(sys!(open, c"f", O_RDONLY, 0), Err(EACCES));
        check_eq!(sys!(open, c"d/f", O_RDONLY, 0), Err(EACCES));
        check_eq!(sys!(open, c"d", O_RDONLY, 0), Err(EACCES));
        check_eq!(sys!(open, c"new", O_RDWR | O_CREAT, 0o644), Err(EACCES));
        check_eq!(sys!(open, c"f", O_PATH, 0).is_ok(), true, "O_PATH needs no read permission");
    });
});

case!(group_permission_is_decided_by_the_first_class_that_matches, [open, chown, setgroups], {
    need_root();
    create(c"f", b"x");
    sys!(chown, c"f", 1000, 2000).must();
    sys!(chmod, c"f", 0o046).must();
    fork(|| {
        sys!(setgroups, 1, &[2000u32]).must();
        sys!(setresgid, 3000, 3000, 3000).must();
        sys!(setresuid, 1000, 1000, 1000).must();
        check_eq!(sys!(open, c"f", O_RDONLY, 0), Err(EACCES), "the owner has no rights");
    })
    .ok();
    fork(|| {
        sys!(setgroups, 1, &[2000u32]).must();
        sys!(setresgid, 3000, 3000, 3000).must();
        sys!(setresuid, 1001, 1001, 1001).must();
        check_eq!(sys!(open, c"f", O_RDONLY, 0).is_ok(), true, "a supplementary group reads");
        check_eq!(sys!(open, c"f", O_RDWR, 0), Err(EACCES));
    })
    .ok();
    as_nobody(|| check_eq!(sys!(open, c"f", O_RDWR, 0).is_ok(), true, "others read and write"));
});

case!(cloexec_flag_is_set_on_the_descriptor, [open, fcntl], {
    let fd = open(c"f", O_RDWR | O_CREAT | O_CLOEXEC);
    check_eq!(sys!(fcntl, fd, F_GETFD), Ok(i64::from(FD_CLOEXEC)));
    let fd = open(c"f", O_RDWR);
    check_eq!(sys!(fcntl, fd, F_GETFD), Ok(0));
});

case!(status_flags_are_reported, [open, fcntl], {
    let fd = open(c"f", O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC);
    let flags = sys!(fcntl, fd, F_GETFL).must() as i32;
    check_eq!(flags & !0o100000, O_RDWR | O_APPEND | O_NONBLOCK);
    let fd = open(c"f", O_PATH);
    check_eq!(sys!(fcntl, fd, F_GETFL).must() as i32 & !0o100000, O_PATH);
});

case!(tmpfile_has_no_name_until_linked, [open, linkat], {
    let fd = match sys!(open, c".", O_TMPFILE | O_RDWR, 0o600) {
        Err(EOPNOTSUPP) => skip!("the file system has no O_TMPFILE"),
        other => other.must() as i32,
    };
    check_eq!(fstat(fd).st_nlink, 0);
    check_eq!(sys!(write, fd, b"abc", 3), Ok(3));
    let link = cstr(&format!("/proc/self/fd/{fd}"));
    check_eq!(
        sys!(linkat, AT_FDCWD, link.as_c_str(), AT_FDCWD, c"named", AT_SYMLINK_FOLLOW),
        Ok(0)
    );
    check_eq!(content(c"named"), b"abc");
    check_eq!(sys!(open, c".", O_TMPFILE | O_RDONLY, 0o600), Err(EINVAL));
});

case!(path_descriptors_refuse_io, [open, fchmod, ioctl], {
    create(c"f", b"abc");
    let fd = open(c"f", O_PATH);
    check_eq!(sys!(write, fd, b"x", 1), Err(EBADF));
    check_eq!(sys!(fchmod, fd, 0o600), Err(EBADF));
    check_eq!(sys!(ftruncate, fd, 0), Err(EBADF));
    check_eq!(sys!(lseek, fd, 0, SEEK_SET), Err(EBADF));
    check_eq!(sys!(mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, fd, 0), Err(EBADF));
    check_eq!(fstat(fd).st_size, 3);
    check_eq!(sys!(dup, fd).is_ok(), true);
});

case!(o_creat_ignores_unknown_open_flags, [open], {
    // open(2): unlike openat2, unknown flags are silently ignored.
    check_eq!(sys!(open, c"f", O_RDWR | O_CREAT | 0x4000_0000, 0o644).is_ok(), true);
});
