//! Signal frames: registers and vector state across handlers, faults, contexts changed by handlers.

use crate::support::prelude::*;
use crate::support::registers::{
    breakpoint, changed_across_signal, clobber_vectors, divide_by_zero, load_byte,
    privileged_instruction, registers_after_syscall, undefined_instruction,
    ymm_changed_across_signal, zero_upper_halves,
};

case!(registers_survive_a_handler, [rt_sigaction, rt_sigreturn], {
    on(SIGUSR1, 0, |_, _| clobber_vectors());
    check_eq!(changed_across_signal(getpid(), gettid(), SIGUSR1), 0);
});

case!(upper_vector_halves_survive_a_handler, [rt_sigaction, rt_sigreturn], {
    if !std::arch::is_x86_feature_detected!("avx") {
        skip!("the processor has no AVX");
    }
    on(SIGUSR1, 0, |_, _| zero_upper_halves());
    check!(!ymm_changed_across_signal(getpid(), gettid(), SIGUSR1));
});

case!(syscalls_keep_all_registers_but_three, [getpid], {
    let set = [1, 2, 3, 4, 5, 6];
    check_eq!(registers_after_syscall(crate::support::numbers::getppid, set), set);
});

case!(handler_sees_and_changes_the_registers, [rt_sigreturn], {
    // Steps over the faulting two-byte load and puts a value in its place.
    on(SIGSEGV, 0, |info, context| {
        check_eq!(info.addr(), 0x1234);
        let registers = &mut context.uc_mcontext.gregs;
        check_eq!(registers[REG_RDI as usize], 0x1234);
        registers[REG_RIP as usize] += 2;
        registers[REG_RAX as usize] = 77;
    });
    check_eq!(load_byte(0x1234), 77);
});

