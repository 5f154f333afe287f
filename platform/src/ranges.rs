//! Arithmetic with ranges of addresses.

use std::ops::Range;

use crate::process::PAGE_BYTES;

/// The largest range of whole pages in `within` that no range of `taken` touches; those ascend.
pub fn largest_gap(taken: impl Iterator<Item = Range<u64>>, within: Range<u64>) -> Range<u64> {
    let mut largest = within.start..within.start;
    let mut from = within.start;
    for taken in taken.chain(std::iter::once(within.end..within.end)) {
        let until = taken.start.min(within.end) / PAGE_BYTES * PAGE_BYTES;
        if until.saturating_sub(from) > largest.end - largest.start {
            largest = from..until;
        }
        from = from.max(taken.end.checked_next_multiple_of(PAGE_BYTES).unwrap_or(u64::MAX));
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_gap_is_between_all_that_is_taken() {
        let gap = |taken: &[(u64, u64)]| {
            largest_gap(taken.iter().map(|&(start, end)| start..end), 0x1000..0x9000)
        };
        assert_eq!(gap(&[]), 0x1000..0x9000);
        assert_eq!(gap(&[(0x2000, 0x3000)]), 0x3000..0x9000);
        assert_eq!(gap(&[(0x6001, 0x6002)]), 0x1000..0x6000);
        assert_eq!(gap(&[(0x2000, 0x3001), (0x7fff, 0x8000)]), 0x4000..0x7000);
        assert_eq!(gap(&[(0x0, 0x2000), (0x8000, 0x20000)]), 0x2000..0x8000);
        assert!(gap(&[(0x1000, 0x9000)]).is_empty());
    }
}
