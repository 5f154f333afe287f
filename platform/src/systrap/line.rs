//! How a call changes hands on the hotline: the state word, seen from both sides. The stub's own
//! crate compiles this file too.
//!
//! ```text
//!           stub puts it        worker takes it         worker is done
//!   FREE ───────────────► CALL ───────────────► TAKEN ───────────────► DONE
//!    ▲                     │                     │  worker does not      ▲
//!    └─────────────────────┘                     └──────► LONG ──────────┘
//!         stub withdraws it                      know when
//! ```
//!
//! From TAKEN on the stub may wait in the host (it *rings*); the worker lets it out when the call is
//! done. A call is made once or withdrawn, and what either side wrote before its turn ended is
//! seen by the other. The guest can write the word like all of the line, and then fools itself.

use super::layout::line::{CALL, DONE, FREE, LONG, TAKEN};

/// The state word.
pub trait Word {
    /// Acquires.
    fn load(&self) -> u32;
    /// Releases.
    fn store(&self, value: u32);
    /// Changes `from` to `to`, both acquiring and releasing; `false` if it was not `from`.
    fn exchange(&self, from: u32, to: u32) -> bool;
}

impl Word for core::sync::atomic::AtomicU32 {
    #[inline(always)]
    fn load(&self) -> u32 {
        self.load(core::sync::atomic::Ordering::Acquire)
    }

    #[inline(always)]
    fn store(&self, value: u32) {
        self.store(value, core::sync::atomic::Ordering::Release);
    }

    #[inline(always)]
    fn exchange(&self, from: u32, to: u32) -> bool {
        use core::sync::atomic::Ordering::{AcqRel, Acquire};
        self.compare_exchange(from, to, AcqRel, Acquire).is_ok()
    }
}

/// The stub has written a call down.
#[inline(always)]
pub fn put(word: &impl Word) {
    word.store(CALL);
}

/// The stub waits for the end of its call: looks `patience` times, with `pause` in between, then
/// withdraws the call or else, when a worker has taken it, `ring`s until that lets it out.
/// `false` if the call was withdrawn.
#[inline(always)]
pub fn wait(word: &impl Word, patience: u32, pause: impl Fn(), ring: impl Fn()) -> bool {
    let mut left = patience;
    loop {
        match word.load() {
            DONE => return true,
            CALL | TAKEN if left > 0 => {
                left -= 1;
                pause();
            }
            CALL => {
                if word.exchange(CALL, FREE) {
                    return false;
                }
            }
            // TAKEN, LONG, or what the guest has put there.
            _ => {
                ring();
                left = patience;
            }
        }
    }
}

/// A worker takes the call, if there is one.
#[inline(always)]
pub fn take(word: &impl Word) -> bool {
    word.load() == CALL && word.exchange(CALL, TAKEN)
}

/// The worker does not know when the call will be done.
#[inline(always)]
pub fn lengthen(word: &impl Word) {
    word.store(LONG);
}

/// The worker has written the result down.
#[inline(always)]
pub fn finish(word: &impl Word) {
    word.store(DONE);
}

/// The thread has left the line without taking its call along.
#[inline(always)]
pub fn withdraw(word: &impl Word) {
    word.exchange(CALL, FREE);
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
