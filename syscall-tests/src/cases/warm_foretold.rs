//! Files that are looked at behind each open, and read until nothing more comes, again and again.

use crate::support::prelude::*;
use std::ffi::CStr;
use std::sync::atomic::{AtomicI32, AtomicU32};

const ROUNDS: usize = 400;

fn read_only() -> i32 {
    open(c"file", O_RDONLY)
}

/// The same as [`fstat`], the way of the C library.
fn attributes(fd: i32) -> Result<libc::stat, Errno> {
    let mut attributes: libc::stat = zeroed();
    sys!(newfstatat, fd, c"", &mut attributes, AT_EMPTY_PATH)?;
    Ok(attributes)
}

fn size(fd: i32) -> i64 {
    attributes(fd).must().st_size
}

fn append(path: &CStr, bytes: &[u8]) {
    let fd = open(path, O_WRONLY | O_APPEND);
    check_eq!(sys!(write, fd, bytes, bytes.len()), Ok(bytes.len() as i64));
    sys!(close, fd).must();
}

/// Looks and reads until that is as fast as it gets.
fn warm_up() {
    create(c"file", b"content");
    sys!(mkdir, c"dir", 0o755).must();
    keep_warm(ROUNDS, 7);
}

/// Looks at and reads what is of this size, what nobody writes to, and an empty directory.
fn keep_warm(rounds: usize, len: i64) {
    let mut buf = [0u8; 512];
    let program = open(&self_exe(), O_RDONLY);
    let end = fstat(program).st_size;
    for _ in 0..rounds {
        let fd = read_only();
        check_eq!(size(fd), len);
        check_eq!(fstat(fd).st_size, len);
        check_eq!(sys!(read, fd, &mut buf, 512), Ok(len.min(512)));
        check_eq!(sys!(close, fd), Ok(0));
        check_eq!(sys!(lseek, program, end - 7, SEEK_SET), Ok(end - 7));
        check_eq!(sys!(read, program, &mut buf, 512), Ok(7));
        check_eq!(sys!(read, program, &mut buf, 512), Ok(0));
        let fd = open(c".", O_RDONLY | O_DIRECTORY);
        check_eq!(size(fd), fstat(fd).st_size);
        check!(sys!(getdents64, fd, &mut buf, 512).must() > 48);
        check_eq!(sys!(getdents64, fd, &mut buf, 512), Ok(0));
        check_eq!(sys!(close, fd), Ok(0));
    }
    sys!(close, program).must();
}

/// Lets `other` do something in another process each time that `own` lets it, which then goes on.
/// Both know of each other by a word in memory only.
fn in_turn(own: impl Fn(&dyn Fn()), other: impl Fn()) {
    let (turn, rounds) = (&words()[0], 60);
    let child = fork(|| {
        for round in 0..rounds {
            wait_for(turn, 2 * round + 1);
            other();
            turn.store(2 * round + 2, SeqCst);
        }
    });
    for round in 0..rounds {
        keep_warm(20, stat(c"file").st_size);
        own(&|| {
            turn.store(2 * round + 1, SeqCst);
            wait_for(turn, 2 * round + 2);
        });
    }
    child.ok();
}

fn wait_for(word: &AtomicU32, value: u32) {
    let mut looks = 0u32;
    while word.load(SeqCst) != value {
        looks += 1;
        match looks % 200_000 {
            // A call, which may be one of those that end what is told.
            0 => std::thread::yield_now(),
            _ => std::hint::spin_loop(),
        }
    }
}

