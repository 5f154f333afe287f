//! wait4, waitid: what they report, and of which children.

use crate::support::prelude::*;

fn waitid(kind: u32, id: i32, options: i32) -> (i32, i32, i32, i32) {
    let mut info: SigInfo = zeroed();
    sys!(waitid, kind, id, &mut info, options, 0).must();
    (info.pid(), info.signo, info.code, info.status())
}

const CLD_EXITED: i32 = 1;
const CLD_KILLED: i32 = 2;
const CLD_STOPPED: i32 = 5;
const CLD_CONTINUED: i32 = 6;

case!(no_children_is_echild, [wait4, waitid], {
    check_eq!(sys!(wait4, -1, 0, 0, 0), Err(ECHILD));
    check_eq!(sys!(wait4, 1, 0, 0, 0), Err(ECHILD));
    check_eq!(sys!(waitid, P_ALL, 0, 0, WEXITED, 0), Err(ECHILD));
});

case!(status_of_exit_and_signal, [wait4], {
    check_eq!(fork(|| exit(42)).wait(), Status::Exited(42));
    check_eq!(fork(|| raise(SIGKILL)).wait(), Status::Signaled(SIGKILL));
    check_eq!(fork(|| raise(SIGTERM)).wait(), Status::Signaled(SIGTERM));
});

case!(core_bit_needs_a_core_limit, [wait4], {
    let child = fork(|| {
        sys!(setrlimit, RLIMIT_CORE, &rlimit { rlim_cur: 0, rlim_max: 0 }).must();
        raise(SIGABRT);
    });
    let mut word = 0i32;
    sys!(wait4, child.pid, &mut word, 0, 0).must();
    check_eq!(word, SIGABRT);
});

case!(nohang_returns_zero_while_running, [wait4, waitid], {
    let gate = Gate::new();
    let child = fork(|| gate.wait());
    check_eq!(sys!(wait4, child.pid, 0, WNOHANG, 0), Ok(0));
    let mut info = SigInfo::queued(1, 1, 1, 1, 1);
    check_eq!(sys!(waitid, P_PID, child.pid, &mut info, WEXITED | WNOHANG, 0), Ok(0));
    check_eq!((info.signo, info.pid()), (0, 0), "zeroed when there is nothing");
    gate.open();
    child.ok();
});

case!(argument_errors, [wait4, waitid], {
    check_eq!(sys!(wait4, -1, 0, WNOWAIT, 0), Err(EINVAL));
    check_eq!(sys!(wait4, i32::MIN, 0, 0, 0), Err(ESRCH));
    check_eq!(sys!(waitid, P_ALL, 0, 0, 0, 0), Err(EINVAL), "nothing to wait for");
    check_eq!(sys!(waitid, 99, 0, 0, WEXITED, 0), Err(EINVAL));
    check_eq!(sys!(waitid, P_PID, 0, 0, WEXITED, 0), Err(EINVAL));
    check_eq!(sys!(waitid, P_PIDFD, 99, 0, WEXITED, 0), Err(EBADF));
    let child = fork(|| {});
    sleep_ms(20);
    check_eq!(sys!(wait4, child.pid, BAD, 0, 0), Err(EFAULT));
    check_eq!(sys!(wait4, child.pid, 0, 0, 0), Err(ECHILD), "it was reaped all the same");
});

case!(any_child_and_process_group, [wait4, setpgid], {
    let gate = Gate::new();
    let grouped = fork(|| gate.wait());
    sys!(setpgid, grouped.pid, grouped.pid).must();
    let quick = fork(|| exit(1));
    check_eq!(wait_pid(0, 0), Status::Exited(1), "0: my own group");
    gate.open();
    let mut word = 0i32;
    check_eq!(sys!(wait4, -grouped.pid, &mut word, 0, 0), Ok(i64::from(grouped.pid)));
    check_eq!(sys!(wait4, quick.pid, 0, 0, 0), Err(ECHILD));
});

