//! dup, dup2, dup3 and the descriptor commands of fcntl.

use crate::support::prelude::*;

case!(dup_takes_the_lowest_free_number, [dup], {
    let fd = open(c"f", O_RDWR | O_CREAT | O_CLOEXEC);
    let copy = sys!(dup, fd).must();
    check_eq!(copy, i64::from(fd) + 1);
    check_eq!(sys!(fcntl, copy, F_GETFD), Ok(0), "close-on-exec is not copied");
    check_eq!(sys!(dup, 99), Err(EBADF));
    check_eq!(sys!(dup, -1), Err(EBADF));
});

case!(dup_shares_status_flags, [dup, fcntl], {
    let fd = open(c"f", O_RDWR | O_CREAT);
    let copy = sys!(dup, fd).must();
    sys!(fcntl, copy, F_SETFL, O_APPEND).must();
    check!(sys!(fcntl, fd, F_GETFL).must() as i32 & O_APPEND != 0);
});

case!(dup2_replaces_the_target, [dup2], {
    let fd = open(c"f", O_RDWR | O_CREAT);
    let (r, w) = pipe();
    check_eq!(sys!(dup2, fd, w), Ok(i64::from(w)));
    let mut buf = [0u8; 1];
    check_eq!(sys!(read, r, &mut buf, 1), Ok(0), "the pipe's last writer was closed");
    check_eq!(fstat(w).st_ino, fstat(fd).st_ino);
    check_eq!(sys!(dup2, fd, 200), Ok(200));
});

case!(dup2_on_itself_changes_nothing, [dup2, dup3], {
    let fd = open(c"f", O_RDWR | O_CREAT | O_CLOEXEC);
    check_eq!(sys!(dup2, fd, fd), Ok(i64::from(fd)));
    check_eq!(sys!(fcntl, fd, F_GETFD), Ok(1));
    check_eq!(sys!(dup3, fd, fd, 0), Err(EINVAL));
    check_eq!(sys!(dup2, 99, 99), Err(EBADF));
    check_eq!(sys!(dup3, 99, 99, 0), Err(EINVAL));
});

case!(dup2_errors_keep_the_target, [dup2, dup3], {
    let fd = open(c"f", O_RDWR | O_CREAT);
    check_eq!(sys!(dup2, 99, fd), Err(EBADF));
    check_eq!(sys!(dup2, fd, -1), Err(EBADF));
    check_eq!(sys!(dup2, fd, i32::MAX), Err(EBADF));
    check_eq!(sys!(dup3, fd, 100, O_NONBLOCK), Err(EINVAL));
    check_eq!(sys!(dup3, fd, -1, 0), Err(EBADF));
    check_eq!(fstat(fd).st_size, 0);
});

case!(dup3_sets_cloexec, [dup3], {
    let fd = open(c"f", O_RDWR | O_CREAT);
    check_eq!(sys!(dup3, fd, 50, O_CLOEXEC), Ok(50));
    check_eq!(sys!(fcntl, 50, F_GETFD), Ok(1));
    check_eq!(sys!(dup3, fd, 50, 0), Ok(50));
    check_eq!(sys!(fcntl, 50, F_GETFD), Ok(0));
});

case!(dupfd_starts_at_the_minimum, [fcntl], {
    let fd = open(c"f", O_RDWR | O_CREAT);
    check_eq!(sys!(fcntl, fd, F_DUPFD, 100), Ok(100));
    check_eq!(sys!(fcntl, fd, F_DUPFD, 100), Ok(101));
    check_eq!(sys!(fcntl, fd, F_DUPFD_CLOEXEC, 100), Ok(102));
    check_eq!(sys!(fcntl, 102, F_GETFD), Ok(1));
    check_eq!(sys!(fcntl, fd, F_DUPFD, -1), Err(EINVAL));
    check_eq!(sys!(fcntl, 99, F_DUPFD, 0), Err(EBADF));
    check_eq!(sys!(fcntl, fd, F_DUPFD, i32::MAX), Err(EINVAL));
});

case!(getfd_and_setfd, [fcntl], {
    let fd = open(c"f", O_RDWR | O_CREAT);
    check_eq!(sys!(fcntl, fd, F_SETFD, FD_CLOEXEC), Ok(0));
    check_eq!(sys!(fcntl, fd, F_GETFD), Ok(1));
    check_eq!(sys!(fcntl, fd, F_SETFD, 6), Ok(0), "other bits are ignored");
    check_eq!(sys!(fcntl, fd, F_GETFD), Ok(0));
    check_eq!(sys!(fcntl, 99, F_GETFD), Err(EBADF));
});