case!(what_is_told_is_what_is, [newfstatat, fstat, stat, statx], {
    warm_up();
    let same = |a: &libc::stat, b: &libc::stat| {
        check_eq!((a.st_dev, a.st_ino, a.st_nlink), (b.st_dev, b.st_ino, b.st_nlink));
        check_eq!((a.st_mode, a.st_uid, a.st_gid), (b.st_mode, b.st_uid, b.st_gid));
        check_eq!((a.st_rdev, a.st_size), (b.st_rdev, b.st_size));
        check_eq!((a.st_blksize, a.st_blocks), (b.st_blksize, b.st_blocks));
        check_eq!((a.st_mtime, a.st_mtime_nsec), (b.st_mtime, b.st_mtime_nsec));
        check_eq!((a.st_ctime, a.st_ctime_nsec), (b.st_ctime, b.st_ctime_nsec));
    };
    for path in [c"file", c"dir", c".", c"/", c"/proc/self/maps", c"/dev/null", c"/proc"] {
        for _ in 0..ROUNDS / 8 {
            let named = stat(path);
            let fd = open(path, O_RDONLY);
            let mut seen = [0xff_u8; 160];
            check_eq!(sys!(fstat, fd, &mut seen), Ok(0));
            check_eq!(seen[144..], [0xff; 16]);
            check_eq!(seen[120..144], [0; 24]);
            check_eq!(seen[36..40], [0; 4]);
            same(&named, &peek(seen.as_ptr() as usize));
            same(&named, &attributes(fd).must());
            sys!(close, fd).must();
        }
    }
});

case!(a_new_file_is_empty, [openat, newfstatat, ioctl, write, ftruncate], {
    warm_up();
    let mut buf = [0u8; 64];
    for round in 0..ROUNDS {
        let fd = sys!(open, c"new", O_RDWR | O_CREAT | O_EXCL, 0o640).must() as i32;
        let told = attributes(fd).must();
        check_eq!((told.st_size, told.st_nlink, told.st_mode), (0, 1, 0o100_640));
        check_eq!(told.st_ino, stat(c"new").st_ino);
        check_eq!(sys!(write, fd, b"four", 4), Ok(4));
        check_eq!(size(fd), 4);
        check_eq!(sys!(ftruncate, fd, round), Ok(0));
        check_eq!(size(fd), round as i64);
        check_eq!(sys!(fchmod, fd, 0o600), Ok(0));
        check_eq!(attributes(fd).must().st_mode, 0o100_600);
        check_eq!(sys!(close, fd), Ok(0));
        let fd = sys!(open, c"new", O_WRONLY | O_CREAT | O_TRUNC, 0o600).must() as i32;
        check_eq!(size(fd), 0);
        check_eq!(sys!(read, fd, &mut buf, 64), Err(EBADF));
        check_eq!(sys!(unlink, c"new"), Ok(0));
        check_eq!(attributes(fd).must().st_nlink, 0);
        check_eq!(sys!(close, fd), Ok(0));
    }
});

case!(a_new_descriptor_stands_at_the_start, [lseek, newfstatat, read], {
    warm_up();
    let mut buf = [0u8; 64];
    for flags in [O_RDONLY, O_RDWR, O_WRONLY | O_APPEND] {
        for _ in 0..ROUNDS / 4 {
            let fd = open(c"file", flags);
            check_eq!(sys!(lseek, fd, 0, SEEK_CUR), Ok(0));
            check_eq!(size(fd), 7);
            check_eq!(sys!(lseek, fd, 0, SEEK_CUR), Ok(0));
            check_eq!(sys!(lseek, fd, 1, SEEK_CUR), Ok(1));
            check_eq!(sys!(lseek, fd, 0, SEEK_CUR), Ok(1));
            check_eq!(size(fd), 7);
            check_eq!(sys!(lseek, fd, -2, SEEK_CUR), Err(EINVAL));
            check_eq!(sys!(lseek, fd, 0, SEEK_END), Ok(7));
            check_eq!(sys!(lseek, fd, 0, SEEK_CUR), Ok(7));
            check_eq!(sys!(close, fd), Ok(0));
            check_eq!(sys!(lseek, fd, 0, SEEK_CUR), Err(EBADF));
            let fd = open(c"file", O_RDONLY);
            check_eq!(sys!(read, fd, &mut buf, 3), Ok(3));
            check_eq!(sys!(lseek, fd, 0, SEEK_CUR), Ok(3));
            check_eq!(sys!(close, fd), Ok(0));
        }
    }
});

