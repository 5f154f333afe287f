//! Advisory file locks: record locks of fcntl(2) (POSIX and open-file-description) and flock(2).
//!
//! POSIX and OFD locks share one set of records and conflict with each other; they differ in who
//! owns them. `flock` locks are a world of their own. Locks: rank `Inode`; the wait-for graph
//! ([`LockWaits`], rank `Leaf`) is asked while a file's locks are held, so a cycle cannot slip through.

mod records;
mod waits;

use linux_abi::Errno;
use linux_abi::poll::PollEvents;

use records::Records;
pub use records::{LockKind, RecordLock};
pub use waits::LockWaits;

use crate::sync::{Mutex, Rank, WaitQueue};

/// Who owns a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockOwner {
    /// A descriptor table: POSIX locks.
    Table(usize),
    /// An open file description: OFD and `flock` locks.
    Description(usize),
}

/// The locks of one file.
pub struct FileLocks {
    state: Mutex<State>,
    changed: WaitQueue,
}

#[derive(Default)]
struct State {
    records: Records,
    /// `flock` locks; either any number of shared ones, or one exclusive one.
    flocks: Vec<(LockOwner, LockKind)>,
}

impl Default for FileLocks {
    fn default() -> FileLocks {
        FileLocks { state: Mutex::new(Rank::Inode, State::default()), changed: WaitQueue::new() }
    }
}

impl FileLocks {
    /// Notified (`IN`) whenever a lock was let go of or weakened.
    pub fn wait_queue(&self) -> &WaitQueue {
        &self.changed
    }

    /// The first record lock that keeps `wanted` from being taken (`F_GETLK`).
    pub fn conflict(&self, wanted: &RecordLock) -> Option<RecordLock> {
        self.state.lock().records.conflict(wanted).copied()
    }

    /// Takes the record lock `wanted` (`F_SETLK`).
    ///
    /// Errors: EAGAIN when another owner's lock is in the way.
    pub fn take_record(&self, wanted: &RecordLock) -> Result<(), Errno> {
        {
            let mut state = self.state.lock();
            if state.records.conflict(wanted).is_some() {
                return Err(Errno::EAGAIN);
            }
            state.records.set(wanted);
        }
        // A write lock may have become a read lock.
        self.changed.notify(PollEvents::IN);
        Ok(())
    }

    /// As [`FileLocks::take_record`], noting in `waits` on whom a refused POSIX lock waits.
    ///
    /// Errors: EAGAIN; EDEADLK when the other owner, in the end, waits for this one.
    pub fn take_record_or_wait(&self, wanted: &RecordLock, waits: &LockWaits) -> Result<(), Errno> {
        {
            let mut state = self.state.lock();
            if let Some(conflict) = state.records.conflict(wanted) {
                // Linux: no deadlock detection for OFD locks.
                if matches!(wanted.owner, LockOwner::Table(_)) {
                    waits.add(wanted.owner, conflict.owner)?;
                }
                return Err(Errno::EAGAIN);
            }
            state.records.set(wanted);
        }
        self.changed.notify(PollEvents::IN);
        Ok(())
    }

    /// Lets go of the part of `owner`'s record locks between `start` and `end` (`F_UNLCK`).
    pub fn release_record(&self, owner: LockOwner, start: u64, end: u64) {
        self.state.lock().records.clear(owner, start, end);
        self.changed.notify(PollEvents::IN);
    }

    /// Lets go of all record locks of `owner`.
    pub fn release_records(&self, owner: LockOwner) {
        let released = self.state.lock().records.remove_owner(owner);
        if released {
            self.changed.notify(PollEvents::IN);
        }
    }

