//! utimensat, utimes, utime, futimesat, and access times.

use crate::support::prelude::*;

fn spec(tv_sec: i64, tv_nsec: i64) -> timespec {
    timespec { tv_sec, tv_nsec }
}

fn mtime() -> (i64, i64) {
    (stat(c"f").st_mtime, stat(c"f").st_mtime_nsec)
}

fn atime() -> (i64, i64) {
    (stat(c"f").st_atime, stat(c"f").st_atime_nsec)
}

case!(utimensat_sets_nanoseconds, [utimensat], {
    create(c"f", b"");
    let times = [spec(1000, 123_456_789), spec(2000, 987_654_321)];
    check_eq!(sys!(utimensat, AT_FDCWD, c"f", &times, 0), Ok(0));
    check_eq!((atime(), mtime()), ((1000, 123_456_789), (2000, 987_654_321)));
});

case!(utimensat_now_and_omit, [utimensat], {
    create(c"f", b"");
    sys!(utimensat, AT_FDCWD, c"f", &[spec(1, 0), spec(2, 0)], 0).must();
    sys!(utimensat, AT_FDCWD, c"f", &[spec(0, UTIME_OMIT), spec(0, UTIME_NOW)], 0).must();
    check_eq!(atime(), (1, 0));
    check!(mtime().0 > 1_600_000_000);
    sys!(utimensat, AT_FDCWD, c"f", NULL, 0).must();
    check!(atime().0 > 1_600_000_000);
});

case!(utimensat_through_a_descriptor, [utimensat], {
    create(c"f", b"");
    let fd = open(c"f", O_RDONLY);
    check_eq!(sys!(utimensat, fd, NULL, &[spec(5, 0), spec(6, 0)], 0), Ok(0));
    check_eq!((atime(), mtime()), ((5, 0), (6, 0)));
    check_eq!(sys!(utimensat, AT_FDCWD, NULL, &[spec(5, 0), spec(6, 0)], 0), Err(EFAULT));
});

case!(utimensat_nofollow_changes_the_link, [utimensat], {
    create(c"f", b"");
    sys!(symlink, c"f", c"s").must();
    let before = mtime();
    sys!(utimensat, AT_FDCWD, c"s", &[spec(5, 0), spec(6, 0)], AT_SYMLINK_NOFOLLOW).must();
    check_eq!(mtime(), before);
    let mut st: stat = zeroed();
    sys!(lstat, c"s", &mut st).must();
    check_eq!(st.st_mtime, 6);
});

case!(utimensat_errors, [utimensat], {
    create(c"f", b"");
    check_eq!(sys!(utimensat, AT_FDCWD, c"missing", NULL, 0), Err(ENOENT));
    check_eq!(sys!(utimensat, AT_FDCWD, c"f", BAD, 0), Err(EFAULT));
    check_eq!(sys!(utimensat, AT_FDCWD, BAD, NULL, 0), Err(EFAULT));
    check_eq!(sys!(utimensat, AT_FDCWD, c"f", NULL, 0x8000), Err(EINVAL));
    let bad = [spec(0, 1_000_000_000), spec(0, 0)];
    check_eq!(sys!(utimensat, AT_FDCWD, c"f", &bad, 0), Err(EINVAL));
    check_eq!(sys!(utimensat, AT_FDCWD, c"f", &[spec(0, -1), spec(0, 0)], 0), Err(EINVAL));
    check_eq!(sys!(utimensat, 99, c"f", NULL, 0), Err(EBADF));
    let omit = [spec(0, UTIME_OMIT); 2];
    check_eq!(sys!(utimensat, AT_FDCWD, c"missing", &omit, 0), Ok(0), "nothing to do");
});

case!(permission_rules, [utimensat], {
    need_root();
    create(c"f", b"");
    sys!(chmod, c"f", 0o644).must();
    as_nobody(|| {
        check_eq!(sys!(utimensat, AT_FDCWD, c"f", NULL, 0), Err(EACCES));
        check_eq!(sys!(utimensat, AT_FDCWD, c"f", &[spec(1, 0), spec(1, 0)], 0), Err(EPERM));
    });
    sys!(chmod, c"f", 0o666).must();
    as_nobody(|| {
        check_eq!(sys!(utimensat, AT_FDCWD, c"f", NULL, 0), Ok(0), "now: who can write");
        check_eq!(sys!(utimensat, AT_FDCWD, c"f", &[spec(1, 0), spec(1, 0)], 0), Err(EPERM));
    });
});

