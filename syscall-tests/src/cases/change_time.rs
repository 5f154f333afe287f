//! stat: the change time of a file that was made, named or changed just now, and what else is told then.

use std::ffi::CStr;

use crate::support::prelude::*;

type Time = (i64, i64);

fn changed(path: &CStr) -> Time {
    (stat(path).st_ctime, stat(path).st_ctime_nsec)
}

fn modified(path: &CStr) -> Time {
    (stat(path).st_mtime, stat(path).st_mtime_nsec)
}

/// Makes files one after the other, the last of them `f`, with content.
fn begin() {
    sys!(umask, 0o022).must();
    sys!(mkdir, c"d", 0o777).must();
    (0..20).for_each(|i| create(&cstr(&format!("d/f{i}")), b"one of many"));
    create(c"d/f", b"content");
}

/// Does something to `d/f`, which is at `path` then: its change time moves, once, and its time of modification
/// does not.
fn moves_once(path: &CStr, change: impl FnOnce()) {
    let (before, written) = (changed(c"d/f"), modified(c"d/f"));
    sleep_ms(20);
    change();
    let after = changed(path);
    check!(after > before, "{:?} then {:?}", before, after);
    check_eq!(modified(path), written);
    sleep_ms(300);
    check_eq!((changed(path), modified(path)), (after, written));
    let fd = open(path, O_RDONLY);
    let told = fstat(fd);
    check_eq!((told.st_ctime, told.st_ctime_nsec), after);
    check_eq!(read_all(fd), b"content");
    sys!(close, fd).must();
    check_eq!(changed(path), after);
}

/// The last of what happens to a file counts.
fn moves_again(path: &CStr, change: impl FnOnce()) {
    let before = changed(path);
    sleep_ms(20);
    change();
    let after = changed(path);
    check!(after > before, "{:?} then {:?}", before, after);
    sleep_ms(300);
    check_eq!(changed(path), after);
}

fn write_to(path: &CStr) {
    let fd = open(path, O_WRONLY);
    check_eq!(sys!(write, fd, b"C", 1), Ok(1));
    sys!(close, fd).must();
}

case!(change_time_of_new_file_stays, [stat], {
    begin();
    let (after, written) = (changed(c"d/f"), modified(c"d/f"));
    check!(after >= written);
    sleep_ms(300);
    check_eq!((changed(c"d/f"), modified(c"d/f")), (after, written));
    moves_again(c"d/f", || write_to(c"d/f"));
});

case!(change_time_of_empty_file_stays, [stat, fstat], {
    begin();
    for i in 0..8 {
        let path = cstr(&format!("d/e{i}"));
        let fd = sys!(open, path.as_c_str(), O_WRONLY | O_CREAT | O_EXCL, 0o644).must() as i32;
        let made = fstat(fd);
        sys!(close, fd).must();
        check_eq!(changed(&path), (made.st_ctime, made.st_ctime_nsec));
        sleep_ms(if i % 4 == 0 { 300 } else { 3 });
        check_eq!(changed(&path), (made.st_ctime, made.st_ctime_nsec));
        check_eq!(modified(&path), (made.st_mtime, made.st_mtime_nsec));
    }
});

case!(change_time_of_renamed_file_moves_once, [stat, rename], {
    begin();
    moves_once(c"d/g", || {
        sys!(rename, c"d/f", c"d/g").must();
    });
    moves_again(c"d/g", || write_to(c"d/g"));
});

case!(change_time_of_linked_file_moves_once, [stat, link, unlink], {
    begin();
    moves_once(c"d/g", || {
        sys!(link, c"d/f", c"d/g").must();
    });
    check_eq!((stat(c"d/f").st_nlink, stat(c"d/g").st_nlink), (2, 2));
    moves_once(c"d/g", || {
        sys!(unlink, c"d/f").must();
    });
    check_eq!(stat(c"d/g").st_nlink, 1);
    moves_again(c"d/g", || {
        sys!(chmod, c"d/g", 0o600).must();
    });
});

