//! rt_sigaction, rt_sigprocmask, rt_sigpending, rt_sigsuspend, sigaltstack: actions and masks.

use crate::support::prelude::*;

case!(handler_runs_and_returns, [rt_sigaction, rt_sigreturn, tgkill], {
    count_signal(SIGUSR1, 0);
    raise(SIGUSR1);
    check_eq!(counted(SIGUSR1), 1, "before the syscall that sent it returns");
    raise(SIGUSR1);
    check_eq!(counted(SIGUSR1), 2);
});

case!(old_action_is_returned, [rt_sigaction], {
    count_signal(SIGUSR1, SA_RESTART | SA_NODEFER);
    let mut old: KSigaction = zeroed();
    sys!(rt_sigaction, SIGUSR1, NULL, &mut old, 8).must();
    check!(old.handler > 1 && old.flags & SA_RESTART as u64 != 0);
    let ignore = KSigaction { handler: SIG_IGN, flags: 0, restorer: 0, mask: 0 };
    let mut again: KSigaction = zeroed();
    check_eq!(sys!(rt_sigaction, SIGUSR1, &ignore, &mut again, 8), Ok(0));
    check_eq!(again, old);
});

case!(sigaction_errors, [rt_sigaction], {
    let ignore = KSigaction { handler: SIG_IGN, flags: 0, restorer: 0, mask: 0 };
    for signal in [0, -1, 65, SIGKILL, SIGSTOP] {
        check_eq!(sys!(rt_sigaction, signal, &ignore, 0, 8), Err(EINVAL), "signal {signal}");
    }
    let mut old: KSigaction = zeroed();
    check_eq!(sys!(rt_sigaction, SIGKILL, NULL, &mut old, 8), Ok(0), "asking is allowed");
    check_eq!(sys!(rt_sigaction, SIGUSR1, &ignore, 0, 4), Err(EINVAL));
    check_eq!(sys!(rt_sigaction, SIGUSR1, &ignore, 0, 16), Err(EINVAL));
    check_eq!(sys!(rt_sigaction, SIGUSR1, BAD, 0, 8), Err(EFAULT));
    check_eq!(sys!(rt_sigaction, SIGUSR1, NULL, BAD, 8), Err(EFAULT));
});

case!(mask_cannot_hold_sigkill_and_sigstop, [rt_sigaction, rt_sigprocmask], {
    crate::support::signal::on_masked(SIGUSR1, 0, u64::MAX, |_, _| {});
    let mut action: KSigaction = zeroed();
    sys!(rt_sigaction, SIGUSR1, NULL, &mut action, 8).must();
    let never = mask_of(&[SIGKILL, SIGSTOP]);
    check_eq!(action.mask, !never);
    set_mask(u64::MAX);
    check_eq!(set_mask(0), !never);
});

case!(procmask_block_unblock_set, [rt_sigprocmask], {
    set_mask(mask_of(&[SIGUSR1]));
    let mut old = 0u64;
    check_eq!(sys!(rt_sigprocmask, SIG_BLOCK, &mask_of(&[SIGUSR2]), &mut old, 8), Ok(0));
    check_eq!(old, mask_of(&[SIGUSR1]));
    sys!(rt_sigprocmask, SIG_UNBLOCK, &mask_of(&[SIGUSR1, SIGHUP]), &mut old, 8).must();
    check_eq!(old, mask_of(&[SIGUSR1, SIGUSR2]));
    sys!(rt_sigprocmask, 99, NULL, &mut old, 8).must();
    check_eq!(old, mask_of(&[SIGUSR2]));
    check_eq!(sys!(rt_sigprocmask, 99, &old, 0, 8), Err(EINVAL));
    check_eq!(sys!(rt_sigprocmask, SIG_SETMASK, &old, 0, 4), Err(EINVAL));
    check_eq!(sys!(rt_sigprocmask, SIG_SETMASK, BAD, 0, 8), Err(EFAULT));
    check_eq!(sys!(rt_sigprocmask, SIG_SETMASK, NULL, BAD, 8), Err(EFAULT));
});

case!(blocked_signal_waits_and_comes_when_unblocked, [rt_sigprocmask, rt_sigpending], {
    count_signal(SIGUSR1, 0);
    block(&[SIGUSR1]);
    raise(SIGUSR1);
    raise(SIGUSR1);
    check_eq!((counted(SIGUSR1), pending()), (0, mask_of(&[SIGUSR1])));
    set_mask(0);
    check_eq!((counted(SIGUSR1), pending()), (1, 0), "standard signals do not queue");
});

