//! mkdir, mkdirat, rmdir, unlink, unlinkat, getdents, getdents64.

use crate::support::prelude::*;

/// Takes apart what getdents64 gave: names and types.
fn parse(buf: &[u8]) -> Vec<(String, u8)> {
    let mut all = Vec::new();
    let mut at = 0;
    while at < buf.len() {
        let record = usize::from(u16::from_ne_bytes([buf[at + 16], buf[at + 17]]));
        check!(record % 8 == 0 && at + record <= buf.len(), "record of {record} bytes at {at}");
        let name = &buf[at + 19..at + record];
        let end = name.iter().position(|b| *b == 0).must();
        all.push((String::from_utf8_lossy(&name[..end]).into_owned(), buf[at + 18]));
        at += record;
    }
    all
}

/// Reads a directory to its end: names and types.
fn entries(fd: i32, buf_len: usize) -> Vec<(String, u8)> {
    let mut all = Vec::new();
    let mut buf = vec![0u8; buf_len];
    loop {
        let len = sys!(getdents64, fd, &mut buf[..], buf_len).must() as usize;
        if len == 0 {
            return all;
        }
        all.extend(parse(&buf[..len]));
    }
}

fn names(path: &std::ffi::CStr) -> Vec<String> {
    let fd = open(path, O_RDONLY | O_DIRECTORY);
    let mut names: Vec<String> = entries(fd, 4096).into_iter().map(|(name, _)| name).collect();
    sys!(close, fd).must();
    names.sort();
    names
}

case!(mkdir_makes_an_empty_directory, [mkdir, mkdirat], {
    sys!(umask, 0o022).must();
    check_eq!(sys!(mkdir, c"d", 0o777), Ok(0));
    check_eq!(stat(c"d").st_mode, S_IFDIR | 0o755);
    check_eq!(names(c"d"), [".", ".."]);
    check_eq!(sys!(mkdirat, open(c"d", O_RDONLY), c"e", 0o700), Ok(0));
    check_eq!(stat(c"d/e").st_mode, S_IFDIR | 0o700);
    check_eq!(sys!(mkdir, c"d/trailing/", 0o755), Ok(0));
});

case!(mkdir_errors, [mkdir, mkdirat], {
    create(c"f", b"");
    sys!(mkdir, c"d", 0o755).must();
    sys!(symlink, c"nowhere", c"dangling").must();
    check_eq!(sys!(mkdir, c"d", 0o755), Err(EEXIST));
    check_eq!(sys!(mkdir, c"f", 0o755), Err(EEXIST));
    check_eq!(sys!(mkdir, c"dangling", 0o755), Err(EEXIST));
    check_eq!(sys!(mkdir, c"f/d", 0o755), Err(ENOTDIR));
    check_eq!(sys!(mkdir, c"missing/d", 0o755), Err(ENOENT));
    check_eq!(sys!(mkdir, c"", 0o755), Err(ENOENT));
    check_eq!(sys!(mkdir, c".", 0o755), Err(EEXIST));
    check_eq!(sys!(mkdir, c"/", 0o755), Err(EEXIST));
    check_eq!(sys!(mkdir, BAD, 0o755), Err(EFAULT));
    check_eq!(sys!(mkdirat, 99, c"x", 0o755), Err(EBADF));
    check_eq!(sys!(mkdir, cstr(&"n".repeat(256)).as_c_str(), 0o755), Err(ENAMETOOLONG));
});

case!(mkdir_needs_write_permission, [mkdir, rmdir, unlink], {
    need_root();
    sys!(mkdir, c"d", 0o755).must();
    sys!(mkdir, c"d/e", 0o755).must();
    create(c"d/f", b"");
    as_nobody(|| {
        check_eq!(sys!(mkdir, c"d/x", 0o755), Err(EACCES));
        check_eq!(sys!(mkdir, c"d/e", 0o755), Err(EEXIST), "existence comes first");
        check_eq!(sys!(rmdir, c"d/e"), Err(EACCES));
        check_eq!(sys!(unlink, c"d/f"), Err(EACCES));
        check_eq!(sys!(unlink, c"d/missing"), Err(ENOENT));
    });
});

