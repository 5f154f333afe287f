//! Futex words, changed in one step that all who look see at once.
//!
//! The word lies in the guest's memory and may be gone, while signals are blocked here; so those of
//! faults are let in for the moment, and their handler ([`takes`]) has the step fail.

use core::arch::{asm, naked_asm};

use super::calls::{RT_SIGPROCMASK, syscall};

const EFAULT: u64 = 14_u64.wrapping_neg();
const SIGBUS: u64 = 7;
const SIGSEGV: u64 = 11;
const FAULTS: u64 = 1 << (SIGBUS - 1) | 1 << (SIGSEGV - 1);
const SIG_UNBLOCK: u64 = 1;
const SIG_SETMASK: u64 = 2;
/// Where `struct ucontext` has rip.
const CONTEXT_RIP: u64 = 40 + 16 * 8;

/// If the bits of `mask` are as `expected` in the word at `address`, clears all but those of `keep` and
/// sets those of `set`. Answers with the old word; fails with EFAULT if it cannot be changed.
pub(crate) fn change(address: u64, mask: u64, expected: u64, keep: u64, set: u64) -> u64 {
    let (faults, mut blocked) = (FAULTS, 0_u64);
    let (faults, before) = ((&raw const faults) as u64, (&raw mut blocked) as u64);
    syscall(RT_SIGPROCMASK, [SIG_UNBLOCK, faults, before, 8, 0, 0]);
    // SAFETY: the word is the guest's; a fault there is taken care of.
    let old = unsafe { step(address, mask, expected, keep, set) };
    syscall(RT_SIGPROCMASK, [SIG_SETMASK, before, 0, 8, 0, 0]);
    old
}

/// Answers with the old word, or EFAULT.
///
/// # Safety
/// Faults of the thread are not blocked.
#[unsafe(naked)]
unsafe extern "C" fn step(address: u64, mask: u64, expected: u64, keep: u64, set: u64) -> u64 {
    naked_asm!(
        "mov r9, rcx",
        "mov eax, [rdi]",
        "2:",
        "mov ecx, eax",
        "and ecx, esi",
        "cmp ecx, edx",
        "jne 3f",
        "mov ecx, eax",
        "and ecx, r9d",
        "or ecx, r8d",
        "lock cmpxchg [rdi], ecx",
        "jne 2b",
        "3:",
        "ret",
        "stub_word_failed:",
        "mov rax, {efault}",
        "ret",
        efault = const EFAULT as i64,
    )
}

/// Has the step fail if the signal is for a fault of it.
///
/// # Safety
/// `context` is the address of the `ucontext` of a signal.
pub(crate) unsafe fn takes(signo: u64, context: u64) -> bool {
    if signo != SIGSEGV && signo != SIGBUS {
        return false;
    }
    let (start, failed): (u64, u64);
    // SAFETY: takes addresses only.
    unsafe {
        asm!(
            "lea {}, [rip + {step}]",
            "lea {}, [rip + stub_word_failed]",
            out(reg) start,
            out(reg) failed,
            step = sym step,
            options(nomem, nostack, preserves_flags),
        )
    };
    let ip = (context + CONTEXT_RIP) as *mut u64;
    let is_there = load!(*ip) >= start && load!(*ip) < failed;
    if is_there {
        store!(*ip, failed);
    }
    is_there
}