case!(files_are_no_terminals, [ioctl, newfstatat], {
    warm_up();
    let mut term = [0u8; 64];
    for _ in 0..ROUNDS {
        let fd = read_only();
        check_eq!(sys!(ioctl, fd, TCGETS, &mut term), Err(ENOTTY));
        check_eq!(size(fd), 7);
        check_eq!(sys!(ioctl, fd, TCGETS, 0), Err(ENOTTY));
        check_eq!(sys!(ioctl, fd, FIONREAD, &mut term), Ok(0));
        check_eq!(term[0], 7);
        check_eq!(sys!(close, fd), Ok(0));
        check_eq!(sys!(ioctl, fd, TCGETS, &mut term), Err(EBADF));
    }
    check_eq!(term[1..], [0; 63]);
});

/// What becomes of a file as a clone of one on the same file system: some have that.
fn clones(to: i32, from: i32) -> bool {
    matches!(sys!(ioctl, to, FICLONE, from), Ok(0) | Err(EOPNOTSUPP))
}

case!(files_become_no_clones_of_just_anything, [ioctl], {
    warm_up();
    let elsewhere = sys!(memfd_create, c"elsewhere", 0).must() as i32;
    let to_append = open(c"appended", O_WRONLY | O_CREAT | O_APPEND);
    for round in 0..ROUNDS as i32 {
        let from = read_only();
        let to = open(c"copy", O_WRONLY | O_CREAT | O_TRUNC);
        check!(clones(to, from));
        check_eq!(sys!(ioctl, to, FICLONE, 1000), Err(EBADF));
        check_eq!(sys!(close, to), Ok(0));
        // Asked for first, by turns.
        let dir = open(c".", O_RDONLY | O_DIRECTORY);
        let to = open(c"copy", O_WRONLY | O_CREAT);
        match round % 6 {
            0 => check_eq!(sys!(ioctl, to, FICLONE, dir), Err(EISDIR)),
            1 => check_eq!(sys!(ioctl, to, FICLONE, elsewhere), Err(EXDEV)),
            2 => check_eq!(sys!(ioctl, to, FICLONE, -1), Err(EBADF)),
            3 => check_eq!(sys!(ioctl, to_append, FICLONE, from), Err(EBADF)),
            4 => check_eq!(sys!(ioctl, from, FICLONE, from), Err(EBADF)),
            _ => check!(clones(to, from)),
        }
        check_eq!(sys!(close, from), Ok(0));
        check_eq!(sys!(ioctl, to, FICLONE, from), Err(EBADF));
        check_eq!(sys!(ioctl, dir, FICLONE, to), Err(EISDIR));
        [to, dir].iter().for_each(|fd| check_eq!(sys!(close, *fd), Ok(0)));
    }
});

case!(ranges_are_cloned_likewise, [ioctl], {
    create(c"file", b"content");
    let (from, to) = (read_only(), open(c"copy", O_WRONLY | O_CREAT));
    let dir = open(c".", O_RDONLY | O_DIRECTORY);
    // `struct file_clone_range`.
    let range = |fd: i32| [i64::from(fd), 0, 0, 0];
    let end = sys!(ioctl, to, FICLONERANGE, &range(from));
    check!(matches!(end, Ok(0) | Err(EOPNOTSUPP)));
    check_eq!(sys!(ioctl, to, FICLONERANGE, &range(dir)), Err(EISDIR));
    check_eq!(sys!(ioctl, to, FICLONERANGE, &range(1000)), Err(EBADF));
    check_eq!(sys!(ioctl, to, FICLONERANGE, 8), Err(EFAULT));
    let (end, _other) = pipe();
    check_eq!(sys!(ioctl, to, FICLONE, end), Err(EXDEV));
});

case!(another_process_writes, [newfstatat, write], {
    warm_up();
    in_turn(
        |let_other| {
            let fd = read_only();
            let before = stat(c"file").st_size;
            sys!(close, fd).must();
            let fd = read_only();
            let_other();
            check_eq!(size(fd), before + 1);
            sys!(close, fd).must();
        },
        || append(c"file", b"x"),
    );
});