case!(setgid_directory_passes_its_group_on, [mkdir, open, chown], {
    need_root();
    sys!(mkdir, c"d", 0o755).must();
    sys!(chown, c"d", 0, 1234).must();
    sys!(chmod, c"d", 0o2755).must();
    sys!(mkdir, c"d/e", 0o755).must();
    create(c"d/f", b"");
    check_eq!((stat(c"d/e").st_gid, stat(c"d/e").st_mode & 0o2000), (1234, 0o2000));
    check_eq!((stat(c"d/f").st_gid, stat(c"d/f").st_mode & 0o2000), (1234, 0));
});

case!(rmdir_wants_an_empty_directory, [rmdir], {
    sys!(mkdir, c"d", 0o755).must();
    create(c"d/f", b"");
    check_eq!(sys!(rmdir, c"d"), Err(ENOTEMPTY));
    sys!(unlink, c"d/f").must();
    check_eq!(sys!(rmdir, c"d"), Ok(0));
    check_eq!(sys!(rmdir, c"d"), Err(ENOENT));
});

case!(rmdir_errors, [rmdir], {
    create(c"f", b"");
    sys!(mkdir, c"d", 0o755).must();
    sys!(symlink, c"d", c"link").must();
    check_eq!(sys!(rmdir, c"f"), Err(ENOTDIR));
    check_eq!(sys!(rmdir, c"link"), Err(ENOTDIR));
    check_eq!(sys!(rmdir, c"d/."), Err(EINVAL));
    check_eq!(sys!(rmdir, c"d/.."), Err(ENOTEMPTY));
    check_eq!(sys!(rmdir, c""), Err(ENOENT));
    check_eq!(sys!(rmdir, c"/"), Err(EBUSY));
    check_eq!(sys!(rmdir, BAD), Err(EFAULT));
});

case!(removed_directory_stays_usable_but_empty, [rmdir, getdents64, mkdir], {
    sys!(mkdir, c"d", 0o755).must();
    let fd = open(c"d", O_RDONLY);
    sys!(chdir, c"d").must();
    sys!(rmdir, c"../d").must();
    check_eq!(sys!(mkdir, c"x", 0o755), Err(ENOENT));
    check_eq!(sys!(stat, c"..", &mut zeroed::<stat>()), Ok(0));
    check_eq!(sys!(getdents64, fd, &mut [0u8; 512], 512), Err(ENOENT));
    check_eq!(fstat(fd).st_nlink, 0);
});

case!(unlink_errors, [unlink, unlinkat], {
    sys!(mkdir, c"d", 0o755).must();
    create(c"f", b"");
    check_eq!(sys!(unlink, c"d"), Err(EISDIR));
    check_eq!(sys!(unlink, c"missing"), Err(ENOENT));
    check_eq!(sys!(unlink, c"f/"), Err(ENOTDIR));
    check_eq!(sys!(unlink, c""), Err(ENOENT));
    check_eq!(sys!(unlink, BAD), Err(EFAULT));
    check_eq!(sys!(unlinkat, 99, c"f", 0), Err(EBADF));
    check_eq!(sys!(unlinkat, AT_FDCWD, c"f", 0x10), Err(EINVAL));
    check_eq!(sys!(unlinkat, AT_FDCWD, c"f", AT_REMOVEDIR), Err(ENOTDIR));
    check_eq!(sys!(unlinkat, AT_FDCWD, c"d", AT_REMOVEDIR), Ok(0));
    check_eq!(sys!(unlinkat, AT_FDCWD, c"f", 0), Ok(0));
});

case!(unlink_removes_the_link_not_its_target, [unlink], {
    create(c"f", b"abc");
    sys!(symlink, c"f", c"link").must();
    check_eq!(sys!(unlink, c"link"), Ok(0));
    check_eq!(content(c"f"), b"abc");
});

