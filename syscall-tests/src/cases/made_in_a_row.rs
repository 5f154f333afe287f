//! mkdir, rename: directories made, and files renamed, one after the other among new files.

use std::collections::HashMap;
use std::ffi::CString;

use crate::support::prelude::*;

/// Makes files one after the other here, and a directory.
fn begin() {
    sys!(umask, 0o022).must();
    sys!(mkdir, c"first", 0o777).must();
    (0..20).for_each(|i| create(&cstr(&format!("first/f{i}")), b"first"));
}

fn dir(i: usize) -> CString {
    cstr(&format!("d{i}"))
}

fn within(i: usize, name: &str) -> CString {
    cstr(&format!("d{i}/{name}"))
}

/// The inode numbers that a listing tells.
fn listed(path: &std::ffi::CStr) -> HashMap<String, u64> {
    let mut all = HashMap::new();
    let fd = open(path, O_RDONLY | O_DIRECTORY);
    let mut buf = vec![0u8; 4096];
    loop {
        let len = sys!(getdents64, fd, &mut buf[..], buf.len()).must() as usize;
        if len == 0 {
            break;
        }
        let mut at = 0;
        while at < len {
            let ino = u64::from_ne_bytes(*buf[at..].first_chunk().must());
            let record = usize::from(u16::from_ne_bytes([buf[at + 16], buf[at + 17]]));
            let name = buf[at + 19..at + record].split(|byte| *byte == 0).next().must();
            all.insert(String::from_utf8_lossy(name).into_owned(), ino);
            at += record;
        }
    }
    sys!(close, fd).must();
    all
}

case!(new_directories_keep_their_numbers, [mkdir, stat, getdents64], {
    begin();
    let links = stat(c".").st_nlink;
    for i in 0..150 {
        check_eq!(sys!(mkdir, dir(i).as_c_str(), 0o777), Ok(0));
        check_eq!(sys!(mkdir, dir(i).as_c_str(), 0o777), Err(EEXIST));
        create(&within(i, "file"), b"content");
        check_eq!(sys!(mkdir, within(i, "sub").as_c_str(), 0o700), Ok(0));
        create(&within(i, "sub/deep"), b"");
    }
    check_eq!(stat(c".").st_nlink, links + 150);
    let numbers: Vec<u64> = (0..150).map(|i| stat(&dir(i)).st_ino).collect();
    let below: Vec<u64> = (0..150).map(|i| stat(&within(i, "sub")).st_ino).collect();
    sleep_ms(300);
    let all = listed(c".");
    for i in 0..150 {
        let made = stat(&dir(i));
        check_eq!((made.st_ino, made.st_mode), (numbers[i], S_IFDIR | 0o755));
        check_eq!(made.st_nlink, 3);
        check_eq!(all.get(&format!("d{i}")), Some(&numbers[i]));
        check_eq!(stat(&within(i, "sub/..")).st_ino, numbers[i]);
        check_eq!(stat(&within(i, "sub")).st_ino, below[i]);
        let inside = listed(&dir(i));
        check_eq!((inside.get("."), inside.get("sub")), (Some(&numbers[i]), Some(&below[i])));
        check_eq!(content(&within(i, "file")), b"content");
    }
    let mut distinct: Vec<u64> = numbers.into_iter().chain(below).collect();
    distinct.sort_unstable();
    distinct.dedup();
    check_eq!(distinct.len(), 300);
});

case!(new_directory_is_used_at_once, [mkdir, openat, rename, chdir, getcwd], {
    begin();
    for i in 0..40 {
        check_eq!(sys!(mkdir, dir(i).as_c_str(), 0o755), Ok(0));
        let fd = open(&dir(i), O_RDONLY | O_DIRECTORY);
        match i % 4 {
            // By its descriptor, after a rename.
            0 => {
                let moved = cstr(&format!("moved{i}"));
                check_eq!(sys!(rename, dir(i).as_c_str(), moved.as_c_str()), Ok(0));
                let file = sys!(openat, fd, c"f", O_CREAT | O_WRONLY, 0o644).must() as i32;
                sys!(close, file).must();
                check_eq!(sys!(mkdirat, fd, c"sub", 0o755), Ok(0));
                check_eq!(fstat(fd).st_ino, stat(&moved).st_ino);
                check_eq!(fstat(fd).st_nlink, 3);
                check_eq!(stat(&cstr(&format!("moved{i}/f"))).st_size, 0);
            }
            // As a working directory.
            1 => {
                let here = stat(c".").st_ino;
                check_eq!(sys!(chdir, dir(i).as_c_str()), Ok(0));
                create(c"f", b"x");
                check_eq!(stat(c"..").st_ino, here);
                check_eq!(stat(c".").st_ino, fstat(fd).st_ino);
                check_eq!(sys!(chdir, c".."), Ok(0));
                check_eq!(content(&within(i, "f")), b"x");
            }
            // Removed before anybody has looked at it.
            2 => {
                check_eq!(sys!(rmdir, dir(i).as_c_str()), Ok(0));
                check_eq!(sys!(mkdirat, fd, c"sub", 0o755), Err(ENOENT));
                check_eq!(sys!(stat, dir(i).as_c_str(), &mut zeroed::<stat>()), Err(ENOENT));
                check_eq!(fstat(fd).st_mode, S_IFDIR | 0o755);
                check_eq!(sys!(mkdir, dir(i).as_c_str(), 0o755), Ok(0));
                create(&within(i, "f"), b"again");
                check_eq!(content(&within(i, "f")), b"again");
            }
            // With a mode of its own, and something in it.
            _ => {
                check_eq!(sys!(chmod, dir(i).as_c_str(), 0o1700), Ok(0));
                check_eq!(stat(&dir(i)).st_mode, S_IFDIR | 0o1700);
                create(&within(i, "f"), b"");
                check_eq!(sys!(rmdir, dir(i).as_c_str()), Err(ENOTEMPTY));
                check_eq!(sys!(unlink, within(i, "f").as_c_str()), Ok(0));
                check_eq!(sys!(rmdir, dir(i).as_c_str()), Ok(0));
                check_eq!(sys!(access, dir(i).as_c_str(), F_OK), Err(ENOENT));
            }
        }
        sys!(close, fd).must();
    }
});