case!(another_process_changes_the_mode, [newfstatat, chmod], {
    warm_up();
    let mode = &words()[0];
    in_turn(
        |let_other| {
            let fd = read_only();
            let_other();
            check_eq!(attributes(fd).must().st_mode & 0o777, mode.load(SeqCst));
            check_eq!(fstat(fd).st_mode & 0o777, mode.load(SeqCst));
            sys!(close, fd).must();
        },
        || {
            let next = 0o600 | (mode.load(SeqCst) + 1) & 0o77;
            sys!(chmod, c"file", next).must();
            mode.store(next, SeqCst);
        },
    );
});

case!(another_process_appends_behind_the_end, [read], {
    warm_up();
    let length = &words()[0];
    length.store(7, SeqCst);
    let mut buf = vec![0u8; 4096];
    in_turn(
        |let_other| {
            let mut buf = vec![0u8; 4096];
            let fd = read_only();
            let before = i64::from(length.load(SeqCst));
            check_eq!(sys!(read, fd, &mut buf[..], 4096), Ok(before));
            let_other();
            check_eq!(sys!(read, fd, &mut buf[..], 4096), Ok(1));
            check_eq!(sys!(read, fd, &mut buf[..], 4096), Ok(0));
            sys!(close, fd).must();
        },
        || {
            append(c"file", b"x");
            length.store(length.load(SeqCst) + 1, SeqCst);
        },
    );
    let fd = read_only();
    check_eq!(sys!(read, fd, &mut buf[..], 4096), Ok(67));
});

case!(another_process_moves_the_offset, [read, lseek], {
    warm_up();
    // A file that nobody writes to.
    let fd = open(&self_exe(), O_RDONLY);
    let end = fstat(fd).st_size;
    let before = move || check_eq!(sys!(lseek, fd, end - 7, SEEK_SET), Ok(end - 7));
    in_turn(
        |let_other| {
            let mut buf = [0u8; 64];
            before();
            check_eq!(sys!(read, fd, &mut buf, 64), Ok(7));
            check_eq!(sys!(read, fd, &mut buf, 64), Ok(0));
            before();
            check_eq!(sys!(read, fd, &mut buf, 64), Ok(7));
            let_other();
            check_eq!(sys!(read, fd, &mut buf, 64), Ok(3));
            check_eq!(sys!(read, fd, &mut buf, 64), Ok(0));
        },
        || check_eq!(sys!(lseek, fd, end - 3, SEEK_SET), Ok(end - 3)),
    );
});

case!(another_process_tells_by_a_pipe, [newfstatat, write, pipe2], {
    warm_up();
    let (go, done) = (Gate::new(), Gate::new());
    let child = fork(|| {
        for _ in 0..200 {
            go.wait();
            append(c"file", b"x");
            done.open();
        }
    });
    for round in 0..200 {
        go.open();
        let fd = read_only();
        done.wait();
        check_eq!(size(fd), 8 + round);
        sys!(close, fd).must();
    }
    child.ok();
});

case!(another_process_removes_the_directory, [getdents64, rmdir], {
    warm_up();
    sys!(rmdir, c"dir").must();
    in_turn(
        |let_other| {
            let mut buf = [0u8; 512];
            sys!(mkdir, c"dir", 0o755).must();
            let fd = open(c"dir", O_RDONLY | O_DIRECTORY);
            check_eq!(sys!(getdents64, fd, &mut buf, 512), Ok(48));
            let_other();
            check_eq!(sys!(getdents64, fd, &mut buf, 512), Err(ENOENT));
            check_eq!(attributes(fd).must().st_nlink, 0);
            sys!(close, fd).must();
        },
        || check_eq!(sys!(rmdir, c"dir"), Ok(0)),
    );
});

case!(a_child_looks_for_itself, [newfstatat, fork, write], {
    warm_up();
    for round in 0..20 {
        let fd = read_only();
        fork(|| {
            check_eq!(size(fd), 7 + round);
            append(c"file", b"x");
            check_eq!(size(fd), 8 + round);
        })
        .ok();
        check_eq!(size(fd), 8 + round);
        check_eq!(sys!(close, fd), Ok(0));
        for _ in 0..ROUNDS / 8 {
            let fd = read_only();
            check_eq!(size(fd), 8 + round);
            check_eq!(sys!(close, fd), Ok(0));
        }
    }
});

