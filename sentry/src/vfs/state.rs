//! What the VFS keeps for the whole sandbox.

use std::sync::atomic::{AtomicU32, Ordering};

use super::DeviceId;
use super::anonymous::AnonymousMounts;
use super::locks::LockWaits;

/// The VFS' part of the kernel object.
pub struct Vfs {
    anonymous: AnonymousMounts,
    lock_waits: LockWaits,
    last_minor: AtomicU32,
    last_rename: AtomicU32,
}

impl Default for Vfs {
    fn default() -> Vfs {
        let mut minor = 0;
        let anonymous = AnonymousMounts::new(|| {
            minor += 1;
            DeviceId { major: 0, minor }
        });
        Vfs {
            anonymous,
            lock_waits: LockWaits::default(),
            last_minor: AtomicU32::new(minor),
            last_rename: AtomicU32::new(0),
        }
    }
}

impl Vfs {
    /// A device number for a new file system instance (major 0, as for Linux' own anonymous devices).
    pub fn new_device(&self) -> DeviceId {
        let minor = self.last_minor.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        DeviceId { major: 0, minor }
    }

    /// Who waits for whose record lock.
    pub fn lock_waits(&self) -> &LockWaits {
        &self.lock_waits
    }

    /// A number that ties the two events of a rename together (inotify's cookie).
    pub fn rename_cookie(&self) -> u32 {
        self.last_rename.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1)
    }

    pub(super) fn anonymous(&self) -> &AnonymousMounts {
        &self.anonymous
    }
}
