//! Tracing without side effects: `PTRACE_SEIZE`, `PTRACE_INTERRUPT`, `PTRACE_LISTEN`.

use crate::support::prelude::*;
use crate::support::trace::{EVENT_STOP, Stop, Tracee, ptrace, state, traced};

const TRAP: Stop = Stop(SIGTRAP, EVENT_STOP);

fn pausing() -> Child {
    fork(|| wait_for_signals())
}

#[track_caller]
fn seize(child: Child, options: i32) -> Tracee {
    ptrace(PTRACE_SEIZE as i32, child.pid, 0, options as usize).must();
    Tracee { pid: child.pid }
}

const INTERRUPT: i32 = PTRACE_INTERRUPT as i32;
const LISTEN: i32 = PTRACE_LISTEN as i32;

case!(seizing_stops_nobody, [ptrace], {
    let child = pausing();
    check_eq!(ptrace(PTRACE_SEIZE as i32, child.pid, 1, 0), Err(EIO));
    check_eq!(ptrace(PTRACE_SEIZE as i32, child.pid, 0, 1 << 30), Err(EIO));
    let tracee = seize(child, 0);
    settle();
    check!(tracee.is_quiet());
    check_eq!(state(child.pid), ('S', getpid()));
    check_eq!(ptrace(PTRACE_CONT as i32, child.pid, 0, 0), Err(ESRCH));
    tracee.kill();
});

case!(interrupt_stops_a_seized_thread, [ptrace], {
    let child = pausing();
    settle();
    let tracee = seize(child, 0);
    tracee.must(INTERRUPT, 0, 0);
    check_eq!(tracee.stop(), TRAP);
    let info = tracee.info();
    check_eq!((info.signo, info.code), (SIGTRAP, EVENT_STOP << 8 | SIGTRAP));
    check_eq!(tracee.regs().orig_rax, SYS_pause as u64);
    tracee.cont(0);
    settle();
    check!(tracee.is_quiet(), "it waits again");
    // While it is in a stop, another one follows.
    tracee.must(INTERRUPT, 0, 0);
    check_eq!(tracee.stop(), TRAP);
    tracee.must(INTERRUPT, 0, 0);
    tracee.cont(0);
    check_eq!(tracee.stop(), TRAP);
    tracee.cont(SIGUSR1);
    settle();
    check!(tracee.is_quiet(), "the signal of such a stop is none");
    tracee.kill();
});

case!(interrupt_stops_a_thread_that_runs, [ptrace], {
    let child = fork(|| {
        loop {
            std::hint::spin_loop();
        }
    });
    let tracee = seize(child, 0);
    for _ in 0..20 {
        tracee.must(INTERRUPT, 0, 0);
        check_eq!(tracee.stop(), TRAP);
        tracee.cont(0);
    }
    tracee.kill();
});

case!(only_seized_threads_are_interrupted, [ptrace], {
    let tracee = traced(|| {});
    check_eq!(ptrace(INTERRUPT, tracee.pid, 0, 0), Err(EIO));
    check_eq!(ptrace(LISTEN, tracee.pid, 0, 0), Err(EIO));
    tracee.ok();
    let child = pausing();
    check_eq!(ptrace(INTERRUPT, child.pid, 0, 0), Err(ESRCH));
    child.end();
});

case!(children_of_a_seized_thread_stop_by_an_event, [ptrace, fork], {
    let gate = Gate::new();
    let child = fork(|| {
        gate.wait();
        fork(|| {}).ok();
    });
    let tracee = seize(child, PTRACE_O_TRACEFORK);
    gate.open();
    check_eq!(tracee.stop(), Stop(SIGTRAP, PTRACE_EVENT_FORK));
    let grandchild = Tracee { pid: tracee.message() as i32 };
    check_eq!(grandchild.stop(), TRAP);
    grandchild.ok();
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGCHLD, 0));
    tracee.ok();
});

case!(a_seized_thread_gets_no_sigtrap_at_execve, [ptrace, execve], {
    let gate = Gate::new();
    let exe = self_exe();
    let child = fork(|| {
        gate.wait();
        let errno = exec(&exe, &["syscall-cases", "helper", "exit", "6"], &[]);
        fail!("{errno:?}");
    });
    let tracee = seize(child, 0);
    gate.open();
    check_eq!(tracee.end(), Status::Exited(6));
});

case!(a_group_stop_is_an_event, [ptrace, kill], {
    let child = pausing();
    let tracee = seize(child, 0);
    sys!(kill, child.pid, SIGTSTP).must();
    check_eq!(tracee.stop(), Stop(SIGTSTP, 0), "the signal");
    tracee.cont(SIGTSTP);
    check_eq!(tracee.stop(), Stop(SIGTSTP, EVENT_STOP), "the stop");
    check_eq!(tracee.info().signo, SIGTSTP);
    tracee.must(LISTEN, 0, 0);
    check_eq!(ptrace(PTRACE_CONT as i32, child.pid, 0, 0), Err(ESRCH), "it listens");
    settle();
    check!(tracee.is_quiet());
    sys!(kill, child.pid, SIGCONT).must();
    check_eq!(tracee.stop(), TRAP, "the end of the stop");
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGCONT, 0));
    tracee.cont(0);
    settle();
    check!(tracee.is_quiet());
    tracee.kill();
});

case!(interrupt_ends_listening, [ptrace], {
    let child = pausing();
    let tracee = seize(child, 0);
    sys!(kill, child.pid, SIGSTOP).must();
    check_eq!(tracee.stop(), Stop(SIGSTOP, 0));
    check_eq!(ptrace(LISTEN, child.pid, 0, 0), Err(EIO), "a signal's stop");
    tracee.cont(SIGSTOP);
    check_eq!(tracee.stop(), Stop(SIGSTOP, EVENT_STOP));
    tracee.must(LISTEN, 0, 0);
    tracee.must(INTERRUPT, 0, 0);
    check_eq!(tracee.stop(), Stop(SIGSTOP, EVENT_STOP));
    tracee.kill();
});

case!(seizing_a_stopped_process_tells_of_the_stop, [ptrace], {
    let child = fork(|| {
        raise(SIGSTOP);
        wait_for_signals()
    });
    check_eq!(child.wait_stop(), Status::Stopped(SIGSTOP));
    let tracee = seize(child, 0);
    check_eq!(tracee.stop(), Stop(SIGSTOP, EVENT_STOP));
    sys!(kill, child.pid, SIGCONT).must();
    tracee.cont(0);
    check_eq!(tracee.stop(), TRAP);
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGCONT, 0));
    tracee.kill();
});
