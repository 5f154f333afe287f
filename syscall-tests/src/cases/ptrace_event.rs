//! Events: new children, new programs, the end.

use crate::support::prelude::*;
use crate::support::trace::{Stop, Tracee, decode, traced, wait_any};

const fn event(number: i32) -> Stop {
    Stop(SIGTRAP, number)
}

case!(fork_is_an_event_and_its_child_a_tracee, [ptrace, fork], {
    let tracee = traced(|| fork(|| {}).ok());
    tracee.options(PTRACE_O_TRACEFORK);
    tracee.cont(0);
    check_eq!(tracee.stop(), event(PTRACE_EVENT_FORK));
    let child = Tracee { pid: tracee.message() as i32 };
    check_eq!(child.stop(), Stop(SIGSTOP, 0));
    check_eq!(child.regs().rax, 0, "as in the child of a fork");
    child.ok();
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGCHLD, 0));
    tracee.ok();
});

case!(without_options_children_are_not_traced, [ptrace, fork], {
    let tracee = traced(|| {
        fork(|| check_eq!(crate::support::trace::state(getpid()).1, 0)).ok();
    });
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGCHLD, 0));
    tracee.ok();
});

case!(vfork_and_its_end_are_events, [ptrace, vfork], {
    let tracee = traced(|| {
        let words = words();
        let pid = vfork_store(std::ptr::from_ref(words) as usize, &millis(1), 5).must();
        check_eq!(Child { pid: pid as i32 }.wait(), Status::Exited(5));
    });
    tracee.options(PTRACE_O_TRACEVFORK | PTRACE_O_TRACEVFORKDONE);
    tracee.cont(0);
    check_eq!(tracee.stop(), event(PTRACE_EVENT_VFORK));
    let child = Tracee { pid: tracee.message() as i32 };
    check_eq!(child.stop(), Stop(SIGSTOP, 0));
    tracee.cont(0);
    settle();
    check!(tracee.is_quiet(), "it waits for the child");
    child.cont(0);
    check_eq!(tracee.stop(), event(PTRACE_EVENT_VFORK_DONE));
    check_eq!(tracee.message() as i32, child.pid);
    check_eq!(child.end(), Status::Exited(5));
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGCHLD, 0));
    tracee.ok();
});

case!(a_new_program_is_a_trap, [ptrace, execve], {
    let exe = self_exe();
    let run = || {
        let errno = exec(&exe, &["syscall-cases", "helper", "exit", "7"], &[]);
        fail!("{errno:?}");
    };
    let tracee = traced(run);
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGTRAP, 0), "a plain signal");
    check_eq!(tracee.info().code, SI_USER);
    tracee.cont(0);
    check_eq!(tracee.end(), Status::Exited(7));
    let tracee = traced(run);
    tracee.options(PTRACE_O_TRACEEXEC);
    tracee.cont(0);
    check_eq!(tracee.stop(), event(PTRACE_EVENT_EXEC));
    check_eq!(tracee.message() as i32, tracee.pid);
    let regs = tracee.regs();
    check_eq!((regs.rax as i64, regs.orig_rax), (-i64::from(ENOSYS.0), SYS_execve as u64));
    check_eq!(tracee.peek(regs.rsp as usize), 4, "argc");
    tracee.cont(0);
    check_eq!(tracee.end(), Status::Exited(7));
});

case!(the_end_is_an_event, [ptrace, exit_group], {
    let tracee = traced(|| exit(3));
    tracee.options(PTRACE_O_TRACEEXIT);
    tracee.cont(0);
    check_eq!(tracee.stop(), event(PTRACE_EVENT_EXIT));
    check_eq!(tracee.message(), 3 << 8);
    check_eq!(tracee.regs().orig_rax, SYS_exit_group as u64);
    tracee.cont(0);
    check_eq!(tracee.end(), Status::Exited(3));
    let tracee = traced(|| raise(SIGTERM));
    tracee.options(PTRACE_O_TRACEEXIT);
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGTERM, 0));
    tracee.cont(SIGTERM);
    check_eq!(tracee.stop(), event(PTRACE_EVENT_EXIT));
    check_eq!(tracee.message(), SIGTERM as u64);
    tracee.cont(0);
    check_eq!(tracee.end(), Status::Signaled(SIGTERM));
});

case!(sigkill_ends_no_last_stop, [ptrace, kill], {
    let tracee = traced(|| exit(3));
    tracee.options(PTRACE_O_TRACEEXIT);
    tracee.cont(0);
    check_eq!(tracee.stop(), event(PTRACE_EVENT_EXIT));
    sys!(kill, tracee.pid, SIGKILL).must();
    settle();
    check!(tracee.is_quiet(), "a process that ends gets no signals");
    tracee.cont(0);
    check_eq!(tracee.end(), Status::Exited(3));
});

case!(a_killed_process_stops_once_more, [ptrace, kill], {
    let tracee = traced(|| {});
    tracee.options(PTRACE_O_TRACEEXIT);
    sys!(kill, tracee.pid, SIGKILL).must();
    check_eq!(tracee.stop(), event(PTRACE_EVENT_EXIT));
    check_eq!(tracee.message(), SIGKILL as u64);
    tracee.cont(0);
    check_eq!(tracee.end(), Status::Signaled(SIGKILL));
});

case!(events_are_seen_by_the_tracer_alone, [ptrace, clone], {
    // A child that its tracee does not want traced.
    let tracee = traced(|| {
        let pid = sys!(clone, CLONE_UNTRACED | SIGCHLD, 0, 0, 0, 0).must();
        if pid == 0 {
            exit(0);
        }
        Child { pid: pid as i32 }.ok();
    });
    tracee.options(PTRACE_O_TRACEFORK);
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGCHLD, 0));
    tracee.ok();
    // One that it wants traced though nobody asked for it.
    let tracee = traced(|| {
        let pid = sys!(clone, CLONE_PTRACE | SIGCHLD, 0, 0, 0, 0).must();
        if pid == 0 {
            exit(0);
        }
        Child { pid: pid as i32 }.ok();
    });
    tracee.cont(0);
    let (pid, word) = wait_any(-1);
    check!(pid != tracee.pid);
    check_eq!(decode(word), Some(Stop(SIGSTOP, 0)));
    Tracee { pid }.ok();
    check_eq!(tracee.stop(), Stop(SIGCHLD, 0));
    tracee.ok();
});

case!(a_call_in_progress_ends_with_a_stop, [ptrace, fork], {
    let tracee = traced(|| {
        let _ = fork(|| {});
        let _ = sys!(getppid);
    });
    tracee.options(PTRACE_O_TRACEFORK | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    tracee.cont(0);
    check_eq!(tracee.stop(), event(PTRACE_EVENT_FORK));
    let child = tracee.message() as i32;
    check_eq!(tracee.call(), Stop(SIGTRAP | 0x80, 0), "the exit of the call");
    check_eq!(tracee.regs().rax as i32, child);
    let child = Tracee { pid: child };
    check_eq!(child.stop(), Stop(SIGSTOP, 0));
    check_eq!(child.call(), Stop(SIGTRAP | 0x80, 0), "the entry of its own first call");
    check!(child.regs().orig_rax != SYS_fork as u64);
    child.kill();
    tracee.kill();
});