case!(sticky_directory_protects_others_files, [unlink, rename, rmdir], {
    need_root();
    sys!(mkdir, c"d", 0o755).must();
    sys!(chmod, c"d", 0o1777).must();
    create(c"d/root", b"");
    as_nobody(|| {
        create(c"d/mine", b"");
        check_eq!(sys!(unlink, c"d/root"), Err(EPERM));
        check_eq!(sys!(rename, c"d/root", c"d/x"), Err(EPERM));
        check_eq!(sys!(rename, c"d/mine", c"d/root"), Err(EPERM));
        check_eq!(sys!(unlink, c"d/mine"), Ok(0));
    });
});

case!(listing_shows_every_entry_once_with_its_type, [getdents64], {
    sys!(mkdir, c"d", 0o755).must();
    sys!(mkdir, c"d/dir", 0o755).must();
    create(c"d/file", b"");
    sys!(symlink, c"x", c"d/link").must();
    sys!(mknod, c"d/fifo", S_IFIFO | 0o644, 0).must();
    let mut all = entries(open(c"d", O_RDONLY), 4096);
    all.sort();
    let want = [
        (".", DT_DIR),
        ("..", DT_DIR),
        ("dir", DT_DIR),
        ("fifo", DT_FIFO),
        ("file", DT_REG),
        ("link", DT_LNK),
    ];
    check_eq!(all, want.map(|(name, kind)| (name.to_owned(), kind)).to_vec());
});

case!(large_directory_is_listed_through_a_small_buffer, [getdents64], {
    sys!(mkdir, c"d", 0o755).must();
    for i in 0..300 {
        create(cstr(&format!("d/entry-{i}")).as_c_str(), b"");
    }
    let all = entries(open(c"d", O_RDONLY), 100);
    let unique: std::collections::BTreeSet<_> = all.iter().collect();
    check_eq!((all.len(), unique.len()), (302, 302));
});

case!(getdents_errors, [getdents64, getdents], {
    create(c"f", b"");
    let mut buf = [0u8; 512];
    let dir = open(c".", O_RDONLY);
    check_eq!(sys!(getdents64, 99, &mut buf, 512), Err(EBADF));
    check_eq!(sys!(getdents64, open(c"f", O_RDONLY), &mut buf, 512), Err(ENOTDIR));
    check_eq!(sys!(getdents64, dir, &mut buf, 8), Err(EINVAL), "too small for one entry");
    check_eq!(sys!(getdents64, dir, BAD, 512), Err(EFAULT));
    check_eq!(sys!(getdents64, open(c".", O_PATH), &mut buf, 512), Err(EBADF));
    check!(sys!(getdents64, dir, &mut buf, 512).must() > 0, "nothing was lost");
    sys!(lseek, dir, 0, SEEK_SET).must();
    check!(sys!(getdents, dir, &mut buf, 512).must() > 0);
});

case!(entries_made_while_reading_do_no_harm, [getdents64, unlink], {
    sys!(mkdir, c"d", 0o755).must();
    for i in 0..100 {
        create(cstr(&format!("d/old-{i}")).as_c_str(), b"");
    }
    let fd = open(c"d", O_RDONLY);
    let mut buf = [0u8; 512];
    let mut seen = 0;
    let mut round = 0;
    loop {
        let len = sys!(getdents64, fd, &mut buf, 512).must() as usize;
        if len == 0 {
            break;
        }
        seen += parse(&buf[..len]).iter().filter(|(name, _)| name.starts_with("old-")).count();
        create(cstr(&format!("d/new-{round}")).as_c_str(), b"");
        round += 1;
        check!(round < 1000, "the listing never ends");
    }
    check_eq!(seen, 100, "every entry that was there all the time");
});

