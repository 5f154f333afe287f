//! Stops at system calls: what a tracer sees of them and what it can change.

use crate::support::prelude::*;
use crate::support::trace::{CALL_INFO, SETREGS, SYSEMU, Stop, Tracee, ptrace, traced};

const GOOD: Stop = Stop(SIGTRAP | 0x80, 0);

#[track_caller]
fn good(body: impl FnOnce()) -> Tracee {
    let tracee = traced(body);
    tracee.options(PTRACE_O_TRACESYSGOOD);
    tracee
}

case!(calls_stop_at_entry_and_exit, [ptrace, wait4], {
    let tracee = traced(|| {
        let _ = sys!(getppid);
        check_eq!(sys!(close, 70000), Err(EBADF));
    });
    check_eq!(tracee.call(), Stop(SIGTRAP, 0), "the end of the kill that stopped it, or its entry");
    loop {
        let regs = tracee.regs();
        if regs.orig_rax == SYS_getppid as u64 {
            break;
        }
        check_eq!(tracee.call(), Stop(SIGTRAP, 0));
    }
    check_eq!(tracee.regs().rax as i64, -i64::from(ENOSYS.0));
    check_eq!(tracee.call(), Stop(SIGTRAP, 0));
    check_eq!(tracee.regs().rax as i32, getpid());
    check_eq!(tracee.regs().orig_rax, SYS_getppid as u64);
    check_eq!(tracee.call(), Stop(SIGTRAP, 0));
    check_eq!((tracee.regs().orig_rax, tracee.regs().rdi), (SYS_close as u64, 70000));
    check_eq!(tracee.call(), Stop(SIGTRAP, 0));
    check_eq!(tracee.regs().rax as i64, -i64::from(EBADF.0));
    tracee.ok();
});

/// Goes on to the entry of the call.
#[track_caller]
fn enter(tracee: Tracee, number: i64) {
    loop {
        let stop = tracee.call();
        check_eq!(stop, GOOD);
        let regs = tracee.regs();
        if regs.orig_rax == number as u64 && regs.rax as i64 == -i64::from(ENOSYS.0) {
            return;
        }
    }
}

case!(sysgood_marks_call_stops, [ptrace], {
    let tracee = good(|| {
        let _ = sys!(getppid);
    });
    enter(tracee, SYS_getppid);
    let info = tracee.info();
    check_eq!((info.signo, info.code), (SIGTRAP, SIGTRAP | 0x80));
    check_eq!(tracee.call(), GOOD);
    tracee.ok();
});

case!(every_call_is_reported_however_often, [ptrace, getpid, clock_gettime, sched_yield], {
    let tracee = good(|| {
        let mut time: timespec = zeroed();
        for _ in 0..100 {
            let _ = sys!(getpid);
            let _ = sys!(clock_gettime, CLOCK_MONOTONIC, &mut time);
            let _ = sys!(sched_yield);
            let _ = sys!(lseek, 70000, 0, 0);
        }
        let _ = sys!(getppid);
    });
    let mut counts = [0; 4];
    loop {
        check_eq!(tracee.call(), GOOD);
        let regs = tracee.regs();
        let number = regs.orig_rax as i64;
        if number == SYS_getppid {
            break;
        }
        let known = [SYS_getpid, SYS_clock_gettime, SYS_sched_yield, SYS_lseek];
        if let Some(place) = known.iter().position(|known| *known == number) {
            counts[place] += 1;
        }
    }
    check_eq!(counts, [200, 200, 200, 200]);
    tracee.ok();
});

case!(a_tracer_that_comes_late_sees_every_call, [ptrace, getpid], {
    let words = words();
    let child = fork(|| {
        loop {
            let _ = sys!(getpid);
            words[0].store(1, SeqCst);
        }
    });
    while words[0].load(SeqCst) == 0 {
        sleep_ms(1);
    }
    // Whatever makes calls quick for a thread that makes many of them has happened.
    settle();
    sys!(ptrace, PTRACE_ATTACH, child.pid, 0, 0).must();
    let tracee = Tracee { pid: child.pid };
    check_eq!(tracee.stop(), Stop(SIGSTOP, 0));
    tracee.options(PTRACE_O_TRACESYSGOOD);
    for _ in 0..20 {
        words[0].store(0, SeqCst);
        enter(tracee, SYS_getpid);
        check_eq!(tracee.call(), GOOD);
        check_eq!(tracee.regs().rax as i32, child.pid);
    }
    tracee.kill();
});

