//! What the VFS keeps for the whole sandbox.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use super::anonymous::AnonymousMounts;
use super::locks::LockWaits;
use super::{Deferred, DeviceId, FileSystem, Mount};

/// Gives out device numbers for file system instances (major 0, as for Linux' own anonymous
/// devices).
#[derive(Debug, Default)]
pub struct DeviceNumbers {
    last_minor: AtomicU32,
}

impl DeviceNumbers {
    /// A number that nobody has yet.
    pub fn take(&self) -> DeviceId {
        let minor = self.last_minor.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        DeviceId { major: 0, minor }
    }
}

/// The VFS' part of the kernel object.
pub struct Vfs {
    anonymous: AnonymousMounts,
    lock_waits: LockWaits,
    devices: Arc<DeviceNumbers>,
    last_rename: AtomicU32,
    memory_files: OnceLock<Arc<Mount>>,
    deferred: Deferred,
}

impl Default for Vfs {
    fn default() -> Vfs {
        let devices = Arc::new(DeviceNumbers::default());
        let anonymous = AnonymousMounts::new(|| devices.take());
        Vfs {
            anonymous,
            lock_waits: LockWaits::default(),
            devices,
            last_rename: AtomicU32::new(0),
            memory_files: OnceLock::new(),
            deferred: Deferred::default(),
        }
    }
}

impl Vfs {
    /// A device number for a new file system instance.
    pub fn new_device(&self) -> DeviceId {
        self.devices.take()
    }

    /// The source of device numbers, for a file system that shows several.
    pub fn device_numbers(&self) -> Arc<DeviceNumbers> {
        self.devices.clone()
    }

    /// Work that notifications leave behind.
    pub fn deferred(&self) -> &Deferred {
        &self.deferred
    }

    /// Who waits for whose record lock.
    pub fn lock_waits(&self) -> &LockWaits {
        &self.lock_waits
    }

    /// A number that ties the two events of a rename together (inotify's cookie).
    pub fn rename_cookie(&self) -> u32 {
        self.last_rename.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1)
    }

    /// The mount that files of `memfd_create` live on; made by `make` at first use.
    pub fn memory_mount<F: FileSystem + 'static>(
        &self,
        make: impl FnOnce(DeviceId) -> Arc<F>,
    ) -> &Arc<Mount> {
        self.memory_files.get_or_init(|| Mount::internal(make(self.new_device())))
    }

    pub(super) fn anonymous(&self) -> &AnonymousMounts {
        &self.anonymous
    }
}
