//! Threads as tracees and as tracers.

use crate::support::prelude::*;
use crate::support::trace::{Stop, Tracee, decode, ptrace, state, traced, wait_any};

const THREAD: i32 =
    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;

extern "C" fn end_at_once(status: usize) -> i32 {
    status as i32
}

extern "C" fn end_of_process(status: usize) -> i32 {
    let _ = sys!(exit_group, status);
    0
}

extern "C" fn pause_for_ever(_: usize) -> i32 {
    wait_for_signals()
}

extern "C" fn execute(exe: usize) -> i32 {
    let args: [usize; 5] = peek(exe);
    let argv = [args[1], args[2], args[3], args[4], 0];
    let _ = sys!(execve, args[0], &argv, &[0usize]);
    1
}

/// Goes on to the event of a new thread; answers with the thread at its first stop.
#[track_caller]
fn new_thread(tracee: Tracee) -> Tracee {
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGTRAP, PTRACE_EVENT_CLONE));
    let thread = Tracee { pid: tracee.message() as i32 };
    check_eq!(thread.stop(), Stop(SIGSTOP, 0));
    thread
}

case!(a_thread_is_a_tracee_of_its_own, [ptrace, clone], {
    let tracee = traced(|| {
        clone_on_stack(THREAD, 0, 0, 0, end_at_once, 3).must();
        wait_for_signals()
    });
    tracee.options(PTRACE_O_TRACECLONE);
    let thread = new_thread(tracee);
    check_eq!(state(thread.pid), ('t', getpid()));
    check_eq!(thread.regs().rax, 0);
    tracee.cont(0);
    thread.cont(0);
    check_eq!(thread.end(), Status::Exited(3), "it is waited for like a process");
    check_eq!(ptrace(PTRACE_CONT as i32, thread.pid, 0, 0), Err(ESRCH));
    check!(tracee.is_quiet());
    tracee.kill();
});

case!(one_thread_can_be_attached_to, [ptrace], {
    let words = words();
    let child = fork(|| {
        let tid = clone_on_stack(THREAD, 0, 0, 0, pause_for_ever, 0).must();
        words[0].store(tid as u32, SeqCst);
        wait_for_signals()
    });
    while words[0].load(SeqCst) == 0 {
        sleep_ms(1);
    }
    let thread = Tracee { pid: words[0].load(SeqCst) as i32 };
    sys!(ptrace, PTRACE_ATTACH, thread.pid, 0, 0).must();
    check_eq!(thread.stop(), Stop(SIGSTOP, 0));
    check_eq!((state(thread.pid).1, state(child.pid).1), (getpid(), 0));
    thread.cont(0);
    sys!(kill, child.pid, SIGKILL).must();
    settle();
    let mut word = 0i32;
    check_eq!(sys!(wait4, child.pid, &mut word, WNOHANG, 0), Ok(0), "the thread comes first");
    check_eq!(thread.end(), Status::Signaled(SIGKILL));
    check_eq!(child.wait(), Status::Signaled(SIGKILL));
});

case!(the_leading_thread_is_waited_for_last, [ptrace, exit], {
    let tracee = traced(|| {
        clone_on_stack(THREAD, 0, 0, 0, pause_for_ever, 0).must();
        let _ = sys!(exit, 5);
    });
    tracee.options(PTRACE_O_TRACECLONE);
    let thread = new_thread(tracee);
    tracee.cont(0);
    settle();
    check!(tracee.is_quiet(), "its process lives on");
    check_eq!(ptrace(PTRACE_CONT as i32, tracee.pid, 0, 0), Err(ESRCH));
    thread.cont(SIGTERM);
    check_eq!(thread.end(), Status::Signaled(SIGTERM));
    check_eq!(tracee.end(), Status::Signaled(SIGTERM));
});