case!(moved_directories_are_counted, [rename, mkdir, stat], {
    begin();
    sys!(mkdir, c"a", 0o755).must();
    sys!(mkdir, c"b", 0o755).must();
    let links = |a, b, message: &str| {
        check_eq!((stat(c"a").st_nlink, stat(c"b").st_nlink), (a, b), "{message}");
    };
    let change_both = |name: &str| {
        create(&cstr(&format!("a/{name}")), b"");
        create(&cstr(&format!("b/{name}")), b"");
    };
    sys!(mkdir, c"a/x", 0o755).must();
    sys!(mkdir, c"a/y", 0o755).must();
    sys!(mkdir, c"b/z", 0o755).must();
    links(4, 3, "as made");
    sys!(rename, c"a/x", c"b/x").must();
    change_both("1");
    links(3, 4, "moved");
    sys!(rename, c"a/y", c"b/x").must();
    change_both("2");
    links(2, 4, "moved in place of another");
    sys!(rename, c"b/x", c"b/z").must();
    change_both("3");
    links(2, 3, "renamed in place of another");
    sys!(renameat2, AT_FDCWD, c"a/1", AT_FDCWD, c"b/z", RENAME_EXCHANGE).must();
    change_both("4");
    links(3, 2, "exchanged for a file");
    sleep_ms(300);
    links(3, 2, "when all is done");
});

case!(directories_are_looked_at_later, [stat, mkdir, unlink, rmdir], {
    begin();
    for i in 0..100 {
        sys!(mkdir, dir(i).as_c_str(), 0o755).must();
        create(&within(i, "f"), b"");
        sys!(mkdir, within(i, "sub").as_c_str(), 0o755).must();
    }
    sleep_ms(300);
    // Some change while others are looked at.
    let numbers: Vec<u64> = (0..100)
        .map(|i| {
            let seen = stat(&dir(i));
            check_eq!(seen.st_nlink, if i > 0 && i % 3 == 0 { 2 } else { 3 }, "d{}", i);
            if i % 3 == 2 && i < 99 {
                sys!(rmdir, within(i + 1, "sub").as_c_str()).must();
            }
            create(&within((i * 7) % 100, "g"), b"");
            seen.st_ino
        })
        .collect();
    let times: Vec<_> = (0..100).map(|i| at(&stat(&dir(i)))).collect();
    sleep_ms(300);
    for i in 0..100 {
        let seen = stat(&dir(i));
        check_eq!(seen.st_ino, numbers[i]);
        check!(at(&seen) >= times[i], "d{} went back", i);
        check_eq!(listed(&dir(i)).len(), if i > 0 && i % 3 == 0 { 4 } else { 5 }, "d{}", i);
    }
});

case!(new_directories_inherit, [mkdir, chown, chmod], {
    begin();
    sys!(mkdir, c"plain", 0o755).must();
    sys!(chown, c"first", 1000, 1000).must();
    sys!(chmod, c"first", 0o2777).must();
    for i in 0..30 {
        let path = cstr(&format!("first/d{i}"));
        check_eq!(sys!(mkdir, path.as_c_str(), 0o750), Ok(0));
        check_eq!(sys!(mkdir, cstr(&format!("plain/d{i}")).as_c_str(), 0o750), Ok(0));
        create(&cstr(&format!("first/d{i}/f")), b"");
    }
    for i in 0..30 {
        let made = stat(&cstr(&format!("first/d{i}")));
        check_eq!((made.st_mode, made.st_uid, made.st_gid), (S_IFDIR | 0o2750, 0, 1000));
        check_eq!(stat(&cstr(&format!("first/d{i}/f"))).st_gid, 1000);
        let made = stat(&cstr(&format!("plain/d{i}")));
        check_eq!((made.st_mode, made.st_gid), (S_IFDIR | 0o750, 0));
    }
});