case!(futexes_are_reported, [ptrace, futex], {
    let word = std::ptr::from_ref(&words()[0]) as usize;
    let tracee = good(|| {
        let addr = word;
        check_eq!(sys!(futex, addr, FUTEX_WAIT, 1, 0), Err(EAGAIN));
        check_eq!(sys!(futex, addr, FUTEX_WAIT, 0, &millis(20)), Err(ETIMEDOUT));
        check_eq!(sys!(futex, addr, FUTEX_WAKE, 1), Ok(0));
        check_eq!(sys!(futex, addr, FUTEX_WAKE, 1), Ok(77), "changed");
        check_eq!(sys!(futex, addr, FUTEX_WAIT, 0, 0), Ok(0), "woken by the tracer");
    });
    for result in [-i64::from(EAGAIN.0), -i64::from(ETIMEDOUT.0), 0, 0] {
        enter(tracee, SYS_futex);
        check_eq!(tracee.call(), GOOD);
        let regs = tracee.regs();
        check_eq!((regs.orig_rax, regs.rax as i64), (SYS_futex as u64, result));
    }
    let mut regs = tracee.regs();
    regs.rax = 77;
    tracee.set_regs(&regs);
    enter(tracee, SYS_futex);
    let addr = tracee.regs().rdi as usize;
    tracee.must(PTRACE_SYSCALL as i32, 0, 0);
    settle();
    check!(tracee.is_quiet(), "it waits");
    // An interruption shows where it is, and it goes on to wait.
    sys!(kill, tracee.pid, SIGWINCH).must();
    check_eq!(tracee.stop(), GOOD);
    check_eq!(tracee.regs().rax as i64, -512);
    check_eq!(tracee.call(), Stop(SIGWINCH, 0));
    check_eq!(tracee.call(), GOOD);
    tracee.must(PTRACE_SYSCALL as i32, 0, 0);
    settle();
    check_eq!(sys!(futex, addr, FUTEX_WAKE, 1), Ok(1));
    check_eq!(tracee.stop(), GOOD);
    check_eq!(tracee.regs().rax, 0);
    tracee.ok();
});

case!(calls_on_own_memory_are_reported, [ptrace, mmap, mprotect, getrandom], {
    const PRIVATE: i32 = MAP_PRIVATE | MAP_ANONYMOUS;
    let tracee = good(|| {
        let mut bytes = [0_u8; 16];
        check_eq!(sys!(getrandom, &mut bytes, 16, 0), Ok(16));
        let page = sys!(mmap, 0, PAGE, PROT_READ | PROT_WRITE, PRIVATE, -1, 0).must();
        check_eq!(sys!(mprotect, page, PAGE, PROT_READ), Ok(0));
        check_eq!(sys!(getrandom, page, 16, 0), Err(EFAULT));
    });
    for (number, result) in [(SYS_getrandom, Some(16)), (SYS_mmap, None), (SYS_mprotect, Some(0))] {
        enter(tracee, number);
        check_eq!(tracee.call(), GOOD);
        let regs = tracee.regs();
        check_eq!(regs.orig_rax, number as u64);
        check_eq!(regs.rax as i64, result.unwrap_or(regs.rax as i64));
    }
    enter(tracee, SYS_getrandom);
    check_eq!(tracee.call(), GOOD);
    check_eq!(tracee.regs().rax as i64, -i64::from(EFAULT.0));
    tracee.ok();
});

case!(number_and_arguments_can_be_changed, [ptrace], {
    let tracee = good(|| {
        check_eq!(sys!(getppid), Ok(i64::from(getpid())), "it was made to a getpid");
        check_eq!(sys!(close, 70000), Ok(12345));
    });
    enter(tracee, SYS_getppid);
    let mut regs = tracee.regs();
    regs.orig_rax = SYS_getpid as u64;
    tracee.set_regs(&regs);
    check_eq!(tracee.call(), GOOD);
    check_eq!(tracee.regs().rax as i32, tracee.pid);
    enter(tracee, SYS_close);
    check_eq!(tracee.call(), GOOD);
    let mut regs = tracee.regs();
    check_eq!(regs.rax as i64, -i64::from(EBADF.0));
    regs.rax = 12345;
    tracee.set_regs(&regs);
    tracee.ok();
});

case!(a_call_can_be_skipped, [ptrace], {
    let tracee = good(|| {
        check_eq!(sys!(getppid), Err(ENOSYS));
        check_eq!(sys!(getppid), Ok(77));
    });
    for result in [None, Some(77)] {
        enter(tracee, SYS_getppid);
        let mut regs = tracee.regs();
        regs.orig_rax = u64::MAX;
        if let Some(result) = result {
            regs.rax = result;
        }
        tracee.set_regs(&regs);
        check_eq!(tracee.call(), GOOD);
    }
    tracee.ok();
});

