//! Registers of a tracee.

use crate::support::prelude::*;
use crate::support::trace::{
    ARCH_PRCTL, GETFPREGS, GETREGS, SETFPREGS, SETREGS, Stop, Tracee, ptrace, traced,
};
use crate::support::trace_code::{stop_with, stop_with_vector};

case!(registers_can_be_read_and_replaced, [ptrace], {
    let tracee = traced(|| check_eq!(stop_with([1, 2, 3]), [4, 5, 6]));
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGTRAP, 0));
    let mut regs = tracee.regs();
    check_eq!((regs.r12, regs.r13, regs.r9), (1, 2, 3));
    check_eq!((regs.cs, regs.ss), (0x33, 0x2b));
    check_eq!(regs.orig_rax, u64::MAX);
    (regs.r12, regs.r13, regs.r9) = (4, 5, 6);
    tracee.set_regs(&regs);
    check_eq!(tracee.regs().r13, 5);
    tracee.ok();
});

case!(words_of_the_user_area, [ptrace], {
    let tracee = traced(|| check_eq!(stop_with([1, 2, 3]), [1, 2, 33]));
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGTRAP, 0));
    let mut word = 0u64;
    let to = &raw mut word as usize;
    let r9 = std::mem::offset_of!(user_regs_struct, r9);
    tracee.must(PTRACE_PEEKUSER as i32, r9, to);
    check_eq!(word, 3);
    tracee.must(PTRACE_POKEUSER as i32, r9, 33);
    tracee.must(PTRACE_PEEKUSER as i32, r9, to);
    check_eq!(word, 33);
    for addr in [r9 + 1, 928, 4096, usize::MAX - 7] {
        check_eq!(ptrace(PTRACE_PEEKUSER as i32, tracee.pid, addr, to), Err(EIO), "{addr}");
        check_eq!(ptrace(PTRACE_POKEUSER as i32, tracee.pid, addr, 0), Err(EIO), "{addr}");
    }
    // Debug registers: none is set, and clearing one is nothing.
    tracee.must(PTRACE_PEEKUSER as i32, 848 + 7 * 8, to);
    check_eq!(word, 0);
    tracee.must(PTRACE_POKEUSER as i32, 848 + 7 * 8, 0);
    tracee.ok();
});

case!(privileged_values_are_refused, [ptrace], {
    let tracee = traced(|| {
        stop_with([0; 3]);
    });
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGTRAP, 0));
    let set = |change: fn(&mut user_regs_struct)| {
        let mut regs = tracee.regs();
        change(&mut regs);
        ptrace(SETREGS, tracee.pid, 0, &raw const regs as usize)
    };
    check_eq!(set(|regs| regs.cs = 0x10), Err(EIO));
    check_eq!(set(|regs| regs.ss = 0), Err(EIO));
    check_eq!(set(|regs| regs.fs_base = u64::MAX), Err(EIO));
    let before = tracee.regs().eflags;
    check_eq!(set(|regs| regs.eflags |= 0x3000 | 1 << 17), Ok(0), "IOPL, VM");
    check_eq!(tracee.regs().eflags, before);
    tracee.ok();
});

/// `struct iovec` for a register set.
fn vector<T>(value: &mut T, len: usize) -> iovec {
    iovec { iov_base: std::ptr::from_mut(value).cast(), iov_len: len }
}

#[track_caller]
fn set_of(tracee: Tracee, kind: usize, bytes: &mut [u8]) -> usize {
    let mut vector = iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    tracee.must(PTRACE_GETREGSET as i32, kind, &raw mut vector as usize);
    vector.iov_len
}

const NT_PRSTATUS: usize = 1;
const NT_PRFPREG: usize = 2;
const NT_X86_XSTATE: usize = 0x202;

case!(general_registers_as_a_set, [ptrace], {
    let tracee = traced(|| check_eq!(stop_with([1, 2, 3]), [1, 22, 3]));
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGTRAP, 0));
    let mut bytes = [0u8; 1024];
    check_eq!(set_of(tracee, NT_PRSTATUS, &mut bytes), size_of::<user_regs_struct>());
    let mut regs = tracee.regs();
    let expected = peek_bytes(&raw const regs as usize, size_of::<user_regs_struct>());
    check_eq!(bytes[..expected.len()], expected[..]);
    check_eq!(set_of(tracee, NT_PRSTATUS, &mut bytes[..16]), 16);
    regs.r13 = 22;
    // The first words are enough.
    let mut part = vector(&mut regs, 32);
    tracee.must(PTRACE_SETREGSET as i32, NT_PRSTATUS, &raw mut part as usize);
    check_eq!(part.iov_len, 32);
    let mut odd = vector(&mut regs, 13);
    let odd = &raw mut odd as usize;
    check_eq!(ptrace(PTRACE_GETREGSET as i32, tracee.pid, NT_PRSTATUS, odd), Err(EINVAL));
    check_eq!(ptrace(PTRACE_GETREGSET as i32, tracee.pid, 0x7777, odd), Err(EINVAL));
    check_eq!(ptrace(PTRACE_GETREGSET as i32, tracee.pid, NT_PRSTATUS, BAD), Err(EFAULT));
    tracee.ok();
});