case!(deletion_while_listing_removes_all, [getdents64, unlink], {
    // As `rm -r` does it: read a buffer, remove what it names, read on.
    sys!(mkdir, c"d", 0o755).must();
    for i in 0..200 {
        create(cstr(&format!("d/{i}")).as_c_str(), b"");
    }
    let fd = open(c"d", O_RDONLY);
    let mut buf = [0u8; 1024];
    loop {
        let len = sys!(getdents64, fd, &mut buf, 1024).must() as usize;
        if len == 0 {
            break;
        }
        for (name, kind) in parse(&buf[..len]) {
            if kind == DT_REG {
                sys!(unlinkat, fd, cstr(&name).as_c_str(), 0).must();
            }
        }
    }
    check_eq!(sys!(rmdir, c"d"), Ok(0));
});

case!(names_come_and_go, [mkdir, rmdir, unlink, rename], {
    let name = |i: usize| cstr(&format!("d/{i}"));
    for round in 0..3 {
        sys!(mkdir, c"d", 0o755).must();
        for i in 0..100 {
            create(&name(i), b"x");
            check_eq!(sys!(chmod, name(i).as_c_str(), 0o640), Ok(0));
            check_eq!(stat(&name(i)).st_mode & 0o7777, 0o640);
        }
        check_eq!(sys!(rmdir, c"d"), Err(ENOTEMPTY));
        for i in 0..100 {
            match i % 3 {
                0 => sys!(unlink, name(i).as_c_str()).must(),
                1 => sys!(rename, name(i).as_c_str(), c"d/last").must(),
                _ => sys!(rename, name(i).as_c_str(), c"elsewhere").must(),
            };
            check_eq!(sys!(access, name(i).as_c_str(), F_OK), Err(ENOENT));
        }
        check_eq!(sys!(rmdir, c"d"), Err(ENOTEMPTY));
        check_eq!(sys!(unlink, c"d/last"), Ok(0));
        check_eq!(sys!(unlink, c"d/last"), Err(ENOENT));
        check_eq!(stat(c"d").st_nlink, 2);
        check_eq!(sys!(rmdir, c"d"), Ok(0));
        check_eq!(sys!(access, c"d", F_OK), Err(ENOENT), "round {}", round);
    }
    check_eq!(content(c"elsewhere"), b"x");
});

case!(listing_of_a_new_directory_follows_changes, [getdents64], {
    sys!(mkdir, c"d", 0o755).must();
    let path = |i: i32| cstr(&format!("d/f{i}"));
    (0..20).for_each(|i| create(&path(i), b"x"));
    sys!(mkdir, c"d/sub", 0o755).must();
    sys!(symlink, c"f0", c"d/symlink").must();
    sys!(link, path(0).as_c_str(), c"d/link").must();
    sys!(unlink, path(1).as_c_str()).must();
    sys!(rename, path(2).as_c_str(), path(3).as_c_str()).must();
    sys!(rename, path(4).as_c_str(), c"outside").must();
    let seen = |path: &std::ffi::CStr| {
        let fd = open(path, O_RDONLY | O_DIRECTORY);
        let mut seen = entries(fd, 100);
        sys!(close, fd).must();
        seen.retain(|(name, _)| name != "." && name != "..");
        seen.sort();
        seen
    };
    let mut expected: Vec<(String, u8)> =
        (0..20).filter(|i| ![1, 2, 4].contains(i)).map(|i| (format!("f{i}"), DT_REG)).collect();
    expected.push(("sub".into(), DT_DIR));
    expected.push(("symlink".into(), DT_LNK));
    expected.push(("link".into(), DT_REG));
    expected.sort();
    check_eq!(seen(c"d"), expected);
    // What is removed while it is being listed.
    let fd = open(c"d", O_RDONLY | O_DIRECTORY);
    let mut buf = [0u8; 100];
    loop {
        let len = sys!(getdents64, fd, &mut buf, 100).must() as usize;
        if len == 0 {
            break;
        }
        for (name, kind) in parse(&buf[..len]) {
            if name != "." && name != ".." {
                let flags = if kind == DT_DIR { AT_REMOVEDIR } else { 0 };
                sys!(unlinkat, fd, cstr(&name).as_c_str(), flags).must();
            }
        }
    }
    check_eq!(seen(c"d"), []);
    check_eq!(sys!(rmdir, c"d"), Ok(0));
});
