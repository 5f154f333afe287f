//! kill, tkill, tgkill, rt_sigqueueinfo, rt_sigtimedwait: sending, queueing and taking signals.

use crate::support::prelude::*;

const SI_USER: i32 = 0;
const SI_QUEUE: i32 = -1;
const SI_TKILL: i32 = -6;

/// Takes one signal of the mask without waiting.
fn take(mask: u64) -> Result<SigInfo, Errno> {
    let mut info: SigInfo = zeroed();
    sys!(rt_sigtimedwait, &mask, &mut info, &millis(0), 8).map(|_| info)
}

case!(kill_errors, [kill, tkill, tgkill], {
    check_eq!(sys!(kill, i32::MAX, 0), Err(ESRCH));
    check_eq!(sys!(kill, getpid(), 65), Err(EINVAL));
    check_eq!(sys!(kill, getpid(), -1), Err(EINVAL));
    check_eq!(sys!(kill, i32::MIN, 0), Err(ESRCH));
    check_eq!(sys!(kill, getpid(), 0), Ok(0));
    check_eq!(sys!(tkill, 0, SIGUSR1), Err(EINVAL));
    check_eq!(sys!(tkill, i32::MAX, 0), Err(ESRCH));
    check_eq!(sys!(tgkill, getpid(), i32::MAX, 0), Err(ESRCH));
    check_eq!(sys!(tgkill, getpid(), -1, 0), Err(EINVAL));
    check_eq!(sys!(tgkill, 0, gettid(), 0), Err(EINVAL));
    let child = fork(|| sleep_ms(10_000));
    check_eq!(sys!(tgkill, child.pid, gettid(), 0), Err(ESRCH), "not a thread of that process");
    child.end();
});

case!(kill_needs_a_matching_user, [kill], {
    need_root();
    let parent = getpid();
    let other = fork(|| sleep_ms(10_000));
    as_nobody(|| {
        check_eq!(sys!(kill, parent, 0), Err(EPERM));
        check_eq!(sys!(kill, other.pid, SIGTERM), Err(EPERM));
        check_eq!(sys!(tgkill, parent, parent, 0), Err(EPERM));
        check_eq!(sys!(kill, getpid(), 0), Ok(0));
    });
    other.end();
});

case!(sigcont_may_be_sent_within_the_session, [kill], {
    need_root();
    let parent = getpid();
    as_nobody(|| check_eq!(sys!(kill, parent, SIGCONT), Ok(0)));
});

case!(sender_is_in_the_siginfo, [kill, tgkill, rt_sigtimedwait], {
    block(&[SIGUSR1, SIGUSR2]);
    let parent = getpid();
    let child = fork(|| {
        sys!(kill, parent, SIGUSR1).must();
    });
    child.ok();
    let info = take(mask_of(&[SIGUSR1])).must();
    check_eq!((info.signo, info.code, info.pid()), (SIGUSR1, SI_USER, child.pid));
    check_eq!(i64::from(info.uid()), sys!(getuid).must());
    raise(SIGUSR2);
    let info = take(mask_of(&[SIGUSR2])).must();
    check_eq!((info.code, info.pid()), (SI_TKILL, parent));
});

case!(real_time_signals_queue_in_order_with_their_values, [rt_sigqueueinfo], {
    block(&[40, 41]);
    for (signal, value) in [(41, 1), (40, 2), (41, 3), (40, 4)] {
        let info = SigInfo::queued(signal, SI_QUEUE, getpid(), 0, value);
        check_eq!(sys!(rt_sigqueueinfo, getpid(), signal, &info), Ok(0));
    }
    let both = mask_of(&[40, 41]);
    let order: Vec<_> = (0..4).map(|_| take(both).must()).map(|i| (i.signo, i.value())).collect();
    check_eq!(order, vec![(40, 2), (40, 4), (41, 1), (41, 3)], "lowest number first");
    check_eq!(take(both).err(), Some(EAGAIN));
});

case!(standard_signals_come_before_real_time_ones, [rt_sigtimedwait], {
    block(&[SIGTERM, SIGUSR1, 40]);
    raise(40);
    raise(SIGTERM);
    raise(SIGUSR1);
    let all = mask_of(&[SIGTERM, SIGUSR1, 40]);
    let order: Vec<_> = (0..3).map(|_| take(all).must().signo).collect();
    check_eq!(order, vec![SIGUSR1, SIGTERM, 40]);
});

