//! How a call changes hands on the hotline: the state word, seen from both sides. The stub's own
//! crate compiles this file too.
//!
//! ```text
//!        stub puts it          worker takes it          worker is done
//!   FREE ────────────► CALL ──────────────────► TAKEN ────────────────► DONE
//!    ▲                   │                      │   │ worker does not    ▲ ▲
//!    └───────────────────┘                      │   │ know when          │ │
//!       stub withdraws it                       │   └──────► LONG ───────┘ │
//!                                               └► WAITED ◄───┘            │
//!                           stub waits in the host    └────────────────────┘
//! ```
//!
//! From TAKEN on the stub may wait in the host; the worker wakes it when the call is done. A call is
//! made once or withdrawn, and what either side wrote before its turn ended is
//! seen by the other. The guest can write the word like all of the line, and then fools itself.

use super::layout::REPORTS_OFFSET;
use super::layout::line::{CALL, DONE, FREE, KINDS, LONG, TAKEN, WAITED};

/// Where a stub says what it would ring for with [`READY`](super::layout::event::READY), to the worker
/// that watches its line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Reports {
    /// How many there were.
    pub count: u64,
    /// What [`at`](super::layout::at) says, or 0 where nothing is said.
    pub places: [u64; Reports::PLACES],
}

impl Reports {
    pub const PLACES: usize = 7;
}

/// Where [`Posts`] lies.
pub const POSTS_OFFSET: u64 = REPORTS_OFFSET + size_of::<Reports>() as u64;
/// Where [`Known`] lies.
pub const KNOWN_OFFSET: u64 = POSTS_OFFSET + size_of::<Posts>() as u64;

/// Where a stub leaves calls that need no answer ([`post`]): a ring.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Posts {
    /// How many were left.
    pub count: u64,
    /// The last ones.
    pub places: [u64; Posts::PLACES as usize],
}

impl Posts {
    pub const PLACES: u64 = 7;
}

/// What a stub knows of the thread's descriptors, by which it makes some calls without the sentry's word.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Known {
    /// Bit n: descriptor n is a file that was opened for reading only, and to close it has no other
    /// effect that anybody could wait for.
    pub descriptors: u64,
    /// How many of its [`Posts`] were made, as far as it was told.
    pub made: u64,
    /// Whether something is said in [`Foretold`], and the thread has made no call since that the sentry
    /// hears of.
    pub is_foretold: u64,
    /// What `F_GETFL` answers, or [`known::NO_FLAGS`].
    pub flags: [u32; known::MAX as usize],
}

/// Words about descriptors of which the stub knows something.
pub mod known {
    /// Only lower descriptors.
    pub const MAX: u64 = 64;
    /// In the place of [`Hotline::info`](super::super::layout::Hotline), behind a call: its result is such
    /// a descriptor, with these flags in the upper half, ...
    pub const IS: u64 = 1;
    pub const FLAGS_SHIFT: u32 = 32;
    /// The answer of the next call is [`Foretold`](super::Foretold).
    pub const FORETOLD: u64 = 2;
    /// ... and how many posts were made, so many bits of it.
    pub const MADE_SHIFT: u32 = 8;
    pub const MADE: u64 = 0xffff;
    pub const NO_FLAGS: u32 = u32::MAX;
}

/// Where [`Foretold`] lies.
pub const FORETOLD_OFFSET: u64 = (KNOWN_OFFSET + size_of::<Known>() as u64).next_multiple_of(64);

/// What the sentry answers if the next call is a certain one.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Foretold {
    /// Which call that is, and how it stands with it: see [`foretold`].
    pub head: u64,
    /// `struct stat`, or what other arguments there are.
    pub words: [u64; foretold::WORDS],
}

/// Words of [`Foretold::head`].
pub mod foretold {
    /// The call has this number, and its first argument is this descriptor.
    #[inline(always)]
    pub const fn head(number: u32, fd: u32) -> u64 {
        (fd as u64) << 32 | (number as u64) << 8 | IS
    }
    /// With this the file cannot be made a clone of what `fd` stands for, if that is below
    /// [`SOURCE_MAX`], as files of their kind cannot.
    #[inline(always)]
    pub const fn source(fd: Option<u32>) -> u64 {
        match fd {
            Some(fd) if fd < SOURCE_MAX => ((fd + 1) as u64) << SOURCE_SHIFT,
            _ => 0,
        }
    }
    pub const SOURCE_MAX: u32 = 63;
    const SOURCE_SHIFT: u32 = 24;
    /// All bits that [`source`] may set.
    pub const SOURCE: u64 = 0xff << SOURCE_SHIFT;
    /// It was not taken back.
    pub const IS: u64 = 1;
    /// The stub has used it.
    pub const USED: u64 = 2;

