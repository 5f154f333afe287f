//! Single steps.

use crate::support::prelude::*;
use crate::support::trace::{Stop, traced};
use crate::support::trace_code::{steps, steps_address};

const STEP: Stop = Stop(SIGTRAP, 0);

/// Where each step ends, from the start of the function.
const ENDS: [u64; 6] = [2, 7, 9, 10, 14, u64::MAX];

case!(each_step_is_one_instruction, [ptrace], {
    let start = steps_address() as u64;
    let tracee = traced(|| check_eq!(steps(), getpid()));
    tracee.cont(0);
    check_eq!(tracee.stop(), STEP);
    check_eq!(tracee.regs().rip, start + 1);
    for end in ENDS {
        check_eq!(tracee.step(), STEP);
        let regs = tracee.regs();
        check_eq!(regs.eflags & 0x100, 0, "the flag is not the tracee's");
        if end != u64::MAX {
            check_eq!(regs.rip - start, end);
        }
    }
    tracee.ok();
});

case!(steps_through_a_busy_call, [ptrace], {
    let start = steps_address() as u64;
    // So many that a call from there is a quick one, if there is such a thing.
    let tracee = traced(|| {
        for _ in 0..64 {
            check_eq!(steps(), getpid());
        }
    });
    for round in 0..64 {
        tracee.cont(0);
        check_eq!(tracee.stop(), STEP);
        check_eq!(tracee.regs().rip, start + 1);
        if round % 16 == 15 {
            for end in &ENDS[..5] {
                check_eq!(tracee.step(), STEP);
                check_eq!(tracee.regs().rip - start, *end);
            }
        }
    }
    tracee.ok();
});

case!(a_step_into_a_handler_ends_at_its_start, [ptrace], {
    let tracee = traced(|| {
        count_signal(SIGUSR1, 0);
        raise(SIGUSR1);
        check_eq!(counted(SIGUSR1), 1);
    });
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGUSR1, 0));
    let before = tracee.regs();
    tracee.must(PTRACE_SINGLESTEP as i32, 0, SIGUSR1 as usize);
    check_eq!(tracee.stop(), STEP);
    let regs = tracee.regs();
    check_eq!(regs.rdi as i32, SIGUSR1);
    check!(regs.rip != before.rip && regs.rsp < before.rsp);
    check_eq!(regs.eflags & 0x100, 0);
    tracee.ok();
});

case!(a_step_over_a_blocked_sigtrap, [ptrace], {
    let tracee = traced(|| {
        block(&[SIGTRAP]);
        raise(SIGUSR1);
    });
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGUSR1, 0));
    check_eq!(tracee.step(), STEP, "nobody can block it");
    tracee.ok();
});

case!(many_steps_through_ordinary_code, [ptrace], {
    let tracee = traced(|| {
        let text = format!("{} {:?}", 4711, [1.5f64, 2.5]);
        check_eq!(text, "4711 [1.5, 2.5]");
        let _ = sys!(getppid);
    });
    let mut seen = 0;
    for _ in 0..3000 {
        check_eq!(tracee.step(), STEP);
        seen += 1;
        if tracee.regs().orig_rax == SYS_getppid as u64 {
            break;
        }
    }
    check!(seen > 100, "{seen}");
    tracee.ok();
});
