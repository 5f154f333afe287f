//! The sentry's side of what a thread's slot says about signals ([`signal_words`]).
//!
//! All of it can be written by the guest, who says nothing there that it could not say by a call.
//!
//! [`signal_words`]: super::signal_words

use std::mem::offset_of;
use std::sync::atomic::{AtomicU64, Ordering};

use super::channel::SlotMemory;
use super::signal_words::{CALLS, NOT_RESTORED, SIGNALS_OFFSET, SignalWords};
use super::slot::Slot;
use crate::contract::GuestSignals;

/// So many calls from one place make it worth a patch: a patch costs as much as some of them.
pub(super) const HOT: u8 = 6;

/// Whether the stub may serve a call, depending on what its slot says.
pub(super) fn may_serve(number: u64) -> bool {
    u32::try_from(number).is_ok_and(|number| CALLS.contains(&number))
}

/// Makes the words of a slot that gets a new thread say nothing.
pub(super) fn reset(memory: &SlotMemory) {
    let words = [0_u64; size_of::<SignalWords>() / 8];
    memory.write(SIGNALS_OFFSET, &words);
    word(memory, offset_of!(SignalWords, must_ask)).store(1, Ordering::SeqCst);
}

fn word(memory: &SlotMemory, field: usize) -> &AtomicU64 {
    memory.atomic_long(SIGNALS_OFFSET + field as u64)
}

impl GuestSignals for Slot {
    fn mask(&self) -> u64 {
        word(&self.memory, offset_of!(SignalWords, mask)).load(Ordering::SeqCst)
    }

    fn set_mask(&self, mask: u64) {
        word(&self.memory, offset_of!(SignalWords, mask)).store(mask, Ordering::SeqCst);
    }

    fn must_ask(&self, must: bool) {
        // A barrier: the mask is looked at afterwards.
        word(&self.memory, offset_of!(SignalWords, must_ask)).swap(must.into(), Ordering::SeqCst);
    }

    fn set_defaults(&self, signals: u64) {
        word(&self.memory, offset_of!(SignalWords, restored)).store(0, Ordering::Relaxed);
        word(&self.memory, offset_of!(SignalWords, defaults)).store(signals, Ordering::Release);
    }

    fn restored(&self) -> (u64, u64) {
        let restored = word(&self.memory, offset_of!(SignalWords, restored));
        let restorer = word(&self.memory, offset_of!(SignalWords, restorer));
        (restored.load(Ordering::Relaxed) & !NOT_RESTORED, restorer.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systrap::signal_words::{UNBLOCKABLE, bit};

    #[test]
    fn numbers_are_those_of_the_host() {
        assert_eq!(CALLS.map(i64::from), [libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask]);
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
