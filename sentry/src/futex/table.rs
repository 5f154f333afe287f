//! All futexes with waiters.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use linux_abi::Errno;

use super::FutexKey;
use super::pi::PiTable;
use super::waiter::Waiter;
use crate::hash::HashMap;
use crate::sync::{Mutex, MutexGuard, Rank};

const BUCKETS: usize = 64;

type Queues = HashMap<FutexKey, VecDeque<Arc<Waiter>>>;

/// The waiters of all futexes of a sandbox.
pub struct FutexTable {
    buckets: Vec<Mutex<Queues>>,
    hasher: RandomState,
    /// Waiters that are queued under a shared key, or about to be.
    shared_waiters: AtomicUsize,
    /// The waiters of priority-inheriting futexes, who are nowhere else.
    pub pi: PiTable,
}

/// Counts as a waiter until it is dropped.
pub(super) struct Announced<'a>(Option<&'a FutexTable>);

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        if let Some(table) = self.0 {
            table.shared_waiters.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Default for FutexTable {
    fn default() -> FutexTable {
        let bucket = || Mutex::new(Rank::Futex, HashMap::default());
        FutexTable {
            buckets: std::iter::repeat_with(bucket).take(BUCKETS).collect(),
            hasher: RandomState::new(),
            shared_waiters: AtomicUsize::new(0),
            pi: PiTable::default(),
        }
    }
}

/// The locked buckets of one or two keys.
pub(super) struct Locked<'a> {
    table: &'a FutexTable,
    low: (usize, MutexGuard<'a, Queues>),
    high: Option<(usize, MutexGuard<'a, Queues>)>,
}

impl FutexTable {
    fn bucket_of(&self, key: &FutexKey) -> usize {
        self.hasher.hash_one(key) as usize % BUCKETS
    }

    /// Locks the bucket of `key`.
    pub(super) fn lock(&self, key: &FutexKey) -> Locked<'_> {
        let number = self.bucket_of(key);
        Locked { table: self, low: (number, self.buckets[number].lock()), high: None }
    }

    /// Locks the buckets of two keys.
    fn lock_both(&self, one: &FutexKey, other: &FutexKey) -> Locked<'_> {
        let (one, other) = (self.bucket_of(one), self.bucket_of(other));
        let (low, high) = (one.min(other), one.max(other));
        let low_guard = self.buckets[low].lock();
        // Nested in the order of the numbers.
        let high = (high != low).then(|| (high, self.buckets[high].lock_nested()));
        Locked { table: self, low: (low, low_guard), high }
    }

    /// Says that somebody is about to look at the word of `key` and perhaps to wait. A waker who
    /// does not see that has changed the word before.
    pub(super) fn announce(&self, key: &FutexKey) -> Announced<'_> {
        let is_shared = matches!(key, FutexKey::Shared { .. });
        if is_shared {
            self.shared_waiters.fetch_add(1, Ordering::SeqCst);
        }
        Announced(is_shared.then_some(self))
    }

    /// Whether anybody waits in shared memory or is about to: if not, a wake-up need not look for
    /// the file that its address belongs to, nor take a lock.
    pub fn has_shared_waiters(&self) -> bool {
        self.shared_waiters.load(Ordering::SeqCst) != 0
    }

    /// Wakes up to `count` waiters of `key` (at least one if there is any) whose bit set has a
    /// bit of `bitset`. Answers with how many.
    pub fn wake(&self, key: FutexKey, count: usize, bitset: u32) -> usize {
        let wakers = self.lock(&key).take(key, count.max(1), bitset);
        wake_all(wakers)
    }

    /// Wakes up to `wake` waiters of `from` and moves up to `moved` others to `to`, if `check`
    /// agrees under the lock. Answers with how many were woken or moved.
    ///
    /// Errors: those of `check`.
    pub fn requeue(
        &self,
        from: FutexKey,
        to: FutexKey,
        (wake, moved): (usize, usize),
        check: impl FnOnce() -> Result<(), Errno>,
    ) -> Result<usize, Errno> {
        let (wakers, moved) = {
            let mut locked = self.lock_both(&from, &to);
            check()?;
            let wakers = match wake {
                0 => Vec::new(),
                _ => locked.take(from, wake, u32::MAX),
            };
            (wakers, locked.move_waiters(from, to, moved))
        };
        Ok(wake_all(wakers) + moved)
    }

    /// Changes a word with `change` under the lock, wakes up to `first` waiters of `one`, and up
    /// to `second` of `other` if `change` says so. Answers with how many.
    ///
    /// Errors: those of `change`.
    pub fn wake_with(
        &self,
        one: FutexKey,
        other: FutexKey,
        (first, second): (usize, usize),
        change: impl FnOnce() -> Result<bool, Errno>,
    ) -> Result<usize, Errno> {
        let wakers = {
            let mut locked = self.lock_both(&one, &other);
            let also_other = change()?;
            let mut wakers = locked.take(one, first.max(1), u32::MAX);
            if also_other {
                wakers.extend(locked.take(other, second.max(1), u32::MAX));
            }
            wakers
        };
        Ok(wake_all(wakers))
    }

    /// Takes a waiter out of its queue, unless it was woken. Answers whether it was still queued.
    pub(super) fn cancel(&self, waiter: &Arc<Waiter>) -> bool {
        loop {
            let key = waiter.key();
            let mut locked = self.lock(&key);
            // It may have been requeued since.
            if waiter.key() == key {
                return locked.remove(key, waiter);
            }
        }
    }

    fn count_shared(&self, key: FutexKey, added: usize, removed: usize) {
        if matches!(key, FutexKey::Shared { .. }) {
            self.shared_waiters.fetch_add(added, Ordering::SeqCst);
            self.shared_waiters.fetch_sub(removed, Ordering::SeqCst);
        }
    }
}

