//! Which file each part of an address space came from.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::vfs::Location;

/// A mapped piece of a file.
#[derive(Clone)]
pub struct FileMapping {
    pub end: u64,
    /// Offset in the file of the first byte.
    pub offset: u64,
    pub location: Location,
}

/// File mappings by start address; they never overlap.
#[derive(Clone, Default)]
pub struct FileMappings {
    map: BTreeMap<u64, FileMapping>,
}

impl FileMappings {
    /// Records that `range` now is `location` from `offset` on. Answers with what was there, to be
    /// dropped with no lock held.
    pub fn insert(
        &mut self,
        range: Range<u64>,
        offset: u64,
        location: Location,
    ) -> Vec<FileMapping> {
        let removed = self.remove(range.clone());
        let mapping = FileMapping { end: range.end, offset, location };
        self.map.insert(range.start, mapping);
        removed
    }

    /// Whether nothing in `range` is known to come from a file.
    pub fn is_clear(&self, range: Range<u64>) -> bool {
        let last = self.map.range(..range.end).next_back();
        last.is_none_or(|(_, mapping)| mapping.end <= range.start)
    }

    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// The range of whole pages in `within` that nothing is known of and that memory is mapped in:
    /// the largest above the lowest file, which is the program. Below the program is often more room,
    /// but the host goes there only if it has put the program near the end, so that nothing else is
    /// left.
    pub fn largest_gap(&self, within: Range<u64>) -> Range<u64> {
        /// The host's own choice begins within the last TiB.
        const ROOMY: u64 = 4 << 40;
        let gap = |within| {
            let taken = self.map.iter().map(|(&start, mapping)| start..mapping.end);
            platform::ranges::largest_gap(taken, within)
        };
        let start = self.map.first_key_value().map_or(within.start, |(&start, _)| start);
        let above = gap(start..within.end);
        if above.end - above.start >= ROOMY { above } else { gap(within) }
    }

    /// Forgets what lies in `range`, cutting mappings that stick out. Answers with what was there,
    /// to be dropped with no lock held.
    pub fn remove(&mut self, range: Range<u64>) -> Vec<FileMapping> {
        let touched: Vec<u64> = self
            .map
            .range(..range.end)
            .rev()
            .take_while(|(_, mapping)| mapping.end > range.start)
            .map(|(&start, _)| start)
            .collect();
        let mut removed = Vec::new();
        for start in touched {
            let Some(mapping) = self.map.remove(&start) else { continue };
            if mapping.end > range.end {
                let offset = mapping.offset + (range.end - start);
                self.map.insert(range.end, FileMapping { offset, ..mapping.clone() });
            }
            if start < range.start {
                self.map.insert(start, FileMapping { end: range.start, ..mapping.clone() });
            }
            removed.push(mapping);
        }
        removed
    }

    /// Moves the record of `old` to `new_start`, as `mremap` does; the target is `new_len` long.
    /// Answers with what was there, to be dropped with no lock held.
    pub fn relocate(&mut self, old: Range<u64>, new_start: u64, new_len: u64) -> Vec<FileMapping> {
        let first = self.find(old.start);
        let mut removed = self.remove(old);
        let target = new_start..new_start + new_len;
        let Some(first) = first else {
            removed.extend(self.remove(target));
            return removed;
        };
        removed.extend(self.insert(target, first.offset, first.location));
        removed
    }

    /// All mappings in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = &FileMapping> {
        self.map.values()
    }

    /// The mappings that start in `range`, with their starts.
    pub fn starting_in(&self, range: Range<u64>) -> impl Iterator<Item = (u64, &FileMapping)> {
        self.map.range(range).map(|(&start, mapping)| (start, mapping))
    }

    /// The mapping that covers `addr`, cut so that it starts there.
    pub fn find(&self, addr: u64) -> Option<FileMapping> {
        let (&start, mapping) = self.map.range(..=addr).next_back()?;
        (mapping.end > addr)
            .then(|| FileMapping { offset: mapping.offset + (addr - start), ..mapping.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::testing::nowhere;

    #[test]
    fn memory_is_mapped_above_the_program() {
        let mut files = FileMappings::default();
        let (program, library, end) = (0x5555_0000_0000, 0x7f00_0000_0000, 0x7fff_ffff_f000);
        files.insert(program..program + 0x4000, 0, nowhere());
        assert_eq!(files.largest_gap(0..end), program + 0x4000..end);
        files.insert(library..library + 0x1000, 0, nowhere());
        assert_eq!(files.largest_gap(0..end), program + 0x4000..library);
        // A program that the host has found a place for.
        let mut files = FileMappings::default();
        files.insert(library..library + 0x4000, 0, nowhere());
        assert_eq!(files.largest_gap(0..end), 0..library);
    }
}
