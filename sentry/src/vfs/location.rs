//! Places in the mount tree.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::FileKind;

use super::{Dentry, Inode, Mount, MountOptions};

/// A file seen through a mount: what an open file, a working directory or a path leads to.
#[derive(Clone)]
pub struct Location {
    mount: Arc<Mount>,
    dentry: Arc<Dentry>,
}

impl Location {
    pub fn new(mount: Arc<Mount>, dentry: Arc<Dentry>) -> Location {
        Location { mount, dentry }
    }

    pub fn mount(&self) -> &Arc<Mount> {
        &self.mount
    }

    pub fn dentry(&self) -> &Arc<Dentry> {
        &self.dentry
    }

    pub fn inode(&self) -> Arc<dyn Inode> {
        self.dentry.inode().clone()
    }

    pub fn kind(&self) -> FileKind {
        self.dentry.inode().kind()
    }

    pub fn is_directory(&self) -> bool {
        self.kind() == FileKind::Directory
    }

    /// Another entry of the same mount.
    pub fn with_dentry(&self, dentry: Arc<Dentry>) -> Location {
        Location { mount: self.mount.clone(), dentry }
    }

    /// Whether both are the same name in the same mount.
    pub fn is_same(&self, other: &Location) -> bool {
        Arc::ptr_eq(&self.mount, &other.mount) && Arc::ptr_eq(&self.dentry, &other.dentry)
    }

    /// Whether this is the root of its mount.
    pub fn is_mount_root(&self) -> bool {
        Arc::ptr_eq(self.mount.root(), &self.dentry)
    }

    /// Whether the mount forbids execution.
    pub fn is_noexec(&self) -> bool {
        self.mount.options().contains(MountOptions::NOEXEC)
    }

    /// Whether the mount ignores setuid and setgid bits.
    pub fn is_nosuid(&self) -> bool {
        self.mount.options().contains(MountOptions::NOSUID)
    }

    /// Errors: EROFS when the mount is read-only.
    pub fn check_writable(&self) -> Result<(), Errno> {
        if self.mount.options().contains(MountOptions::RDONLY) { Err(Errno::EROFS) } else { Ok(()) }
    }

    /// The topmost mount root if file systems are mounted here; else this location itself.
    pub fn through_mounts(mut self) -> Location {
        while self.dentry.is_mountpoint() {
            let Some(mount) = self.mount.mounted_at(&self.dentry) else { break };
            let root = mount.root().clone();
            self = Location::new(mount, root);
        }
        self
    }

    /// The place that this mount root covers, down through stacked mounts; `None` at the root of
    /// the mount tree (or of a detached mount).
    pub fn below_mounts(&self) -> Option<Location> {
        let mut place = self.mount.mountpoint()?;
        while place.is_mount_root() {
            place = place.mount.mountpoint()?;
        }
        Some(place)
    }
}
