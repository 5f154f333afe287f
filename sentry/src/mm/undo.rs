//! What to put right when a change of memory fails that was recorded already.

use std::ops::Range;

use super::{FileMapping, Mm};

/// The record before a change.
pub enum Undo {
    /// The files in a range, with the addresses at which they begin there.
    Files { range: Range<u64>, before: Vec<(u64, FileMapping)> },
    /// The break.
    Break(u64),
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
        Undo::Files { range, before }
    }

    /// Takes a change of the record back; answers with the break if it was that.
    pub fn undo(&self, undo: Undo) -> Option<u64> {
        match undo {
            Undo::Files { range, before } => {
                let removed = self.change_files(|files| {
                    let mut removed = files.remove(range);
                    for (start, FileMapping { end, offset, location }) in before {
                        removed.extend(files.insert(start..end, offset, location));
                    }
                    removed
                });
                drop(removed);
                None
            }
            Undo::Break(brk) => {
                self.with_record(|record| record.brk = brk);
                Some(brk)
            }
        }
    }
}
