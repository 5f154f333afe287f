//! The set of record locks of one file.

use super::LockOwner;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// Shared.
    Read,
    /// Exclusive.
    Write,
}

/// A record lock on the bytes from `start` to `end`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLock {
    pub owner: LockOwner,
    /// Process that took it, as `F_GETLK` tells; -1 for OFD locks.
    pub pid: i32,
    pub kind: LockKind,
    pub start: u64,
    pub end: u64,
}

/// Record locks in no particular order; those of one owner neither overlap nor touch with equal kind.
#[derive(Default)]
pub(super) struct Records {
    list: Vec<RecordLock>,
}

impl RecordLock {
    fn overlaps(&self, start: u64, end: u64) -> bool {
        self.start <= end && start <= self.end
    }
}

impl Records {
    pub(super) fn list(&self) -> &[RecordLock] {
        &self.list
    }

    /// The lock of another owner that stands in the way of `wanted`, the one that starts first.
    pub(super) fn conflict(&self, wanted: &RecordLock) -> Option<&RecordLock> {
        let in_way = self.list.iter().filter(|held| {
            held.owner != wanted.owner
                && held.overlaps(wanted.start, wanted.end)
                && (held.kind == LockKind::Write || wanted.kind == LockKind::Write)
        });
        in_way.min_by_key(|held| held.start)
    }

    /// Replaces what the owner holds in the range of `wanted`; there is no conflict.
    pub(super) fn set(&mut self, wanted: &RecordLock) {
        self.clear(wanted.owner, wanted.start, wanted.end);
        let mut merged = *wanted;
        self.list.retain(|held| {
            let touches = held.owner == merged.owner
                && held.kind == merged.kind
                && held.start <= merged.end.saturating_add(1)
                && merged.start <= held.end.saturating_add(1);
            if touches {
                merged.start = merged.start.min(held.start);
                merged.end = merged.end.max(held.end);
            }
            !touches
        });
        self.list.push(merged);
    }

    /// Cuts `start..=end` out of what `owner` holds.
    pub(super) fn clear(&mut self, owner: LockOwner, start: u64, end: u64) {
        let mut rests = Vec::new();
        self.list.retain(|held| {
            if held.owner != owner || !held.overlaps(start, end) {
                return true;
            }
            if held.start < start {
                rests.push(RecordLock { end: start - 1, ..*held });
            }
            if held.end > end {
                rests.push(RecordLock { start: end + 1, ..*held });
            }
            false
        });
        self.list.append(&mut rests);
    }

    /// Whether `owner` held anything.
    pub(super) fn remove_owner(&mut self, owner: LockOwner) -> bool {
        let before = self.list.len();
        self.list.retain(|held| held.owner != owner);
        self.list.len() != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: LockOwner = LockOwner::Table(1);

    fn ranges(records: &Records) -> Vec<(u64, u64, LockKind)> {
        let mut found: Vec<_> =
            records.list().iter().map(|held| (held.start, held.end, held.kind)).collect();
        found.sort_by_key(|range| range.0);
        found
    }

    fn set(records: &mut Records, kind: LockKind, start: u64, end: u64) {
        records.set(&RecordLock { owner: ME, pid: 1, kind, start, end });
    }

    #[test]
    fn touching_locks_merge_and_a_change_splits() {
        let mut records = Records::default();
        set(&mut records, LockKind::Read, 0, 9);
        set(&mut records, LockKind::Read, 10, 19);
        assert_eq!(ranges(&records), [(0, 19, LockKind::Read)]);
        set(&mut records, LockKind::Write, 5, 6);
        let split = [(0, 4, LockKind::Read), (5, 6, LockKind::Write), (7, 19, LockKind::Read)];
        assert_eq!(ranges(&records), split);
        set(&mut records, LockKind::Read, 0, u64::MAX);
        assert_eq!(ranges(&records), [(0, u64::MAX, LockKind::Read)]);
    }

    #[test]
    fn unlocking_the_middle_leaves_both_ends() {
        let mut records = Records::default();
        set(&mut records, LockKind::Write, 0, u64::MAX);
        records.clear(ME, 100, 199);
        let left = [(0, 99, LockKind::Write), (200, u64::MAX, LockKind::Write)];
        assert_eq!(ranges(&records), left);
        records.clear(ME, 0, u64::MAX);
        assert!(records.list().is_empty());
    }
}