case!(another_thread_writes, [newfstatat, write], {
    warm_up();
    let turn = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..200 {
                wait_for(&turn, 2 * round + 1);
                append(c"file", b"x");
                turn.store(2 * round + 2, SeqCst);
            }
        });
        for round in 0..200 {
            let fd = read_only();
            turn.store(2 * round + 1, SeqCst);
            wait_for(&turn, 2 * round + 2);
            check_eq!(size(fd), 8 + i64::from(round));
            sys!(close, fd).must();
        }
    });
    for _ in 0..ROUNDS {
        let fd = read_only();
        check_eq!(size(fd), 207);
        check_eq!(sys!(close, fd), Ok(0));
    }
});

case!(a_handler_writes, [newfstatat, write, setitimer], {
    static WRITTEN: AtomicU32 = AtomicU32::new(0);
    static FD: AtomicI32 = AtomicI32::new(0);
    warm_up();
    FD.store(open(c"file", O_WRONLY | O_APPEND), SeqCst);
    on(SIGALRM, SA_RESTART, |_, _| {
        check_eq!(sys!(write, FD.load(SeqCst), b"x", 1), Ok(1));
        WRITTEN.fetch_add(1, SeqCst);
    });
    let mut alarms = Alarms::after(200);
    for _ in 0..10_000 {
        let fd = read_only();
        let before = WRITTEN.load(SeqCst);
        let told = size(fd);
        let after = WRITTEN.load(SeqCst);
        check!((i64::from(before) + 7..=i64::from(after) + 7).contains(&told), "{before} {told}");
        sys!(close, fd).must();
        alarms.go_on(after);
    }
    check!(WRITTEN.load(SeqCst) > 0);
});

case!(bad_memory_is_told_of, [fstat, newfstatat], {
    warm_up();
    let memory = anon(3 * PAGE);
    sys!(munmap, memory + 2 * PAGE, PAGE).must();
    sys!(mprotect, memory, PAGE, PROT_READ).must();
    let edge = memory + 2 * PAGE;
    let empty = edge - 1;
    for round in 0..ROUNDS / 4 {
        let fd = read_only();
        for bad in [0, BAD, memory, edge, edge - 100, edge - 8, memory + PAGE - 8, usize::MAX - 200]
        {
            check_eq!(sys!(fstat, fd, bad), Err(EFAULT), "{bad:#x}");
            check_eq!(sys!(newfstatat, fd, c"", bad, AT_EMPTY_PATH), Err(EFAULT), "{bad:#x}");
            sys!(close, fd).must();
            check_eq!(read_only(), fd);
        }
        check_eq!(sys!(newfstatat, fd, BAD, edge - 144, AT_EMPTY_PATH), Err(EFAULT));
        sys!(close, fd).must();
        check_eq!(read_only(), fd);
        check_eq!(sys!(fstat, fd, edge - 144), Ok(0));
        check_eq!(peek::<libc::stat>(edge - 144).st_size, 7);
        // The path is the last byte of the memory, and lies where the attributes will.
        sys!(close, fd).must();
        check_eq!(read_only(), fd);
        poke(empty, 0_u8);
        check_eq!(sys!(newfstatat, fd, empty, edge - 144 - round % 8, AT_EMPTY_PATH), Ok(0));
        check_eq!(peek_bytes(edge - 144 - round % 8 + 48, 1), [7]);
        sys!(close, fd).must();
    }
});

case!(only_an_empty_path_is_the_file, [newfstatat], {
    warm_up();
    let mut buf: libc::stat = zeroed();
    for _ in 0..ROUNDS / 4 {
        for (path, flags, want) in [
            (c"", 0, Err(ENOENT)),
            (c"", AT_SYMLINK_NOFOLLOW, Err(ENOENT)),
            (c"", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, Ok(0)),
            (c"x", AT_EMPTY_PATH, Err(ENOTDIR)),
        ] {
            let fd = read_only();
            check_eq!(sys!(newfstatat, fd, path, &mut buf, flags), want, "{path:?} {flags:#x}");
            sys!(close, fd).must();
        }
        let fd = read_only();
        check_eq!(sys!(newfstatat, -1, c"", &mut buf, AT_EMPTY_PATH), Err(EBADF));
        check_eq!(sys!(newfstatat, fd, c"", &mut buf, AT_EMPTY_PATH), Ok(0));
        sys!(close, fd).must();
        check_eq!(sys!(newfstatat, fd, c"", &mut buf, AT_EMPTY_PATH), Err(EBADF));
        check_eq!(sys!(fstat, fd, &mut buf), Err(EBADF));
    }
});

