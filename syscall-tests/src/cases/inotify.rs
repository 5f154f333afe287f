//! inotify_init1, inotify_add_watch, inotify_rm_watch.

use crate::support::prelude::*;

fn new() -> i32 {
    sys!(inotify_init1, IN_NONBLOCK).must() as i32
}

fn watch(fd: i32, path: &std::ffi::CStr, mask: u32) -> i32 {
    sys!(inotify_add_watch, fd, path, mask).must() as i32
}

/// Reads all waiting events: watch, mask, cookie, name.
fn events(fd: i32) -> Vec<(i32, u32, u32, String)> {
    let mut all = Vec::new();
    let mut buf = [0u8; 4096];
    while let Ok(len) = sys!(read, fd, &mut buf, 4096) {
        let mut at = 0;
        while at < len as usize {
            let word = |i: usize| u32::from_ne_bytes([buf[i], buf[i + 1], buf[i + 2], buf[i + 3]]);
            let size = word(at + 12) as usize;
            let name = String::from_utf8_lossy(&buf[at + 16..at + 16 + size]).into_owned();
            let name = name.trim_end_matches('\0').to_owned();
            all.push((word(at) as i32, word(at + 4), word(at + 8), name));
            at += 16 + size;
        }
    }
    all
}

fn masks(fd: i32) -> Vec<u32> {
    events(fd).into_iter().map(|e| e.1).collect()
}

case!(directory_events_carry_names, [inotify_init1, inotify_add_watch], {
    sys!(mkdir, c"d", 0o755).must();
    let fd = new();
    let wd = watch(fd, c"d", IN_CREATE | IN_DELETE);
    create(c"d/f", b"x");
    sys!(mkdir, c"d/sub", 0o755).must();
    sys!(unlink, c"d/f").must();
    let want = [
        (wd, IN_CREATE, 0, "f".to_owned()),
        (wd, IN_CREATE | IN_ISDIR, 0, "sub".to_owned()),
        (wd, IN_DELETE, 0, "f".to_owned()),
    ];
    check_eq!(events(fd), want.to_vec());
});

case!(file_events_in_order, [inotify_add_watch], {
    create(c"f", b"abc");
    let fd = new();
    watch(fd, c"f", IN_ALL_EVENTS);
    let file = open(c"f", O_RDWR);
    sys!(read, file, &mut [0u8; 1], 1).must();
    sys!(write, file, b"x", 1).must();
    sys!(close, file).must();
    sys!(chmod, c"f", 0o600).must();
    let want = [IN_OPEN, IN_ACCESS, IN_MODIFY, IN_CLOSE_WRITE, IN_ATTRIB];
    check_eq!(masks(fd), want.to_vec());
});

case!(rename_events_share_a_cookie, [inotify_add_watch, rename], {
    sys!(mkdir, c"a", 0o755).must();
    sys!(mkdir, c"b", 0o755).must();
    create(c"a/f", b"");
    let fd = new();
    let (wa, wb) = (watch(fd, c"a", IN_MOVE), watch(fd, c"b", IN_MOVE));
    sys!(rename, c"a/f", c"b/g").must();
    let all = events(fd);
    check_eq!(all.len(), 2);
    check_eq!((all[0].0, all[0].1, all[0].3.as_str()), (wa, IN_MOVED_FROM, "f"));
    check_eq!((all[1].0, all[1].1, all[1].3.as_str()), (wb, IN_MOVED_TO, "g"));
    check!(all[0].2 != 0 && all[0].2 == all[1].2);
});

case!(deleting_the_watched_file_ends_the_watch, [inotify_add_watch, unlink], {
    create(c"f", b"");
    let fd = new();
    let wd = watch(fd, c"f", IN_DELETE_SELF | IN_ATTRIB);
    sys!(unlink, c"f").must();
    check_eq!(masks(fd), vec![IN_ATTRIB, IN_DELETE_SELF, IN_IGNORED]);
    check_eq!(sys!(inotify_rm_watch, fd, wd), Err(EINVAL));
});