case!(old_calls_set_times_too, [utime, utimes, futimesat], {
    create(c"f", b"");
    check_eq!(sys!(utime, c"f", &[3i64, 4]), Ok(0));
    check_eq!((atime(), mtime()), ((3, 0), (4, 0)));
    let val = |tv_sec, tv_usec| timeval { tv_sec, tv_usec };
    check_eq!(sys!(utimes, c"f", &[val(5, 500_000), val(6, 1)]), Ok(0));
    check_eq!((atime(), mtime()), ((5, 500_000_000), (6, 1000)));
    check_eq!(sys!(futimesat, AT_FDCWD, c"f", &[val(7, 0), val(8, 0)]), Ok(0));
    check_eq!((atime(), mtime()), ((7, 0), (8, 0)));
    check_eq!(sys!(utimes, c"f", &[val(5, 1_000_000), val(6, 1)]), Err(EINVAL));
    check_eq!(sys!(utime, c"missing", NULL), Err(ENOENT));
    check_eq!(sys!(utime, c"f", BAD), Err(EFAULT));
    check_eq!(sys!(utime, c"f", NULL), Ok(0));
});

case!(reading_moves_an_old_access_time, [read, utimensat], {
    // relatime: the access time moves if it is not after the modification time.
    create(c"f", b"abc");
    let flags = statvfs_flags();
    if flags & ST_NOATIME != 0 {
        skip!("the file system is mounted with noatime");
    }
    sys!(utimensat, AT_FDCWD, c"f", &[spec(1, 0), spec(1, 0)], 0).must();
    let fd = open(c"f", O_RDONLY);
    let mut buf = [0u8; 1];
    sys!(read, fd, &mut buf, 1).must();
    check!(atime().0 > 1);
    check_eq!(mtime(), (1, 0));
});

fn statvfs_flags() -> u64 {
    // `f_flags` is the eleventh word of `struct statfs`.
    let mut fs = [0u64; 15];
    sys!(statfs, c".", &mut fs).must();
    fs[10]
}

case!(ctime_cannot_be_set, [utimensat], {
    create(c"f", b"");
    sys!(utimensat, AT_FDCWD, c"f", &[spec(1, 0), spec(1, 0)], 0).must();
    check!(stat(c"f").st_ctime > 1_600_000_000);
});

case!(times_before_1970_are_kept, [utimensat], {
    create(c"f", b"");
    sys!(utimensat, AT_FDCWD, c"f", &[spec(-100, 5), spec(-1, 999_999_999)], 0).must();
    check_eq!((atime(), mtime()), ((-100, 5), (-1, 999_999_999)));
});

case!(what_is_written_after_times_were_set_counts, [utimensat, write], {
    let old = [spec(1000, 0), spec(2000, 0)];
    create(c"f", b"");
    let early = open(c"f", O_WRONLY);
    sys!(utimensat, AT_FDCWD, c"f", &old, 0).must();
    check_eq!(mtime(), (2000, 0));
    sys!(utimensat, AT_FDCWD, c"f", &old, 0).must();
    sys!(write, early, b"x", 1).must();
    check!(mtime().0 > 1_600_000_000);
    sys!(close, early).must();
    sys!(utimensat, AT_FDCWD, c"f", &old, 0).must();
    check_eq!(mtime(), (2000, 0));
    sys!(utimensat, AT_FDCWD, c"f", &old, 0).must();
    let late = open(c"f", O_WRONLY);
    sys!(write, late, b"y", 1).must();
    check!(fstat(late).st_mtime > 1_600_000_000);
    sys!(close, late).must();
    sys!(utimensat, AT_FDCWD, c"f", &old, 0).must();
    sys!(truncate, c"f", 7).must();
    check!(mtime().0 > 1_600_000_000);
    check_eq!(stat(c"f").st_size, 7);
});

case!(directory_times_move_only_with_entries, [stat, openat, unlink, mkdir, rmdir], {
    let told = || {
        let stat = stat(c"d");
        (stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec, stat.st_nlink)
    };
    let modified = |told: (i64, i64, i64, i64, u64)| (told.0, told.1);
    sys!(mkdir, c"d", 0o755).must();
    let links = told().4;
    for name in [c"d/a", c"d/b", c"d/c", c"d/e"] {
        create(name, b"x");
    }
    sys!(unlink, c"d/b").must();
    let before = told();
    check!(modified(before) >= (stat(c"d/a").st_mtime, stat(c"d/a").st_mtime_nsec));
    // As long as it may take until the host has heard of everything.
    sleep_ms(350);
    check_eq!(told(), before);
    create(c"d/b", b"");
    let changed = told();
    check!(modified(changed) > modified(before));
    check_eq!(modified(changed), (changed.2, changed.3), "both at once");
    sys!(mkdir, c"d/sub", 0o755).must();
    sys!(unlink, c"d/b").must();
    let with_sub = told();
    check!(with_sub.4 == links || with_sub.4 == links + 1, "not all file systems count");
    sys!(rmdir, c"d/sub").must();
    check_eq!(told().4, links);
    sleep_ms(350);
    check_eq!(told().4, links);
    sys!(utimensat, AT_FDCWD, c"d", &[spec(1, 0), spec(2, 0)], 0).must();
    check_eq!(modified(told()), (2, 0));
    sys!(unlink, c"d/a").must();
    check!(modified(told()) >= modified(before));
});