    /// Calls: the result is 0. For `fstat` the words are all of `struct stat` that is not 0; and the
    /// descriptor is new and stands at 0, and the file knows no `ioctl`s of terminals, ...
    pub const FSTAT: u32 = 5;
    pub const READ: u32 = 0;
    pub const GETDENTS64: u32 = 217;
    /// ... and here the other descriptor, and how many bytes are wanted at most; no offsets, no flags.
    pub const COPY_FILE_RANGE: u32 = 326;

    pub const WORDS: usize = 15;
}

/// A call that is left behind: in the upper half the turn in which it was made, in the second byte the
/// descriptor, and in the first what is done to it.
pub mod post {
    pub const TURN_SHIFT: u32 = 32;
    pub const DESCRIPTOR_SHIFT: u32 = 8;
    pub const CLOSE: u64 = 1;
    /// `FD_CLOEXEC` is set, ...
    pub const SET_CLOEXEC: u64 = 2;
    /// ... or not.
    pub const CLEAR_CLOEXEC: u64 = 3;
    pub const KINDS: u64 = 0xff;
}

/// The state word.
pub trait Word {
    /// Acquires.
    fn load(&self) -> u32;
    /// Releases.
    fn store(&self, value: u32);
    /// Changes `from` to `to`, both acquiring and releasing; `false` if it was not `from`.
    fn exchange(&self, from: u32, to: u32) -> bool;
    /// Puts a value there, both acquiring and releasing; answers with the old one.
    fn swap(&self, value: u32) -> u32;
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

    #[inline(always)]
    fn swap(&self, value: u32) -> u32 {
        self.swap(value, core::sync::atomic::Ordering::AcqRel)
    }
}

/// The stub has written the call of this turn down.
#[inline(always)]
pub fn put(word: &impl Word, turn: u32) {
    word.store(turn | CALL);
}

/// The stub waits for the end of its call: looks `patience.0` times, with `pause` in between, then
/// withdraws the call or else, when a worker has taken it, looks `patience.1` times more, with `yield_`
/// in between, and at last does `sleep` while the word is WAITED. `false` if the call was withdrawn.
#[inline(always)]
pub fn wait(
    word: &impl Word,
    turn: u32,
    patience: (u32, u32),
    pause: impl Fn(),
    yield_: impl Fn(),
    sleep: impl Fn(),
) -> bool {
    let (mut looks, mut yields) = patience;
    loop {
        match word.load() ^ turn {
            DONE => return true,
            CALL | TAKEN if looks > 0 => {
                looks -= 1;
                pause();
            }
            TAKEN if yields > 0 => {
                yields -= 1;
                yield_();
            }
            CALL => {
                if word.exchange(turn | CALL, FREE) {
                    return false;
                }
            }
            taken @ (TAKEN | LONG) => {
                word.exchange(turn | taken, turn | WAITED);
            }
            // WAITED, or what the guest has put there.
            _ => sleep(),
        }
    }
}

/// A worker takes the call of this turn; `false` if it was withdrawn.
#[inline(always)]
pub fn take(word: &impl Word, turn: u32) -> bool {
    word.exchange(turn | CALL, turn | TAKEN)
}

/// The turn of a call that nobody has taken.
#[inline(always)]
pub fn turn_of(word: &impl Word) -> Option<u32> {
    let state = word.load();
    (state & KINDS == CALL).then_some(state & !KINDS)
}

/// The worker does not know when the call will be done.
#[inline(always)]
pub fn lengthen(word: &impl Word, turn: u32) {
    word.exchange(turn | TAKEN, turn | LONG);
}

/// The worker has written the result down; `true` if the stub has to be woken.
#[inline(always)]
#[must_use]
pub fn finish(word: &impl Word, turn: u32) -> bool {
    word.swap(turn | DONE) == turn | WAITED
}

/// Whether the call of this turn is done.
#[inline(always)]
pub fn is_done(word: &impl Word, turn: u32) -> bool {
    word.load() == turn | DONE
}

/// The thread has left the line without taking its call along.
#[inline(always)]
pub fn withdraw(word: &impl Word, turn: u32) {
    word.exchange(turn | CALL, FREE);
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
