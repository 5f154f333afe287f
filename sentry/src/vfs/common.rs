//! State the VFS keeps for every inode.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use linux_abi::Errno;

use super::locks::FileLocks;
use super::watch::Watches;
use crate::sync::{Mutex, Rank};

/// What every inode has, whatever its file system: who may write, locks, watches, and the pipe or
/// socket behind a FIFO or socket node. Two words until one of the rarer things is asked for.
#[derive(Default)]
pub struct InodeCommon {
    /// Open descriptions that may write; negative: so many users that deny writing.
    writers: AtomicI32,
    /// Open descriptions of it.
    opens: AtomicU32,
    /// Whether a file without a name may get one by `linkat` (`O_TMPFILE` without `O_EXCL`).
    can_revive: AtomicBool,
    /// Whether opening a FIFO or socket is the inode's own business, see [`InodeCommon::open_itself`].
    opens_itself: AtomicBool,
    /// Whether the file is known to have no setuid or setgid bits that a write would clear.
    is_plain: AtomicBool,
    rare: OnceLock<Box<Rare>>,
}

#[derive(Default)]
struct Rare {
    locks: FileLocks,
    watches: Watches,
    fifo: Slot,
    socket: Slot,
}

/// A weak place for an object that an inode leads to.
pub struct Slot {
    object: Mutex<Option<Weak<dyn Any + Send + Sync>>>,
}

impl InodeCommon {
    /// Counts one more writer; pair with [`InodeCommon::end_write`].
    ///
    /// Errors: ETXTBSY while the file is being executed.
    pub fn begin_write(&self) -> Result<(), Errno> {
        self.change_writers(|count| (count >= 0).then_some(count + 1))
    }

    pub fn end_write(&self) {
        self.writers.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn add_open(&self) {
        self.opens.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether that was the last description.
    pub(super) fn remove_open(&self) -> bool {
        self.opens.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Whether a description of it is open.
    pub fn is_open(&self) -> bool {
        self.opens.load(Ordering::Acquire) > 0
    }

    /// Keeps the file from being opened for writing; pair with [`InodeCommon::allow_write`].
    ///
    /// Errors: ETXTBSY while it is open for writing.
    pub fn deny_write(&self) -> Result<(), Errno> {
        self.change_writers(|count| (count <= 0).then_some(count - 1))
    }

    pub fn allow_write(&self) {
        self.writers.fetch_add(1, Ordering::AcqRel);
    }

    fn change_writers(&self, change: impl FnMut(i32) -> Option<i32>) -> Result<(), Errno> {
        self.writers
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, change)
            .map(drop)
            .map_err(|_| Errno::ETXTBSY)
    }

    /// Lets `linkat` give the file a name although it has none.
    pub fn allow_revival(&self) {
        self.can_revive.store(true, Ordering::Relaxed);
    }

    pub fn can_revive(&self) -> bool {
        self.can_revive.load(Ordering::Relaxed)
    }

    /// Whether writing need not look for setuid and setgid bits to clear.
    pub fn is_plain(&self) -> bool {
        self.is_plain.load(Ordering::Relaxed)
    }

    pub fn set_plain(&self) {
        self.is_plain.store(true, Ordering::Relaxed);
    }

    /// To be called before the mode changes.
    pub fn forget_plain(&self) {
        self.is_plain.store(false, Ordering::Relaxed);
    }

    /// Makes the VFS open this FIFO or socket by [`Inode::open`]: there is no pipe of ours behind it.
    ///
    /// [`Inode::open`]: super::Inode::open
    pub fn open_itself(&self) {
        self.opens_itself.store(true, Ordering::Relaxed);
    }

    pub fn opens_itself(&self) -> bool {
        self.opens_itself.load(Ordering::Relaxed)
    }

    /// Record locks and `flock` locks.
    pub fn locks(&self) -> &FileLocks {
        &self.rare().locks
    }

    /// The locks if there ever were any.
    pub fn existing_locks(&self) -> Option<&FileLocks> {
        self.rare.get().map(|rare| &rare.locks)
    }

    pub fn watches(&self) -> &Watches {
        &self.rare().watches
    }

    /// The watches if there are any.
    pub fn existing_watches(&self) -> Option<&Watches> {
        self.rare.get().map(|rare| &rare.watches).filter(|watches| !watches.is_empty())
    }

    /// The pipe of a FIFO while an end is open.
    pub fn fifo(&self) -> &Slot {
        &self.rare().fifo
    }

    /// The socket bound to a socket node.
    pub fn socket(&self) -> &Slot {
        &self.rare().socket
    }

    fn rare(&self) -> &Rare {
        self.rare.get_or_init(Box::default)
    }
}

impl Default for Slot {
    fn default() -> Slot {
        Slot { object: Mutex::new(Rank::FileObject, None) }
    }
}

impl Slot {
    /// The object, if it lives and is a `T`.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let object = self.object.lock().as_ref().and_then(Weak::upgrade)?;
        object.downcast().ok()
    }

    pub fn set<T: Send + Sync + 'static>(&self, object: &Arc<T>) {
        let object: Arc<dyn Any + Send + Sync> = object.clone();
        *self.object.lock() = Some(Arc::downgrade(&object));
    }

    pub fn clear(&self) {
        *self.object.lock() = None;
    }

    /// The living object, or the one that `make` makes now. `make` takes no lock.
    pub fn get_or_insert_with<T: Send + Sync + 'static>(
        &self,
        make: impl FnOnce() -> Arc<T>,
    ) -> Arc<T> {
        let mut slot = self.object.lock();
        let living = slot.as_ref().and_then(Weak::upgrade).and_then(|any| any.downcast().ok());
        living.unwrap_or_else(|| {
            let made = make();
            let object: Arc<dyn Any + Send + Sync> = made.clone();
            *slot = Some(Arc::downgrade(&object));
            made
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_and_executing_exclude_each_other() {
        let common = InodeCommon::default();
        common.begin_write().unwrap();
        assert_eq!(common.deny_write(), Err(Errno::ETXTBSY));
        common.end_write();
        common.deny_write().unwrap();
        common.deny_write().unwrap();
        assert_eq!(common.begin_write(), Err(Errno::ETXTBSY));
        common.allow_write();
        common.allow_write();
        assert_eq!(common.begin_write(), Ok(()));
    }

    #[test]
    fn slot_forgets_a_dead_object() {
        let slot = Slot::default();
        let first = slot.get_or_insert_with(|| Arc::new(1_u32));
        assert_eq!(slot.get::<u32>().as_deref(), Some(&1));
        assert!(slot.get::<u64>().is_none());
        drop(first);
        assert!(slot.get::<u32>().is_none());
        assert_eq!(*slot.get_or_insert_with(|| Arc::new(2_u32)), 2);
    }
}
