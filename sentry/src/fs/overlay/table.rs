//! The inodes of lower objects: makes sure that one object is one inode, whatever its names, and
//! keeps those that have changed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use super::inode::OverlayInode;
use crate::hash::HashMap;
use crate::sync::{Mutex, Rank};
use crate::vfs::{Attributes, DeviceId};

/// Inode numbers of what is not in the lower tree begin here, beyond what file systems use.
const FIRST_NUMBER: u64 = 1 << 48;

/// The numbers of objects on the lower tree's further devices are told apart by the bits from here.
const DEVICE_SHIFT: u32 = 52;

/// What identifies a lower object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct LowerKey {
    device: DeviceId,
    inode: u64,
}

impl LowerKey {
    pub(super) fn of(attributes: &Attributes) -> LowerKey {
        LowerKey { device: attributes.device, inode: attributes.inode }
    }
}

/// An inode of a lower object.
enum Known {
    /// As the lower tree has it; lives while somebody uses it.
    Unchanged(Weak<OverlayInode>),
    Changed(Arc<OverlayInode>),
}

/// All inodes of lower objects.
pub(super) struct Table {
    known: Mutex<HashMap<LowerKey, Known>>,
    /// The lower tree's devices in the order they were met.
    devices: Mutex<Vec<DeviceId>>,
    next_number: AtomicU64,
}

impl Default for Table {
    fn default() -> Table {
        Table {
            known: Mutex::new(Rank::Leaf, HashMap::default()),
            devices: Mutex::new(Rank::Leaf, Vec::new()),
            next_number: AtomicU64::new(FIRST_NUMBER),
        }
    }
}

impl Table {
    /// The inode of the lower object `key`, or the one that `make`, which takes no locks, makes.
    pub(super) fn find_or_make(
        &self,
        key: LowerKey,
        make: impl FnOnce() -> Arc<OverlayInode>,
    ) -> Arc<OverlayInode> {
        let mut known = self.known.lock();
        let found = match known.get(&key) {
            Some(Known::Changed(inode)) => Some(inode.clone()),
            Some(Known::Unchanged(weak)) => weak.upgrade(),
            None => None,
        };
        if let Some(found) = found {
            // First the lock: what `make` holds is dropped at the end, which may take it.
            drop(known);
            return found;
        }
        let made = make();
        known.insert(key, Known::Unchanged(Arc::downgrade(&made)));
        made
    }

    /// Keeps a changed inode whether it is used or not.
    pub(super) fn keep(&self, key: LowerKey, inode: Arc<OverlayInode>) {
        let _old = self.known.lock().insert(key, Known::Changed(inode));
    }

    /// Stops keeping an inode whose last name is gone.
    pub(super) fn release(&self, key: LowerKey) {
        let _old = self.known.lock().remove(&key);
    }

    /// Stops keeping any inode: the overlay is gone.
    pub(super) fn clear(&self) {
        let _known = std::mem::take(&mut *self.known.lock());
    }

    /// Forgets an inode that is being dropped.
    pub(super) fn forget_dead(&self, key: LowerKey) {
        let mut known = self.known.lock();
        if let Some(Known::Unchanged(weak)) = known.get(&key)
            && weak.strong_count() == 0
        {
            known.remove(&key);
        }
    }

    /// The number that a lower object shows.
    pub(super) fn number(&self, device: DeviceId, inode: u64) -> u64 {
        let mut devices = self.devices.lock();
        let index = devices.iter().position(|other| *other == device).unwrap_or_else(|| {
            devices.push(device);
            devices.len() - 1
        });
        inode ^ ((index as u64) << DEVICE_SHIFT)
    }

    /// A number for a new object.
    pub(super) fn new_number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }
}
