//! Record locks of fcntl (of processes and of open files) and flock.

use crate::support::prelude::*;

fn lock(kind: i32, start: i64, len: i64) -> flock {
    let mut lock: flock = zeroed();
    lock.l_type = kind as i16;
    lock.l_whence = SEEK_SET as i16;
    (lock.l_start, lock.l_len) = (start, len);
    lock
}

fn file() -> i32 {
    open(c"f", O_RDWR | O_CREAT)
}

case!(posix_conflicting_lock_is_eagain, [fcntl], {
    let fd = file();
    check_eq!(sys!(fcntl, fd, F_SETLK, &lock(F_WRLCK, 0, 10)), Ok(0));
    fork(|| {
        let fd = file();
        check_eq!(sys!(fcntl, fd, F_SETLK, &lock(F_RDLCK, 5, 1)), Err(EAGAIN));
        check_eq!(sys!(fcntl, fd, F_SETLK, &lock(F_WRLCK, 10, 1)), Ok(0));
    })
    .ok();
    check_eq!(sys!(fcntl, fd, F_SETLK, &lock(F_WRLCK, 5, 100)), Ok(0), "own locks never conflict");
});

case!(posix_shared_locks_coexist, [fcntl], {
    let fd = file();
    sys!(fcntl, fd, F_SETLK, &lock(F_RDLCK, 0, 0)).must();
    fork(|| {
        check_eq!(sys!(fcntl, file(), F_SETLK, &lock(F_RDLCK, 0, 0)), Ok(0));
        check_eq!(sys!(fcntl, file(), F_SETLK, &lock(F_WRLCK, 7, 1)), Err(EAGAIN));
    })
    .ok();
});

case!(posix_getlk_reports_the_holder, [fcntl], {
    let fd = file();
    sys!(fcntl, fd, F_SETLK, &lock(F_WRLCK, 10, 20)).must();
    let parent = getpid();
    fork(|| {
        let mut query = lock(F_RDLCK, 0, 0);
        check_eq!(sys!(fcntl, file(), F_GETLK, &mut query), Ok(0));
        check_eq!(i32::from(query.l_type), F_WRLCK);
        check_eq!((query.l_start, query.l_len, query.l_pid), (10, 20, parent));
        let mut query = lock(F_WRLCK, 30, 0);
        check_eq!(sys!(fcntl, file(), F_GETLK, &mut query), Ok(0));
        check_eq!(i32::from(query.l_type), F_UNLCK);
    })
    .ok();
});

case!(posix_unlock_splits_a_lock, [fcntl], {
    let fd = file();
    sys!(fcntl, fd, F_SETLK, &lock(F_WRLCK, 0, 30)).must();
    sys!(fcntl, fd, F_SETLK, &lock(F_UNLCK, 10, 10)).must();
    fork(|| {
        let fd = file();
        check_eq!(sys!(fcntl, fd, F_SETLK, &lock(F_WRLCK, 10, 10)), Ok(0));
        check_eq!(sys!(fcntl, fd, F_SETLK, &lock(F_WRLCK, 9, 1)), Err(EAGAIN));
        check_eq!(sys!(fcntl, fd, F_SETLK, &lock(F_WRLCK, 20, 1)), Err(EAGAIN));
    })
    .ok();
});

case!(posix_locks_go_when_any_descriptor_is_closed, [fcntl, close], {
    let fd = file();
    let other = file();
    sys!(fcntl, fd, F_SETLK, &lock(F_WRLCK, 0, 0)).must();
    sys!(close, other).must();
    fork(|| check_eq!(sys!(fcntl, file(), F_SETLK, &lock(F_WRLCK, 0, 0)), Ok(0))).ok();
});

case!(posix_locks_are_not_inherited_and_go_at_exit, [fcntl, fork], {
    let fd = file();
    sys!(fcntl, fd, F_SETLK, &lock(F_WRLCK, 0, 0)).must();
    fork(|| check_eq!(sys!(fcntl, fd, F_SETLK, &lock(F_WRLCK, 0, 0)), Err(EAGAIN))).ok();
    sys!(fcntl, fd, F_SETLK, &lock(F_UNLCK, 0, 0)).must();
    fork(|| check_eq!(sys!(fcntl, fd, F_SETLK, &lock(F_WRLCK, 0, 0)), Ok(0))).ok();
    check_eq!(sys!(fcntl, fd, F_SETLK, &lock(F_WRLCK, 0, 0)), Ok(0));
});

