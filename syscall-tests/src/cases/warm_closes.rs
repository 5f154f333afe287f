//! Descriptors of files that are opened for reading, used and closed again and again.

use crate::support::prelude::*;

const ROUNDS: usize = 600;

fn read_only() -> i32 {
    open(c"file", O_RDONLY)
}

fn status_flags(fd: i32) -> Result<i64, Errno> {
    sys!(fcntl, fd, F_GETFL)
}

/// Opens and closes until that is as fast as it gets.
fn warm_up() {
    create(c"file", b"content");
    for _ in 0..ROUNDS {
        let fd = read_only();
        check_eq!(sys!(fcntl, fd, F_SETFD, FD_CLOEXEC), Ok(0));
        check_eq!(status_flags(fd).map(|flags| flags & i64::from(O_ACCMODE)), Ok(0));
        check_eq!(sys!(close, fd), Ok(0));
    }
}

/// Descriptors that are open.
fn listed() -> Vec<i32> {
    let dir = open(c"/proc/self/fd", O_RDONLY | O_DIRECTORY);
    let mut names = vec![0u8; 4096];
    let len = sys!(getdents64, dir, &mut names[..], names.len()).must() as usize;
    sys!(close, dir).must();
    let (mut all, mut at) = (Vec::new(), 0);
    while at < len {
        let record = usize::from(u16::from_ne_bytes([names[at + 16], names[at + 17]]));
        let name = names[at + 19..at + record].split(|byte| *byte == 0).next().must();
        all.extend(String::from_utf8_lossy(name).parse::<i32>().ok().filter(|fd| *fd != dir));
        at += record;
    }
    all
}

case!(the_lowest_number_is_given_again, [open, close, fcntl], {
    warm_up();
    let first = read_only();
    for round in 0..ROUNDS {
        let fds: Vec<i32> = (0..6).map(|_| read_only()).collect();
        check_eq!(fds, (first + 1..first + 7).collect::<Vec<_>>());
        check_eq!(sys!(close, fds[round % 6]), Ok(0));
        check_eq!(sys!(close, fds[(round + 3) % 6]), Ok(0));
        let mut again = [read_only(), sys!(fcntl, first, F_DUPFD, 0).must() as i32];
        again.sort_unstable();
        let mut expected = [fds[round % 6], fds[(round + 3) % 6]];
        expected.sort_unstable();
        check_eq!(again, expected);
        fds.iter().for_each(|fd| check_eq!(sys!(close, *fd), Ok(0)));
    }
});

case!(what_is_closed_is_closed, [close, fstat, fcntl, fadvise64], {
    warm_up();
    for _ in 0..ROUNDS {
        let fd = read_only();
        check_eq!(sys!(close, fd), Ok(0));
        check_eq!(sys!(close, fd), Err(EBADF));
        check_eq!(status_flags(fd), Err(EBADF));
        check_eq!(sys!(fcntl, fd, F_SETFD, 1), Err(EBADF));
        check_eq!(sys!(fadvise64, fd, 0, 0, 0), Err(EBADF));
    }
    let fd = read_only();
    let copy = sys!(fcntl, fd, F_DUPFD, 0).must() as i32;
    check!(listed().contains(&copy));
    for closed in [copy, fd] {
        sys!(close, closed).must();
        check!(!listed().contains(&closed));
    }
});

case!(many_are_closed_at_once, [close, openat], {
    warm_up();
    for _ in 0..40 {
        let fds: Vec<i32> = (0..40).map(|_| read_only()).collect();
        fds.iter().rev().for_each(|fd| check_eq!(sys!(close, *fd), Ok(0)));
        fds.iter().for_each(|fd| check_eq!(sys!(close, *fd), Err(EBADF)));
    }
});

case!(close_on_exec_is_as_it_was_set, [fcntl], {
    warm_up();
    for round in 0..ROUNDS {
        let fd = read_only();
        let wanted = (round % 2) as i32;
        check_eq!(sys!(fcntl, fd, F_SETFD, wanted), Ok(0));
        check_eq!(sys!(fcntl, fd, F_GETFD), Ok(i64::from(wanted)));
        check_eq!(sys!(fcntl, fd, F_SETFD, (1 - wanted) | 2), Ok(0));
        check_eq!(sys!(fcntl, fd, F_GETFD), Ok(i64::from(1 - wanted)));
        check_eq!(sys!(close, fd), Ok(0));
    }
});

