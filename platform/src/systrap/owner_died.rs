//! Robust futexes whose owner is no more.
//!
//! The word must become `FUTEX_OWNER_DIED` in one step for all who look, and keep `FUTEX_WAITERS`,
//! which others may set at any moment. No call of the host does that from outside of the owner's
//! own end, but `FUTEX_WAKE_OP` changes words atomically. So the owner's number is first
//! filled up with ones, bit by bit: to everybody else the futex belongs to some thread then, as
//! before. At last one is added, which carries all of it into `FUTEX_OWNER_DIED`, the next bit.

use linux_abi::futex::{
    FUTEX_OP_ADD, FUTEX_OP_CMP_EQ, FUTEX_OP_CMP_LT, FUTEX_OP_OPARG_SHIFT, FUTEX_OP_OR,
    FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS, FUTEX_WAKE_OP,
};

use super::layout::Call;
use crate::process::ops;

/// Low bits that one operand can have, which is a signed number of 12 bits.
const LOW_BITS: u32 = 11;

const _: () = assert!(FUTEX_OWNER_DIED == FUTEX_TID_MASK + 1);
const _: () = assert!(FUTEX_WAITERS == 1 << 31);

/// The calls for the word at `addr`, the first of which fails if it cannot be changed. `unused` is
/// an address that nobody waits for: each such call wakes one there.
pub(super) fn plan(unused: u64, addr: u64, owner: i32, wakes: bool) -> (ops::Call, Vec<Call>) {
    let args = |encoded: u32| {
        let one = 1;
        [unused, u64::from(FUTEX_WAKE_OP as u32), one, one, addr, u64::from(encoded)]
    };
    let single_bits = (LOW_BITS..FUTEX_TID_MASK.count_ones())
        .filter(|bit| owner as u32 & 1 << bit == 0)
        .map(|bit| encode(FUTEX_OP_OR | FUTEX_OP_OPARG_SHIFT, bit, FUTEX_OP_CMP_EQ));
    // The sign of the old word is `FUTEX_WAITERS`.
    let comparison = if wakes { FUTEX_OP_CMP_LT } else { FUTEX_OP_CMP_EQ };
    let rest = single_bits.chain([encode(FUTEX_OP_ADD, 1, comparison)]);
    let first = encode(FUTEX_OP_OR, (1 << LOW_BITS) - 1, FUTEX_OP_CMP_EQ);
    let number = libc::SYS_futex;
    let rest = rest.map(|encoded| Call { number: number as u64, args: args(encoded) });
    (ops::Call { number, args: args(first) }, rest.collect())
}

/// An operation, and a comparison of the old word with 0, which it never is: who holds a futex has
/// a number.
fn encode(operation: u32, operand: u32, comparison: u32) -> u32 {
    operation << 28 | comparison << 24 | operand << 12
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the host does to a word, and whether it wakes.
    fn apply(word: u32, encoded: u32) -> (u32, bool) {
        let operand = encoded >> 12 & 0xfff;
        let operand = if encoded >> 31 != 0 { 1 << operand } else { operand };
        let new = match encoded >> 28 & 7 {
            FUTEX_OP_ADD => word.wrapping_add(operand),
            FUTEX_OP_OR => word | operand,
            other => panic!("{other}"),
        };
        let wakes = match encoded >> 24 & 0xf {
            FUTEX_OP_CMP_EQ => word == 0,
            FUTEX_OP_CMP_LT => (word as i32) < 0,
            other => panic!("{other}"),
        };
        (new, wakes)
    }

    fn run(owner: i32, waiters_from: usize, wakes: bool) -> (u32, usize) {
        let (first, rest) = plan(0x1000, 0x2000, owner, wakes);
        let all = std::iter::once(first.args).chain(rest.iter().map(|call| call.args));
        let (mut word, mut woken) = (owner as u32, 0);
        for (step, args) in all.enumerate() {
            if step >= waiters_from {
                word |= FUTEX_WAITERS;
            }
            assert_eq!((args[0], args[4]), (0x1000, 0x2000));
            assert!(word & FUTEX_TID_MASK != 0 && word & FUTEX_OWNER_DIED == 0);
            let (new, wakes) = apply(word, args[5] as u32);
            (word, woken) = (new, woken + usize::from(wakes));
        }
        (word, woken)
    }

    #[test]
    fn a_word_changes_owner_in_the_last_step() {
        for owner in [1, 2, 0x7ff, 0x800, 1000, 32_768, 0x12_3456, FUTEX_TID_MASK as i32] {
            assert_eq!(run(owner, usize::MAX, true), (FUTEX_OWNER_DIED, 0));
            for waiters_from in 0..2 {
                let died = FUTEX_OWNER_DIED | FUTEX_WAITERS;
                assert_eq!(run(owner, waiters_from, true), (died, 1), "{owner}");
                assert_eq!(run(owner, waiters_from, false), (died, 0), "{owner}");
            }
        }
    }
}