case!(ignored_signals_do_not_become_pending, [rt_sigaction, rt_sigpending], {
    ignore(SIGUSR1);
    raise(SIGUSR1);
    raise(SIGCHLD);
    raise(SIGURG);
    block(&[SIGUSR1]);
    default_action(SIGUSR1);
    check_eq!(pending(), 0);
    raise(SIGUSR1);
    check_eq!(pending(), mask_of(&[SIGUSR1]));
    ignore(SIGUSR1);
    check_eq!(pending(), 0, "ignoring discards what is pending");
});

case!(default_actions, [kill, wait4], {
    let end_by = |signal: i32| {
        fork(|| {
            sys!(setrlimit, RLIMIT_CORE, &rlimit { rlim_cur: 0, rlim_max: 0 }).must();
            raise(signal);
        })
        .wait()
    };
    for signal in [
        SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGUSR1, SIGSEGV, SIGUSR2,
        SIGPIPE, SIGALRM, SIGTERM, SIGSTKFLT, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGIO, SIGPWR,
        SIGSYS, SIGTRAP, 34, 64,
    ] {
        check_eq!(end_by(signal), Status::Signaled(signal));
    }
    for signal in [SIGCHLD, SIGURG, SIGWINCH, SIGCONT] {
        check_eq!(end_by(signal), Status::Exited(0), "signal {signal} is ignored");
    }
});

case!(handler_blocks_its_signal_unless_nodefer, [rt_sigaction], {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    static DEPTH: AtomicU32 = AtomicU32::new(0);
    static DEEPEST: AtomicU32 = AtomicU32::new(0);
    fn nest(_: &SigInfo, _: &mut ucontext_t) {
        let depth = DEPTH.fetch_add(1, SeqCst) + 1;
        DEEPEST.fetch_max(depth, SeqCst);
        if CALLS.fetch_add(1, SeqCst) < 2 {
            raise(SIGUSR1);
        }
        DEPTH.fetch_sub(1, SeqCst);
    }
    on(SIGUSR1, SA_NODEFER, nest);
    raise(SIGUSR1);
    check_eq!((CALLS.swap(0, SeqCst), DEEPEST.swap(0, SeqCst)), (3, 3));
    on(SIGUSR1, 0, nest);
    raise(SIGUSR1);
    check_eq!((CALLS.load(SeqCst), DEEPEST.load(SeqCst)), (3, 1), "one at a time");
});

case!(action_s_mask_is_in_force_in_the_handler, [rt_sigaction], {
    static SEEN: AtomicU64 = AtomicU64::new(0);
    let mask = mask_of(&[SIGUSR2, SIGHUP]);
    crate::support::signal::on_masked(SIGUSR1, 0, mask, |_, _| {
        let mut now = 0u64;
        sys!(rt_sigprocmask, SIG_BLOCK, NULL, &mut now, 8).must();
        SEEN.store(now, SeqCst);
    });
    block(&[SIGTERM]);
    raise(SIGUSR1);
    check_eq!(SEEN.load(SeqCst), mask_of(&[SIGUSR1, SIGUSR2, SIGHUP, SIGTERM]));
    check_eq!(set_mask(0), mask_of(&[SIGTERM]), "restored afterwards");
});

case!(resethand_handles_once, [rt_sigaction], {
    count_signal(SIGUSR1, SA_RESETHAND);
    let child = fork(|| {
        raise(SIGUSR1);
        check_eq!(counted(SIGUSR1), 1);
        raise(SIGUSR1);
    });
    check_eq!(child.wait(), Status::Signaled(SIGUSR1));
});

case!(sigsuspend_swaps_the_mask_while_waiting, [rt_sigsuspend], {
    count_signal(SIGUSR1, 0);
    count_signal(SIGUSR2, 0);
    block(&[SIGUSR1, SIGUSR2]);
    raise(SIGUSR1);
    check_eq!(sys!(rt_sigsuspend, &mask_of(&[SIGUSR2]), 8), Err(EINTR));
    check_eq!((counted(SIGUSR1), counted(SIGUSR2)), (1, 0));
    check_eq!(set_mask(0), mask_of(&[SIGUSR1, SIGUSR2]), "the old mask is back");
    check_eq!(sys!(rt_sigsuspend, BAD, 8), Err(EFAULT));
    check_eq!(sys!(rt_sigsuspend, &0u64, 4), Err(EINVAL));
});