case!(another_file_at_the_number, [newfstatat, dup2, close, fcntl], {
    warm_up();
    create(c"other", b"some other content");
    let (r, _w) = pipe();
    let other = open(c"other", O_RDONLY);
    for round in 0..ROUNDS / 2 {
        let fd = read_only();
        check_eq!(sys!(close, fd), Ok(0));
        let again = open(c"other", O_RDONLY);
        check_eq!(again, fd);
        check_eq!(size(fd), 18);
        check_eq!(sys!(close, fd), Ok(0));
        let fd = read_only();
        check_eq!(sys!(dup2, if round % 2 == 0 { r } else { other }, fd), Ok(i64::from(fd)));
        let told = attributes(fd).must();
        check_eq!(told.st_size, if round % 2 == 0 { 0 } else { 18 });
        check_eq!(told.st_mode & S_IFMT == S_IFIFO, round % 2 == 0);
        check_eq!(sys!(close, fd), Ok(0));
        let fd = read_only();
        let copy = sys!(fcntl, fd, F_DUPFD, 0).must() as i32;
        check_eq!((size(copy), size(other), size(fd)), (7, 18, 7));
        check_eq!(sys!(close, copy), Ok(0));
        check_eq!(sys!(close, fd), Ok(0));
        check_eq!(attributes(fd).map(|_| ()), Err(EBADF));
        check_eq!(attributes(copy).map(|_| ()), Err(EBADF));
    }
});

case!(a_mapping_changes_the_file, [newfstatat, mmap], {
    warm_up();
    let fd = open(c"file", O_RDWR);
    let memory = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    sys!(close, fd).must();
    let mut last = 0;
    for round in 0..20 {
        let fd = read_only();
        let before = attributes(fd).must();
        sys!(close, fd).must();
        std::thread::sleep(std::time::Duration::from_millis(12));
        sys!(msync, memory, PAGE, MS_SYNC).must();
        let fd = read_only();
        poke(memory, round as u8);
        let after = attributes(fd).must();
        let time = |told: &libc::stat| told.st_mtime * 1_000_000_000 + told.st_mtime_nsec;
        check!(time(&after) >= time(&before) && time(&after) >= last);
        last = time(&after);
        check_eq!(after.st_size, 7);
        sys!(close, fd).must();
    }
    check!(last > 0);
});

case!(reads_end_where_the_file_does, [read, lseek, write], {
    warm_up();
    let mut buf = [0u8; 64];
    for _ in 0..ROUNDS / 2 {
        let fd = read_only();
        check_eq!(sys!(read, fd, &mut buf, 4), Ok(4));
        check_eq!(sys!(read, fd, &mut buf, 4), Ok(3));
        check_eq!(sys!(read, fd, &mut buf, 4), Ok(0));
        check_eq!(sys!(read, fd, &mut buf, 4), Ok(0));
        check_eq!(sys!(lseek, fd, 5, SEEK_SET), Ok(5));
        check_eq!(sys!(read, fd, &mut buf, 64), Ok(2));
        check_eq!(sys!(lseek, fd, 0, SEEK_CUR), Ok(7));
        check_eq!(sys!(lseek, fd, 0, SEEK_SET), Ok(0));
        check_eq!(sys!(read, fd, &mut buf, 64), Ok(7));
        check_eq!(sys!(read, fd, 8, 64), Ok(0));
        check_eq!(sys!(lseek, fd, 0, SEEK_SET), Ok(0));
        check_eq!(sys!(read, fd, &mut buf, 64), Ok(7));
        check_eq!(sys!(read, fd, usize::MAX - 100, 64), Err(EFAULT));
        check_eq!(sys!(pread64, fd, &mut buf, 64, 0), Ok(7));
        check_eq!(sys!(read, fd, &mut buf, 64), Ok(0));
        check_eq!(sys!(close, fd), Ok(0));
        let fd = open(c"file", O_RDWR);
        check_eq!(sys!(read, fd, &mut buf, 64), Ok(7));
        check_eq!(sys!(write, fd, b"more", 4), Ok(4));
        check_eq!(sys!(read, fd, &mut buf, 64), Ok(0));
        check_eq!(sys!(pread64, fd, &mut buf, 64, 7), Ok(4));
        check_eq!(sys!(ftruncate, fd, 7), Ok(0));
        check_eq!(sys!(close, fd), Ok(0));
    }
});

