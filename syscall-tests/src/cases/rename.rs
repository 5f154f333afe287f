//! rename, renameat, renameat2.

use crate::support::prelude::*;

case!(moves_a_file_and_replaces_the_target, [rename], {
    create(c"a", b"from a");
    create(c"b", b"from b");
    let (inode, open_b) = (stat(c"a").st_ino, open(c"b", O_RDONLY));
    check_eq!(sys!(rename, c"a", c"b"), Ok(0));
    check_eq!(stat(c"b").st_ino, inode);
    check_eq!(sys!(stat, c"a", &mut zeroed::<stat>()), Err(ENOENT));
    check_eq!(content(c"b"), b"from a");
    check_eq!(read_all(open_b), b"from b", "the replaced file lives while open");
});

case!(same_file_is_left_alone, [rename, link], {
    create(c"a", b"");
    sys!(link, c"a", c"b").must();
    check_eq!(sys!(rename, c"a", c"b"), Ok(0));
    check_eq!(stat(c"a").st_nlink, 2, "both links stay");
    check_eq!(sys!(rename, c"a", c"a"), Ok(0));
});

case!(kinds_must_match, [rename], {
    create(c"f", b"");
    sys!(mkdir, c"d", 0o755).must();
    check_eq!(sys!(rename, c"f", c"d"), Err(EISDIR));
    check_eq!(sys!(rename, c"d", c"f"), Err(ENOTDIR));
    check_eq!(sys!(rename, c"f", c"x/"), Err(ENOTDIR));
    check_eq!(sys!(rename, c"d", c"x/"), Ok(0));
});

case!(directory_replaces_only_an_empty_one, [rename], {
    sys!(mkdir, c"a", 0o755).must();
    sys!(mkdir, c"b", 0o755).must();
    create(c"b/f", b"");
    check_eq!(sys!(rename, c"a", c"b"), Err(ENOTEMPTY));
    sys!(unlink, c"b/f").must();
    create(c"a/g", b"");
    check_eq!(sys!(rename, c"a", c"b"), Ok(0));
    check_eq!(content(c"b/g"), b"");
});

case!(directory_cannot_go_below_itself, [rename], {
    sys!(mkdir, c"a", 0o755).must();
    sys!(mkdir, c"a/b", 0o755).must();
    check_eq!(sys!(rename, c"a", c"a/b/c"), Err(EINVAL));
    check_eq!(sys!(rename, c"a", c"a/b"), Err(EINVAL));
    check_eq!(sys!(rename, c"a/b", c"a"), Err(ENOTEMPTY));
});

case!(errors, [rename, renameat], {
    create(c"f", b"");
    check_eq!(sys!(rename, c"missing", c"x"), Err(ENOENT));
    check_eq!(sys!(rename, c"f", c"missing/x"), Err(ENOENT));
    check_eq!(sys!(rename, c"f", c""), Err(ENOENT));
    check_eq!(sys!(rename, c"", c"x"), Err(ENOENT));
    check_eq!(sys!(rename, c"f", c"f/x"), Err(ENOTDIR));
    check_eq!(sys!(rename, c".", c"x"), Err(EBUSY));
    check_eq!(sys!(rename, c"f", c".."), Err(EBUSY));
    check_eq!(sys!(rename, BAD, c"x"), Err(EFAULT));
    check_eq!(sys!(rename, c"f", BAD), Err(EFAULT));
    check_eq!(sys!(renameat, 99, c"f", AT_FDCWD, c"x"), Err(EBADF));
    check_eq!(sys!(rename, c"f", cstr(&"n".repeat(256)).as_c_str()), Err(ENAMETOOLONG));
});

case!(symlinks_are_renamed_themselves, [rename], {
    create(c"f", b"abc");
    sys!(symlink, c"f", c"link").must();
    check_eq!(sys!(rename, c"link", c"moved"), Ok(0));
    let mut buf = [0u8; 8];
    check_eq!(sys!(readlink, c"moved", &mut buf, 8), Ok(1));
    create(c"g", b"g");
    check_eq!(sys!(rename, c"g", c"moved"), Ok(0));
    check_eq!(content(c"f"), b"abc", "the link was replaced, not its target");
});