case!(directory_times_do_not_go_back, [mkdir, stat], {
    begin();
    for i in 0..20 {
        let before = stat(c".");
        sys!(mkdir, dir(i).as_c_str(), 0o755).must();
        let made = stat(&dir(i));
        check!(at(&stat(c".")) >= at(&before), "of the directory around it");
        create(&within(i, "f"), b"");
        check!(at(&stat(&dir(i))) >= at(&made), "of the new one");
    }
    let before: Vec<_> = (0..20).map(|i| at(&stat(&dir(i)))).collect();
    sleep_ms(300);
    check!((0..20).all(|i| at(&stat(&dir(i))) >= before[i]), "when all is done");
});

/// When a file was written to.
fn at(stat: &stat) -> (i64, i64) {
    (stat.st_mtime, stat.st_mtime_nsec)
}

case!(lock_files_take_the_place_of_files, [rename], {
    begin();
    sys!(mkdir, c"d", 0o755).must();
    create(c"d/config", b"0");
    for round in 1..60 {
        let old = open(c"d/config", O_RDONLY);
        let text = format!("{round}");
        create(c"d/config.lock", text.as_bytes());
        let new = stat(c"d/config.lock");
        check_eq!(sys!(rename, c"d/config.lock", c"d/config"), Ok(0));
        check_eq!(sys!(access, c"d/config.lock", F_OK), Err(ENOENT));
        check_eq!(content(c"d/config"), text.as_bytes());
        let now = stat(c"d/config");
        check_eq!((now.st_ino, now.st_nlink, now.st_size), (new.st_ino, 1, text.len() as i64));
        check_eq!(at(&now), at(&new));
        check_eq!(fstat(old).st_nlink, 0);
        check_eq!(read_all(old), format!("{}", round - 1).as_bytes());
        sys!(close, old).must();
    }
    check_eq!(listed(c"d").len(), 3);
});

case!(renamed_files_are_renamed_linked_and_removed, [rename, link, unlink, fsync], {
    begin();
    sys!(mkdir, c"d", 0o755).must();
    sys!(mkdir, c"e", 0o755).must();
    for round in 0..40 {
        create(c"d/a", b"a");
        let fd = open(c"d/a", O_RDWR);
        // Into another directory, under a name that was there or was not.
        check_eq!(sys!(rename, c"d/a", c"e/b"), Ok(0));
        check_eq!(sys!(write, fd, b"after", 5), Ok(5));
        check_eq!(sys!(link, c"e/b", c"d/a"), Ok(0));
        check_eq!(sys!(rename, c"d/a", c"e/b"), Ok(0), "one file: both names stay");
        check_eq!(fstat(fd).st_nlink, 2);
        check_eq!(sys!(rename, c"e/b", c"e/c"), Ok(0));
        check_eq!(sys!(unlink, c"e/b"), Err(ENOENT));
        create(c"e/b", b"another");
        check_eq!(content(c"e/c"), b"after");
        if round % 8 == 0 {
            check_eq!(sys!(fsync, fd), Ok(0));
        }
        check_eq!(sys!(unlink, c"d/a"), Ok(0));
        check_eq!(fstat(fd).st_nlink, 1);
        if round % 2 == 0 {
            check_eq!(sys!(unlink, c"e/c"), Ok(0));
            check_eq!(fstat(fd).st_nlink, 0);
            check_eq!(sys!(unlink, c"e/c"), Err(ENOENT));
        }
        check_eq!(content(c"e/b"), b"another");
        sys!(close, fd).must();
    }
    sleep_ms(300);
    check_eq!((listed(c"d").len(), listed(c"e").len()), (2, 4));
    check_eq!(content(c"e/c"), b"after");
    check_eq!(sys!(renameat2, AT_FDCWD, c"e/b", AT_FDCWD, c"e/c", RENAME_NOREPLACE), Err(EEXIST));
    check_eq!(sys!(renameat2, AT_FDCWD, c"e/b", AT_FDCWD, c"e/d", RENAME_NOREPLACE), Ok(0));
    check_eq!(sys!(unlink, c"e/d"), Ok(0));
    check_eq!(sys!(rename, c"e/d", c"e/x"), Err(ENOENT));
});

case!(renamed_file_changes_its_time_of_change, [rename], {
    begin();
    create(c"first/x", b"x");
    let changed = |path: &std::ffi::CStr| (stat(path).st_ctime, stat(path).st_ctime_nsec);
    let before = changed(c"first/x");
    sleep_ms(20);
    sys!(rename, c"first/x", c"first/y").must();
    let after = changed(c"first/y");
    check!(after >= before, "{:?} then {:?}", before, after);
    sleep_ms(300);
    check_eq!(changed(c"first/y"), after);
});