case!(handler_can_repair_the_mapping, [rt_sigreturn, mprotect], {
    static AREA: AtomicUsize = AtomicUsize::new(0);
    let area = map(PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    AREA.store(area, SeqCst);
    on(SIGSEGV, 0, |_, _| {
        sys!(mprotect, AREA.load(SeqCst), PAGE, PROT_READ | PROT_WRITE).must();
    });
    poke(area, 5u8);
    check_eq!(peek::<u8>(area), 5);
});

case!(mask_in_the_context_is_restored, [rt_sigreturn], {
    on(SIGUSR1, 0, |_, context| {
        // The first word of `uc_sigmask`.
        let mask = &raw mut context.uc_sigmask as usize;
        check_eq!(peek::<u64>(mask), mask_of(&[SIGHUP]), "the mask to go back to");
        poke(mask, mask_of(&[SIGTERM]));
    });
    block(&[SIGHUP]);
    raise(SIGUSR1);
    check_eq!(set_mask(0), mask_of(&[SIGTERM]));
});

case!(fault_codes_and_addresses, [rt_sigaction], {
    let fault = |signal, code, addr| Some(Fault { signal, code, addr });
    check_eq!(read_fault(8), fault(SIGSEGV, 1, 8));
    check_eq!(write_fault(0x10_0000), fault(SIGSEGV, 1, 0x10_0000));
    check_eq!(read_fault(BAD), fault(SIGSEGV, 0x80, 0), "not an address at all: SI_KERNEL");
    let code = |f: fn()| fault_of(f).map(|f| (f.signal, f.code));
    check_eq!(code(divide_by_zero), Some((SIGFPE, 1)), "FPE_INTDIV");
    check_eq!(code(undefined_instruction), Some((SIGILL, 2)), "ILL_ILLOPN");
    check_eq!(code(breakpoint), Some((SIGTRAP, 0x80)));
    check_eq!(code(privileged_instruction), Some((SIGSEGV, 0x80)));
    let at = fault_of(undefined_instruction).must().addr;
    check!(at > 0x1000, "the address of the instruction: {at:#x}");
});

case!(context_tells_the_kind_of_fault, [rt_sigaction], {
    static ERROR: AtomicU64 = AtomicU64::new(0);
    static TRAP: AtomicU64 = AtomicU64::new(0);
    on(SIGSEGV, 0, |_, context| {
        let registers = &mut context.uc_mcontext.gregs;
        ERROR.store(registers[REG_ERR as usize] as u64, SeqCst);
        TRAP.store(registers[REG_TRAPNO as usize] as u64, SeqCst);
        check_eq!(registers[REG_CR2 as usize], 0x1234);
        registers[REG_RIP as usize] += 2;
    });
    load_byte(0x1234);
    check_eq!(TRAP.load(SeqCst), 14, "page fault");
    check_eq!(ERROR.load(SeqCst) & 7, 4, "a read by the user of an absent page");
});

case!(blocked_or_ignored_fault_kills, [rt_sigprocmask, rt_sigaction], {
    let child = fork(|| {
        count_signal(SIGSEGV, 0);
        block(&[SIGSEGV]);
        peek::<u8>(8);
    });
    check_eq!(child.wait(), Status::Signaled(SIGSEGV));
    let child = fork(|| {
        ignore(SIGSEGV);
        peek::<u8>(8);
    });
    check_eq!(child.wait(), Status::Signaled(SIGSEGV));
});

case!(fault_in_the_fault_handler_kills, [rt_sigaction], {
    let child = fork(|| {
        on(SIGSEGV, 0, |_, _| {
            peek::<u8>(16);
        });
        peek::<u8>(8);
    });
    check_eq!(child.wait(), Status::Signaled(SIGSEGV));
});

case!(no_room_for_the_frame_kills, [rt_sigaction, sigaltstack], {
    let child = fork(|| {
        // An alternate stack in memory that cannot be written.
        let area = map(64 << 10, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        sys!(sigaltstack, &[area, 0, 64 << 10], NULL).must();
        count_signal(SIGUSR1, SA_ONSTACK);
        raise(SIGUSR1);
    });
    check_eq!(child.wait(), Status::Signaled(SIGSEGV));
});

case!(sigreturn_with_a_wild_stack_kills, [rt_sigreturn], {
    let child = fork(|| {
        // No frame: whatever is on the stack cannot be a valid one with these values.
        let frame = [u64::MAX; 128];
        crate::support::registers::sigreturn_at(&raw const frame as usize);
    });
    check_eq!(child.wait(), Status::Signaled(SIGSEGV));
    let child = fork(|| crate::support::registers::sigreturn_at(16));
    check_eq!(child.wait(), Status::Signaled(SIGSEGV));
});

case!(nested_handlers_return_in_order, [rt_sigreturn], {
    static LOG: AtomicU64 = AtomicU64::new(0);
    fn log(digit: u64) {
        LOG.store(LOG.load(SeqCst) * 10 + digit, SeqCst);
    }
    on(SIGUSR1, 0, |_, _| {
        log(1);
        raise(SIGUSR2);
        log(4);
    });
    on(SIGUSR2, 0, |_, _| {
        log(2);
        log(3);
    });
    raise(SIGUSR1);
    check_eq!(LOG.load(SeqCst), 1234);
});

case!(several_pending_signals_are_all_handled, [rt_sigprocmask], {
    static LOG: AtomicU64 = AtomicU64::new(0);
    for signal in [SIGHUP, SIGUSR1, SIGUSR2] {
        on(signal, 0, |info, _| LOG.store(LOG.load(SeqCst) * 100 + info.signo as u64, SeqCst));
    }
    block(&[SIGHUP, SIGUSR1, SIGUSR2]);
    for signal in [SIGUSR2, SIGHUP, SIGUSR1] {
        raise(signal);
    }
    set_mask(0);
    // Frames are stacked lowest number first, so the highest runs first.
    check_eq!(LOG.load(SeqCst), 121_001);
});

case!(signal_storm_keeps_the_registers, [rt_sigreturn, setitimer], {
    on(SIGALRM, SA_RESTART, |_, _| clobber_vectors());
    let every = itimerval {
        it_interval: timeval { tv_sec: 0, tv_usec: 500 },
        it_value: timeval { tv_sec: 0, tv_usec: 500 },
    };
    sys!(setitimer, ITIMER_REAL, &every, NULL).must();
    let (mut sum, mut float) = (0u64, 0.0f64);
    for i in 0..3_000_000u64 {
        sum = std::hint::black_box(sum + i);
        float = std::hint::black_box(float + 0.5);
    }
    check_eq!((sum, float), (4_499_998_500_000, 1_500_000.0));
});