case!(change_time_of_changed_file_moves_once, [stat, chmod, utimensat, truncate], {
    begin();
    moves_once(c"d/f", || {
        sys!(chmod, c"d/f", 0o640).must();
    });
    check_eq!(stat(c"d/f").st_mode & 0o7777, 0o640);
    moves_again(c"d/f", || {
        sys!(chmod, c"d/f", 0o600).must();
        check_eq!(stat(c"d/f").st_mode & 0o7777, 0o600);
        sys!(truncate, c"d/f", 3).must();
    });
    check_eq!(stat(c"d/f").st_size, 3);
    moves_again(c"d/f", || {
        sys!(chmod, c"d/f", 0o644).must();
        let times = [timespec { tv_sec: 1000, tv_nsec: 1 }, timespec { tv_sec: 2000, tv_nsec: 2 }];
        check_eq!(sys!(utimensat, AT_FDCWD, c"d/f", &times, 0), Ok(0));
        check_eq!(modified(c"d/f"), (2000, 2));
    });
    check_eq!(modified(c"d/f"), (2000, 2));
    // What is written comes after times that were set.
    sys!(utimensat, AT_FDCWD, c"d/f", &[timespec { tv_sec: 3000, tv_nsec: 0 }; 2], 0).must();
    write_to(c"d/f");
    sleep_ms(300);
    check!(modified(c"d/f") > (1_600_000_000, 0));
    sys!(utimensat, AT_FDCWD, c"d/f", &[timespec { tv_sec: 3000, tv_nsec: 0 }; 2], 0).must();
    sys!(truncate, c"d/f", 1).must();
    sleep_ms(300);
    check!(modified(c"d/f") > (1_600_000_000, 0));
});

case!(change_time_of_file_that_is_open_moves, [fstat, write, unlink], {
    begin();
    let fd = open(c"d/f", O_RDWR);
    let times = || (fstat(fd).st_ctime, fstat(fd).st_ctime_nsec);
    let mut last = times();
    for round in 0..5 {
        sleep_ms(20);
        let _ = match round {
            0 => sys!(rename, c"d/f", c"d/g").must(),
            1 => sys!(write, fd, b"more", 4).must(),
            2 => sys!(fchmod, fd, 0o600).must(),
            3 => sys!(write, fd, b"more", 4).must(),
            _ => sys!(unlink, c"d/g").must(),
        };
        let now = times();
        check!(now > last, "{}: {:?} then {:?}", round, last, now);
        last = now;
    }
    check_eq!((fstat(fd).st_nlink, fstat(fd).st_size), (0, 8));
    sleep_ms(300);
    check_eq!((fstat(fd).st_nlink, times()), (0, last));
});

case!(removed_file_that_is_open_tells_of_it, [fstat, unlink, rename], {
    begin();
    create(c"d/g", b"another");
    let (first, second) = (open(c"d/f", O_RDONLY), open(c"d/g", O_RDONLY));
    sys!(rename, c"d/f", c"d/g").must();
    check_eq!((fstat(first).st_nlink, fstat(second).st_nlink), (1, 0));
    sys!(unlink, c"d/g").must();
    check_eq!((fstat(first).st_nlink, fstat(second).st_nlink), (0, 0));
    let told = [fstat(first).st_ctime_nsec, fstat(second).st_ctime_nsec];
    sleep_ms(300);
    check_eq!([fstat(first).st_ctime_nsec, fstat(second).st_ctime_nsec], told);
    check_eq!((fstat(first).st_nlink, fstat(second).st_nlink), (0, 0));
    check_eq!((read_all(first), read_all(second)), (b"content".to_vec(), b"another".to_vec()));
});

case!(change_time_of_mapped_file_moves, [stat, mmap, rename], {
    begin();
    let fd = open(c"d/f", O_RDWR);
    let at = map(4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    sys!(close, fd).must();
    sys!(rename, c"d/f", c"d/g").must();
    let before = changed(c"d/g");
    sleep_ms(20);
    poke(at, b'C');
    check_eq!(sys!(msync, at, 4096, MS_SYNC), Ok(0));
    check!(changed(c"d/g") >= before);
    check_eq!(content(c"d/g"), b"Content");
});