case!(pause_waits_for_a_handler, [pause], {
    ignore(SIGUSR2);
    count_signal(SIGALRM, SA_RESTART);
    let parent = getpid();
    let child = fork(|| {
        sys!(kill, parent, SIGUSR2).must();
    });
    sys!(alarm, 1).must();
    check_eq!(sys!(pause), Err(EINTR), "an ignored signal does not end it, nor is it restarted");
    check_eq!(counted(SIGALRM), 1);
    child.ok();
});

case!(altstack_is_used_when_asked_for, [sigaltstack, rt_sigaction], {
    static WHERE: AtomicUsize = AtomicUsize::new(0);
    let area = anon(64 << 10);
    let stack = [area, 0, 64 << 10];
    check_eq!(sys!(sigaltstack, &stack, NULL), Ok(0));
    let handler = |_: &SigInfo, _: &mut ucontext_t| {
        let local = 0u8;
        WHERE.store(&raw const local as usize, SeqCst);
    };
    let inside = || (area..area + (64 << 10)).contains(&WHERE.load(SeqCst));
    on(SIGUSR1, SA_ONSTACK, handler);
    raise(SIGUSR1);
    check!(inside());
    on(SIGUSR1, 0, handler);
    raise(SIGUSR1);
    check!(!inside());
});

case!(altstack_state, [sigaltstack], {
    static INSIDE: AtomicU64 = AtomicU64::new(0);
    static CHANGE: AtomicI32 = AtomicI32::new(0);
    let area = anon(64 << 10);
    let mut old = [0usize; 3];
    sys!(sigaltstack, &[area, 0, 64 << 10], &mut old).must();
    check_eq!(old[1] as i32, SS_DISABLE);
    on(SIGUSR1, SA_ONSTACK, |_, _| {
        let mut current = [0u64; 3];
        sys!(sigaltstack, NULL, &mut current).must();
        INSIDE.store(current[1] & 0xffff_ffff, SeqCst);
        let result = sys!(sigaltstack, &[0usize, SS_DISABLE as usize, 0], NULL);
        CHANGE.store(result.err().map_or(0, |e| e.0), SeqCst);
    });
    raise(SIGUSR1);
    check_eq!(INSIDE.load(SeqCst), SS_ONSTACK as u64);
    check_eq!(Errno(CHANGE.load(SeqCst)), EPERM, "not while on it");
    check_eq!(sys!(sigaltstack, &[area, 0, 1000], NULL), Err(ENOMEM), "smaller than MINSIGSTKSZ");
    check_eq!(sys!(sigaltstack, &[area, 4, 64 << 10], NULL), Err(EINVAL));
    check_eq!(sys!(sigaltstack, BAD, NULL), Err(EFAULT));
    check_eq!(sys!(sigaltstack, NULL, BAD), Err(EFAULT));
    sys!(sigaltstack, &[0usize, SS_DISABLE as usize, 0], &mut old).must();
    check_eq!((old[0], old[2]), (area, 64 << 10));
});

case!(altstack_of_threads_and_children, [sigaltstack, clone, fork], {
    let area = anon(64 << 10);
    sys!(sigaltstack, &[area, 0, 64 << 10], NULL).must();
    fork(|| {
        let mut stack = [0usize; 3];
        sys!(sigaltstack, NULL, &mut stack).must();
        check_eq!(stack[0], area, "a child process keeps it");
    })
    .ok();
});

case!(autodisarm_clears_the_altstack_in_the_handler, [sigaltstack], {
    static FLAGS: AtomicU64 = AtomicU64::new(99);
    let area = anon(64 << 10);
    let autodisarm = 1usize << 31;
    sys!(sigaltstack, &[area, autodisarm, 64 << 10], NULL).must();
    on(SIGUSR1, SA_ONSTACK, |_, _| {
        let mut current = [0u64; 3];
        sys!(sigaltstack, NULL, &mut current).must();
        FLAGS.store(current[1] & 0xffff_ffff, SeqCst);
    });
    raise(SIGUSR1);
    check_eq!(FLAGS.load(SeqCst), SS_DISABLE as u64);
    let mut after = [0usize; 3];
    sys!(sigaltstack, NULL, &mut after).must();
    check_eq!(after[0], area);
});