case!(emulated_calls_are_not_made, [ptrace], {
    let tracee = traced(|| {
        check_eq!(sys!(getppid), Ok(99));
    });
    loop {
        tracee.must(SYSEMU, 0, 0);
        check_eq!(tracee.stop(), Stop(SIGTRAP, 0));
        let mut regs = tracee.regs();
        if regs.orig_rax == SYS_getppid as u64 {
            regs.rax = 99;
            tracee.set_regs(&regs);
            break;
        }
    }
    tracee.ok();
});

case!(a_signal_can_be_injected_at_a_call, [ptrace], {
    let tracee = good(|| {
        count_signal(SIGUSR1, 0);
        let _ = sys!(getppid);
        check_eq!(counted(SIGUSR1), 1);
    });
    enter(tracee, SYS_getppid);
    check_eq!(tracee.call(), GOOD);
    tracee.cont(SIGUSR1);
    check_eq!(tracee.stop(), Stop(SIGUSR1, 0));
    check_eq!(tracee.info().code, SI_KERNEL);
    tracee.cont(SIGUSR1);
    check_eq!(tracee.end(), Status::Exited(0));
});

#[repr(C)]
#[derive(Clone, Copy)]
struct Info {
    op: u8,
    pad: [u8; 3],
    arch: u32,
    ip: u64,
    sp: u64,
    words: [u64; 8],
}

#[track_caller]
fn call_info(tracee: Tracee) -> (i64, Info) {
    let mut info: Info = zeroed();
    let size = tracee.must(CALL_INFO, size_of::<Info>(), &raw mut info as usize);
    (size, info)
}

case!(call_info_tells_the_kind_of_stop, [ptrace], {
    let tracee = good(|| {
        check_eq!(sys!(close, 70000), Err(EBADF));
    });
    let (size, info) = call_info(tracee);
    check_eq!((size, info.op, info.arch), (24, 0, 0xc000_003e));
    check_eq!((info.ip, info.sp), (tracee.regs().rip, tracee.regs().rsp));
    enter(tracee, SYS_close);
    let (size, info) = call_info(tracee);
    check_eq!((size, info.op), (80, 1));
    check_eq!(info.words[..2], [SYS_close as u64, 70000]);
    check_eq!(tracee.call(), GOOD);
    let (size, info) = call_info(tracee);
    check_eq!((size, info.op), (33, 2));
    check_eq!((info.words[0] as i64, info.words[1] & 0xff), (-i64::from(EBADF.0), 1));
    let mut short = [0xffu8; 32];
    check_eq!(ptrace(CALL_INFO, tracee.pid, 4, &raw mut short as usize), Ok(33));
    check_eq!(short[..6], [2, 0, 0, 0, 0xff, 0xff]);
    tracee.ok();
});

case!(an_interrupted_call_shows_its_restart, [ptrace, read], {
    let gate = Gate::new();
    let tracee = good(|| gate.wait());
    enter(tracee, SYS_read);
    tracee.must(PTRACE_SYSCALL as i32, 0, 0);
    settle();
    sys!(kill, tracee.pid, SIGWINCH).must();
    check_eq!(tracee.stop(), GOOD);
    let regs = tracee.regs();
    check_eq!((regs.rax as i64, regs.orig_rax), (-512, SYS_read as u64));
    check_eq!(tracee.call(), Stop(SIGWINCH, 0));
    check_eq!(tracee.regs().rax as i64, -512);
    check_eq!(tracee.call(), GOOD);
    check_eq!(tracee.regs().orig_rax, SYS_read as u64);
    gate.open();
    check_eq!(tracee.call(), GOOD);
    check_eq!(tracee.regs().rax, 1);
    tracee.ok();
});

case!(a_restart_can_be_called_off, [ptrace, read], {
    let gate = Gate::new();
    let tracee = traced(|| {
        check_eq!(sys!(read, -1, NULL, 0), Err(EBADF));
        let mut ends = [0i32; 2];
        sys!(pipe2, &mut ends, 0).must();
        gate.open();
        check_eq!(sys!(read, ends[0], &mut [0u8; 1], 1), Ok(55));
    });
    tracee.cont(0);
    gate.wait();
    settle();
    sys!(kill, tracee.pid, SIGWINCH).must();
    check_eq!(tracee.stop(), Stop(SIGWINCH, 0));
    let mut regs = tracee.regs();
    check_eq!(regs.rax as i64, -512);
    regs.orig_rax = u64::MAX;
    regs.rax = 55;
    ptrace(SETREGS, tracee.pid, 0, &raw const regs as usize).must();
    tracee.ok();
});
