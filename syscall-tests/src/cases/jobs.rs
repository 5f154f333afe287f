//! Process groups and sessions: setpgid, getpgid, setsid, getsid, kill of groups, orphans.

use crate::support::prelude::*;

case!(child_starts_in_its_parent_s_group, [getpgid, getpgrp, getsid], {
    let (group, session) = (sys!(getpgid, 0).must(), sys!(getsid, 0).must());
    check_eq!(sys!(getpgrp), Ok(group));
    fork(|| {
        check_eq!(sys!(getpgid, 0), Ok(group));
        check_eq!(sys!(getsid, 0), Ok(session));
    })
    .ok();
});

case!(setpgid_makes_and_joins_groups, [setpgid, getpgid], {
    let gate = Gate::new();
    let (a, b) = (fork(|| gate.wait()), fork(|| gate.wait()));
    check_eq!(sys!(setpgid, a.pid, 0), Ok(0));
    check_eq!(sys!(getpgid, a.pid), Ok(i64::from(a.pid)));
    check_eq!(sys!(setpgid, b.pid, a.pid), Ok(0));
    check_eq!(sys!(getpgid, b.pid), Ok(i64::from(a.pid)));
    gate.open();
    gate.open();
    a.ok();
    b.ok();
});

case!(setpgid_errors, [setpgid], {
    check_eq!(sys!(setpgid, 0, -1), Err(EINVAL));
    check_eq!(sys!(setpgid, -1, 0), Err(EINVAL));
    check_eq!(sys!(setpgid, i32::MAX, 0), Err(ESRCH));
    check_eq!(sys!(setpgid, 1, 0), Err(ESRCH), "not a child");
    check_eq!(sys!(setpgid, 0, i32::MAX), Err(EPERM), "no such group in the session");
    check_eq!(sys!(getpgid, i32::MAX), Err(ESRCH));
    check_eq!(sys!(getsid, i32::MAX), Err(ESRCH));
});

case!(child_that_has_called_exec_is_eacces, [setpgid, execve], {
    let (child, out) = start_helper(&["pause"], || {});
    let mut buf = [0u8; 6];
    check_eq!(sys!(read, out, &mut buf, 6), Ok(6));
    check_eq!(sys!(setpgid, child.pid, child.pid), Err(EACCES));
    child.end();
});

case!(setsid_makes_a_session, [setsid], {
    fork(|| {
        let pid = i64::from(getpid());
        check_eq!(sys!(setsid), Ok(pid));
        check_eq!((sys!(getsid, 0), sys!(getpgid, 0)), (Ok(pid), Ok(pid)));
        check_eq!(sys!(setsid), Err(EPERM), "a group leader may not");
        check_eq!(sys!(setpgid, 0, 0), Err(EPERM), "nor may a session leader change its group");
        check_eq!(sys!(open, c"/dev/tty", O_RDWR, 0), Err(ENXIO), "no controlling terminal");
    })
    .ok();
});

case!(other_sessions_are_out_of_reach, [setpgid, setsid], {
    let gate = Gate::new();
    let ready = Gate::new();
    let child = fork(|| {
        sys!(setsid).must();
        ready.open();
        gate.wait();
    });
    ready.wait();
    check_eq!(sys!(setpgid, child.pid, 0), Err(EPERM));
    check_eq!(sys!(setpgid, 0, child.pid), Err(EPERM));
    check_eq!(sys!(getsid, child.pid), Ok(i64::from(child.pid)));
    gate.open();
    child.ok();
});

case!(kill_reaches_every_process_of_a_group, [kill, setpgid], {
    let leader = fork(|| {
        loop {
            sleep_ms(1000);
        }
    });
    sys!(setpgid, leader.pid, leader.pid).must();
    let member = fork(|| {
        loop {
            sleep_ms(1000);
        }
    });
    sys!(setpgid, member.pid, leader.pid).must();
    check_eq!(sys!(kill, -leader.pid, SIGTERM), Ok(0));
    check_eq!(leader.wait(), Status::Signaled(SIGTERM));
    check_eq!(member.wait(), Status::Signaled(SIGTERM));
    check_eq!(sys!(kill, -leader.pid, 0), Err(ESRCH), "the group is gone");
});

case!(kill_zero_reaches_the_own_group, [kill], {
    let child = fork(|| {
        sys!(setpgid, 0, 0).must();
        count_signal(SIGUSR1, 0);
        sys!(kill, 0, SIGUSR1).must();
        check_eq!(counted(SIGUSR1), 1);
    });
    child.ok();
});

case!(group_lives_on_without_its_leader, [kill, setpgid], {
    let gate = Gate::new();
    let leader = fork(|| gate.wait());
    sys!(setpgid, leader.pid, leader.pid).must();
    let member = fork(|| {
        loop {
            sleep_ms(1000);
        }
    });
    sys!(setpgid, member.pid, leader.pid).must();
    gate.open();
    leader.ok();
    check_eq!(sys!(getpgid, member.pid), Ok(i64::from(leader.pid)));
    check_eq!(sys!(kill, -leader.pid, SIGKILL), Ok(0));
    check_eq!(member.wait(), Status::Signaled(SIGKILL));
});

case!(orphaned_stopped_group_gets_sighup_and_sigcont, [setpgid, kill], {
    // POSIX: when a process's end orphans a group with a stopped member.
    let words = words();
    let (r, w) = pipe();
    let middle = fork(|| {
        sys!(setsid).must();
        let child = sys!(fork).must() as i32;
        if child == 0 {
            sys!(prctl, PR_SET_PDEATHSIG, 0).must();
            sys!(setpgid, 0, 0).must();
            count_signal(SIGHUP, 0);
            count_signal(SIGCONT, 0);
            raise(SIGSTOP);
            words[0].store(counted(SIGHUP), SeqCst);
            words[1].store(counted(SIGCONT), SeqCst);
            exit(0);
        }
        sys!(wait4, child, 0, WUNTRACED, 0).must();
    });
    sys!(close, w).must();
    middle.ok();
    // The orphan holds the pipe's only writer.
    check_eq!(read_all(r), b"");
    check_eq!((words[0].load(SeqCst), words[1].load(SeqCst)), (1, 1));
});

case!(terminal_stop_signals_do_nothing_in_an_orphaned_group, [kill, setsid], {
    fork(|| {
        sys!(setsid).must();
        raise(SIGTSTP);
        raise(SIGTTIN);
        raise(SIGTTOU);
    })
    .ok();
});