/// Where xmm5 and st(0) are in what `fxsave` stores.
const XMM5: usize = 160 + 5 * 16;
const ST0: usize = 32;
/// 1.5 in 80 bits.
const ONE_AND_A_HALF: [u8; 10] = [0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0x3f];

case!(floating_point_registers, [ptrace], {
    let tracee = traced(|| check_eq!(stop_with_vector(0x1122), 0x3344));
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGTRAP, 0));
    let mut area = [0u8; 512];
    let at = &raw mut area as usize;
    tracee.must(GETFPREGS, 0, at);
    check_eq!(area[XMM5..XMM5 + 8], 0x1122u64.to_le_bytes());
    check_eq!(area[ST0..ST0 + 10], ONE_AND_A_HALF);
    area[XMM5..XMM5 + 8].copy_from_slice(&0x3344u64.to_le_bytes());
    tracee.must(SETFPREGS, 0, at);
    tracee.must(GETFPREGS, 0, at);
    check_eq!(area[XMM5..XMM5 + 8], 0x3344u64.to_le_bytes());
    let mut set = [0u8; 512];
    check_eq!(set_of(tracee, NT_PRFPREG, &mut set), 512);
    check_eq!(set[ST0..XMM5 + 16], area[ST0..XMM5 + 16]);
    // Reserved bits of MXCSR.
    area[24..28].fill(0xff);
    check_eq!(ptrace(SETFPREGS, tracee.pid, 0, at), Err(EINVAL));
    tracee.ok();
});

case!(extended_state, [ptrace], {
    let tracee = traced(|| check_eq!(stop_with_vector(0x1122), 0x3344));
    tracee.cont(0);
    check_eq!(tracee.stop(), Stop(SIGTRAP, 0));
    let mut image = vec![0u8; 16384];
    let len = set_of(tracee, NT_X86_XSTATE, &mut image);
    check!(len >= 576, "{len}");
    check_eq!(image[XMM5..XMM5 + 8], 0x1122u64.to_le_bytes());
    image[XMM5..XMM5 + 8].copy_from_slice(&0x3344u64.to_le_bytes());
    let mut set = iovec { iov_base: image.as_mut_ptr().cast(), iov_len: len };
    tracee.must(PTRACE_SETREGSET as i32, NT_X86_XSTATE, &raw mut set as usize);
    let mut short = iovec { iov_base: image.as_mut_ptr().cast(), iov_len: 568 };
    let short = &raw mut short as usize;
    check_eq!(ptrace(PTRACE_SETREGSET as i32, tracee.pid, NT_X86_XSTATE, short), Err(EFAULT));
    image[512 + 16] = 1;
    let bad = ptrace(PTRACE_SETREGSET as i32, tracee.pid, NT_X86_XSTATE, &raw mut set as usize);
    check_eq!(bad, Err(EINVAL), "reserved bytes of the header");
    tracee.ok();
});

case!(segment_bases, [ptrace], {
    let tracee = traced(|| {
        let mut base = 0u64;
        sys!(arch_prctl, 0x1004, &mut base).must();
        check_eq!(base, 0x1000);
    });
    let mut base = 0u64;
    let to = &raw mut base as usize;
    tracee.must(ARCH_PRCTL, to, 0x1003);
    check_eq!(base, tracee.regs().fs_base);
    tracee.must(ARCH_PRCTL, 0x1000, 0x1001);
    tracee.must(ARCH_PRCTL, to, 0x1004);
    check_eq!(base, 0x1000);
    check_eq!(ptrace(ARCH_PRCTL, tracee.pid, usize::MAX, 0x1001), Err(EPERM));
    check_eq!(ptrace(ARCH_PRCTL, tracee.pid, to, 0x77), Err(EINVAL));
    check_eq!(ptrace(GETREGS, tracee.pid, 0, BAD), Err(EFAULT));
    tracee.ok();
});