case!(stop_and_continue_are_reported_on_request, [wait4, kill], {
    let child = fork(|| {
        loop {
            sleep_ms(1000);
        }
    });
    child.kill(SIGSTOP);
    check_eq!(wait_pid(child.pid, WUNTRACED), Status::Stopped(SIGSTOP));
    check_eq!(sys!(wait4, child.pid, 0, WUNTRACED | WNOHANG, 0), Ok(0), "only once");
    child.kill(SIGCONT);
    check_eq!(wait_pid(child.pid, WCONTINUED), Status::Continued);
    check_eq!(sys!(wait4, child.pid, 0, WCONTINUED | WNOHANG, 0), Ok(0));
    child.kill(SIGKILL);
    check_eq!(child.wait(), Status::Signaled(SIGKILL));
});

case!(stopped_child_can_be_killed, [kill, wait4], {
    let child = fork(|| {
        loop {
            sleep_ms(1000);
        }
    });
    child.kill(SIGSTOP);
    let _ = child.wait_stop();
    child.kill(SIGTERM);
    check_eq!(sys!(wait4, child.pid, 0, WNOHANG, 0), Ok(0), "SIGTERM waits for SIGCONT");
    child.kill(SIGKILL);
    check_eq!(child.wait(), Status::Signaled(SIGKILL));
});

case!(waitid_fills_the_siginfo, [waitid], {
    let child = fork(|| exit(7));
    check_eq!(waitid(P_PID, child.pid, WEXITED), (child.pid, SIGCHLD, CLD_EXITED, 7));
    let child = fork(|| {
        loop {
            sleep_ms(1000);
        }
    });
    child.kill(SIGSTOP);
    check_eq!(waitid(P_ALL, 0, WSTOPPED), (child.pid, SIGCHLD, CLD_STOPPED, SIGSTOP));
    child.kill(SIGCONT);
    check_eq!(waitid(P_PID, child.pid, WCONTINUED), (child.pid, SIGCHLD, CLD_CONTINUED, SIGCONT));
    child.kill(SIGKILL);
    check_eq!(waitid(P_PID, child.pid, WEXITED), (child.pid, SIGCHLD, CLD_KILLED, SIGKILL));
});

case!(nowait_leaves_the_child_waitable, [waitid], {
    let child = fork(|| exit(7));
    for _ in 0..3 {
        check_eq!(waitid(P_PID, child.pid, WEXITED | WNOWAIT).3, 7);
    }
    check_eq!(child.wait(), Status::Exited(7));
});

case!(rusage_of_a_child, [wait4, getrusage], {
    let child = fork(|| {
        let start = now();
        while now() - start < Duration::from_millis(60) {}
    });
    let mut usage: rusage = zeroed();
    check_eq!(sys!(wait4, child.pid, 0, 0, &mut usage), Ok(i64::from(child.pid)));
    let used = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    check!(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec > 0 || used > 5_000, "{used} µs");
    let mut all: rusage = zeroed();
    sys!(getrusage, RUSAGE_CHILDREN, &mut all).must();
    check!(all.ru_utime.tv_usec + all.ru_stime.tv_usec >= used);
});

case!(blocked_wait_wakes_when_the_child_ends, [wait4], {
    let child = fork(|| sleep_ms(50));
    let start = now();
    child.ok();
    check!(now() - start >= Duration::from_millis(30));
});

case!(interrupted_wait, [wait4], {
    let child = fork(|| {
        loop {
            sleep_ms(1000);
        }
    });
    count_signal(SIGALRM, 0);
    sys!(alarm, 1).must();
    check_eq!(sys!(wait4, child.pid, 0, 0, 0), Err(EINTR));
    child.end();
});

case!(zombie_keeps_its_pid_until_reaped, [kill, wait4], {
    let child = fork(|| {});
    sleep_ms(50);
    check_eq!(sys!(kill, child.pid, 0), Ok(0), "a zombie can be signalled");
    let stat = content(cstr(&format!("/proc/{}/stat", child.pid)).as_c_str());
    check!(String::from_utf8_lossy(&stat).contains(") Z "));
    child.ok();
    check_eq!(sys!(kill, child.pid, 0), Err(ESRCH));
});