    /// Takes or changes a `flock` lock. An existing lock of another kind is given up first, and
    /// stays lost if the new one cannot be had.
    ///
    /// Errors: EAGAIN.
    pub fn take_flock(&self, owner: LockOwner, kind: LockKind) -> Result<(), Errno> {
        let (result, gave_up) = {
            let mut state = self.state.lock();
            if state.flocks.contains(&(owner, kind)) {
                return Ok(());
            }
            let before = state.flocks.len();
            state.flocks.retain(|(other, _)| *other != owner);
            let gave_up = state.flocks.len() != before;
            let is_blocked = state
                .flocks
                .iter()
                .any(|(_, other)| kind == LockKind::Write || *other == LockKind::Write);
            if !is_blocked {
                state.flocks.push((owner, kind));
            }
            (if is_blocked { Err(Errno::EAGAIN) } else { Ok(()) }, gave_up)
        };
        if gave_up {
            self.changed.notify(PollEvents::IN);
        }
        result
    }

    pub fn release_flock(&self, owner: LockOwner) {
        let released = {
            let mut state = self.state.lock();
            let before = state.flocks.len();
            state.flocks.retain(|(other, _)| *other != owner);
            state.flocks.len() != before
        };
        if released {
            self.changed.notify(PollEvents::IN);
        }
    }

    /// Lets go of everything `owner` holds.
    pub fn release_all(&self, owner: LockOwner) {
        self.release_records(owner);
        self.release_flock(owner);
    }

    /// All record locks and `flock` locks, for `/proc/locks`.
    pub fn list(&self) -> (Vec<RecordLock>, Vec<(LockOwner, LockKind)>) {
        let state = self.state.lock();
        (state.records.list().to_vec(), state.flocks.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: LockOwner = LockOwner::Table(1);
    const TWO: LockOwner = LockOwner::Table(2);
    const OPEN: LockOwner = LockOwner::Description(3);

    fn lock(owner: LockOwner, kind: LockKind, start: u64, end: u64) -> RecordLock {
        RecordLock { owner, pid: 1, kind, start, end }
    }

    #[test]
    fn deadlock_of_two_owners_is_refused() {
        let waits = LockWaits::default();
        let (first, second) = (FileLocks::default(), FileLocks::default());
        first.take_record(&lock(ONE, LockKind::Write, 0, 9)).unwrap();
        second.take_record(&lock(TWO, LockKind::Write, 0, 9)).unwrap();
        let blocked = second.take_record_or_wait(&lock(ONE, LockKind::Write, 0, 0), &waits);
        assert_eq!(blocked, Err(Errno::EAGAIN));
        let cycle = first.take_record_or_wait(&lock(TWO, LockKind::Read, 5, 5), &waits);
        assert_eq!(cycle, Err(Errno::EDEADLK));
        waits.remove(ONE);
        let blocked = first.take_record_or_wait(&lock(TWO, LockKind::Read, 5, 5), &waits);
        assert_eq!(blocked, Err(Errno::EAGAIN));
    }

    #[test]
    fn posix_and_ofd_locks_conflict_and_are_released_by_their_owner() {
        let locks = FileLocks::default();
        locks.take_record(&lock(ONE, LockKind::Read, 0, 100)).unwrap();
        assert_eq!(locks.take_record(&lock(OPEN, LockKind::Write, 50, 60)), Err(Errno::EAGAIN));
        assert_eq!(locks.take_record(&lock(OPEN, LockKind::Read, 50, 60)), Ok(()));
        locks.release_records(ONE);
        assert_eq!(locks.conflict(&lock(ONE, LockKind::Write, 0, 49)), None);
        let conflict = locks.conflict(&lock(ONE, LockKind::Write, 0, 50)).unwrap();
        assert_eq!((conflict.owner, conflict.start, conflict.end), (OPEN, 50, 60));
    }

    #[test]
    fn failed_flock_upgrade_loses_the_old_lock() {
        let locks = FileLocks::default();
        let other = LockOwner::Description(4);
        locks.take_flock(OPEN, LockKind::Read).unwrap();
        locks.take_flock(other, LockKind::Read).unwrap();
        assert_eq!(locks.take_flock(OPEN, LockKind::Write), Err(Errno::EAGAIN));
        assert_eq!(locks.take_flock(other, LockKind::Write), Ok(()));
        locks.release_all(other);
        assert_eq!(locks.take_flock(OPEN, LockKind::Write), Ok(()));
    }
}
