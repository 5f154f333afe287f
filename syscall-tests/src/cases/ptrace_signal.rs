//! Stops for signals, and for the stop of the process.

use crate::support::prelude::*;
use crate::support::trace::{
    SIGMASK_GET, SIGMASK_SET, Stop, Tracee, decode, ptrace, traced, wait_any,
};

case!(signals_are_told_before_they_act, [ptrace, kill], {
    let tracee = traced(|| {
        count_signal(SIGUSR1, 0);
        raise(SIGUSR1);
        raise(SIGUSR1);
        check_eq!(counted(SIGUSR1), 1, "one was kept from it");
    });
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGUSR1, 0));
    let info = tracee.info();
    check_eq!((info.signo, info.pid()), (SIGUSR1, tracee.pid));
    tracee.cont(SIGUSR1);
    check_eq!(tracee.stop(), Stop(SIGUSR1, 0));
    tracee.ok();
});

case!(another_signal_can_take_its_place, [ptrace, kill], {
    let tracee = traced(|| {
        on(SIGUSR2, 0, |info, _| {
            check_eq!((info.signo, info.code), (SIGUSR2, SI_USER));
        });
        count_signal(SIGUSR1, 0);
        raise(SIGUSR1);
        check_eq!(counted(SIGUSR1), 0);
    });
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGUSR1, 0));
    tracee.cont(SIGUSR2);
    check_eq!(tracee.end(), Status::Exited(0));
});

case!(facts_of_a_signal_can_be_changed, [ptrace, kill], {
    let words = words();
    let tracee = traced(|| {
        words[1].store(std::ptr::from_ref(words) as usize as u32, SeqCst);
        on(SIGUSR1, SA_SIGINFO, |info, _| {
            check_eq!((info.code, info.value()), (SI_QUEUE, 4711));
        });
        raise(SIGUSR1);
    });
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGUSR1, 0));
    let info = SigInfo::queued(SIGUSR1, SI_QUEUE, 1, 0, 4711);
    tracee.must(PTRACE_SETSIGINFO as i32, 0, &raw const info as usize);
    tracee.cont(SIGUSR1);
    check_eq!(tracee.end(), Status::Exited(0));
});

case!(ignored_signals_are_told_too, [ptrace, kill], {
    let tracee = traced(|| {
        ignore(SIGUSR1);
        raise(SIGUSR1);
        raise(SIGCHLD);
    });
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGUSR1, 0));
    tracee.cont(SIGUSR1);
    check_eq!(tracee.stop(), Stop(SIGCHLD, 0));
    tracee.cont(SIGCHLD);
    check_eq!(tracee.end(), Status::Exited(0));
});

case!(sigkill_is_not_told, [ptrace, kill], {
    let tracee = traced(|| {});
    sys!(kill, tracee.pid, SIGKILL).must();
    check_eq!(tracee.end(), Status::Signaled(SIGKILL));
    let tracee = traced(|| {});
    check_eq!(ptrace(PTRACE_KILL as i32, tracee.pid, 0, 0), Ok(0));
    check_eq!(tracee.end(), Status::Signaled(SIGKILL));
    let tracee = traced(|| {});
    tracee.cont(SIGKILL);
    check_eq!(tracee.end(), Status::Signaled(SIGKILL));
});

case!(a_deadly_signal_kills_when_let_through, [ptrace], {
    let tracee = traced(|| {
        crate::support::registers::undefined_instruction();
    });
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGILL, 0));
    check_eq!(tracee.info().addr() as u64, tracee.regs().rip);
    tracee.cont(SIGILL);
    let status = tracee.end();
    check_eq!(status, Status::Signaled(SIGILL));
});

case!(a_fault_can_be_repaired, [ptrace], {
    let tracee = traced(|| {
        crate::support::registers::undefined_instruction();
    });
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGILL, 0));
    let mut regs = tracee.regs();
    regs.rip += 2;
    tracee.set_regs(&regs);
    tracee.ok();
});

case!(a_stop_signal_let_through_stops_the_process, [ptrace, kill], {
    let tracee = traced(|| {});
    tracee.cont(SIGSTOP);
    check_eq!(tracee.stop(), Stop(SIGSTOP, 0));
    let mut info: SigInfo = zeroed();
    let told = ptrace(PTRACE_GETSIGINFO as i32, tracee.pid, 0, &raw mut info as usize);
    check_eq!(told, Err(EINVAL), "it is no signal's stop");
    // A tracer may let it run all the same.
    tracee.ok();
});

case!(sigcont_is_told_like_any_other, [ptrace, kill], {
    let tracee = traced(|| wait_for_signals());
    tracee.cont(SIGSTOP);
    check_eq!(tracee.stop(), Stop(SIGSTOP, 0));
    sys!(kill, tracee.pid, SIGCONT).must();
    settle();
    check!(tracee.is_quiet(), "the tracer has it");
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGCONT, 0));
    tracee.cont(SIGCONT);
    settle();
    check!(tracee.is_quiet());
    tracee.kill();
});

case!(waits_see_a_stop_once, [ptrace, wait4, waitid], {
    let tracee = traced(|| {});
    let mut word = 0i32;
    check_eq!(sys!(wait4, tracee.pid, &mut word, WNOHANG, 0), Ok(0), "seen already");
    tracee.cont(SIGUSR1);
    let mut info: SigInfo = zeroed();
    let options = WSTOPPED | WEXITED | WNOWAIT;
    sys!(waitid, P_PID, tracee.pid, &mut info, options, 0).must();
    check_eq!((info.signo, info.code, info.status()), (SIGCHLD, CLD_KILLED, SIGUSR1));
    check_eq!(tracee.end(), Status::Signaled(SIGUSR1));
});