case!(faults_are_taken_before_other_signals, [rt_sigtimedwait], {
    block(&[SIGHUP, SIGSEGV]);
    raise(SIGHUP);
    raise(SIGSEGV);
    check_eq!(take(mask_of(&[SIGHUP, SIGSEGV])).must().signo, SIGSEGV);
});

case!(queueinfo_may_not_pretend_to_be_the_kernel, [rt_sigqueueinfo, rt_tgsigqueueinfo], {
    let child = fork(|| sleep_ms(10_000));
    let from = |code| SigInfo::queued(SIGUSR1, code, 1, 0, 0);
    check_eq!(sys!(rt_sigqueueinfo, child.pid, SIGUSR1, &from(SI_USER)), Err(EPERM));
    check_eq!(sys!(rt_sigqueueinfo, child.pid, SIGUSR1, &from(0x80)), Err(EPERM));
    check_eq!(sys!(rt_sigqueueinfo, child.pid, SIGUSR1, &from(SI_TKILL)), Err(EPERM));
    check_eq!(sys!(rt_sigqueueinfo, child.pid, 0, &from(SI_QUEUE)), Ok(0));
    check_eq!(sys!(rt_sigqueueinfo, child.pid, 65, &from(SI_QUEUE)), Err(EINVAL));
    check_eq!(sys!(rt_sigqueueinfo, i32::MAX, SIGUSR1, &from(SI_QUEUE)), Err(ESRCH));
    check_eq!(sys!(rt_sigqueueinfo, child.pid, SIGUSR1, BAD), Err(EFAULT));
    child.end();
    block(&[SIGUSR1]);
    let info = SigInfo::queued(SIGUSR1, SI_QUEUE, 1234, 99, 5);
    check_eq!(sys!(rt_tgsigqueueinfo, getpid(), gettid(), SIGUSR1, &info), Ok(0));
    check_eq!(take(mask_of(&[SIGUSR1])).must().pid(), 1234, "what the sender wrote");
});

case!(queue_limit_is_eagain, [rt_sigqueueinfo, setrlimit], {
    block(&[40]);
    sys!(setrlimit, RLIMIT_SIGPENDING, &rlimit { rlim_cur: 0, rlim_max: 0 }).must();
    let info = SigInfo::queued(40, SI_QUEUE, getpid(), 0, 0);
    check_eq!(sys!(rt_sigqueueinfo, getpid(), 40, &info), Err(EAGAIN));
    check_eq!(sys!(kill, getpid(), SIGCHLD), Ok(0), "kill of a standard signal always works");
});

case!(timedwait_waits_and_times_out, [rt_sigtimedwait], {
    block(&[SIGUSR1]);
    let start = now();
    let mask = mask_of(&[SIGUSR1]);
    check_eq!(sys!(rt_sigtimedwait, &mask, NULL, &millis(40), 8), Err(EAGAIN));
    check!(now() - start >= Duration::from_millis(40));
    let parent = getpid();
    let child = fork(|| {
        settle();
        sys!(kill, parent, SIGUSR1).must();
    });
    check_eq!(sys!(rt_sigtimedwait, &mask, NULL, NULL, 8), Ok(i64::from(SIGUSR1)));
    child.ok();
});

case!(timedwait_is_interrupted_by_other_signals, [rt_sigtimedwait], {
    block(&[SIGUSR1]);
    count_signal(SIGALRM, SA_RESTART);
    sys!(alarm, 1).must();
    check_eq!(sys!(rt_sigtimedwait, &mask_of(&[SIGUSR1]), NULL, NULL, 8), Err(EINTR));
    check_eq!(counted(SIGALRM), 1);
});

case!(timedwait_errors, [rt_sigtimedwait], {
    let mask = mask_of(&[SIGUSR1]);
    check_eq!(sys!(rt_sigtimedwait, &mask, NULL, &millis(0), 4), Err(EINVAL));
    check_eq!(sys!(rt_sigtimedwait, BAD, NULL, &millis(0), 8), Err(EFAULT));
    check_eq!(sys!(rt_sigtimedwait, &mask, NULL, BAD, 8), Err(EFAULT));
    let bad = timespec { tv_sec: 0, tv_nsec: 1_000_000_000 };
    check_eq!(sys!(rt_sigtimedwait, &mask, NULL, &bad, 8), Err(EINVAL));
    let bad = timespec { tv_sec: -1, tv_nsec: 0 };
    check_eq!(sys!(rt_sigtimedwait, &mask, NULL, &bad, 8), Err(EINVAL));
});

