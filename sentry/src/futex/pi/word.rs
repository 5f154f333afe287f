//! Words with `FUTEX_WAITERS`, which change under the table's lock only.

use linux_abi::Errno;
use linux_abi::futex::{FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS};
use platform::WordChange;

use crate::memory::{UserAddr, UserMemory};
use crate::task::Pid;

/// The number in a word: who has the lock, or 0.
pub(super) fn owner(value: u32) -> Pid {
    (value & FUTEX_TID_MASK) as Pid
}

/// What a word is. If it has `FUTEX_WAITERS`, it stays so while the table is locked; else it may have
/// changed while it was copied, even into what it never was.
///
/// Errors: EFAULT.
pub(super) fn read(memory: &UserMemory, addr: UserAddr) -> Result<u32, Errno> {
    let value = memory.read_value(addr.cast())?;
    match value & FUTEX_WAITERS {
        0 => Ok(value),
        // Its highest byte may have been copied after a change of the others.
        _ => memory.read_value(addr.cast()),
    }
}

/// Changes a word that has `FUTEX_WAITERS`.
///
/// The host may copy byte by byte. Who looks meanwhile sees the number of a thread that cannot exist.
///
/// Errors: EFAULT, and the word is as it was unless its memory went away just now.
pub(super) fn replace(memory: &UserMemory, addr: UserAddr, value: u32) -> Result<(), Errno> {
    const NOBODY: u8 = ((FUTEX_WAITERS | FUTEX_TID_MASK) >> 24) as u8;
    let [low @ .., high] = value.to_le_bytes();
    memory.write_exact(addr.add(3), &[NOBODY])?;
    memory.write_exact(addr, &low)?;
    memory.write_exact(addr.add(3), &[high])
}

/// Takes a free lock, and marks it with `flags`.
pub(super) fn taking(tid: Pid, flags: u32) -> WordChange {
    let set = tid as u32 | flags;
    WordChange { mask: FUTEX_TID_MASK, expected: 0, keep: FUTEX_OWNER_DIED, set }
}

/// Marks a lock that `owner` has as one that others wait for.
pub(super) fn marking(owner: Pid) -> WordChange {
    let expected = owner as u32;
    WordChange { mask: FUTEX_TID_MASK, expected, keep: u32::MAX, set: FUTEX_WAITERS }
}

/// Gives back a lock that nobody waits for.
pub(super) fn giving_back(owner: Pid) -> WordChange {
    let mask = FUTEX_TID_MASK | FUTEX_WAITERS;
    WordChange { mask, expected: owner as u32, keep: 0, set: 0 }
}