case!(renameat_uses_both_directories, [renameat], {
    sys!(mkdir, c"a", 0o755).must();
    sys!(mkdir, c"b", 0o755).must();
    create(c"a/f", b"x");
    let (a, b) = (open(c"a", O_RDONLY), open(c"b", O_RDONLY));
    check_eq!(sys!(renameat, a, c"f", b, c"g"), Ok(0));
    check_eq!(content(c"b/g"), b"x");
});

case!(moved_directory_has_a_new_parent, [rename], {
    sys!(mkdir, c"a", 0o755).must();
    sys!(mkdir, c"a/d", 0o755).must();
    sys!(mkdir, c"b", 0o755).must();
    sys!(rename, c"a/d", c"b/d").must();
    check_eq!(stat(c"b/d/..").st_ino, stat(c"b").st_ino);
    check_eq!((stat(c"a").st_nlink, stat(c"b").st_nlink), (2, 3));
});

case!(noreplace_refuses_an_existing_target, [renameat2], {
    create(c"a", b"a");
    create(c"b", b"b");
    check_eq!(sys!(renameat2, AT_FDCWD, c"a", AT_FDCWD, c"b", RENAME_NOREPLACE), Err(EEXIST));
    check_eq!(sys!(renameat2, AT_FDCWD, c"a", AT_FDCWD, c"c", RENAME_NOREPLACE), Ok(0));
    check_eq!(content(c"c"), b"a");
    check_eq!(content(c"b"), b"b");
});

case!(exchange_swaps, [renameat2], {
    create(c"f", b"file");
    sys!(mkdir, c"d", 0o755).must();
    create(c"d/inside", b"");
    check_eq!(sys!(renameat2, AT_FDCWD, c"f", AT_FDCWD, c"d", RENAME_EXCHANGE), Ok(0));
    check_eq!(content(c"d"), b"file");
    check_eq!(content(c"f/inside"), b"");
    check_eq!(sys!(renameat2, AT_FDCWD, c"f", AT_FDCWD, c"no", RENAME_EXCHANGE), Err(ENOENT));
});

case!(flags_are_checked, [renameat2], {
    create(c"a", b"");
    let both = RENAME_NOREPLACE | RENAME_EXCHANGE;
    check_eq!(sys!(renameat2, AT_FDCWD, c"a", AT_FDCWD, c"b", both), Err(EINVAL));
    check_eq!(sys!(renameat2, AT_FDCWD, c"a", AT_FDCWD, c"b", 0x100), Err(EINVAL));
    check_eq!(sys!(renameat2, AT_FDCWD, c"a", AT_FDCWD, c"b", 0), Ok(0));
});

case!(needs_permission_in_both_directories, [rename], {
    need_root();
    sys!(mkdir, c"locked", 0o755).must();
    sys!(mkdir, c"open", 0o755).must();
    sys!(chmod, c"open", 0o777).must();
    create(c"locked/f", b"");
    as_nobody(|| {
        create(c"open/g", b"");
        check_eq!(sys!(rename, c"locked/f", c"open/f"), Err(EACCES));
        check_eq!(sys!(rename, c"open/g", c"locked/g"), Err(EACCES));
        check_eq!(sys!(rename, c"open/g", c"open/h"), Ok(0));
    });
});

case!(other_file_system_is_exdev, [rename, link], {
    create(c"f", b"");
    if stat(c".").st_dev == stat(c"/proc").st_dev {
        skip!("/proc is not a file system of its own");
    }
    check_eq!(sys!(rename, c"f", c"/proc/x"), Err(EXDEV));
    check_eq!(sys!(link, c"f", c"/proc/version"), Err(EEXIST));
    let result = sys!(link, c"f", c"/dev/shm/syscall-cases-link");
    check!(matches!(result, Err(EXDEV | ENOENT)), "{result:?}");
});

case!(readers_see_the_old_or_the_new_file, [rename, open], {
    create(c"f", b"old");
    let writer = fork(|| {
        for _ in 0..200 {
            create(c"tmp", b"new");
            sys!(rename, c"tmp", c"f").must();
        }
    });
    for _ in 0..200 {
        let seen = content(c"f");
        check!(seen == b"old" || seen == b"new", "{seen:?}");
    }
    writer.ok();
});
