//! Attributes of inodes that exist only in our memory.

use std::time::{SystemTime, UNIX_EPOCH};

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags};
use linux_abi::time::Timespec;
use platform::host::time::{self, Clock};

use super::{AttributeChange, Attributes, DeviceId, TimeChange};
use crate::sync::{Mutex, Rank};

/// The time of day, for time stamps.
pub fn now() -> Timespec {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timespec { sec: since.as_secs() as i64, nsec: i64::from(since.subsec_nanos()) }
}

/// The access time that a read shall set, if any (`relatime`): the present one is older than a change
/// of the file, or than a day. `flags` are those of the I/O (`NOATIME`).
pub fn new_atime(attributes: &Attributes, flags: OpenFlags) -> Option<Timespec> {
    const DAY: i64 = 24 * 3600;
    // Good enough for days, and much cheaper.
    let is_old = || {
        let now = time::now(Clock::RealtimeCoarse).as_secs() as i64;
        now - attributes.accessed.sec >= DAY
    };
    let wants = !flags.contains(OpenFlags::NOATIME)
        && (attributes.accessed <= attributes.modified
            || attributes.accessed <= attributes.changed
            || is_old());
    wants.then(now)
}

/// Changeable attributes with their lock (rank `Inode`), for inodes whose size means nothing.
pub struct SimpleAttributes {
    inner: Mutex<Attributes>,
    kind: FileKind,
}

impl SimpleAttributes {
    /// Owned by root, all times now.
    pub fn new(device: DeviceId, inode: u64, kind: FileKind, permissions: u32) -> SimpleAttributes {
        let now = now();
        let attributes = Attributes {
            device,
            inode,
            kind,
            permissions,
            links: if kind == FileKind::Directory { 2 } else { 1 },
            uid: 0,
            gid: 0,
            rdev: DeviceId::default(),
            size: 0,
            block_size: 4096,
            blocks: 0,
            accessed: now,
            modified: now,
            changed: now,
            created: None,
        };
        SimpleAttributes { inner: Mutex::new(Rank::Inode, attributes), kind }
    }

    pub fn owned_by(mut self, uid: u32, gid: u32) -> SimpleAttributes {
        let attributes = self.inner.get_mut();
        attributes.uid = uid;
        attributes.gid = gid;
        self
    }

    pub fn with_rdev(mut self, rdev: DeviceId) -> SimpleAttributes {
        self.inner.get_mut().rdev = rdev;
        self
    }

    pub fn with_links(mut self, links: u64) -> SimpleAttributes {
        self.inner.get_mut().links = links;
        self
    }

    pub fn with_size(mut self, size: u64) -> SimpleAttributes {
        self.inner.get_mut().size = size;
        self
    }

    pub fn kind(&self) -> FileKind {
        self.kind
    }

    pub fn get(&self) -> Attributes {
        *self.inner.lock()
    }

    /// Changes what is asked for; a size is ignored, as for `/proc` files opened with `O_TRUNC`.
    pub fn change(&self, change: &AttributeChange) -> Result<(), Errno> {
        apply_change(&mut self.inner.lock(), change);
        Ok(())
    }
}

/// Applies everything but a size to `attributes`, and sets the change time.
pub fn apply_change(attributes: &mut Attributes, change: &AttributeChange) {
    let now = now();
    if let Some(permissions) = change.permissions {
        attributes.permissions = permissions & 0o7777;
    }
    if let Some(uid) = change.uid {
        attributes.uid = uid;
    }
    if let Some(gid) = change.gid {
        attributes.gid = gid;
    }
    if let Some(time) = change.accessed {
        attributes.accessed = time.resolve(now);
    }
    if let Some(time) = change.modified {
        attributes.modified = time.resolve(now);
    }
    attributes.changed = now;
}

impl TimeChange {
    /// The time to set when it is `now`.
    pub fn resolve(self, now: Timespec) -> Timespec {
        match self {
            TimeChange::Now => now,
            TimeChange::To(time) => time,
        }
    }
}
