//! Mounts and mount namespaces, mount_namespaces(7).
//!
//! A [`Mount`] shows a file system, from some directory of it on, at a place of another mount. The
//! [`MountNamespace`] owns the tree; its table (rank `MountTree`) is asked only where a walk meets a
//! mount point or a mount's root.

mod change;
mod info;
mod namespace;
mod setup;
mod table;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use linux_abi::Errno;
use linux_abi::fs::{FileKind, StatFs, StatFsFlags};

pub use change::BindRequest;
pub use info::MountInfo;
pub use namespace::MountNamespace;
use table::MountTable;

use super::{Dentry, FileSystem, Location, Superblock};

bitflags::bitflags! {
    /// Options of one mount (not of its file system), with the numbers of `mount(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MountOptions: u32 {
        const RDONLY = 0x1;
        const NOSUID = 0x2;
        const NODEV = 0x4;
        const NOEXEC = 0x8;
        const NOSYMFOLLOW = 0x100;
        const NOATIME = 0x400;
        const NODIRATIME = 0x800;
        const STRICTATIME = 0x100_0000;
    }
}

/// A mounted file system, or a part of one.
pub struct Mount {
    id: i32,
    superblock: Arc<Superblock>,
    root: Arc<Dentry>,
    options: AtomicU32,
    /// What `/proc/mounts` shows as the device.
    source: Vec<u8>,
    /// The table that knows where it hangs; none for mounts inside the kernel only.
    table: Weak<MountTable>,
}

impl Mount {
    fn new(
        id: i32,
        root: Arc<Dentry>,
        options: MountOptions,
        source: Vec<u8>,
        table: Weak<MountTable>,
    ) -> Arc<Mount> {
        let superblock = root.superblock().clone();
        superblock.add_mount();
        Arc::new(Mount {
            id,
            superblock,
            root,
            options: AtomicU32::new(options.bits()),
            source,
            table,
        })
    }

    /// A mount that no path leads to: pipes, sockets and the like live there.
    pub fn internal(fs: Arc<dyn FileSystem>) -> Arc<Mount> {
        let source = fs.source().into_bytes();
        let root = Dentry::root(Superblock::new(fs));
        Mount::new(0, root, MountOptions::empty(), source, Weak::new())
    }

    /// Its number within the namespace (`mnt_id`).
    pub fn id(&self) -> i32 {
        self.id
    }

    pub fn root(&self) -> &Arc<Dentry> {
        &self.root
    }

    pub fn superblock(&self) -> &Arc<Superblock> {
        &self.superblock
    }

    pub fn fs(&self) -> &Arc<dyn FileSystem> {
        self.superblock.fs()
    }

    pub fn options(&self) -> MountOptions {
        MountOptions::from_bits_retain(self.options.load(Ordering::Relaxed))
    }

    pub fn set_options(&self, options: MountOptions) {
        self.options.store(options.bits(), Ordering::Relaxed);
    }

    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// Whether reading may leave the access time as it is: `noatime`, `nodiratime` for a
    /// directory, or read-only.
    pub fn skips_atime(&self, kind: FileKind) -> bool {
        let mut skips = MountOptions::NOATIME | MountOptions::RDONLY;
        if kind == FileKind::Directory {
            skips |= MountOptions::NODIRATIME;
        }
        self.options().intersects(skips)
    }

    /// Where it is mounted; `None` for a root or a detached mount.
    pub fn mountpoint(&self) -> Option<Location> {
        self.table.upgrade()?.mountpoint(self)
    }

    /// What is mounted on `dentry` of this mount.
    pub(super) fn mounted_at(&self, dentry: &Arc<Dentry>) -> Option<Arc<Mount>> {
        self.table.upgrade()?.child(self, dentry)
    }

    /// Whether it belongs to `namespace`.
    pub fn is_in(&self, namespace: &MountNamespace) -> bool {
        self.table.upgrade().is_some_and(|table| table.is_of(namespace) && table.contains(self))
    }

    /// `statfs(2)` of the file system with this mount's flags.
    pub fn statfs(&self) -> Result<StatFs, Errno> {
        let mut result = self.fs().statfs()?;
        let options = self.options();
        let mut flags = StatFsFlags::VALID;
        let pairs = [
            (MountOptions::RDONLY, StatFsFlags::RDONLY),
            (MountOptions::NOSUID, StatFsFlags::NOSUID),
            (MountOptions::NODEV, StatFsFlags::NODEV),
            (MountOptions::NOEXEC, StatFsFlags::NOEXEC),
            (MountOptions::NOATIME, StatFsFlags::NOATIME),
            (MountOptions::NODIRATIME, StatFsFlags::NODIRATIME),
        ];
        for (option, flag) in pairs {
            flags.set(flag, options.contains(option));
        }
        let is_relatime = !options.intersects(MountOptions::NOATIME | MountOptions::STRICTATIME);
        flags.set(StatFsFlags::RELATIME, is_relatime);
        result.flags = i64::from(flags.bits());
        Ok(result)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.superblock.remove_mount();
    }
}