case!(posix_setlkw_waits, [fcntl], {
    let fd = file();
    sys!(fcntl, fd, F_SETLK, &lock(F_WRLCK, 0, 0)).must();
    let words = words();
    let child = fork(|| {
        check_eq!(sys!(fcntl, file(), F_SETLKW, &lock(F_WRLCK, 0, 0)), Ok(0));
        check_eq!(words[0].load(SeqCst), 1, "got the lock only after it was released");
    });
    settle();
    words[0].store(1, SeqCst);
    sys!(fcntl, fd, F_SETLK, &lock(F_UNLCK, 0, 0)).must();
    child.ok();
});

case!(posix_setlkw_is_interrupted, [fcntl], {
    let fd = file();
    sys!(fcntl, fd, F_SETLK, &lock(F_WRLCK, 0, 0)).must();
    fork(|| {
        count_signal(SIGALRM, 0);
        sys!(alarm, 1).must();
        check_eq!(sys!(fcntl, file(), F_SETLKW, &lock(F_WRLCK, 0, 0)), Err(EINTR));
    })
    .ok();
});

case!(posix_deadlock_is_edeadlk, [fcntl], {
    let fd = file();
    sys!(fcntl, fd, F_SETLK, &lock(F_WRLCK, 0, 1)).must();
    let gate = Gate::new();
    let child = fork(|| {
        let fd = file();
        sys!(fcntl, fd, F_SETLK, &lock(F_WRLCK, 1, 1)).must();
        gate.open();
        check_eq!(sys!(fcntl, fd, F_SETLKW, &lock(F_WRLCK, 0, 1)), Ok(0));
    });
    gate.wait();
    sleep_ms(100);
    check_eq!(sys!(fcntl, fd, F_SETLKW, &lock(F_WRLCK, 1, 1)), Err(EDEADLK));
    sys!(fcntl, fd, F_SETLK, &lock(F_UNLCK, 0, 0)).must();
    child.ok();
});

case!(posix_whence_and_negative_length, [fcntl, lseek], {
    let fd = file();
    sys!(ftruncate, fd, 100).must();
    sys!(lseek, fd, 50, SEEK_SET).must();
    let mut from_offset = lock(F_WRLCK, 10, -5);
    from_offset.l_whence = SEEK_CUR as i16;
    sys!(fcntl, fd, F_SETLK, &from_offset).must();
    fork(|| {
        let mut query = lock(F_WRLCK, 0, 0);
        sys!(fcntl, file(), F_GETLK, &mut query).must();
        check_eq!((query.l_start, query.l_len), (55, 5));
    })
    .ok();
    check_eq!(sys!(fcntl, fd, F_SETLK, &lock(F_WRLCK, -1, 5)), Err(EINVAL));
    check_eq!(sys!(fcntl, fd, F_SETLK, &lock(F_WRLCK, 3, -5)), Err(EINVAL));
    check_eq!(sys!(fcntl, fd, F_SETLK, &lock(99, 0, 0)), Err(EINVAL));
});

case!(posix_lock_needs_the_matching_open_mode, [fcntl], {
    create(c"f", b"");
    let read_only = open(c"f", O_RDONLY);
    check_eq!(sys!(fcntl, read_only, F_SETLK, &lock(F_WRLCK, 0, 0)), Err(EBADF));
    check_eq!(sys!(fcntl, read_only, F_SETLK, &lock(F_RDLCK, 0, 0)), Ok(0));
    let write_only = open(c"f", O_WRONLY);
    check_eq!(sys!(fcntl, write_only, F_SETLK, &lock(F_RDLCK, 0, 0)), Err(EBADF));
    check_eq!(sys!(fcntl, read_only, F_SETLK, BAD), Err(EFAULT));
    check_eq!(sys!(fcntl, read_only, F_GETLK, NULL), Err(EFAULT));
});

case!(ofd_locks_belong_to_the_open_file, [fcntl], {
    let (one, two) = (file(), file());
    check_eq!(sys!(fcntl, one, F_OFD_SETLK, &lock(F_WRLCK, 0, 0)), Ok(0));
    check_eq!(sys!(fcntl, two, F_OFD_SETLK, &lock(F_WRLCK, 0, 0)), Err(EAGAIN));
    let mut query = lock(F_WRLCK, 0, 0);
    check_eq!(sys!(fcntl, two, F_OFD_GETLK, &mut query), Ok(0));
    check_eq!((i32::from(query.l_type), query.l_pid), (F_WRLCK, -1));
    fork(|| {
        check_eq!(sys!(fcntl, one, F_OFD_SETLK, &lock(F_WRLCK, 5, 1)), Ok(0), "inherited");
    })
    .ok();
    sys!(close, one).must();
    check_eq!(sys!(fcntl, two, F_OFD_SETLK, &lock(F_WRLCK, 0, 0)), Ok(0));
});