/// Wakes what [`Locked::take`] took; the count includes those that are on their way already.
fn wake_all(wakers: Vec<Option<Waker>>) -> usize {
    let count = wakers.len();
    wakers.into_iter().flatten().for_each(Waker::wake);
    count
}

impl Locked<'_> {
    /// The queues of `key`'s bucket, which is one of the locked.
    fn queues(&mut self, key: &FutexKey) -> &mut Queues {
        let number = self.table.bucket_of(key);
        match &mut self.high {
            Some((high, guard)) if *high == number => guard,
            _ => {
                debug_assert_eq!(self.low.0, number, "the bucket of another key is locked");
                &mut self.low.1
            }
        }
    }

    pub fn add(&mut self, key: FutexKey, waiter: Arc<Waiter>) {
        self.queues(&key).entry(key).or_default().push_back(waiter);
        self.table.count_shared(key, 1, 0);
    }

    /// Takes up to `count` waiters out and marks them as woken.
    fn take(&mut self, key: FutexKey, count: usize, bitset: u32) -> Vec<Option<Waker>> {
        let matching = |waiter: &Waiter| waiter.bitset & bitset != 0;
        let taken = self.extract(key, count, matching);
        taken.iter().map(|waiter| waiter.wait.wake(waiter.index)).collect()
    }

    fn move_waiters(&mut self, from: FutexKey, to: FutexKey, count: usize) -> usize {
        // They are counted all the time.
        let _announced = self.table.announce(&from);
        let moved = self.extract(from, count, |_| true);
        for waiter in &moved {
            waiter.set_key(to);
            self.add(to, waiter.clone());
        }
        moved.len()
    }

    fn remove(&mut self, key: FutexKey, waiter: &Arc<Waiter>) -> bool {
        !self.extract(key, 1, |other| std::ptr::eq(other, Arc::as_ptr(waiter))).is_empty()
    }

    /// Removes the first `count` waiters of `key` that are `wanted`.
    fn extract(
        &mut self,
        key: FutexKey,
        count: usize,
        wanted: impl Fn(&Waiter) -> bool,
    ) -> Vec<Arc<Waiter>> {
        let mut taken = Vec::new();
        let queues = self.queues(&key);
        let Some(queue) = queues.get_mut(&key) else { return taken };
        let mut position = 0;
        while taken.len() < count && position < queue.len() {
            if !wanted(&queue[position]) {
                position += 1;
            } else if let Some(waiter) = queue.remove(position) {
                taken.push(waiter);
            }
        }
        if queue.is_empty() {
            queues.remove(&key);
        }
        self.table.count_shared(key, 0, taken.len());
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::super::waiter::Wait;
    use super::*;

    fn key(addr: u64) -> FutexKey {
        FutexKey::Private { space: 1, addr, has_flag: true }
    }

    fn queue(table: &FutexTable, addr: u64, bitset: u32) -> Arc<Waiter> {
        let waiter = Waiter::new(&Wait::new(), 0, key(addr), bitset);
        table.lock(&key(addr)).add(key(addr), waiter.clone());
        waiter
    }

    fn is_woken(waiter: &Waiter) -> bool {
        waiter.wait.poll(Waker::noop()) == Poll::Ready(0)
    }

    #[test]
    fn waiters_are_woken_in_order_and_at_least_one() {
        let table = FutexTable::default();
        let waiters: Vec<_> = (0..3).map(|_| queue(&table, 8, 1)).collect();
        assert_eq!(table.wake(key(12), 9, u32::MAX), 0);
        assert_eq!(table.wake(key(8), 0, u32::MAX), 1);
        assert!(is_woken(&waiters[0]) && !is_woken(&waiters[1]));
        assert_eq!(table.wake(key(8), 9, u32::MAX), 2);
        assert!(waiters.iter().all(|waiter| is_woken(waiter)));
        assert!(!table.cancel(&waiters[0]));
    }

    #[test]
    fn only_matching_bits_are_woken() {
        let table = FutexTable::default();
        let (one, two) = (queue(&table, 8, 1), queue(&table, 8, 2));
        assert_eq!(table.wake(key(8), 9, 2), 1);
        assert!(is_woken(&two) && !is_woken(&one));
        assert!(table.cancel(&one));
        assert_eq!(table.wake(key(8), 9, u32::MAX), 0);
    }

    #[test]
    fn requeued_waiters_are_found_at_their_new_place() {
        let table = FutexTable::default();
        let waiters: Vec<_> = (0..4).map(|_| queue(&table, 8, 1)).collect();
        let refused = table.requeue(key(8), key(16), (1, 1), || Err(Errno::EAGAIN));
        assert_eq!(refused, Err(Errno::EAGAIN));
        assert_eq!(table.requeue(key(8), key(16), (1, 2), || Ok(())), Ok(3));
        assert!(is_woken(&waiters[0]) && !is_woken(&waiters[1]));
        assert!(table.cancel(&waiters[1]));
        assert_eq!(table.wake(key(16), 9, u32::MAX), 1);
        assert!(is_woken(&waiters[2]) && !is_woken(&waiters[3]));
        assert_eq!(table.requeue(key(8), key(8), (0, 9), || Ok(())), Ok(1));
        assert_eq!(table.wake(key(8), 9, u32::MAX), 1);
    }

    #[test]
    fn waking_with_a_change_may_wake_two_futexes() {
        let table = FutexTable::default();
        let (one, other) = (queue(&table, 8, 1), queue(&table, 16, 1));
        let count = table.wake_with(key(8), key(16), (1, 1), || Ok(false));
        assert_eq!(count, Ok(1));
        assert!(is_woken(&one) && !is_woken(&other));
        assert_eq!(table.wake_with(key(8), key(16), (1, 1), || Ok(true)), Ok(1));
        assert!(is_woken(&other));
    }

    #[test]
    fn shared_waiters_are_counted() {
        let table = FutexTable::default();
        let shared = FutexKey::Shared { device: (0, 1), inode: 2, offset: 4 };
        let waiter = Waiter::new(&Wait::new(), 0, shared, 1);
        assert!(!table.has_shared_waiters());
        table.lock(&shared).add(shared, waiter.clone());
        assert!(table.has_shared_waiters());
        assert!(table.cancel(&waiter));
        assert!(!table.has_shared_waiters());
        let announced = table.announce(&shared);
        assert!(table.has_shared_waiters());
        drop(announced);
        drop(table.announce(&key(8)));
        assert!(!table.has_shared_waiters());
    }
}
