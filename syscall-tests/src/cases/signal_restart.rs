//! SA_RESTART: which syscalls go on after a handler and which give EINTR (signal(7)).

use crate::support::prelude::*;

/// Runs the call while a signal arrives; the handler was installed with SA_RESTART. `unblock`
/// then lets a restarted call end. Returns what the call returned and whether it was restarted.
fn during_signal<R>(
    call: impl FnOnce() -> Result<i64, Errno>,
    unblock: impl FnOnce() -> R + Send + 'static,
) -> (Result<i64, Errno>, bool) {
    static RELEASED: AtomicU32 = AtomicU32::new(0);
    count_signal(SIGUSR1, SA_RESTART);
    let (pid, tid) = (getpid(), gettid());
    let helper = spawn(move || {
        sleep_ms(60);
        sys!(tgkill, pid, tid, SIGUSR1).must();
        sleep_ms(60);
        RELEASED.store(1, SeqCst);
        let _ = unblock();
    });
    let result = call();
    let restarted = RELEASED.load(SeqCst) == 1;
    helper.join().ok().must();
    check_eq!(counted(SIGUSR1), 1);
    (result, restarted)
}

fn restarts<R>(
    call: impl FnOnce() -> Result<i64, Errno>,
    unblock: impl FnOnce() -> R + Send + 'static,
) {
    let (result, restarted) = during_signal(call, unblock);
    check!(result.is_ok() && restarted, "{result:?}, restarted: {restarted}");
}

fn interrupts(call: impl FnOnce() -> Result<i64, Errno>) {
    let (result, _) = during_signal(call, || {});
    check_eq!(result, Err(EINTR));
}

case!(pipe_read_restarts, [read], {
    let (r, w) = pipe();
    let mut buf = [0u8; 4];
    restarts(|| sys!(read, r, &mut buf, 4), move || sys!(write, w, b"x", 1));
});

case!(pipe_write_restarts, [write], {
    let (r, w) = pipe();
    sys!(write, w, &[0u8; 65536], 65536).must();
    restarts(|| sys!(write, w, b"y", 1), move || sys!(read, r, &mut [0u8; 8192], 8192));
});

case!(wait4_restarts, [wait4], {
    let child = fork(|| sleep_ms(10_000));
    restarts(|| sys!(wait4, child.pid, 0, 0, 0), move || child.kill(SIGKILL));
});

case!(waitid_restarts, [waitid], {
    let child = fork(|| sleep_ms(10_000));
    restarts(|| sys!(waitid, P_PID, child.pid, 0, WEXITED, 0), move || child.kill(SIGKILL));
});

case!(flock_restarts, [flock], {
    let one = open(c"f", O_RDWR | O_CREAT);
    let two = open(c"f", O_RDWR);
    sys!(flock, one, LOCK_EX).must();
    restarts(|| sys!(flock, two, LOCK_EX), move || sys!(flock, one, LOCK_UN));
});

case!(record_lock_restarts, [fcntl], {
    let one = open(c"f", O_RDWR | O_CREAT);
    let two = open(c"f", O_RDWR);
    let mut lock: flock = zeroed();
    lock.l_type = F_WRLCK as i16;
    sys!(fcntl, one, F_OFD_SETLK, &lock).must();
    let wait = || sys!(fcntl, two, F_OFD_SETLKW, &lock);
    restarts(wait, move || sys!(close, one));
});

case!(fifo_open_restarts, [open], {
    sys!(mknod, c"fifo", S_IFIFO | 0o600, 0).must();
    restarts(|| sys!(open, c"fifo", O_RDONLY, 0), || sys!(open, c"fifo", O_RDWR, 0));
});

case!(socket_calls_restart, [accept4, recvfrom, read], {
    let mut ends = [0i32; 2];
    sys!(socketpair, AF_UNIX, SOCK_STREAM, 0, &mut ends).must();
    let [a, b] = ends;
    let mut buf = [0u8; 4];
    restarts(|| sys!(recvfrom, a, &mut buf, 4, 0, 0, 0), move || sys!(write, b, b"x", 1));
});

case!(futex_wait_restarts, [futex], {
    let word = words();
    let addr = &raw const word[0] as usize;
    restarts(|| sys!(futex, addr, FUTEX_WAIT, 0, NULL), move || sys!(futex, addr, FUTEX_WAKE, 1));
});

case!(nanosleep_goes_on_without_a_handler_only, [nanosleep], {
    let start = now();
    interrupts(|| sys!(nanosleep, &millis(5000), NULL));
    check!(now() - start < Duration::from_secs(4));
});

case!(poll_family_is_interrupted, [poll], {
    interrupts(|| sys!(poll, NULL, 0, 5000));
});

case!(select_is_interrupted, [select], {
    interrupts(|| sys!(select, 0, NULL, NULL, NULL, &timeval { tv_sec: 5, tv_usec: 0 }));
});

case!(epoll_wait_is_interrupted, [epoll_wait], {
    let epoll = sys!(epoll_create1, 0).must();
    let mut events = [0u64; 4];
    interrupts(|| sys!(epoll_wait, epoll, &mut events, 1, 5000));
});

case!(sigtimedwait_is_interrupted, [rt_sigtimedwait], {
    interrupts(|| sys!(rt_sigtimedwait, &mask_of(&[SIGUSR2]), NULL, &millis(5000), 8));
});

case!(receive_with_a_timeout_is_interrupted, [recvfrom, setsockopt], {
    let mut ends = [0i32; 2];
    sys!(socketpair, AF_UNIX, SOCK_STREAM, 0, &mut ends).must();
    let timeout = timeval { tv_sec: 5, tv_usec: 0 };
    sys!(setsockopt, ends[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, 16).must();
    let mut buf = [0u8; 4];
    interrupts(|| sys!(recvfrom, ends[0], &mut buf, 4, 0, 0, 0));
});

case!(stopping_and_continuing_is_no_interruption, [read, kill], {
    let (r, w) = pipe();
    let child = fork(|| {
        let mut buf = [0u8; 4];
        check_eq!(sys!(read, r, &mut buf, 4), Ok(2));
    });
    settle();
    child.kill(SIGSTOP);
    let _ = child.wait_stop();
    child.kill(SIGCONT);
    settle();
    sys!(write, w, b"ok", 2).must();
    child.ok();
});

case!(stopped_sleep_keeps_its_end, [nanosleep, kill], {
    let child = fork(|| check_eq!(sys!(nanosleep, &millis(150), NULL), Ok(0)));
    sleep_ms(20);
    child.kill(SIGSTOP);
    let _ = child.wait_stop();
    child.kill(SIGCONT);
    child.ok();
});

case!(some_calls_give_eintr_even_after_a_stop, [epoll_wait, kill], {
    // signal(7): epoll_wait, semop, ... fail with EINTR after SIGCONT on Linux.
    let child = fork(|| {
        let epoll = sys!(epoll_create1, 0).must();
        let mut events = [0u64; 4];
        check_eq!(sys!(epoll_wait, epoll, &mut events, 1, 3000), Err(EINTR));
    });
    sleep_ms(60);
    child.kill(SIGSTOP);
    let _ = child.wait_stop();
    child.kill(SIGCONT);
    child.ok();
});
