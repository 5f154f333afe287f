//! What to put right when a change of memory fails that was recorded already.

use std::ops::Range;

use super::{FileMapping, Mm};

/// The record before a change: the files in a range, with the addresses at which they begin there.
pub struct Undo {
    range: Range<u64>,
    before: Vec<(u64, FileMapping)>,
}

impl Mm {
    /// The files of a range.
    pub fn files_in(&self, range: Range<u64>) -> Undo {
        let before = self.with_record(|record| {
            let first = record.files.find(range.start).map(|file| (range.start, file));
            let inside = range.start + 1..range.end.max(range.start + 1);
            let others =
                record.files.starting_in(inside).map(|(start, file)| (start, file.clone()));
            let cut = |(start, file): (u64, FileMapping)| {
                (start, FileMapping { end: file.end.min(range.end), ..file })
            };
            first.into_iter().chain(others).map(cut).collect()
        });
        Undo { range, before }
    }

    /// Takes a change of the record back.
    pub fn undo(&self, undo: Undo) {
        let removed = self.change_files(|files| {
            let mut removed = files.remove(undo.range);
            for (start, FileMapping { end, offset, location }) in undo.before {
                removed.extend(files.insert(start..end, offset, location));
            }
            removed
        });
        drop(removed);
    }
}
