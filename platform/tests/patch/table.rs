//! The table in which trampolines look for their thread.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

const ENTRIES: usize = 1 << 16;

/// What the stub needs of a thread: its negated FS.base, and a word to keep something in.
type Block = [AtomicU64; 2];

static TABLE: LazyLock<Vec<AtomicU64>> =
    LazyLock::new(|| (0..ENTRIES).map(|_| AtomicU64::new(0)).collect());

thread_local! {
    static BLOCK: &'static Block = Box::leak(Box::default());
}

pub fn address() -> u64 {
    TABLE.as_ptr().addr() as u64
}

/// Makes the calling thread one that is found. Of two with the same hash, the later one is.
pub fn enter_thread() {
    let fs_base = fs_base();
    BLOCK.with(|block| {
        block[0].store(fs_base.wrapping_neg(), Ordering::SeqCst);
        TABLE[hash(fs_base)].store(block.as_ptr().addr() as u64, Ordering::SeqCst);
    });
}

/// The lower half of the CRC-32C.
fn hash(word: u64) -> usize {
    let step = |crc: u64, _| crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
    (0..64).fold(word, step) as usize % ENTRIES
}

fn fs_base() -> u64 {
    let base;
    // SAFETY: reads a register; the thread's control block begins with its own address.
    unsafe { std::arch::asm!("mov {}, fs:[0]", out(reg) base, options(nostack, readonly)) };
    base
}
