//! Memory that arguments point to: an arena with edges, and addresses that lead nowhere.

use crate::rng::Rng;
use crate::support::sys::{peek, poke, sys};

/// Size of a page.
pub const PAGE: usize = 4096;
/// Pages of an arena that can be written.
const RW_PAGES: usize = 16;
/// All pages of an arena: then follow one without access, one read-only, a hole, one executable.
const PAGES: usize = 20;
/// Pages of the memory that calls map and unmap.
pub const PLAYGROUND_PAGES: usize = 64;

/// A thread's memory for arguments.
#[derive(Clone, Copy, Debug)]
pub struct Arena {
    pub start: usize,
    /// Memory whose mapping may change at any time; shared by all threads of a process.
    pub playground: usize,
    /// The process is a copy that may be broken right away.
    pub is_disposable: bool,
}

/// Maps the memory for [`Arena::playground`], with a gap behind it: long transfers into it must not
/// reach what comes next.
pub fn playground() -> usize {
    const GAP: usize = 4 << 20;
    let start = map(PLAYGROUND_PAGES * PAGE + GAP);
    let _ = sys!(mprotect, start + PLAYGROUND_PAGES * PAGE, GAP, libc::PROT_NONE);
    start
}

/// Maps private memory; ends the process if that fails.
pub fn map(len: usize) -> usize {
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    match sys!(mmap, 0, len, prot, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0) {
        Ok(addr) => addr as usize,
        Err(_) => crate::support::sys::exit(9),
    }
}

impl Arena {
    /// Maps an arena.
    pub fn new(playground: usize) -> Arena {
        let start = map(PAGES * PAGE);
        let arena = Arena { start, playground, is_disposable: false };
        arena.renew();
        arena
    }

    /// Makes the arena whole again, whatever calls have done to it.
    pub fn renew(&self) {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        if sys!(mmap, self.start, PAGES * PAGE, prot, flags, -1, 0).is_err() {
            crate::support::sys::exit(9);
        }
        let page = |index: usize| self.start + index * PAGE;
        let _ = sys!(mprotect, page(RW_PAGES), PAGE, libc::PROT_NONE);
        let _ = sys!(mprotect, page(RW_PAGES + 1), PAGE, libc::PROT_READ);
        let _ = sys!(munmap, page(RW_PAGES + 2), PAGE);
        let exec = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        let _ = sys!(mprotect, page(RW_PAGES + 3), PAGE, exec);
    }

    /// Returns writable memory of at least `len` bytes (a page at most), aligned to 8 bytes.
    pub fn room(&self, rng: &Rng, len: usize) -> usize {
        let last = RW_PAGES * PAGE - len.next_multiple_of(8);
        // Flush with the page that cannot be accessed, now and then.
        let offset = if rng.one_in(8) { last } else { rng.below(last / 8) * 8 };
        self.start + offset
    }

    /// Writes bytes that random arguments may point to; returns where.
    pub fn put(&self, rng: &Rng, bytes: &[u8]) -> usize {
        let at = self.room(rng, bytes.len());
        crate::support::sys::poke_bytes(at, bytes);
        at
    }

    /// Writes 64-bit words; returns where.
    pub fn put_words(&self, rng: &Rng, words: &[u64]) -> usize {
        let at = self.room(rng, words.len() * 8);
        for (index, &word) in words.iter().enumerate() {
            poke(at + index * 8, word);
        }
        at
    }

    /// Returns an address for data: writable memory mostly, with random words in it.
    pub fn data(&self, rng: &Rng) -> usize {
        let page = |index: usize| self.start + index * PAGE;
        match rng.below(100) {
            0..75 => {
                let at = self.room(rng, 128);
                if rng.one_in(2) {
                    self.scribble(rng, at);
                }
                at
            }
            75..83 => page(RW_PAGES) - rng.below(64),
            83..86 => page(RW_PAGES + 1) + rng.below(PAGE),
            86..88 => page(RW_PAGES) + rng.below(PAGE),
            88..90 => page(RW_PAGES + 2) - rng.below(64),
            90..92 => self.playground + rng.below(PLAYGROUND_PAGES * PAGE),
            92..95 => 0,
            _ => wild(rng),
        }
    }

    /// Fills 128 bytes with words that mean something to somebody.
    pub fn scribble(&self, rng: &Rng, at: usize) {
        for index in 0..16 {
            let word = match rng.below(6) {
                0 => rng.below(64) as u64,
                1 => self.room(rng, 64) as u64,
                2 => number(rng),
                3 => number(rng) << 32 | rng.below(64) as u64,
                4 => rng.next(),
                _ => 0,
            };
            poke(at + index * 8, word);
        }
    }

    /// Returns an address for calls that change mappings.
    pub fn mapping(&self, rng: &Rng) -> usize {
        let kind = rng.below(if self.is_disposable { 200 } else { 170 });
        match kind {
            0..150 => self.playground + rng.below(PLAYGROUND_PAGES) * PAGE,
            150..160 => 0,
            160..170 => self.playground + rng.below(PLAYGROUND_PAGES * PAGE),
            170..180 => self.start + rng.below(PAGES) * PAGE,
            180..184 => near_stack(rng),
            184..188 => (crate::run::leaf as fn(u64) -> ! as usize) & !(PAGE - 1),
            _ => wild(rng),
        }
    }
}

/// Returns a page of the caller's own stack.
fn near_stack(rng: &Rng) -> usize {
    let local = 0u8;
    (std::ptr::from_ref(&local) as usize & !(PAGE - 1)) - rng.below(4) * PAGE
}

/// Returns an address that most likely cannot be accessed.
pub fn wild(rng: &Rng) -> usize {
    let addresses = [
        1,
        8,
        0xfff,
        0x1000,
        0x1_0000,
        0x7fff_f000,
        0xffff_f000,
        0x1_0000_0000,
        0x7e80_0000_0000,
        0x7eff_ffff_f000,
        0x7fff_ffff_e000,
        0x7fff_ffff_f000,
        0x7fff_ffff_ffff,
        0x8000_0000_0000,
        0xffff_8000_0000_0000,
        0xffff_ffff_ff60_0000,
        0xffff_ffff_ffff_f000,
        usize::MAX - 7,
        usize::MAX,
    ];
    match rng.below(4) {
        0 => rng.next() as usize,
        1 => (rng.next() & 0x7fff_ffff_f000) as usize,
        _ => rng.pick(&addresses),
    }
}

/// Returns a number at or near a limit of something.
pub fn number(rng: &Rng) -> u64 {
    let limits = [
        0,
        1,
        2,
        3,
        4,
        7,
        8,
        9,
        15,
        16,
        31,
        32,
        63,
        64,
        65,
        100,
        127,
        128,
        255,
        256,
        511,
        512,
        999,
        1000,
        1023,
        1024,
        4095,
        4096,
        4097,
        8192,
        65535,
        65536,
        1_000_000,
        999_999_999,
        1_000_000_000,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        0x1_0000_0000,
        0x7fff_ffff_f000,
        0x7fff_ffff_ffff_ffff,
        0x8000_0000_0000_0000,
        u64::MAX,
    ];
    match rng.below(8) {
        0 => rng.next(),
        1 => (rng.below(4096) as u64).wrapping_neg(),
        2 => 1 << rng.below(64),
        3 => rng.pick(&limits).wrapping_sub(1),
        _ => rng.pick(&limits),
    }
}

/// Reads the word at an address that is mapped.
pub fn word_at(addr: usize) -> u64 {
    peek(addr)
}
