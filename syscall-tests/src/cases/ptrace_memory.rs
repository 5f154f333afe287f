//! Words of a tracee's memory, and breakpoints in its code.

use crate::support::prelude::*;
use crate::support::trace::{Stop, ptrace, traced};
use crate::support::trace_code::{call, call_address, place, place_address};

case!(words_can_be_read_and_written, [ptrace], {
    let word = std::hint::black_box([1u64, 0x0123_4567_89ab_cdef]);
    let addr = &raw const word as usize;
    let tracee = traced(|| {
        check_eq!(peek::<u64>(addr + 8), 4711);
        check_eq!(peek::<u64>(addr), 1);
    });
    check_eq!(tracee.peek(addr + 8), 0x0123_4567_89ab_cdef);
    check_eq!(tracee.peek(addr + 4), 0x89ab_cdef_0000_0000);
    tracee.must(PTRACE_POKEDATA as i32, addr + 8, 4711);
    check_eq!(peek::<u64>(addr + 8), 0x0123_4567_89ab_cdef, "not in the tracer");
    tracee.ok();
});

case!(bad_addresses_are_eio, [ptrace], {
    let tracee = traced(|| {});
    let mut word = 0u64;
    let to = &raw mut word as usize;
    for addr in [0, BAD, usize::MAX, usize::MAX - 3] {
        check_eq!(ptrace(PTRACE_PEEKDATA as i32, tracee.pid, addr, to), Err(EIO), "{addr:#x}");
        check_eq!(ptrace(PTRACE_POKETEXT as i32, tracee.pid, addr, 0), Err(EIO), "{addr:#x}");
    }
    check_eq!(ptrace(PTRACE_PEEKDATA as i32, tracee.pid, to, BAD), Err(EFAULT));
    tracee.ok();
});

case!(read_only_memory_can_be_written, [ptrace], {
    let page = anon(PAGE);
    poke(page, 5u64);
    sys!(mprotect, page, PAGE, PROT_READ).must();
    let tracee = traced(|| check_eq!(peek::<u64>(page), 6));
    tracee.must(PTRACE_POKEDATA as i32, page, 6);
    check_eq!(tracee.peek(page), 6);
    check_eq!(peek::<u64>(page), 5);
    tracee.ok();
});

case!(a_mapped_file_stays_as_it_is, [ptrace, mmap], {
    create(c"file", b"12345678rest");
    let file = open(c"file", O_RDONLY);
    let page = map(PAGE, PROT_READ, MAP_PRIVATE, file, 0);
    let tracee = traced(|| check_eq!(&peek::<[u8; 8]>(page), b"ABCDEFGH"));
    tracee.must(PTRACE_POKEDATA as i32, page, u64::from_le_bytes(*b"ABCDEFGH") as usize);
    tracee.ok();
    check_eq!(content(c"file"), b"12345678rest");
});

case!(a_breakpoint_is_hit_and_removed, [ptrace], {
    let at = place_address();
    let tracee = traced(|| {
        for _ in 0..2 {
            check_eq!(place(), 1234);
        }
    });
    let old = tracee.peek(at);
    check_eq!(old & 0xffff, 0x9090);
    tracee.must(PTRACE_POKETEXT as i32, at, (old & !0xff | 0xcc) as usize);
    for _ in 0..2 {
        tracee.cont(0);
        check_eq!(tracee.stop(), Stop(SIGTRAP, 0));
        let mut regs = tracee.regs();
        check_eq!(regs.rip as usize, at + 1);
        check_eq!(tracee.peek(at), old & !0xff | 0xcc);
        regs.rip -= 1;
        tracee.set_regs(&regs);
        tracee.must(PTRACE_POKETEXT as i32, at, old as usize);
        check_eq!(tracee.step(), Stop(SIGTRAP, 0));
        check_eq!(tracee.regs().rip as usize, at + 1);
        tracee.must(PTRACE_POKETEXT as i32, at, (old & !0xff | 0xcc) as usize);
    }
    tracee.ok();
});

/// Lets a tracee that has made many calls from one place meet a breakpoint there, `offset` bytes
/// into the function.
fn breakpoint_at_a_busy_call(offset: usize) {
    let at = call_address();
    let busy = |count| {
        for _ in 0..count {
            check_eq!(call(SYS_getpid), getpid());
            check_eq!(call(SYS_getppid), sys!(getppid).must() as i32);
        }
    };
    let gate = Gate::new();
    let tracee = traced(|| {
        busy(100);
        gate.wait();
        check_eq!(call(SYS_getpid), getpid());
        busy(100);
    });
    // It runs as if it were alone until the breakpoint is set.
    tracee.must(crate::support::trace::DETACH, 0, 0);
    settle();
    tracee.must_attach();
    check_eq!(tracee.stop(), Stop(SIGSTOP, 0));
    let old = tracee.peek(at);
    check_eq!(old.to_le_bytes(), [0x89, 0xf8, 0x0f, 0x05, 0x90, 0x90, 0x90, 0xc3]);
    let mut set = old.to_le_bytes();
    set[offset] = 0xcc;
    tracee.must(PTRACE_POKETEXT as i32, at, u64::from_le_bytes(set) as usize);
    gate.open();
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGTRAP, 0));
    let mut regs = tracee.regs();
    check_eq!(regs.rip as usize, at + offset + 1);
    regs.rip -= 1;
    tracee.set_regs(&regs);
    tracee.must(PTRACE_POKETEXT as i32, at, old as usize);
    tracee.must(crate::support::trace::DETACH, 0, 0);
    check_eq!(wait_pid(tracee.pid, 0), Status::Exited(0));
}

case!(a_breakpoint_on_a_busy_call_is_hit, [ptrace], {
    breakpoint_at_a_busy_call(2);
});

case!(a_breakpoint_before_a_busy_call_is_hit, [ptrace], {
    breakpoint_at_a_busy_call(0);
});

case!(a_breakpoint_behind_a_busy_call_is_hit, [ptrace], {
    breakpoint_at_a_busy_call(4);
    breakpoint_at_a_busy_call(6);
});