case!(setfl_changes_only_what_can_change, [fcntl], {
    let fd = open(c"f", O_RDWR | O_CREAT);
    check_eq!(sys!(fcntl, fd, F_SETFL, O_WRONLY | O_TRUNC | O_NONBLOCK | O_EXCL), Ok(0));
    check_eq!(sys!(fcntl, fd, F_GETFL).must() as i32 & !0o100000, O_RDWR | O_NONBLOCK);
    check_eq!(sys!(fcntl, fd, F_SETFL, 0), Ok(0));
    check_eq!(sys!(fcntl, fd, F_GETFL).must() as i32 & !0o100000, O_RDWR);
});

case!(unknown_command_is_einval, [fcntl], {
    check_eq!(sys!(fcntl, 0, 9999, 0), Err(EINVAL));
    check_eq!(sys!(fcntl, 99, 9999, 0), Err(EBADF));
    let path = open(c".", O_PATH);
    check_eq!(sys!(fcntl, path, F_SETFL, 0), Err(EBADF));
    check_eq!(sys!(fcntl, path, F_GETFD), Ok(0));
});

case!(owner_of_sigio, [fcntl], {
    let (r, w) = pipe();
    check_eq!(sys!(fcntl, r, F_GETOWN), Ok(0));
    check_eq!(sys!(fcntl, r, F_SETOWN, getpid()), Ok(0));
    check_eq!(sys!(fcntl, r, F_GETOWN), Ok(i64::from(getpid())));
    check_eq!(sys!(fcntl, r, F_SETOWN, i32::MAX), Err(ESRCH));
    count_signal(SIGIO, 0);
    sys!(fcntl, r, F_SETFL, O_ASYNC).must();
    sys!(write, w, b"x", 1).must();
    check_eq!(counted(SIGIO), 1);
});

case!(descriptors_at_the_limit_are_refused, [dup, dup2, fcntl, setrlimit], {
    let limit = rlimit { rlim_cur: 20, rlim_max: 20 };
    sys!(setrlimit, RLIMIT_NOFILE, &limit).must();
    check_eq!(sys!(dup2, 0, 19), Ok(19));
    check_eq!(sys!(dup2, 0, 20), Err(EBADF));
    check_eq!(sys!(dup3, 0, 20, 0), Err(EBADF));
    check_eq!(sys!(fcntl, 0, F_DUPFD, 19), Err(EMFILE));
    check_eq!(sys!(fcntl, 0, F_DUPFD, 20), Err(EINVAL));
});

case!(close_range_closes_what_is_there, [close_range], {
    for fd in [50, 52, 60] {
        sys!(dup2, 0, fd).must();
    }
    check_eq!(sys!(close_range, 50, 55, 0), Ok(0));
    check_eq!(sys!(fcntl, 50, F_GETFD), Err(EBADF));
    check_eq!(sys!(fcntl, 52, F_GETFD), Err(EBADF));
    check_eq!(sys!(fcntl, 60, F_GETFD), Ok(0));
    check_eq!(sys!(close_range, 60, 50, 0), Err(EINVAL));
    check_eq!(sys!(close_range, 50, 60, 0x100), Err(EINVAL));
    check_eq!(sys!(close_range, 1000, u32::MAX, 0), Ok(0), "nothing there");
});

case!(close_range_sets_cloexec, [close_range], {
    sys!(dup2, 0, 50).must();
    check_eq!(sys!(close_range, 45, 55, CLOSE_RANGE_CLOEXEC), Ok(0));
    check_eq!(sys!(fcntl, 50, F_GETFD), Ok(1));
});

case!(close_range_can_unshare_first, [close_range, clone], {
    sys!(dup2, 0, 50).must();
    spawn(|| {
        check_eq!(sys!(close_range, 50, 50, CLOSE_RANGE_UNSHARE), Ok(0));
        check_eq!(sys!(fcntl, 50, F_GETFD), Err(EBADF));
    })
    .join()
    .ok()
    .must();
    check_eq!(sys!(fcntl, 50, F_GETFD), Ok(0), "the other thread's table is untouched");
});

case!(close_in_one_thread_does_not_break_a_blocked_read, [close, read], {
    // close(2), "Multithreaded processes and close": the read goes on with the open file.
    let (r, w) = pipe();
    let reader = spawn_asleep(move || {
        let mut buf = [0u8; 4];
        check_eq!(sys!(read, r, &mut buf, 4), Ok(4));
    });
    sys!(close, r).must();
    settle();
    sys!(write, w, b"data", 4).must();
    reader.join().ok().must();
});
