//! link, linkat, symlink, symlinkat, readlink, readlinkat.

use crate::support::prelude::*;

case!(link_adds_a_name, [link], {
    create(c"a", b"abc");
    check_eq!(sys!(link, c"a", c"b"), Ok(0));
    check_eq!(stat(c"a").st_nlink, 2);
    check_eq!(stat(c"a").st_ino, stat(c"b").st_ino);
    sys!(unlink, c"a").must();
    check_eq!(content(c"b"), b"abc");
    check_eq!(stat(c"b").st_nlink, 1);
});

case!(link_errors, [link], {
    create(c"f", b"");
    sys!(mkdir, c"d", 0o755).must();
    check_eq!(sys!(link, c"f", c"f"), Err(EEXIST));
    check_eq!(sys!(link, c"f", c"d"), Err(EEXIST));
    check_eq!(sys!(link, c"d", c"x"), Err(EPERM));
    check_eq!(sys!(link, c"missing", c"x"), Err(ENOENT));
    check_eq!(sys!(link, c"f", c"missing/x"), Err(ENOENT));
    check_eq!(sys!(link, c"f", c"f/x"), Err(ENOTDIR));
    check_eq!(sys!(link, c"f", c"x/"), Err(ENOENT));
    check_eq!(sys!(link, BAD, c"x"), Err(EFAULT));
    check_eq!(sys!(link, c"f", BAD), Err(EFAULT));
});

case!(linkat_follows_only_when_asked, [linkat], {
    create(c"f", b"");
    sys!(symlink, c"f", c"s").must();
    check_eq!(sys!(linkat, AT_FDCWD, c"s", AT_FDCWD, c"l1", 0), Ok(0));
    let mut st: stat = zeroed();
    sys!(lstat, c"l1", &mut st).must();
    check_eq!(st.st_mode & S_IFMT, S_IFLNK);
    check_eq!(sys!(linkat, AT_FDCWD, c"s", AT_FDCWD, c"l2", AT_SYMLINK_FOLLOW), Ok(0));
    check_eq!(stat(c"f").st_nlink, 2);
    check_eq!(sys!(linkat, AT_FDCWD, c"s", AT_FDCWD, c"l3", 0x10), Err(EINVAL));
    check_eq!(sys!(linkat, 99, c"s", AT_FDCWD, c"l3", 0), Err(EBADF));
});

case!(symlink_keeps_any_text, [symlink, readlink], {
    check_eq!(sys!(symlink, c"any text/at all//", c"s"), Ok(0));
    let mut buf = [0u8; 64];
    check_eq!(sys!(readlink, c"s", &mut buf, 64), Ok(17));
    check_eq!(&buf[..17], b"any text/at all//");
    check_eq!(sys!(readlink, c"s", &mut buf, 3), Ok(3), "cut to the buffer, without a mark");
});

case!(symlink_errors, [symlink, symlinkat], {
    create(c"f", b"");
    check_eq!(sys!(symlink, c"x", c"f"), Err(EEXIST));
    check_eq!(sys!(symlink, c"", c"s"), Err(ENOENT));
    check_eq!(sys!(symlink, c"x", c""), Err(ENOENT));
    check_eq!(sys!(symlink, c"x", c"missing/s"), Err(ENOENT));
    check_eq!(sys!(symlink, c"x", c"f/s"), Err(ENOTDIR));
    check_eq!(sys!(symlink, BAD, c"s"), Err(EFAULT));
    check_eq!(sys!(symlink, c"x", BAD), Err(EFAULT));
    check_eq!(sys!(symlinkat, c"x", 99, c"s"), Err(EBADF));
    check_eq!(sys!(symlink, cstr(&"t".repeat(4096)).as_c_str(), c"s"), Err(ENAMETOOLONG));
    check_eq!(sys!(symlink, cstr(&"t".repeat(4095)).as_c_str(), c"s"), Ok(0));
});

case!(readlink_errors, [readlink, readlinkat], {
    create(c"f", b"");
    sys!(symlink, c"f", c"s").must();
    let mut buf = [0u8; 16];
    check_eq!(sys!(readlink, c"f", &mut buf, 16), Err(EINVAL));
    check_eq!(sys!(readlink, c".", &mut buf, 16), Err(EINVAL));
    check_eq!(sys!(readlink, c"missing", &mut buf, 16), Err(ENOENT));
    check_eq!(sys!(readlink, c"s", &mut buf, 0), Err(EINVAL));
    check_eq!(sys!(readlink, c"s", &mut buf, -1), Err(EINVAL));
    check_eq!(sys!(readlink, c"s", BAD, 16), Err(EFAULT));
    check_eq!(sys!(readlink, BAD, &mut buf, 16), Err(EFAULT));
    check_eq!(sys!(readlinkat, 99, c"s", &mut buf, 16), Err(EBADF));
});

case!(readlinkat_of_the_link_itself, [readlinkat, open], {
    sys!(symlink, c"target", c"s").must();
    let fd = open(c"s", O_PATH | O_NOFOLLOW);
    let mut buf = [0u8; 16];
    check_eq!(sys!(readlinkat, fd, c"", &mut buf, 16), Ok(6));
    check_eq!(sys!(readlinkat, open(c".", O_RDONLY), c"s", &mut buf, 16), Ok(6));
});

