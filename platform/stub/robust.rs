//! Robust futexes of a thread that ends, given up in one step that all who look see at once.
//!
//! The word lies in the guest's memory and may be gone, while signals are blocked here; so those of
//! faults are let in for the moment, and their handler ([`takes`]) has the step fail.

use core::arch::{asm, naked_asm};

use super::calls::{FUTEX, RT_SIGPROCMASK, syscall};

const EFAULT: u64 = 14_u64.wrapping_neg();
const SIGBUS: u64 = 7;
const SIGSEGV: u64 = 11;
const FAULTS: u64 = 1 << (SIGBUS - 1) | 1 << (SIGSEGV - 1);
const SIG_UNBLOCK: u64 = 1;
const SIG_SETMASK: u64 = 2;
const FUTEX_WAKE: u64 = 1;
/// Linux: `FUTEX_WAITERS`, `FUTEX_OWNER_DIED`, `FUTEX_TID_MASK`.
const WAITERS: u64 = 0x8000_0000;
const OWNER_DIED: u64 = 0x4000_0000;
const OWNER: u64 = 0x3fff_ffff;
/// Where `struct ucontext` has rip.
const CONTEXT_RIP: u64 = 40 + 16 * 8;

/// Gives up the futex at `address` if it is `owner`'s; if somebody waits for it and `wakes` says so,
/// wakes one. Fails with EFAULT if the word cannot be changed.
pub(crate) fn give_up(address: u64, owner: u64, wakes: u64) -> u64 {
    let (faults, mut blocked) = (FAULTS, 0_u64);
    let (faults, before) = ((&raw const faults) as u64, (&raw mut blocked) as u64);
    syscall(RT_SIGPROCMASK, [SIG_UNBLOCK, faults, before, 8, 0, 0]);
    // SAFETY: the word is the guest's; a fault there is taken care of.
    let old = unsafe { change(address, owner) };
    syscall(RT_SIGPROCMASK, [SIG_SETMASK, before, 0, 8, 0, 0]);
    if old == EFAULT {
        return EFAULT;
    }
    if old & OWNER == owner && old & WAITERS != 0 && wakes != 0 {
        syscall(FUTEX, [address, FUTEX_WAKE, 1, 0, 0, 0]);
    }
    0
}

/// Answers with the old word, or EFAULT.
///
/// # Safety
/// Faults of the thread are not blocked.
#[unsafe(naked)]
unsafe extern "C" fn change(address: u64, owner: u64) -> u64 {
    naked_asm!(
        "mov eax, [rdi]",
        "2:",
        "mov ecx, eax",
        "and ecx, {owner}",
        "cmp ecx, esi",
        "jne 3f",
        "mov ecx, eax",
        "and ecx, {waiters}",
        "or ecx, {died}",
        "lock cmpxchg [rdi], ecx",
        "jne 2b",
        "3:",
        "ret",
        "stub_change_failed:",
        "mov rax, {efault}",
        "ret",
        owner = const OWNER,
        waiters = const WAITERS as i32,
        died = const OWNER_DIED,
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
            "lea {}, [rip + {change}]",
            "lea {}, [rip + stub_change_failed]",
            out(reg) start,
            out(reg) failed,
            change = sym change,
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