case!(ignored_sigchld_reaps_by_itself, [wait4, rt_sigaction], {
    ignore(SIGCHLD);
    let child = fork(|| sleep_ms(30));
    check_eq!(sys!(wait4, child.pid, 0, 0, 0), Err(ECHILD), "waits, then finds nothing");
    check_eq!(sys!(kill, child.pid, 0), Err(ESRCH));
});

case!(nocldwait_reaps_but_still_signals, [wait4, rt_sigaction], {
    count_signal(SIGCHLD, SA_NOCLDWAIT | SA_RESTART);
    let child = fork(|| sleep_ms(30));
    check_eq!(sys!(wait4, child.pid, 0, 0, 0), Err(ECHILD));
    check_eq!(counted(SIGCHLD), 1);
});

case!(nocldstop_keeps_stops_quiet, [rt_sigaction, kill], {
    count_signal(SIGCHLD, SA_NOCLDSTOP | SA_RESTART);
    let child = fork(|| {
        loop {
            sleep_ms(1000);
        }
    });
    child.kill(SIGSTOP);
    let _ = child.wait_stop();
    check_eq!(counted(SIGCHLD), 0);
    child.kill(SIGKILL);
    let _ = child.wait();
    check_eq!(counted(SIGCHLD), 1);
});

case!(sigchld_tells_what_happened, [rt_sigaction, kill], {
    static CODE: AtomicI32 = AtomicI32::new(0);
    static STATUS: AtomicI32 = AtomicI32::new(0);
    static PID: AtomicI32 = AtomicI32::new(0);
    on(SIGCHLD, SA_RESTART, |info, _| {
        CODE.store(info.code, SeqCst);
        STATUS.store(info.status(), SeqCst);
        PID.store(info.pid(), SeqCst);
    });
    let child = fork(|| {
        raise(SIGSTOP);
        // Time for the parent to take the signal about the continuation: two of them would merge.
        settle();
        exit(11);
    });
    let _ = child.wait_stop();
    check_eq!((CODE.load(SeqCst), STATUS.load(SeqCst)), (CLD_STOPPED, SIGSTOP));
    child.kill(SIGCONT);
    check_eq!(child.wait(), Status::Exited(11));
    check_eq!((CODE.load(SeqCst), STATUS.load(SeqCst)), (CLD_EXITED, 11));
    check_eq!(PID.load(SeqCst), child.pid);
});

case!(any_thread_can_wait_unless_wnothread, [wait4], {
    let child = fork(|| exit(3));
    spawn(move || {
        check_eq!(sys!(wait4, child.pid, 0, __WNOTHREAD, 0), Err(ECHILD));
        check_eq!(wait_pid(child.pid, 0), Status::Exited(3));
    })
    .join()
    .ok()
    .must();
});

case!(orphans_go_to_the_subreaper, [prctl, wait4], {
    sys!(prctl, PR_SET_CHILD_SUBREAPER, 1).must();
    let words = words();
    fork(|| {
        let orphan = sys!(fork).must();
        if orphan == 0 {
            while words[1].load(SeqCst) == 0 {
                sleep_ms(1);
            }
            let mut tries = 0;
            while sys!(getppid) == Ok(i64::from(words[1].load(SeqCst))) && tries < 1000 {
                sleep_ms(1);
                tries += 1;
            }
            words[2].store(sys!(getppid).must() as u32, SeqCst);
            exit(6);
        }
        words[0].store(orphan as u32, SeqCst);
        words[1].store(getpid() as u32, SeqCst);
    })
    .ok();
    check_eq!(wait_pid(words[0].load(SeqCst) as i32, 0), Status::Exited(6));
    check_eq!(words[2].load(SeqCst), getpid() as u32);
});