case!(a_read_that_ends_with_the_memory_is_no_end, [read], {
    warm_up();
    let memory = anon(2 * PAGE);
    sys!(munmap, memory + PAGE, PAGE).must();
    create(c"long", &[b'x'; 300]);
    for _ in 0..ROUNDS / 4 {
        let fd = open(c"long", O_RDONLY);
        let first = sys!(read, fd, memory + PAGE - 100, 1000);
        check!(first == Ok(100) || first == Err(EFAULT));
        let left = 300 - first.unwrap_or(0);
        check_eq!(sys!(read, fd, memory, 1000), Ok(left));
        check_eq!(sys!(read, fd, memory, 1000), Ok(0));
        check_eq!(sys!(close, fd), Ok(0));
    }
});

case!(own_entries_come_and_go, [getdents64, lseek, mkdir], {
    warm_up();
    let mut buf = [0u8; 512];
    let fd = open(c"dir", O_RDONLY | O_DIRECTORY);
    for _ in 0..ROUNDS / 4 {
        check_eq!(sys!(lseek, fd, 0, SEEK_SET), Ok(0));
        check_eq!(sys!(getdents64, fd, &mut buf, 512), Ok(48));
        check_eq!(sys!(mkdir, c"dir/more", 0o755), Ok(0));
        check_eq!(sys!(lseek, fd, 0, SEEK_SET), Ok(0));
        check_eq!(sys!(getdents64, fd, &mut buf, 512), Ok(72));
        check_eq!(sys!(getdents64, fd, &mut buf, 512), Ok(0));
        check_eq!(sys!(getdents64, fd, &mut buf, 512), Ok(0));
        check_eq!(sys!(rmdir, c"dir/more"), Ok(0));
        check_eq!(sys!(lseek, fd, 0, SEEK_SET), Ok(0));
        check_eq!(sys!(getdents64, fd, &mut buf, 48), Ok(48));
        check_eq!(sys!(getdents64, fd, &mut buf, 1), Ok(0));
    }
});

case!(a_listing_is_an_event_to_its_end, [getdents64, inotify_add_watch], {
    warm_up();
    let events = sys!(inotify_init1, IN_NONBLOCK).must() as i32;
    sys!(inotify_add_watch, events, c"dir", IN_ACCESS).must();
    let fd = open(c"dir", O_RDONLY | O_DIRECTORY);
    let mut buf = [0u8; 512];
    for _ in 0..ROUNDS {
        check_eq!(sys!(lseek, fd, 0, SEEK_SET), Ok(0));
        for len in [48, 0] {
            check_eq!(sys!(getdents64, fd, &mut buf, 512), Ok(len));
            check!(sys!(read, events, &mut buf, 512).is_ok());
        }
    }
});

/// Copies until nothing is left, as programs do.
fn copy(from: i32, to: i32) -> [Result<i64, Errno>; 3] {
    [(); 3].map(|()| sys!(copy_file_range, from, NULL, to, NULL, i64::MAX >> 2, 0))
}

