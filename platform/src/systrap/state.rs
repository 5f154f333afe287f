//! The sentry's side of what a thread's slot says of its state ([`state_words`]).
//!
//! All of it can be written by the guest, who says nothing there that it could not say by a call.
//!
//! [`state_words`]: super::state_words

use std::mem::offset_of;
use std::sync::atomic::{AtomicU64, Ordering};

use linux_abi::signal::SigAltStack;

use super::channel::SlotMemory;
use super::slot::Slot;
use super::state_words::{CALLS, NOT_RESTORED, STATE_OFFSET, Stack, StateWords};
use crate::contract::GuestState;

/// So many calls from one place make it worth a patch: a patch costs as much as some of them.
pub(super) const HOT: u8 = 6;

/// Whether the stub may serve a call, depending on what its slot says.
pub(super) fn may_serve(number: u64) -> bool {
    u32::try_from(number).is_ok_and(|number| CALLS.contains(&number))
}

/// Makes the words of a slot that gets a new thread say nothing.
pub(super) fn reset(memory: &SlotMemory) {
    let words = [0_u64; size_of::<StateWords>() / 8];
    memory.write(STATE_OFFSET, &words);
    word(memory, offset_of!(StateWords, must_ask)).store(1, Ordering::SeqCst);
}

fn word(memory: &SlotMemory, field: usize) -> &AtomicU64 {
    memory.atomic_long(STATE_OFFSET + field as u64)
}

/// Where one of the two stacks lies, as the guest says which.
fn stack_place(which: u64) -> u64 {
    let stacks = STATE_OFFSET + offset_of!(StateWords, stacks) as u64;
    stacks + (which & 1) * size_of::<Stack>() as u64
}

const _: () = assert!(offset_of!(Stack, flags) == offset_of!(SigAltStack, flags));
const _: () = assert!(offset_of!(Stack, size) == offset_of!(SigAltStack, size));
const _: () = assert!(size_of::<Stack>() == size_of::<SigAltStack>());

impl GuestState for Slot {
    fn mask(&self) -> u64 {
        word(&self.memory, offset_of!(StateWords, mask)).load(Ordering::SeqCst)
    }

    fn set_mask(&self, mask: u64) {
        word(&self.memory, offset_of!(StateWords, mask)).store(mask, Ordering::SeqCst);
    }

    fn must_ask(&self, must: bool) {
        // A barrier: the mask is looked at afterwards.
        word(&self.memory, offset_of!(StateWords, must_ask)).swap(must.into(), Ordering::SeqCst);
    }

    fn robust_list(&self) -> u64 {
        word(&self.memory, offset_of!(StateWords, robust_list)).load(Ordering::Relaxed)
    }

    fn set_robust_list(&self, head: u64) {
        word(&self.memory, offset_of!(StateWords, robust_list)).store(head, Ordering::Relaxed);
    }

    fn stack(&self) -> SigAltStack {
        let which = word(&self.memory, offset_of!(StateWords, which)).load(Ordering::Relaxed);
        self.memory.read(stack_place(which))
    }

    fn set_stack(&self, stack: SigAltStack) {
        self.memory.write(stack_place(0), &stack);
        word(&self.memory, offset_of!(StateWords, which)).store(0, Ordering::Relaxed);
    }

    fn set_defaults(&self, signals: u64) {
        word(&self.memory, offset_of!(StateWords, restored)).store(0, Ordering::Relaxed);
        word(&self.memory, offset_of!(StateWords, defaults)).store(signals, Ordering::Release);
    }

    fn restored(&self) -> (u64, u64) {
        let restored = word(&self.memory, offset_of!(StateWords, restored));
        let restorer = word(&self.memory, offset_of!(StateWords, restorer));
        (restored.load(Ordering::Relaxed) & !NOT_RESTORED, restorer.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systrap::state_words::{UNBLOCKABLE, bit};

    #[test]
    fn numbers_are_those_of_the_host() {
        let numbers = [
            libc::SYS_rt_sigaction,
            libc::SYS_rt_sigprocmask,
            libc::SYS_sigaltstack,
            libc::SYS_set_robust_list,
        ];
        assert_eq!(CALLS.map(i64::from), numbers);
        let bits = |signals: &[i32]| signals.iter().fold(0, |all, &signo| all | bit(signo as u32));
        assert_eq!(UNBLOCKABLE, bits(&[libc::SIGKILL, libc::SIGSTOP]));
        let ignored = bits(&[libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH]);
        assert_eq!(NOT_RESTORED, UNBLOCKABLE | ignored);
    }

    #[test]
    fn only_these_calls_are_served() {
        assert!(may_serve(libc::SYS_rt_sigprocmask as u64));
        assert!(!may_serve(libc::SYS_rt_sigaction as u64 | 1 << 32));
        assert!(!may_serve(libc::SYS_rt_sigreturn as u64));
    }
}