case!(same_file_gives_the_same_watch, [inotify_add_watch], {
    create(c"f", b"");
    sys!(link, c"f", c"g").must();
    let fd = new();
    let wd = watch(fd, c"f", IN_OPEN);
    check_eq!(watch(fd, c"g", IN_CLOSE), wd);
    let file = open(c"f", O_RDONLY);
    sys!(close, file).must();
    check_eq!(masks(fd), vec![IN_CLOSE_NOWRITE], "the new mask replaced the old one");
    watch(fd, c"f", IN_OPEN | IN_MASK_ADD);
    open(c"f", O_RDONLY);
    check_eq!(masks(fd), vec![IN_OPEN]);
    check_eq!(sys!(inotify_add_watch, fd, c"f", IN_OPEN | IN_MASK_CREATE), Err(EEXIST));
});

case!(removing_a_watch, [inotify_rm_watch], {
    create(c"f", b"");
    let fd = new();
    let wd = watch(fd, c"f", IN_OPEN);
    check_eq!(sys!(inotify_rm_watch, fd, wd), Ok(0));
    check_eq!(masks(fd), vec![IN_IGNORED]);
    check_eq!(sys!(inotify_rm_watch, fd, wd), Err(EINVAL));
    check_eq!(sys!(inotify_rm_watch, 99, wd), Err(EBADF));
});

case!(oneshot_and_onlydir, [inotify_add_watch], {
    create(c"f", b"");
    let fd = new();
    watch(fd, c"f", IN_OPEN | IN_ONESHOT);
    open(c"f", O_RDONLY);
    open(c"f", O_RDONLY);
    check_eq!(masks(fd), vec![IN_OPEN, IN_IGNORED]);
    check_eq!(sys!(inotify_add_watch, fd, c"f", IN_OPEN | IN_ONLYDIR), Err(ENOTDIR));
});

case!(errors, [inotify_init, inotify_init1, inotify_add_watch], {
    check_eq!(sys!(inotify_init1, 1), Err(EINVAL));
    let fd = new();
    check_eq!(sys!(inotify_add_watch, fd, c"missing", IN_OPEN), Err(ENOENT));
    check_eq!(sys!(inotify_add_watch, fd, c".", 0), Err(EINVAL));
    check_eq!(sys!(inotify_add_watch, fd, BAD, IN_OPEN), Err(EFAULT));
    check_eq!(sys!(inotify_add_watch, 99, c".", IN_OPEN), Err(EBADF));
    check_eq!(sys!(inotify_add_watch, open(c".", O_RDONLY), c".", IN_OPEN), Err(EINVAL));
    check_eq!(sys!(read, fd, &mut [0u8; 64], 64), Err(EAGAIN));
    watch(fd, c".", IN_CREATE);
    create(c"a-file-with-a-name", b"");
    check_eq!(sys!(read, fd, &mut [0u8; 16], 16), Err(EINVAL), "no room for one event");
    check!(sys!(inotify_init).is_ok());
});

case!(reader_is_woken, [read, poll], {
    let fd = sys!(inotify_init1, 0).must() as i32;
    watch(fd, c".", IN_CREATE);
    let child = fork(|| {
        settle();
        create(c"new", b"");
    });
    let mut poll = pollfd { fd, events: POLLIN, revents: 0 };
    check_eq!(sys!(poll, &mut poll, 1, 5000), Ok(1));
    check!(sys!(read, fd, &mut [0u8; 256], 256).must() >= 16);
    child.ok();
});

case!(equal_events_are_merged, [read], {
    create(c"f", b"");
    let fd = new();
    watch(fd, c"f", IN_MODIFY);
    let file = open(c"f", O_RDWR);
    for _ in 0..5 {
        sys!(write, file, b"x", 1).must();
    }
    check_eq!(masks(fd), vec![IN_MODIFY]);
});