case!(the_end_of_a_process_is_that_of_all_tracees, [ptrace, exit_group], {
    let tracee = traced(|| {
        for _ in 0..2 {
            clone_on_stack(THREAD, 0, 0, 0, pause_for_ever, 0).must();
        }
        clone_on_stack(THREAD, 0, 0, 0, end_of_process, 9).must();
        wait_for_signals()
    });
    tracee.options(PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXIT);
    let threads = [new_thread(tracee), new_thread(tracee), new_thread(tracee)];
    tracee.cont(0);
    for thread in threads {
        thread.cont(0);
    }
    let (mut events, mut ends) = (0, Vec::new());
    while ends.len() < 4 {
        let (pid, word) = wait_any(-1);
        match decode(word) {
            Some(Stop(SIGTRAP, PTRACE_EVENT_EXIT)) => {
                events += 1;
                Tracee { pid }.cont(0);
            }
            Some(other) => fail!("{other:?}"),
            None => {
                check_eq!(Status::decode(word), Status::Exited(9));
                ends.push(pid);
            }
        }
    }
    check_eq!(events, 4);
    check_eq!(ends[3], tracee.pid, "the leading thread is the last");
});

case!(execve_by_another_thread_takes_the_number, [ptrace, execve], {
    let exe = self_exe();
    let texts = [&*exe, c"x", c"helper", c"exit", c"4"].map(|text| text.as_ptr() as usize);
    let texts = std::hint::black_box(texts);
    let tracee = traced(|| {
        clone_on_stack(THREAD, 0, 0, 0, execute, &raw const texts as usize).must();
        wait_for_signals()
    });
    tracee.options(PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC);
    let thread = new_thread(tracee);
    tracee.cont(0);
    thread.cont(0);
    check_eq!(tracee.stop(), Stop(SIGTRAP, PTRACE_EVENT_EXEC));
    check_eq!(tracee.message() as i32, thread.pid, "who it was");
    check_eq!(ptrace(PTRACE_CONT as i32, thread.pid, 0, 0), Err(ESRCH), "that number is gone");
    tracee.cont(0);
    check_eq!(tracee.end(), Status::Exited(4));
    check_eq!(sys!(wait4, -1, &mut 0i32, __WALL, 0), Err(ECHILD), "and nothing is left");
});

case!(a_group_stop_stops_every_tracee, [ptrace, kill], {
    let tracee = traced(|| {
        clone_on_stack(THREAD, 0, 0, 0, pause_for_ever, 0).must();
        wait_for_signals()
    });
    tracee.options(PTRACE_O_TRACECLONE);
    let thread = new_thread(tracee);
    thread.cont(0);
    tracee.cont(0);
    settle();
    sys!(tgkill, tracee.pid, tracee.pid, SIGSTOP).must();
    check_eq!(tracee.stop(), Stop(SIGSTOP, 0));
    settle();
    check!(thread.is_quiet());
    tracee.cont(SIGSTOP);
    check_eq!(tracee.stop(), Stop(SIGSTOP, 0));
    check_eq!(thread.stop(), Stop(SIGSTOP, 0));
    sys!(kill, tracee.pid, SIGKILL).must();
    settle();
    check!(tracee.is_quiet(), "it ends with its last thread, which is waited for first");
    check_eq!(thread.end(), Status::Signaled(SIGKILL));
    check_eq!(tracee.end(), Status::Signaled(SIGKILL));
});

case!(only_the_tracing_thread_makes_requests, [ptrace], {
    let tracee = traced(|| {});
    spawn(move || {
        check_eq!(ptrace(PTRACE_CONT as i32, tracee.pid, 0, 0), Err(ESRCH));
    })
    .join()
    .ok()
    .must();
    tracee.ok();
});

case!(any_thread_waits_for_a_tracee_unless_told_not_to, [ptrace, wait4], {
    let tracee = traced(|| {
        raise(SIGUSR1);
    });
    tracee.cont(0);
    spawn(move || {
        let own = sys!(wait4, tracee.pid, &mut 0i32, __WALL | __WNOTHREAD | WNOHANG, 0);
        check_eq!(own, Err(ECHILD));
        check_eq!(tracee.stop(), Stop(SIGUSR1, 0));
    })
    .join()
    .ok()
    .must();
    tracee.ok();
});

case!(the_end_of_a_tracing_thread_frees_its_tracees, [ptrace, exit], {
    let gate = Gate::new();
    let child = fork(|| gate.wait());
    spawn(move || {
        sys!(ptrace, PTRACE_ATTACH, child.pid, 0, 0).must();
        check_eq!(Tracee { pid: child.pid }.stop(), Stop(SIGSTOP, 0));
    })
    .join()
    .ok()
    .must();
    wait_for(|| state(child.pid).1 == 0);
    check_eq!(state(child.pid).1, 0);
    gate.open();
    child.ok();
});
