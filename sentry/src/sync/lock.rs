//! Ranked wrappers around `parking_lot`'s locks.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::rank::{self, Rank};

/// A mutual-exclusion lock with a rank.
pub struct Mutex<T> {
    rank: Rank,
    inner: parking_lot::Mutex<T>,
}

/// Guard of a [`Mutex`].
pub struct MutexGuard<'a, T> {
    inner: parking_lot::MutexGuard<'a, T>,
    rank: Rank,
}

impl<T> Mutex<T> {
    pub const fn new(rank: Rank, value: T) -> Mutex<T> {
        Mutex { rank, inner: parking_lot::Mutex::new(value) }
    }

    /// Takes the lock. Debug builds panic when the lock order is violated.
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        rank::acquire(self.rank, false);
        MutexGuard { inner: self.inner.lock(), rank: self.rank }
    }

    /// Takes the lock while another of the same rank is held; the caller orders the two itself
    /// (by address, or parent before child).
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn lock_nested(&self) -> MutexGuard<'_, T> {
        rank::acquire(self.rank, true);
        MutexGuard { inner: self.inner.lock(), rank: self.rank }
    }

    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }

    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        rank::release(self.rank);
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// A readers-writer lock with a rank.
pub struct RwLock<T> {
    rank: Rank,
    inner: parking_lot::RwLock<T>,
}

/// Shared guard of a [`RwLock`].
pub struct RwLockReadGuard<'a, T> {
    inner: parking_lot::RwLockReadGuard<'a, T>,
    rank: Rank,
}

/// Exclusive guard of a [`RwLock`].
pub struct RwLockWriteGuard<'a, T> {
    inner: parking_lot::RwLockWriteGuard<'a, T>,
    rank: Rank,
}

impl<T> RwLock<T> {
    pub const fn new(rank: Rank, value: T) -> RwLock<T> {
        RwLock { rank, inner: parking_lot::RwLock::new(value) }
    }

    #[cfg_attr(debug_assertions, track_caller)]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        rank::acquire(self.rank, false);
        RwLockReadGuard { inner: self.inner.read(), rank: self.rank }
    }

    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }

    #[cfg_attr(debug_assertions, track_caller)]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        rank::acquire(self.rank, false);
        RwLockWriteGuard { inner: self.inner.write(), rank: self.rank }
    }
}

impl<T> Deref for RwLockReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        rank::release(self.rank);
    }
}

impl<T> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        rank::release(self.rank);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rising_ranks_are_accepted() {
        let outer = Mutex::new(Rank::Task, 1);
        let inner = Mutex::new(Rank::Leaf, 2);
        let first = outer.lock();
        let second = inner.lock();
        assert_eq!(*first + *second, 3);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "lock order")]
    fn falling_ranks_panic_in_debug_builds() {
        let outer = Mutex::new(Rank::Task, ());
        let inner = Mutex::new(Rank::Leaf, ());
        let _second = inner.lock();
        let _first = outer.lock();
    }
}
