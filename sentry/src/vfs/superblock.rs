//! A file system instance as the VFS sees it, with its cache of names.
//!
//! Names live as long as somebody uses them; beyond that the cache keeps the most recently used
//! ones alive, by the clock algorithm: a hit only sets a flag. Lock: rank `Dentry`; nothing else
//! is taken under it, and what it evicts is dropped after it is released.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use slab::Slab;

use super::{Dentry, FileSystem};
use crate::sync::{Mutex, Rank};

/// How many unused names are kept for each file system.
const CACHED_NAMES: usize = 32 << 10;

/// A file system and its cached names; shared by all its mounts.
pub struct Superblock {
    fs: Arc<dyn FileSystem>,
    clock: Mutex<Clock>,
    mounts: AtomicUsize,
    /// Counts begun and ended changes of any directory; see [`Dentry::change`].
    changes: AtomicU64,
    /// Counts begun and ended renames: odd while one is going on.
    pub(super) renames: AtomicU64,
    /// Held while a directory may change its parent, so that ancestry stands still.
    pub(super) rename_lock: Mutex<()>,
}

#[derive(Default)]
struct Clock {
    names: Slab<Arc<Dentry>>,
    hand: usize,
}

impl Superblock {
    pub fn new(fs: Arc<dyn FileSystem>) -> Arc<Superblock> {
        Arc::new(Superblock {
            fs,
            clock: Mutex::new(Rank::Dentry, Clock::default()),
            mounts: AtomicUsize::new(0),
            changes: AtomicU64::new(0),
            renames: AtomicU64::new(0),
            rename_lock: Mutex::new(Rank::Rename, ()),
        })
    }

    pub fn fs(&self) -> &Arc<dyn FileSystem> {
        &self.fs
    }

    pub fn is_same(&self, other: &Superblock) -> bool {
        std::ptr::eq(self, other)
    }

    /// How many names the cache keeps alive.
    pub fn cached_names(&self) -> usize {
        self.clock.lock().names.len()
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    pub(super) fn count_change(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Keeps `dentry` alive for a while although nobody uses it.
    pub(super) fn keep(&self, dentry: &Arc<Dentry>) {
        let _evicted = {
            let mut clock = self.clock.lock();
            if dentry.is_deleted() {
                return;
            }
            let key = clock.names.insert(dentry.clone());
            dentry.set_cache_key(Some(key));
            clock.evict()
        };
    }

    /// Stops keeping `dentry` alive.
    pub(super) fn forget(&self, dentry: &Dentry) {
        let _removed = {
            let mut clock = self.clock.lock();
            let key = dentry.cache_key();
            dentry.set_cache_key(None);
            key.and_then(|key| clock.names.try_remove(key))
        };
    }

    pub(super) fn add_mount(&self) {
        self.mounts.fetch_add(1, Ordering::AcqRel);
    }

    /// With the last mount go the cached names, which keep each other and this alive.
    pub(super) fn remove_mount(&self) {
        if self.mounts.fetch_sub(1, Ordering::AcqRel) == 1 {
            let names = std::mem::take(&mut self.clock.lock().names);
            for (_, dentry) in &names {
                dentry.set_cache_key(None);
            }
        }
    }
}

impl Clock {
    /// Takes out a name that was not used since the hand passed it last, if there are too many.
    fn evict(&mut self) -> Option<Arc<Dentry>> {
        if self.names.len() <= CACHED_NAMES {
            return None;
        }
        // Two rounds: the first clears every mark, the second finds one.
        for _ in 0..2 * self.names.capacity() {
            self.hand = (self.hand + 1) % self.names.capacity();
            let Some(dentry) = self.names.get(self.hand) else { continue };
            if !dentry.take_used() {
                dentry.set_cache_key(None);
                return self.names.try_remove(self.hand);
            }
        }
        None
    }
}