case!(symlinks_are_followed_on_the_way, [open, symlink], {
    sys!(mkdir, c"d", 0o755).must();
    sys!(mkdir, c"d/e", 0o755).must();
    create(c"d/e/f", b"deep");
    sys!(symlink, c"d/e", c"s").must();
    sys!(symlink, c"../d/e/f", c"d/up").must();
    check_eq!(content(c"s/f"), b"deep");
    check_eq!(content(c"d/up"), b"deep");
    let absolute = path("d");
    sys!(symlink, absolute.as_c_str(), c"abs").must();
    check_eq!(content(c"abs/e/f"), b"deep");
    check_eq!(stat(c"s/..").st_ino, stat(c"d").st_ino, "`..` is physical");
});

case!(slash_after_a_symlink_to_a_file_is_enotdir, [open], {
    create(c"f", b"");
    sys!(symlink, c"f", c"s").must();
    sys!(symlink, c"f/", c"t").must();
    check_eq!(sys!(open, c"s/", O_RDONLY, 0), Err(ENOTDIR));
    check_eq!(sys!(open, c"t", O_RDONLY, 0), Err(ENOTDIR));
});

case!(root_has_itself_as_parent, [stat], {
    check_eq!(stat(c"/..").st_ino, stat(c"/").st_ino);
    check_eq!(stat(c"/../../..").st_ino, stat(c"/").st_ino);
});

case!(an_open_file_loses_its_names_one_by_one, [unlink, link, fstat], {
    for _ in 0..50 {
        create(c"f", b"abc");
        let (fd, place) = (open(c"f", O_RDWR), open(c"f", O_PATH));
        sys!(link, c"f", c"g").must();
        check_eq!((fstat(fd).st_nlink, fstat(place).st_nlink), (2, 2));
        sys!(unlink, c"f").must();
        check_eq!((fstat(fd).st_nlink, fstat(place).st_nlink), (1, 1));
        sys!(unlink, c"g").must();
        check_eq!((fstat(fd).st_nlink, fstat(place).st_nlink), (0, 0));
        check_eq!((fstat(fd).st_size, fstat(place).st_size), (3, 3));
        sys!(close, fd).must();
        check_eq!(fstat(place).st_nlink, 0);
        sys!(close, place).must();
    }
});

case!(file_gets_its_name_in_place_of_a_passing_one, [link, unlink], {
    sys!(mkdir, c"d", 0o755).must();
    for i in 0..50 {
        let (passing, last) = (cstr(&format!("d/tmp{i}")), cstr(&format!("d/f{i}")));
        let fd = sys!(open, passing.as_c_str(), O_RDWR | O_CREAT | O_EXCL, 0o444).must() as i32;
        sys!(write, fd, b"text", 4).must();
        let into = if i % 2 == 0 { last.clone() } else { cstr(&format!("g{i}")) };
        sys!(link, passing.as_c_str(), into.as_c_str()).must();
        sys!(unlink, passing.as_c_str()).must();
        check_eq!(stat(&into).st_nlink, 1);
        let mut st: stat = zeroed();
        sys!(fstat, fd, &mut st).must();
        check_eq!((st.st_nlink, st.st_size, st.st_mode & 0o777), (1, 4, 0o444));
        check_eq!(st.st_ino, stat(&into).st_ino);
        sys!(close, fd).must();
        check_eq!(sys!(access, passing.as_c_str(), F_OK), Err(ENOENT));
        check_eq!(content(&into), b"text");
    }
});

case!(files_that_are_removed_at_once_leave_nothing_to_the_next, [creat, unlink], {
    for i in 0..60 {
        let mode = if i % 7 == 0 { 0o640 } else { 0o600 };
        let fd = sys!(open, c"f", O_RDWR | O_CREAT | O_EXCL, mode).must() as i32;
        let mut st: stat = zeroed();
        sys!(fstat, fd, &mut st).must();
        check_eq!((st.st_nlink, st.st_size, st.st_mode & 0o777), (1, 0, mode), "{i}");
        sys!(pwrite64, fd, b"text", 4, 5000).must();
        sys!(unlink, c"f").must();
        if i % 3 == 0 {
            sys!(fchmod, fd, 0o4755).must();
        }
        sys!(fstat, fd, &mut st).must();
        check_eq!((st.st_nlink, st.st_size), (0, 5004));
        let mut buf = [1u8; 5];
        check_eq!(sys!(pread64, fd, &mut buf, 5, 4999), Ok(5));
        check_eq!(&buf, b"\0text");
        check_eq!(sys!(open, c"f", O_RDONLY, 0), Err(ENOENT));
        sys!(close, fd).must();
    }
});

case!(mapping_of_a_removed_file_is_its_own, [mmap, unlink], {
    for i in 0..20u8 {
        let fd = sys!(open, c"f", O_RDWR | O_CREAT | O_EXCL, 0o600).must() as i32;
        sys!(ftruncate, fd, 4096).must();
        let shared = PROT_READ | PROT_WRITE;
        let at = sys!(mmap, 0, 4096, shared, MAP_SHARED, fd, 0).must() as usize;
        sys!(unlink, c"f").must();
        sys!(close, fd).must();
        poke(at, i + 1);
        let next = sys!(open, c"g", O_RDWR | O_CREAT | O_EXCL, 0o600).must() as i32;
        let mut buf = [0u8; 1];
        check_eq!(sys!(read, next, &mut buf, 1), Ok(0));
        sys!(ftruncate, next, 4096).must();
        check_eq!(peek::<u8>(at), i + 1);
        sys!(unlink, c"g").must();
        sys!(close, next).must();
        sys!(munmap, at, 4096).must();
    }
});
