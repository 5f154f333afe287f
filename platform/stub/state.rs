//! Calls about the thread's own state, as far as its slot tells ([`StateWords`]): signal masks, actions
//! and stacks, and the list of robust futexes.

use core::arch::naked_asm;
use core::mem::offset_of;

use super::access::{fetch, put};
use super::calls::doorbell;
use super::fast::arguments;
use super::layout::{FAST_OFFSET, Fast, change, event};
use super::state_words::{
    NOT_RESTORED, RT_SIGACTION, RT_SIGPROCMASK, SET_ROBUST_LIST, SIGALTSTACK, STATE_OFFSET, Stack,
    StateWords, UNBLOCKABLE,
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
    let words = (fast as u64 - FAST_OFFSET + STATE_OFFSET) as *mut StateWords;
    match number {
        RT_SIGACTION => action(fast, words),
        RT_SIGPROCMASK => mask(fast, words),
        SIGALTSTACK => stack(fast, words),
        SET_ROBUST_LIST => robust_list(fast, words),
        _ => None,
    }
}

#[inline(always)]
fn mask(fast: *mut Fast, words: *mut StateWords) -> Option<u64> {
    let [how, new, old, size, ..] = arguments(fast);
    if size != SET_BYTES || load!((*words).must_ask) != 0 || overlap(new, old, SET_BYTES) {
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

/// Whether a call that is begun again would find what it has written itself.
#[inline(always)]
fn overlap(new: u64, old: u64, len: u64) -> bool {
    new != 0 && old != 0 && (old.wrapping_sub(new) < len || new.wrapping_sub(old) < len)
}

/// Changes a word and notes that the call is made, with the result 0. The change is a barrier.
///
/// # Safety
/// `fast` is the thread's block, on whose stack this runs; `word` can be written.
#[unsafe(naked)]
#[unsafe(link_section = ".text.fast")]
unsafe extern "C" fn exchange(word: *mut u64, new: u64, fast: *mut Fast) {
    naked_asm!(
        "xor eax, eax",
        "mov [rdx + {result}], rax",
        "xchg [rdi], rsi",
        ".globl stub_word_changed",
        "stub_word_changed:",
        "mov qword ptr [rdx + {change}], {done}",
        ".globl stub_word_noted",
        "stub_word_noted:",
        "ret",
        result = const offset_of!(Fast, result),
        change = const offset_of!(Fast, change),
        done = const change::DONE,
    )
}

#[inline(always)]
fn action(fast: *mut Fast, words: *mut StateWords) -> Option<u64> {
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

/// `struct robust_list_head`.
const ROBUST_HEAD_BYTES: u64 = 24;

#[inline(always)]
fn robust_list(fast: *mut Fast, words: *mut StateWords) -> Option<u64> {
    let [head, len, ..] = arguments(fast);
    if len != ROBUST_HEAD_BYTES {
        return None;
    }
    store!((*words).robust_list, head);
    Some(0)
}

/// Offsets in `stack_t`, and its size.
const STACK_FLAGS: u64 = offset_of!(Stack, flags) as u64;
const STACK_SIZE: u64 = offset_of!(Stack, size) as u64;
const STACK_BYTES: u64 = size_of::<Stack>() as u64;

const SS_ONSTACK: u64 = 1;
const SS_DISABLE: u64 = 2;
const SS_AUTODISARM: u64 = 1 << 31;
const MINSIGSTKSZ: u64 = 2048;

/// Linux: `do_sigaltstack`.
#[inline(always)]
fn stack(fast: *mut Fast, words: *mut StateWords) -> Option<u64> {
    let [new, old, ..] = arguments(fast);
    if overlap(new, old, STACK_BYTES) {
        return None;
    }
    let which = load!((*words).which) & 1;
    let stacks = words.cast::<u8>().wrapping_add(offset_of!(StateWords, stacks)).cast::<Stack>();
    let present = stacks.wrapping_add(which as usize);
    let (sp, size, flags) = (load!((*present).sp), load!((*present).size), load!((*present).flags));
    let own = load!((*fast).saved.rsp);
    let is_on = flags & SS_AUTODISARM == 0 && own > sp && own - sp <= size;
    let next = stacks.wrapping_add(1 - which as usize);
    if new != 0 {
        let (mut new_sp, mut new_size) = (fetch(new), fetch(new.wrapping_add(STACK_SIZE)));
        let new_flags = fetch(new.wrapping_add(STACK_FLAGS)) & u32::MAX as u64;
        let mode = new_flags & !SS_AUTODISARM;
        if mode == SS_DISABLE {
            (new_sp, new_size) = (0, 0);
        }
        let is_right = mode <= SS_ONSTACK && new_size >= MINSIGSTKSZ || mode == SS_DISABLE;
        if is_on || !is_right {
            return None;
        }
        store!((*next).sp, new_sp);
        store!((*next).size, new_size);
        store!((*next).flags, new_flags);
    }
    if old != 0 {
        let state = match (size, is_on) {
            (0, _) => SS_DISABLE,
            (_, true) => SS_ONSTACK,
            _ => 0,
        };
        put(old, sp);
        put(old.wrapping_add(STACK_FLAGS), state | flags & SS_AUTODISARM);
        put(old.wrapping_add(STACK_SIZE), size);
    }
    if new != 0 {
        // SAFETY: the words and the block are mapped and aligned.
        unsafe { exchange(&raw mut (*words).which, 1 - which, fast) };
    }
    Some(0)
}
