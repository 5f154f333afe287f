//! Ends of tracers and tracees that meet.

use crate::support::prelude::*;
use crate::support::trace::{Stop, Tracee, decode, traced, wait_any};

case!(a_zombie_left_by_its_tracer_goes_to_its_parent, [ptrace, wait4], {
    let gate = Gate::new();
    let child = fork(|| {
        gate.wait();
        exit(8);
    });
    let tracer = fork(|| {
        sys!(ptrace, PTRACE_ATTACH, child.pid, 0, 0).must();
        let tracee = Tracee { pid: child.pid };
        check_eq!(tracee.stop(), Stop(SIGSTOP, 0));
        tracee.cont(0);
        gate.open();
        let mut info: SigInfo = zeroed();
        sys!(waitid, P_PID, child.pid, &mut info, WEXITED | WNOWAIT, 0).must();
    });
    tracer.ok();
    check_eq!(child.wait(), Status::Exited(8));
});

case!(a_tracee_that_ignores_sigchld_has_a_tracer_all_the_same, [ptrace, wait4], {
    ignore(SIGCHLD);
    let tracee = traced(|| exit(2));
    tracee.cont(0);
    settle();
    check_eq!(tracee.end(), Status::Exited(2), "no tracee vanishes");
});

case!(tracers_come_one_after_the_other, [ptrace], {
    let child = fork(|| {
        loop {
            let _ = sys!(pause);
        }
    });
    for _ in 0..20 {
        fork(|| {
            sys!(ptrace, PTRACE_ATTACH, child.pid, 0, 0).must();
            check_eq!(Tracee { pid: child.pid }.stop(), Stop(SIGSTOP, 0));
        })
        .ok();
    }
    child.end();
});

case!(a_killed_tracer_leaves_nobody_stopped, [ptrace], {
    let gate = Gate::new();
    let words = words();
    let child = fork(|| {
        loop {
            words[0].fetch_add(1, SeqCst);
            sleep_ms(1);
        }
    });
    let tracer = fork(|| {
        sys!(ptrace, PTRACE_ATTACH, child.pid, 0, 0).must();
        check_eq!(Tracee { pid: child.pid }.stop(), Stop(SIGSTOP, 0));
        gate.open();
        loop {
            let _ = sys!(pause);
        }
    });
    gate.wait();
    let before = words[0].load(SeqCst);
    settle();
    check_eq!(words[0].load(SeqCst), before);
    tracer.end();
    settle();
    check!(words[0].load(SeqCst) > before);
    child.end();
});

case!(two_processes_cannot_trace_one, [ptrace, wait4], {
    let tracee = traced(|| {
        loop {
            let _ = sys!(pause);
        }
    });
    tracee.options(PTRACE_O_EXITKILL);
    tracee.cont(0);
    fork(|| {
        let refused = crate::support::trace::ptrace(PTRACE_SEIZE as i32, tracee.pid, 0, 0);
        check_eq!(refused, Err(EPERM));
    })
    .ok();
    tracee.kill();
});

case!(a_tracee_traces_its_own_children, [ptrace], {
    let tracee = traced(|| {
        let inner = traced(|| raise(SIGUSR1));
        inner.cont(0);
        check_eq!(inner.stop(), Stop(SIGUSR1, 0));
        inner.ok();
    });
    tracee.cont(0);
    loop {
        let (_, word) = wait_any(tracee.pid);
        match decode(word) {
            Some(Stop(signal, 0)) => {
                check_eq!(signal, SIGCHLD);
                tracee.cont(signal);
            }
            Some(other) => fail!("{other:?}"),
            None => {
                check_eq!(Status::decode(word), Status::Exited(0));
                break;
            }
        }
    }
});