case!(waitid_tells_of_a_trap, [ptrace, waitid], {
    let child = fork(|| {
        sys!(ptrace, PTRACE_TRACEME, 0, 0, 0).must();
        raise(SIGUSR1);
    });
    let mut info: SigInfo = zeroed();
    for options in [WSTOPPED | WNOWAIT, WSTOPPED] {
        sys!(waitid, P_PID, child.pid, &mut info, options, 0).must();
        check_eq!((info.signo, info.code), (SIGCHLD, CLD_TRAPPED));
        check_eq!((info.pid(), info.status()), (child.pid, SIGUSR1));
    }
    let options = WSTOPPED | WNOHANG;
    sys!(waitid, P_PID, child.pid, &mut info, options, 0).must();
    check_eq!(info.signo, 0);
    Tracee { pid: child.pid }.ok();
});

case!(a_tracer_gets_sigchld_for_each_stop, [ptrace], {
    count_signal(SIGCHLD, SA_RESTART);
    let tracee = traced(|| raise(SIGUSR1));
    check_eq!(counted(SIGCHLD), 1);
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGUSR1, 0));
    check_eq!(counted(SIGCHLD), 2);
    tracee.ok();
    check_eq!(counted(SIGCHLD), 3);
    count_signal(SIGCHLD, SA_NOCLDSTOP);
    let tracee = traced(|| {});
    check_eq!(counted(SIGCHLD), 3, "stops are not wanted");
    tracee.ok();
});

case!(the_mask_can_be_read_and_replaced, [ptrace, rt_sigprocmask], {
    let tracee = traced(|| {
        block(&[SIGUSR1]);
        raise(SIGUSR2);
        check_eq!(set_mask(0), mask_of(&[SIGHUP]));
    });
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGUSR2, 0));
    let mut mask = 0u64;
    let place = &raw mut mask as usize;
    check_eq!(ptrace(SIGMASK_GET, tracee.pid, 4, place), Err(EINVAL));
    tracee.must(SIGMASK_GET, 8, place);
    check_eq!(mask, mask_of(&[SIGUSR1]));
    mask = mask_of(&[SIGHUP, SIGKILL, SIGSTOP]);
    tracee.must(SIGMASK_SET, 8, place);
    tracee.must(SIGMASK_GET, 8, place);
    check_eq!(mask, mask_of(&[SIGHUP]));
    tracee.ok();
});

case!(pending_signals_can_be_looked_at, [ptrace], {
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Args {
        offset: u64,
        flags: u32,
        count: i32,
    }
    let tracee = traced(|| {
        block(&[SIGRTMIN() + 1]);
        for value in 0..3 {
            let info = SigInfo::queued(SIGRTMIN() + 1, SI_QUEUE, getpid(), 0, value);
            sys!(rt_sigqueueinfo, getpid(), SIGRTMIN() + 1, &info).must();
        }
        raise(SIGUSR1);
    });
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGUSR1, 0));
    let mut infos: [SigInfo; 4] = zeroed();
    let mut peek = |offset, flags, count| {
        let args = Args { offset, flags, count };
        let found = ptrace(
            PTRACE_PEEKSIGINFO as i32,
            tracee.pid,
            &raw const args as usize,
            &raw mut infos as usize,
        );
        found.map(|found| (found, infos[0].value()))
    };
    check_eq!(peek(0, 1, 4), Ok((3, 0)));
    check_eq!(peek(1, 1, 1), Ok((1, 1)));
    check_eq!(peek(3, 1, 1).map(|found| found.0), Ok(0));
    check_eq!(peek(0, 0, 4).map(|found| found.0), Ok(0), "none are the thread's own");
    check_eq!(peek(0, 2, 4), Err(EINVAL));
    check_eq!(peek(0, 1, -1), Err(EINVAL));
    tracee.ok();
});

case!(a_real_parent_waits_behind_the_tracer, [ptrace, wait4], {
    let (gate, done) = (Gate::new(), Gate::new());
    let child = fork(|| gate.wait());
    let tracer = fork(|| {
        sys!(ptrace, PTRACE_ATTACH, child.pid, 0, 0).must();
        let tracee = Tracee { pid: child.pid };
        check_eq!(tracee.stop(), Stop(SIGSTOP, 0));
        tracee.cont(0);
        gate.open();
        let mut info: SigInfo = zeroed();
        sys!(waitid, P_PID, child.pid, &mut info, WEXITED | WNOWAIT, 0).must();
        check_eq!(info.code, CLD_EXITED);
        done.wait();
        check_eq!(tracee.end(), Status::Exited(0));
    });
    settle();
    let mut word = 0i32;
    check_eq!(sys!(wait4, child.pid, &mut word, WNOHANG, 0), Ok(0), "it is the tracer's");
    done.open();
    child.ok();
    tracer.ok();
});

case!(waits_find_any_tracee, [ptrace, wait4], {
    let child = fork(|| wait_for_signals());
    let group = child.pid;
    sys!(setpgid, child.pid, child.pid).must();
    fork(|| {
        let mut word = 0i32;
        check_eq!(sys!(wait4, -1, &mut word, 0, 0), Err(ECHILD));
        sys!(ptrace, PTRACE_ATTACH, child.pid, 0, 0).must();
        let (pid, word) = wait_any(-1);
        check_eq!((pid, decode(word)), (child.pid, Some(Stop(SIGSTOP, 0))));
        Tracee { pid }.cont(SIGUSR1);
        let (pid, _) = wait_any(-group);
        check_eq!(pid, child.pid);
        check_eq!(sys!(wait4, -1, &mut 0i32, 0, 0), Err(ECHILD));
    })
    .ok();
    check_eq!(child.wait(), Status::Signaled(SIGUSR1));
});
