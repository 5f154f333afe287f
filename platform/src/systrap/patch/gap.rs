//! Finds a place for a trampoline area.
//!
//! An area must be within ±2 GiB of the sites that use it and should not stand in the way of what
//! the guest's address space grows by later: the heap upwards from behind the program, mappings
//! downwards from the lowest one of the upper half (the host places them top-down), stacks
//! downwards. Nothing breaks if it does, for the host's kernel steps around what is mapped; but a
//! heap that cannot grow in place, or a hint that is not honoured, changes what the guest sees.
//!
//! 1. **Right below the lowest mapping**, if that is within reach. For the program itself it is:
//!    the heap begins behind the program, and top-down mappings come there last of all. A program
//!    linked to 4 MiB has almost 4 MiB of such room.
//! 2. Else, for libraries and run-time generated code: in a gap where **a gibibyte on either side**
//!    stays free, or as much as there is; among equals the place nearest to the site.
//!
//! Among all that, areas lie at every [`AREA_PERIOD`] only: calls that the host executes for
//! guests without a word to anybody are told from those that may meet one by that.
//!
//! Places within [`NEAR`] come first, so that the rest of the same library, and libraries next to
//! it, reach the area too. Only without one the whole ±2 GiB are searched.

use std::ops::Range;

use super::space::{AREA_BYTES, AREA_END, AREA_PERIOD, REACH};
use crate::process::{USER_END, USER_START};

const PAGE_BYTES: u64 = 4096;

/// Distance from the site that still leaves other code in the site's neighbourhood within reach.
const NEAR: u64 = 3 << 29;

/// Distance from the site that just leaves the site within reach, whatever part of a page it is in.
const FAR: u64 = REACH - 2 * PAGE_BYTES;

/// Free bytes on either side beyond which more is no better.
const CLEARANCE: u64 = 1 << 30;

/// Returns the address of a free place of [`AREA_BYTES`] for trampolines of sites around `near`.
///
/// `mappings` are all mappings of the address space, in any order, with everything else that must
/// be left alone. `None` if there is no place within ±2 GiB.
pub fn find_gap(mappings: &[Range<u64>], near: u64) -> Option<u64> {
    let gaps = gaps(mappings);
    let near = near & !(PAGE_BYTES - 1);
    [NEAR, FAR].into_iter().find_map(|distance| {
        let reach = near.saturating_sub(distance)..near.saturating_add(distance);
        let below = gaps.first().filter(|gap| gap.start == USER_START);
        below.and_then(|gap| top_of(gap, &reach)).or_else(|| {
            let places = gaps.iter().filter_map(|gap| clearest(gap, &reach, near));
            let best = places.min_by_key(|(clearance, place)| {
                (std::cmp::Reverse(*clearance), place.abs_diff(near))
            });
            best.map(|(_, place)| place)
        })
    })
}

/// Returns what is free of `mappings`, in order, in whole pages.
fn gaps(mappings: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut used: Vec<_> = mappings.iter().filter(|range| !range.is_empty()).collect();
    used.sort_unstable_by_key(|range| range.start);
    let mut gaps = Vec::new();
    let mut free_from = USER_START;
    for range in used {
        let end = (range.start & !(PAGE_BYTES - 1)).min(USER_END);
        if end > free_from {
            gaps.push(free_from..end);
        }
        let behind = range.end.checked_next_multiple_of(PAGE_BYTES).unwrap_or(u64::MAX);
        free_from = free_from.max(behind);
    }
    if free_from < USER_END {
        gaps.push(free_from..USER_END);
    }
    gaps
}

/// Returns the highest place in `gap`, if it is within `reach` and something is mapped above.
fn top_of(gap: &Range<u64>, reach: &Range<u64>) -> Option<u64> {
    let place = place_below(gap.end)?;
    let fits = place >= gap.start.max(reach.start) && gap.end <= reach.end;
    (fits && gap.end < USER_END).then_some(place)
}

/// Returns the best place in `gap` within `reach`, with the free bytes that it leaves on the
/// narrower side.
fn clearest(gap: &Range<u64>, reach: &Range<u64>, near: u64) -> Option<(u64, u64)> {
    let lowest = place_above(gap.start.max(reach.start))?;
    let highest = place_below(gap.end.min(reach.end)).filter(|highest| *highest >= lowest)?;
    let slack = gap.end - gap.start - AREA_BYTES;
    let clearance = CLEARANCE.min(slack / 2) & !(PAGE_BYTES - 1);
    let (first, last) = (gap.start + clearance, gap.end - AREA_BYTES - clearance);
    let wanted = near.clamp(first, last);
    let place = place_above(wanted)?.clamp(lowest, highest);
    let left = (place - gap.start).min(gap.end - AREA_BYTES - place).min(clearance);
    Some((left, place))
}

/// The highest place that ends at `end` or below.
fn place_below(end: u64) -> Option<u64> {
    let periods = end.checked_sub(AREA_END)? / AREA_PERIOD;
    Some(AREA_END + periods * AREA_PERIOD - AREA_BYTES)
}

/// The lowest place at `start` or above.
fn place_above(start: u64) -> Option<u64> {
    let above = start.checked_add(AREA_BYTES)?.saturating_sub(AREA_END);
    Some(AREA_END + above.checked_next_multiple_of(AREA_PERIOD)? - AREA_BYTES)
}

#[cfg(test)]
#[path = "gap_tests.rs"]
mod tests;