case!(process_signal_goes_to_a_thread_that_does_not_block_it, [kill, rt_sigprocmask], {
    static HANDLED_BY: AtomicI32 = AtomicI32::new(0);
    on(SIGUSR1, 0, |_, _| HANDLED_BY.store(gettid(), SeqCst));
    static OTHER: AtomicI32 = AtomicI32::new(0);
    static STOP: AtomicI32 = AtomicI32::new(0);
    let other = spawn(|| {
        OTHER.store(gettid(), SeqCst);
        while STOP.load(SeqCst) == 0 {
            sleep_ms(1);
        }
    });
    while OTHER.load(SeqCst) == 0 {
        sleep_ms(1);
    }
    block(&[SIGUSR1]);
    sys!(kill, getpid(), SIGUSR1).must();
    while HANDLED_BY.load(SeqCst) == 0 {
        sleep_ms(1);
    }
    check_eq!(HANDLED_BY.load(SeqCst), OTHER.load(SeqCst));
    STOP.store(1, SeqCst);
    other.join().ok().must();
});

case!(thread_signal_stays_with_its_thread, [tgkill, rt_sigpending], {
    block(&[SIGUSR1]);
    raise(SIGUSR1);
    spawn(|| check_eq!(pending(), 0)).join().ok().must();
    check_eq!(pending(), mask_of(&[SIGUSR1]));
    sys!(kill, getpid(), SIGUSR1).must();
    spawn(|| check_eq!(pending(), mask_of(&[SIGUSR1]), "that of the process")).join().ok().must();
});

case!(stop_and_continue_cancel_each_other, [kill, rt_sigpending], {
    block(&[SIGCONT, SIGTSTP]);
    count_signal(SIGTSTP, 0);
    raise(SIGTSTP);
    check_eq!(pending(), mask_of(&[SIGTSTP]));
    raise(SIGCONT);
    check_eq!(pending() & mask_of(&[SIGTSTP]), 0, "SIGCONT discards pending stops");
    count_signal(SIGCONT, 0);
    raise(SIGCONT);
    raise(SIGTSTP);
    check_eq!(pending(), mask_of(&[SIGTSTP]), "and a stop discards SIGCONT");
});

case!(kill_minus_one_spares_the_caller, [kill], {
    need_root();
    // As a user that owns no other process: whom it may not signal is no error (kill(2), NOTES).
    fork(|| {
        sys!(setresuid, 54321, 54321, 54321).must();
        check_eq!(sys!(kill, -1, SIGTERM), Ok(0));
    })
    .ok();
});

case!(fatal_signal_ends_all_threads, [tgkill, wait4], {
    let child = fork(|| {
        for _ in 0..3 {
            spawn(|| {
                loop {
                    sleep_ms(1000);
                }
            });
        }
        spawn(|| raise(SIGTERM));
        loop {
            sleep_ms(1000);
        }
    });
    check_eq!(child.wait(), Status::Signaled(SIGTERM));
});

case!(pidfd_send_signal_reaches_the_process, [pidfd_open, pidfd_send_signal], {
    let child = fork(|| sleep_ms(10_000));
    let fd = sys!(pidfd_open, child.pid, 0).must();
    check_eq!(sys!(fcntl, fd, F_GETFD), Ok(1));
    check_eq!(sys!(pidfd_send_signal, fd, 0, NULL, 0), Ok(0));
    check_eq!(sys!(pidfd_send_signal, fd, SIGTERM, NULL, 0), Ok(0));
    check_eq!(child.wait(), Status::Signaled(SIGTERM));
    check_eq!(sys!(pidfd_send_signal, fd, 0, NULL, 0), Err(ESRCH));
    check_eq!(sys!(pidfd_send_signal, 99, 0, NULL, 0), Err(EBADF));
    check_eq!(sys!(pidfd_send_signal, open(c".", O_RDONLY), 0, NULL, 0), Err(EBADF));
    check_eq!(sys!(pidfd_open, i32::MAX, 0), Err(ESRCH));
    check_eq!(sys!(pidfd_open, -1, 0), Err(EINVAL));
    check_eq!(sys!(pidfd_open, getpid(), 1), Err(EINVAL));
});
