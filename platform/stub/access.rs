//! Reading and writing what the guest can change, too.

/// Reads a word of the guest's or of the block; a fault takes the slow way.
macro_rules! load {
    ($place:expr) => {
        // SAFETY: what lies there is the guest's own business; the place is aligned.
        unsafe { (&raw const $place).read_volatile() }
    };
}

/// Writes a word of the guest's or of the block.
macro_rules! store {
    ($place:expr, $value:expr) => {{
        let value = $value;
        // SAFETY: as for `load`.
        unsafe { (&raw mut $place).write_volatile(value) }
    }};
}

/// Stores a word for the guest, wherever that is.
#[inline(always)]
pub(crate) fn put(place: u64, word: u64) {
    // SAFETY: it is what the guest asks for, in memory that is all the guest's.
    unsafe {
        core::arch::asm!(
            "mov [{}], {}",
            in(reg) place,
            in(reg) word,
            options(nostack, preserves_flags),
        );
    }
}

/// Reads a word of the guest's, wherever that is.
#[inline(always)]
pub(crate) fn fetch(place: u64) -> u64 {
    let word;
    // SAFETY: it is what the guest asks for, in memory that is all the guest's.
    unsafe {
        core::arch::asm!(
            "mov {}, [{}]",
            out(reg) word,
            in(reg) place,
            options(nostack, preserves_flags),
        );
    }
    word
}

/// Copies bytes from or to the guest's memory; the direction flag is clear.
#[inline(always)]
pub(crate) fn copy(to: u64, from: u64, len: u64) {
    // SAFETY: one side lies in memory of the stub's, the other is what the guest has named.
    unsafe {
        core::arch::asm!(
            "rep movsb",
            inout("rdi") to => _,
            inout("rsi") from => _,
            inout("rcx") len => _,
            options(nostack, preserves_flags),
        );
    }
}

/// The smaller one: `Ord::min` is a call when nothing is optimised.
#[inline(always)]
pub(crate) fn min(a: u64, b: u64) -> u64 {
    if a < b { a } else { b }
}
