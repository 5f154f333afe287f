//! Order between the processes and threads of a case.

use super::check::Must;
use super::files::pipe;
use super::mem::shared;
use super::sys::sys;
use std::sync::atomic::AtomicU32;

/// A door that one process opens for others: `wait` returns once `open` was called.
#[derive(Clone, Copy)]
pub struct Gate {
    read: i32,
    write: i32,
}

impl Gate {
    /// Makes a closed gate.
    pub fn new() -> Gate {
        let (read, write) = pipe();
        Gate { read, write }
    }

    /// Lets one waiter through.
    #[track_caller]
    pub fn open(&self) {
        sys!(write, self.write, b"x", 1).must();
    }

    /// Waits to be let through.
    #[track_caller]
    pub fn wait(&self) {
        let mut buf = [0u8; 1];
        while sys!(read, self.read, &mut buf, 1) != Ok(1) {}
    }
}

/// Makes 1024 zero words that this process shares with those it forks.
pub fn words() -> &'static [AtomicU32; 1024] {
    let addr = shared(4096);
    // SAFETY: a fresh shared mapping of that size, never unmapped; zero is a valid value.
    unsafe { &*(addr as *const [AtomicU32; 1024]) }
}

/// The word at an address that stays mapped.
pub fn word_at(addr: usize) -> &'static AtomicU32 {
    // SAFETY: the caller's promise; any value is a valid one.
    unsafe { &*(addr as *const AtomicU32) }
}