case!(ofd_locks_conflict_with_posix_locks, [fcntl], {
    let (one, two) = (file(), file());
    sys!(fcntl, one, F_OFD_SETLK, &lock(F_WRLCK, 0, 1)).must();
    check_eq!(sys!(fcntl, two, F_SETLK, &lock(F_WRLCK, 0, 1)), Err(EAGAIN));
});

case!(ofd_lock_with_a_pid_is_einval, [fcntl], {
    let fd = file();
    let mut with_pid = lock(F_WRLCK, 0, 0);
    with_pid.l_pid = 1;
    check_eq!(sys!(fcntl, fd, F_OFD_SETLK, &with_pid), Err(EINVAL));
});

case!(ofd_setlkw_waits, [fcntl], {
    let (one, two) = (file(), file());
    sys!(fcntl, one, F_OFD_SETLK, &lock(F_WRLCK, 0, 0)).must();
    let waiter = spawn(move || {
        check_eq!(sys!(fcntl, two, F_OFD_SETLKW, &lock(F_WRLCK, 0, 0)), Ok(0));
    });
    settle();
    sys!(close, one).must();
    waiter.join().ok().must();
});

case!(flock_excludes_other_open_files, [flock], {
    let (one, two) = (file(), file());
    check_eq!(sys!(flock, one, LOCK_EX), Ok(0));
    check_eq!(sys!(flock, two, LOCK_EX | LOCK_NB), Err(EAGAIN));
    check_eq!(sys!(flock, two, LOCK_SH | LOCK_NB), Err(EAGAIN));
    check_eq!(sys!(flock, one, LOCK_SH), Ok(0), "converted");
    check_eq!(sys!(flock, two, LOCK_SH | LOCK_NB), Ok(0));
    check_eq!(sys!(flock, one, LOCK_EX | LOCK_NB), Err(EAGAIN));
    check_eq!(sys!(flock, two, LOCK_UN), Ok(0));
    check_eq!(sys!(flock, two, LOCK_UN), Ok(0));
});

case!(flock_is_shared_by_dup_and_fork, [flock, dup, fork], {
    let (one, two) = (file(), file());
    sys!(flock, one, LOCK_EX).must();
    let copy = sys!(dup, one).must();
    check_eq!(sys!(flock, copy, LOCK_EX | LOCK_NB), Ok(0));
    sys!(close, one).must();
    check_eq!(sys!(flock, two, LOCK_EX | LOCK_NB), Err(EAGAIN), "held by the copy");
    fork(|| check_eq!(sys!(flock, copy, LOCK_UN), Ok(0))).ok();
    check_eq!(sys!(flock, two, LOCK_EX | LOCK_NB), Ok(0), "the child released it for all");
});

case!(flock_waits_and_is_interrupted, [flock], {
    let one = file();
    sys!(flock, one, LOCK_EX).must();
    let child = fork(|| check_eq!(sys!(flock, file(), LOCK_EX), Ok(0)));
    let interrupted = fork(|| {
        count_signal(SIGALRM, 0);
        sys!(alarm, 1).must();
        check_eq!(sys!(flock, file(), LOCK_EX), Err(EINTR));
    });
    interrupted.ok();
    sys!(flock, one, LOCK_UN).must();
    child.ok();
});

case!(flock_errors, [flock], {
    let fd = file();
    check_eq!(sys!(flock, fd, 0), Err(EINVAL));
    check_eq!(sys!(flock, fd, LOCK_EX | LOCK_SH), Err(EINVAL));
    check_eq!(sys!(flock, 99, LOCK_EX), Err(EBADF));
    check_eq!(sys!(flock, open(c"f", O_PATH), LOCK_EX), Err(EBADF));
    check_eq!(sys!(flock, open(c"f", O_RDONLY), LOCK_EX), Ok(0), "any open mode will do");
});

case!(flock_and_record_locks_are_independent, [flock, fcntl], {
    let (one, two) = (file(), file());
    sys!(flock, one, LOCK_EX).must();
    check_eq!(sys!(fcntl, two, F_OFD_SETLK, &lock(F_WRLCK, 0, 0)), Ok(0));
});