case!(copies_end_where_the_file_does, [copy_file_range, lseek, write], {
    warm_up();
    let (other_from, other_to) = (open(c"file", O_RDONLY), open(c"third", O_RDWR | O_CREAT));
    for round in 0..ROUNDS / 2 {
        let (from, to) = (read_only(), open(c"copy", O_RDWR | O_CREAT | O_TRUNC));
        check_eq!(copy(from, to), [Ok(7), Ok(0), Ok(0)]);
        check_eq!((size(from), size(to)), (7, 7));
        check_eq!(sys!(lseek, from, 3, SEEK_SET), Ok(3));
        check_eq!(copy(from, to), [Ok(4), Ok(0), Ok(0)]);
        let again = |offset: i64, args: [i64; 2]| {
            sys!(lseek, from, 0, SEEK_SET).must();
            let [len, flags] = args;
            check_eq!(sys!(copy_file_range, from, NULL, to, NULL, len, 0), Ok(len.min(7)));
            let result = sys!(copy_file_range, from, NULL, to, NULL, len, flags);
            check_eq!(sys!(lseek, from, 0, SEEK_CUR), Ok(offset));
            result
        };
        check_eq!(again(7, [5, 0]), Ok(2));
        check_eq!(again(7, [7, 0]), Ok(0));
        check_eq!(again(7, [100, 0]), Ok(0));
        check_eq!(again(7, [100, 1]), Err(EINVAL));
        sys!(lseek, from, 0, SEEK_SET).must();
        check_eq!(sys!(copy_file_range, from, NULL, to, NULL, 100, 0), Ok(7));
        let mut offset = 2_i64;
        check_eq!(sys!(copy_file_range, from, &mut offset, to, NULL, 100, 0), Ok(5));
        check_eq!(offset, 7);
        sys!(lseek, from, 0, SEEK_SET).must();
        sys!(lseek, other_from, round % 7, SEEK_SET).must();
        check_eq!(sys!(copy_file_range, from, NULL, to, NULL, 100, 0), Ok(7));
        check_eq!(
            sys!(copy_file_range, other_from, NULL, other_to, NULL, 100, 0),
            Ok(7 - round as i64 % 7)
        );
        check_eq!(sys!(close, from), Ok(0));
        check_eq!(sys!(close, to), Ok(0));
    }
});

case!(another_process_moves_back_behind_the_last_copy, [copy_file_range, lseek], {
    warm_up();
    let from = open(&self_exe(), O_RDONLY);
    let end = fstat(from).st_size;
    let to = open(c"copy", O_RDWR | O_CREAT | O_TRUNC);
    in_turn(
        |let_other| {
            check_eq!(sys!(lseek, from, end - 7, SEEK_SET), Ok(end - 7));
            check_eq!(sys!(copy_file_range, from, NULL, to, NULL, 1000, 0), Ok(7));
            let_other();
            check_eq!(sys!(copy_file_range, from, NULL, to, NULL, 1000, 0), Ok(3));
            check_eq!(sys!(copy_file_range, from, NULL, to, NULL, 1000, 0), Ok(0));
        },
        || check_eq!(sys!(lseek, from, end - 3, SEEK_SET), Ok(end - 3)),
    );
});

case!(limits_count_behind_the_last_copy, [copy_file_range, setrlimit], {
    warm_up();
    ignore(SIGXFSZ);
    let limit = rlimit { rlim_cur: 7, rlim_max: 1 << 40 };
    for _ in 0..ROUNDS / 8 {
        let (from, to) = (read_only(), open(c"copy", O_RDWR | O_CREAT | O_TRUNC));
        check_eq!(sys!(copy_file_range, from, NULL, to, NULL, 100, 0), Ok(7));
        sys!(setrlimit, RLIMIT_FSIZE, &limit).must();
        check_eq!(sys!(copy_file_range, from, NULL, to, NULL, 100, 0), Err(EFBIG));
        sys!(lseek, from, 0, SEEK_SET).must();
        sys!(lseek, to, 0, SEEK_SET).must();
        check_eq!(sys!(copy_file_range, from, NULL, to, NULL, 100, 0), Ok(7));
        check_eq!(sys!(copy_file_range, from, NULL, to, NULL, 100, 0), Err(EFBIG));
        sys!(setrlimit, RLIMIT_FSIZE, &rlimit { rlim_cur: 1 << 40, ..limit }).must();
        [from, to].iter().for_each(|fd| check_eq!(sys!(close, *fd), Ok(0)));
    }
});
