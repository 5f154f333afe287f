//! Ends of tracers and tracees that meet.

use crate::support::prelude::*;
use crate::support::trace::{SETREGS, Stop, Tracee, decode, ptrace, traced, wait_any};

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
    let child = fork(|| wait_for_signals());
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
        wait_for_signals()
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
    let tracee = traced(|| wait_for_signals());
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

/// A sequence of numbers that looks random (xorshift).
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// One of the values that a register may be set to.
fn any_value(state: &mut u64, old: u64) -> u64 {
    match next(state) % 8 {
        0 => 0,
        1 => u64::MAX,
        2 => 1 << 47,
        3 => (1 << 47) - 1,
        4 => old.wrapping_add(next(state) % 32),
        5 => 1 << 63,
        6 => next(state) & 0xffff,
        _ => next(state),
    }
}

case!(any_registers_hurt_nobody_but_the_tracee, [ptrace], 60, {
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..60 {
        let tracee = traced(|| {
            loop {
                let _ = sys!(getppid);
                let _ = sys!(getpid);
            }
        });
        tracee.options(PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
        for _ in 0..20 {
            let mut regs = tracee.regs();
            let words = [
                &mut regs.rip,
                &mut regs.rsp,
                &mut regs.eflags,
                &mut regs.rax,
                &mut regs.orig_rax,
                &mut regs.fs_base,
                &mut regs.gs_base,
                &mut regs.cs,
                &mut regs.ss,
                &mut regs.ds,
                &mut regs.rcx,
                &mut regs.rdi,
            ];
            let place = next(&mut state) as usize % words.len();
            *words[place] = any_value(&mut state, *words[place]);
            let _ = ptrace(SETREGS, tracee.pid, 0, &raw const regs as usize);
            let requests = [PTRACE_CONT, PTRACE_SYSCALL, PTRACE_SINGLESTEP].map(|it| it as i32);
            let request = requests[next(&mut state) as usize % 3];
            let signal = if next(&mut state).is_multiple_of(4) { SIGUSR1 } else { 0 };
            if ptrace(request, tracee.pid, 0, signal as usize).is_err() {
                break;
            }
            if request == PTRACE_CONT as i32 {
                let _ = sys!(tgkill, tracee.pid, tracee.pid, SIGWINCH);
            }
            let (_, word) = wait_any(tracee.pid);
            if decode(word).is_none() {
                break;
            }
        }
        let _ = sys!(kill, tracee.pid, SIGKILL);
        let _ = sys!(wait4, tracee.pid, &mut 0i32, __WALL, 0);
    }
    traced(|| {}).ok();
});
