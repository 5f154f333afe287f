//! `rt_sigprocmask` and `rt_sigaction`, as far as the thread's slot tells ([`SignalWords`]).

use core::arch::naked_asm;
use core::mem::offset_of;

use super::access::{fetch, put};
use super::calls::doorbell;
use super::fast::arguments;
use super::layout::{FAST_OFFSET, Fast, change, event};
use super::signal_words::{
    NOT_RESTORED, RT_SIGACTION, RT_SIGPROCMASK, SIGNALS_OFFSET, SignalWords, UNBLOCKABLE,
};

/// All system calls about signals take sets of this size.
const SET_BYTES: u64 = 8;
const SIGNALS: u32 = 64;

/// `SA_RESTORER`.
const RESTORER: u64 = 0x0400_0000;

/// Offsets in `struct sigaction` of the kernel.
const HANDLER: u64 = 0;
const FLAGS: u64 = 8;
const ACTION_RESTORER: u64 = 16;
const MASK: u64 = 24;

/// Serves the call if it is of this kind and can be; answers with its result.
#[inline(always)]
pub(crate) fn call(fast: *mut Fast, number: u32) -> Option<u64> {
    let words = (fast as u64 - FAST_OFFSET + SIGNALS_OFFSET) as *mut SignalWords;
    match number {
        RT_SIGACTION => action(fast, words),
        RT_SIGPROCMASK => mask(fast, words),
        _ => None,
    }
}

#[inline(always)]
fn mask(fast: *mut Fast, words: *mut SignalWords) -> Option<u64> {
    let [how, new, old, size, ..] = arguments(fast);
    if size != SET_BYTES || load!((*words).must_ask) != 0 {
        return None;
    }
    let before = load!((*words).mask);
    let after = match (new, how as u32) {
        (0, _) => before,
        // SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK.
        (_, 0) => before | fetch(new),
        (_, 1) => before & !fetch(new),
        (_, 2) => fetch(new),
        _ => return None,
    } & !UNBLOCKABLE;
    // A fault comes before anything has changed.
    if old != 0 {
        put(old, before);
    }
    if after != before {
        // SAFETY: the words and the block are mapped and aligned.
        unsafe { exchange(&raw mut (*words).mask, after, fast) };
        if load!((*words).must_ask) != 0 {
            // The kick meets a thread that has made its call.
            doorbell(event::KICKED, [0; 5]);
        }
    }
    Some(0)
}

/// Changes the mask and notes that the call is made, with the result 0. The change is a barrier.
///
/// # Safety
/// `fast` is the thread's block, on whose stack this runs; `mask` can be written.
#[unsafe(naked)]
#[unsafe(link_section = ".text.fast")]
unsafe extern "C" fn exchange(mask: *mut u64, new: u64, fast: *mut Fast) {
    naked_asm!(
        "xor eax, eax",
        "mov [rdx + {result}], rax",
        "xchg [rdi], rsi",
        ".globl stub_mask_changed",
        "stub_mask_changed:",
        "mov qword ptr [rdx + {change}], {done}",
        ".globl stub_mask_noted",
        "stub_mask_noted:",
        "ret",
        result = const offset_of!(Fast, result),
        change = const offset_of!(Fast, change),
        done = const change::DONE,
    )
}

#[inline(always)]
fn action(fast: *mut Fast, words: *mut SignalWords) -> Option<u64> {
    let [signo, new, old, size, ..] = arguments(fast);
    let index = (signo as u32).wrapping_sub(1);
    if size != SET_BYTES || index >= SIGNALS {
        return None;
    }
    let bit = 1_u64 << index;
    if load!((*words).defaults) & bit == 0 {
        return None;
    }
    let restored = load!((*words).restored);
    let restorer = load!((*words).restorer);
    if new != 0 {
        let its_restorer = fetch(new.wrapping_add(ACTION_RESTORER));
        let is_default = fetch(new.wrapping_add(HANDLER)) | fetch(new.wrapping_add(MASK)) == 0
            && fetch(new.wrapping_add(FLAGS)) == RESTORER;
        let is_known = restored == 0 || restorer == its_restorer;
        if old != 0 || !is_default || !is_known || bit & NOT_RESTORED != 0 {
            return None;
        }
        store!((*words).restorer, its_restorer);
        store!((*words).restored, restored | bit);
        return Some(0);
    }
    if old != 0 {
        let is_restored = restored & bit != 0;
        put(old.wrapping_add(HANDLER), 0);
        put(old.wrapping_add(FLAGS), if is_restored { RESTORER } else { 0 });
        put(old.wrapping_add(ACTION_RESTORER), if is_restored { restorer } else { 0 });
        put(old.wrapping_add(MASK), 0);
    }
    Some(0)
}
