//! The policy again, said plainly and without the tables.

use linux_abi::Errno;
use linux_abi::task::{AUDIT_ARCH_X86_64, SeccompData};

use crate::filter::bpf::Answer;
use crate::filter::systrap::{DOORBELL, Layout, WINDOW_BYTES};

pub(super) fn policy(layout: &Layout, data: &SeccompData) -> Answer {
    let number = data.nr as u32;
    if data.arch != AUDIT_ARCH_X86_64 || number >= 0x4000_0000 {
        return Answer::Refuse(Errno::ENOSYS);
    }
    if layout.code.contains(&data.instruction_pointer) {
        return if number == DOORBELL { Answer::Notify } else { stub(layout, number, data.args) };
    }
    if data.instruction_pointer >= 0xffff_ffff_0000_0000 && [96, 201, 309].contains(&number) {
        return Answer::Allow;
    }
    let [a, b, c, d, ..] = data.args;
    let is_own = match number {
        9 => a == 0 && c as u32 <= 3 && d as u32 & !0x2_4000 == 0x22,
        10 => c as u32 == 1 && is_outside(layout, a, b) && is_beside_areas(a, b),
        158 => a as u32 == 0x1002,
        // brk
        12 => true,
        318 => b <= 256 && c as u32 <= 1,
        _ => false,
    };
    if is_own && layout.has_native_futexes {
        return Answer::Allow;
    }
    match number {
        334 if layout.has_native_futexes => Answer::Refuse(Errno::ENOSYS),
        202 if layout.has_native_futexes && is_futex(b) => Answer::Allow,
        449 if layout.has_native_futexes && c as u32 == 0 => Answer::Allow,
        9..=12
        | 15
        | 25..=28
        | 30
        | 56..=60
        | 67
        | 149..=152
        | 158
        | 216
        | 322
        | 324
        | 325
        | 329
        | 435
        | 440
        | 453
        | 462 => Answer::Trap,
        _ => Answer::Notify,
    }
}

fn is_futex(operation: u64) -> bool {
    matches!(operation as u32 & !384, 0 | 1 | 3 | 4 | 5 | 9 | 10)
}

/// Trampolines lie in the 64 KiB below 4 MiB, and every 16 MiB from there on.
fn is_beside_areas(addr: u64, len: u64) -> bool {
    let beyond = addr.wrapping_sub(0x40_0000) % 0x100_0000;
    u128::from(beyond) + u128::from(len) <= 0xff_0000
}

fn is_outside(layout: &Layout, addr: u64, len: u64) -> bool {
    let (start, end) = (layout.window, layout.window + WINDOW_BYTES);
    addr >= end || (addr < start && u128::from(addr) + u128::from(len) <= u128::from(start))
}

fn stub(layout: &Layout, number: u32, args: [u64; 6]) -> Answer {
    let [a, b, c, d, e, _] = args;
    let outside = |addr: u64, len: u64| is_outside(layout, addr, len);
    let (permitted, errno) = match number {
        // mmap
        9 => {
            let is_channel = a == layout.channel.start
                && b == layout.channel.end - layout.channel.start
                && c == 3
                && d == 0x11;
            let is_conduit = a >= layout.conduits.start
                && a <= layout.conduits.end - layout.conduit_bytes
                && b == layout.conduit_bytes
                && c == 3
                && d == 0x11;
            let is_fixed = d & 0x10_0010 != 0;
            let is_huge = d & 0x4_0000 != 0;
            (is_channel || is_conduit || (!is_huge && (!is_fixed || outside(a, b))), Errno::ENOMEM)
        }
        // mprotect, munmap, msync, mincore, munlock, mlock2
        10 | 11 | 26 | 27 | 150 | 325 => (outside(a, b), Errno::EINVAL),
        // mremap
        25 => (outside(a, b) && (d & 2 == 0 || outside(e, c)), Errno::EINVAL),
        // madvise
        28 => {
            let known = matches!(c as u32, 0..=4 | 8..=11 | 14..=25 | 102 | 103);
            (known && outside(a, b), Errno::EINVAL)
        }
        // clone
        56 if matches!(a, 0x8011 | 0x8111 | 0x5_0f00) => return Answer::Notify,
        56 => (false, Errno::EINVAL),
        // futex
        202 => (is_futex(b), Errno::ENOSYS),
        // futex_waitv
        449 => (c as u32 == 0, Errno::EINVAL),
        // seccomp
        317 if a == 1 && b == 0 && c == layout.catch_all => return Answer::Notify,
        317 => (false, Errno::EINVAL),
        // prctl: PR_SET_MM_MAP
        157 if a as u32 == 35 && b == 14 => return Answer::Notify,
        157 => (false, Errno::EINVAL),
        // arch_prctl
        158 => (matches!(a as u32, 0x1001..=0x1004), Errno::EINVAL),
        // clock_gettime
        228 => (matches!(a as u32, 0 | 1 | 4 | 5 | 6 | 7 | 11), Errno::EINVAL),
        // close_range
        436 => (c as u32 == 0, Errno::EINVAL),
        // setpgid: only the caller's own, into one of its own.
        109 => (a as u32 == 0 && b as u32 == 0, Errno::EPERM),
        // close, rt_sigprocmask, rt_sigreturn, sched_yield, exit, sigaltstack, mlockall,
        // munlockall, gettid, set_tid_address, getcpu, membarrier, brk
        3 | 12 | 14 | 15 | 24 | 60 | 131 | 151 | 152 | 186 | 218 | 309 | 324 => {
            (true, Errno::EINVAL)
        }
        _ => return Answer::KillProcess,
    };
    if permitted { Answer::Allow } else { Answer::Refuse(errno) }
}
