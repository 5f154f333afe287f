//! Calls of the host: one instruction, no errno.

use core::arch::asm;

pub(crate) const CLOSE: u64 = 3;
pub(crate) const MMAP: u64 = 9;
pub(crate) const MUNMAP: u64 = 11;
pub(crate) const RT_SIGPROCMASK: u64 = 14;
pub(crate) const SETPGID: u64 = 109;
pub(crate) const SIGALTSTACK: u64 = 131;
pub(crate) const ARCH_PRCTL: u64 = 158;
pub(crate) const FUTEX: u64 = 202;
pub(crate) const SET_TID_ADDRESS: u64 = 218;
pub(crate) const SCHED_YIELD: u64 = 24;
pub(crate) const CLOCK_GETTIME: u64 = 228;
pub(crate) const GETCPU: u64 = 309;
pub(crate) const SECCOMP: u64 = 317;

/// The reserved number that rings for the sentry.
pub(crate) const DOORBELL: u64 = super::layout::DOORBELL as u64;

/// Makes a system call; a negative result is a negated errno.
#[inline(always)]
pub(crate) fn syscall(number: u64, args: [u64; 6]) -> u64 {
    let result;
    // SAFETY: what the call does is the caller's (and in the end the sentry's) business.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            in("r8") args[4],
            in("r9") args[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// Rings for the sentry and waits for its command.
#[inline(always)]
pub(crate) fn doorbell(event: u64, args: [u64; 5]) -> u64 {
    syscall(DOORBELL, [event, args[0], args[1], args[2], args[3], args[4]])
}

/// Tells the processor that this is a loop of looks.
#[inline(always)]
pub(crate) fn pause() {
    core::hint::spin_loop();
}