case!(flags_are_those_of_the_file, [fcntl, dup, dup2], {
    warm_up();
    let (r, w) = pipe();
    for _ in 0..ROUNDS / 4 {
        let fd = open(c".", O_RDONLY | O_DIRECTORY | O_NONBLOCK);
        let flags = status_flags(fd).must();
        check_eq!(flags & i64::from(O_NONBLOCK | O_DIRECTORY), i64::from(O_NONBLOCK | O_DIRECTORY));
        let copy = sys!(fcntl, fd, F_DUPFD_CLOEXEC, 0).must() as i32;
        check_eq!(status_flags(copy), Ok(flags));
        check_eq!(sys!(fcntl, copy, F_SETFL, 0), Ok(0));
        check_eq!(status_flags(fd), Ok(flags & !i64::from(O_NONBLOCK)));
        check_eq!(status_flags(copy), status_flags(fd));
        // Another file at the same number.
        let again = read_only();
        check_eq!(status_flags(again).map(|flags| flags & i64::from(O_DIRECTORY)), Ok(0));
        check_eq!(sys!(dup2, w, again), Ok(i64::from(again)));
        check_eq!(status_flags(again).map(|flags| flags & i64::from(O_ACCMODE)), Ok(1));
        check_eq!(sys!(fadvise64, again, 0, 0, 0), Err(ESPIPE));
        check_eq!(sys!(write, again, b"x", 1), Ok(1));
        check_eq!(sys!(read, r, &mut [0u8; 1], 1), Ok(1));
        [fd, copy, again].iter().for_each(|fd| check_eq!(sys!(close, *fd), Ok(0)));
    }
});

case!(another_process_sets_the_flags, [fcntl, fork], {
    warm_up();
    for _ in 0..5 {
        let fd = read_only();
        check_eq!(status_flags(fd).map(|flags| flags & i64::from(O_NONBLOCK)), Ok(0));
        fork(|| check_eq!(sys!(fcntl, fd, F_SETFL, O_NONBLOCK), Ok(0))).ok();
        check!(status_flags(fd).must() & i64::from(O_NONBLOCK) != 0);
        check_eq!(sys!(close, fd), Ok(0));
        warm_up();
    }
});

case!(advice_is_checked, [fadvise64], {
    warm_up();
    for _ in 0..ROUNDS / 4 {
        let fd = read_only();
        for advice in 0..6 {
            check_eq!(sys!(fadvise64, fd, 0, 0, advice), Ok(0));
        }
        check_eq!(sys!(fadvise64, fd, 0, 0, 6), Err(EINVAL));
        check_eq!(sys!(fadvise64, fd, 0, 0, -1), Err(EINVAL));
        check_eq!(sys!(fadvise64, fd, 0, -1, 0), Err(EINVAL));
        check_eq!(sys!(close, fd), Ok(0));
    }
});

case!(a_close_lets_go_of_locks_at_once, [flock, fcntl, close], {
    warm_up();
    let (r, w) = pipe();
    let (back_r, back_w) = pipe();
    let mut byte = [0u8; 1];
    let child = fork(|| {
        let fd = open(c"file", O_RDWR);
        let mut byte = [0u8; 1];
        for _ in 0..200 {
            check_eq!(sys!(read, r, &mut byte, 1), Ok(1));
            check_eq!(sys!(flock, fd, LOCK_EX | LOCK_NB), Ok(0));
            check_eq!(sys!(flock, fd, LOCK_UN), Ok(0));
            check_eq!(sys!(write, back_w, b"x", 1), Ok(1));
        }
    });
    for _ in 0..200 {
        let fd = read_only();
        check_eq!(sys!(flock, fd, LOCK_SH), Ok(0));
        check_eq!(sys!(close, fd), Ok(0));
        check_eq!(sys!(write, w, b"x", 1), Ok(1));
        check_eq!(sys!(read, back_r, &mut byte, 1), Ok(1));
    }
    child.ok();
});

case!(a_close_is_an_event_at_once, [inotify_add_watch, close], {
    warm_up();
    let fd = read_only();
    let events = sys!(inotify_init1, IN_NONBLOCK).must() as i32;
    sys!(inotify_add_watch, events, c"file", IN_CLOSE_NOWRITE).must();
    let mut buf = [0u8; 256];
    check_eq!(sys!(close, fd), Ok(0));
    check_eq!(sys!(read, events, &mut buf, 256), Ok(16));
    for _ in 0..ROUNDS {
        check_eq!(sys!(close, read_only()), Ok(0));
        check_eq!(sys!(read, events, &mut buf, 256), Ok(16));
    }
});

case!(threads_close_for_each_other, [close, openat], {
    warm_up();
    let fd = read_only();
    check!(status_flags(fd).is_ok());
    let other = spawn(move || {
        check_eq!(sys!(close, fd), Ok(0));
        check_eq!(open(c".", O_RDONLY | O_DIRECTORY | O_NONBLOCK), fd);
    });
    other.join().ok().must();
    check!(status_flags(fd).must() & i64::from(O_DIRECTORY) != 0);
    for _ in 0..ROUNDS {
        check_eq!(sys!(close, read_only()), Ok(0));
    }
    check_eq!(sys!(close, fd), Ok(0));
    check_eq!(sys!(close, fd), Err(EBADF));
});

case!(signals_do_not_close_twice, [close, setitimer], {
    warm_up();
    count_signal(SIGALRM, SA_RESTART);
    let mut alarms = Alarms::after(150);
    let lowest = read_only();
    for _ in 0..8_000 {
        let fd = read_only();
        check_eq!(fd, lowest + 1);
        check_eq!(sys!(fcntl, fd, F_SETFD, 1), Ok(0));
        check_eq!(sys!(close, fd), Ok(0));
        alarms.go_on(counted(SIGALRM));
    }
    check!(counted(SIGALRM) > 0);
});
