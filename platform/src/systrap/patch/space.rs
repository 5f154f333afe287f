//! Where trampolines go: areas of the guest's address space, and what is free in them.
//!
//! An area is memory that the caller mapped for trampolines ([`super::find_gap`] says where); it
//! hands it over with [`TrampolineSpace::add_area`] and asks for another one whenever a site finds
//! no room. A trampoline of the general form must begin where the displacement of the jump to it
//! has an `int3` as its second byte: in one stretch of 256 bytes out of every 64 KiB, which
//! stretch depending on the site. Sites are spread over all residues, so the space keeps every free
//! gap, and what one site must leave out the next ones fill. An empty area of [`AREA_BYTES`] has
//! room for any site within reach.

use std::collections::BTreeMap;
use std::ops::Range;

/// Length of the areas that a caller should add, in bytes.
pub const AREA_BYTES: u64 = 1 << 16;

/// Areas end at this address, or at a multiple of [`AREA_PERIOD`] above it, so that a filter can tell
/// what is none. (Right below a program that is linked to 4 MiB; not where mappings begin or end.)
pub const AREA_END: u64 = 1 << 22;
pub const AREA_PERIOD: u64 = 1 << 24;

/// Greatest distance between the end of a jump and a trampoline, in bytes: what a 32-bit
/// displacement spans, less enough for every other displacement in the trampoline.
pub(super) const REACH: u64 = (1 << 31) - 4096;

/// Trampolines begin, and their data lies, at multiples of this many bytes.
pub(super) const ALIGNMENT: u64 = 8;

/// The byte of `int3`.
pub(super) const INT3: u8 = 0xcc;

/// Distance between stretches with the same second byte of the displacement.
const PERIOD: i64 = 1 << 16;

/// Length of such a stretch.
const STRETCH: u64 = 1 << 8;

/// The areas for trampolines of one address space.
#[derive(Clone, Debug, Default)]
pub struct TrampolineSpace {
    /// By the address of their first byte.
    areas: BTreeMap<u64, Area>,
}

#[derive(Clone, Debug)]
struct Area {
    end: u64,
    /// What is free: first address and end.
    gaps: BTreeMap<u64, u64>,
}

/// What a trampoline's place must satisfy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    /// Address behind the jump to the trampoline: where its displacement counts from.
    pub(super) origin: u64,
    /// Length of the trampoline in bytes.
    pub(super) len: u64,
    /// Whether the second byte of the displacement must be `int3`.
    pub(super) int3: bool,
}

impl TrampolineSpace {
    /// Adds memory that is mapped readable and executable, and of which nothing is used yet.
    /// An empty range, or one that touches an area already there, is ignored.
    pub fn add_area(&mut self, range: Range<u64>) {
        let touches = self
            .areas
            .range(..range.end)
            .next_back()
            .is_some_and(|(_, area)| area.end > range.start);
        if range.is_empty() || touches {
            return;
        }
        let gaps = BTreeMap::from([(range.start, range.end)]);
        self.areas.insert(range.start, Area { end: range.end, gaps });
    }

    /// Returns the areas.
    pub fn areas(&self) -> impl Iterator<Item = Range<u64>> {
        self.areas.iter().map(|(start, area)| *start..area.end)
    }

    /// Drops the areas that touch `range`, and returns them.
    pub(super) fn remove(&mut self, range: &Range<u64>) -> Vec<Range<u64>> {
        let touching: Vec<_> =
            self.areas().filter(|area| area.start < range.end && area.end > range.start).collect();
        for area in &touching {
            self.areas.remove(&area.start);
        }
        touching
    }

    /// Takes room for a trampoline; returns its address, or `None` if no area has any.
    pub(super) fn allocate(&mut self, want: &Want) -> Option<u64> {
        let lowest = want.origin.saturating_sub(REACH);
        let highest = want.origin.saturating_add(REACH);
        let first = self.areas.range(..=lowest).next_back().map_or(lowest, |(start, _)| *start);
        let mut near = self.areas.range_mut(first..highest);
        let place_in = |start: u64, area: &mut Area| {
            let reach = lowest.max(start)..highest.min(area.end);
            let place = if want.int3 {
                stretches(want.origin, reach).find_map(|stretch| area.find(&stretch, want.len))?
            } else {
                area.find(&reach, want.len)?
            };
            area.take(place, want.len);
            Some(place)
        };
        // From opposite ends, so that the undemanding ones fill whole areas and not the same
        // stretches of all.
        if want.int3 {
            near.rev().find_map(|(start, area)| place_in(*start, area))
        } else {
            near.find_map(|(start, area)| place_in(*start, area))
        }
    }
}

/// Yields the parts of `reach` where a trampoline may begin that a jump ending at `origin` reaches
/// by a displacement whose second byte is `int3`.
fn stretches(origin: u64, reach: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let Range { start, end } = reach;
    let offset = start.wrapping_sub(origin) as i64;
    let first = i64::from(INT3) * STRETCH as i64;
    let skipped = (offset - first).div_euclid(PERIOD) * PERIOD;
    let from = origin.wrapping_add_signed(first + skipped);
    std::iter::successors(Some(from), |from| from.checked_add(PERIOD as u64))
        .take_while(move |from| *from < end)
        .map(move |from| from.max(start)..from.saturating_add(STRETCH).min(end))
        .filter(|stretch| !stretch.is_empty())
}

impl Area {
    /// Returns the first free address within `starts` with `len` free bytes.
    fn find(&self, starts: &Range<u64>, len: u64) -> Option<u64> {
        if starts.is_empty() {
            return None;
        }
        let before = self.gaps.range(..starts.start).next_back();
        let within = self.gaps.range(starts.clone());
        before.into_iter().chain(within).find_map(|(gap, end)| {
            let place = starts.start.max(*gap).checked_next_multiple_of(ALIGNMENT)?;
            (place < starts.end && place.checked_add(len)? <= *end).then_some(place)
        })
    }

    /// Marks `len` bytes from `place` on, which lie in one gap, as used.
    fn take(&mut self, place: u64, len: u64) {
        let Some((start, end)) = self.gaps.range(..=place).next_back().map(|(s, e)| (*s, *e))
        else {
            return;
        };
        self.gaps.remove(&start);
        for (start, end) in [(start, place), (place + len, end)] {
            if start < end {
                self.gaps.insert(start, end);
            }
        }
    }
}

#[cfg(test)]
#[path = "space_tests.rs"]
mod tests;
