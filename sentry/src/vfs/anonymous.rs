//! Inodes without a path: pipes, sockets, eventfds and their kin.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use linux_abi::Errno;
use linux_abi::fs::{ANON_INODE_FS_MAGIC, FileKind, OpenFlags, PIPEFS_MAGIC, SOCKFS_MAGIC, StatFs};

use super::{
    AttributeChange, Attributes, Dentry, DeviceId, File, FileSystem, Inode, InodeCommon, IoContext,
    Location, Mount, SimpleAttributes,
};
use crate::kernel::Kernel;
use crate::task::Credentials;

/// The mounts inside the kernel that anonymous inodes live on.
pub(super) struct AnonymousMounts {
    pipes: Arc<Mount>,
    sockets: Arc<Mount>,
    others: Arc<Mount>,
    last_inode: AtomicU64,
}

impl AnonymousMounts {
    pub(super) fn new(mut new_device: impl FnMut() -> DeviceId) -> AnonymousMounts {
        let mut mount = |name, magic| Mount::internal(AnonymousFs::new(name, magic, new_device()));
        AnonymousMounts {
            pipes: mount("pipefs", PIPEFS_MAGIC),
            sockets: mount("sockfs", SOCKFS_MAGIC),
            others: mount("anon_inodefs", ANON_INODE_FS_MAGIC),
            last_inode: AtomicU64::new(1),
        }
    }

    fn location(
        &self,
        label: &str,
        kind: FileKind,
        permissions: u32,
        owner: (u32, u32),
        opener: Option<Opener>,
    ) -> Location {
        let number = self.last_inode.fetch_add(1, Ordering::Relaxed) + 1;
        let (mount, shown) = match label {
            "pipe" => (&self.pipes, format!("pipe:[{number}]")),
            "socket" => (&self.sockets, format!("socket:[{number}]")),
            other => (&self.others, format!("anon_inode:{other}")),
        };
        let superblock = mount.superblock().clone();
        let device = superblock.fs().root().attributes().map(|root| root.device);
        let attributes =
            SimpleAttributes::new(device.unwrap_or_default(), number, kind, permissions)
                .owned_by(owner.0, owner.1);
        let common = InodeCommon::default();
        if opener.is_some() {
            common.open_itself();
        }
        let inode = AnonymousInode { common, attributes, opener };
        let dentry = Dentry::unattached(superblock, Arc::new(inode), shown.as_bytes());
        Location::new(mount.clone(), dentry)
    }
}

/// The location of a new anonymous object, owned by root. `label` is `pipe` or `socket`, shown
/// with the inode number (`pipe:[7]`), or whatever follows `anon_inode:` (`[eventfd]`, `inotify`).
pub fn anonymous_location(
    kernel: &Kernel,
    label: &str,
    kind: FileKind,
    permissions: u32,
) -> Location {
    kernel.vfs.anonymous().location(label, kind, permissions, (0, 0), None)
}

/// Opens an anonymous object a second time, by `/proc/self/fd/N`.
pub type Opener =
    Box<dyn Fn(OpenFlags, &IoContext<'_>) -> Result<Box<dyn File>, Errno> + Send + Sync>;

/// As [`anonymous_location`] for an object that can be opened again through `/proc/self/fd`, by
/// `opener` (the sandbox' own standard streams).
pub fn anonymous_location_with(
    kernel: &Kernel,
    label: &str,
    kind: FileKind,
    permissions: u32,
    opener: Opener,
) -> Location {
    kernel.vfs.anonymous().location(label, kind, permissions, (0, 0), Some(opener))
}

/// As [`anonymous_location`], owned by the file system user of `credentials` (pipes, sockets).
pub fn anonymous_location_of(
    kernel: &Kernel,
    label: &str,
    kind: FileKind,
    permissions: u32,
    credentials: &Credentials,
) -> Location {
    let owner = (credentials.fsuid, credentials.fsgid);
    kernel.vfs.anonymous().location(label, kind, permissions, owner, None)
}

struct AnonymousInode {
    common: InodeCommon,
    attributes: SimpleAttributes,
    opener: Option<Opener>,
}

impl Inode for AnonymousInode {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn common(&self) -> &InodeCommon {
        &self.common
    }

    fn kind(&self) -> FileKind {
        self.attributes.kind()
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(self.attributes.get())
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<(), Errno> {
        self.attributes.change(change)
    }

    /// Linux: a socket or an eventfd cannot be opened again by `/proc/self/fd/N` (ENXIO). Pipes
    /// can; the VFS does that itself.
    fn open(self: Arc<Self>, flags: OpenFlags, io: &IoContext<'_>) -> Result<Box<dyn File>, Errno> {
        self.opener.as_ref().ok_or(Errno::ENXIO)?(flags, io)
    }
}

/// One of the file systems that nobody mounts.
struct AnonymousFs {
    name: &'static str,
    magic: u64,
    root: Arc<dyn Inode>,
}

impl AnonymousFs {
    fn new(name: &'static str, magic: u64, device: DeviceId) -> Arc<AnonymousFs> {
        let attributes = SimpleAttributes::new(device, 1, FileKind::Directory, 0);
        let root =
            Arc::new(AnonymousInode { common: InodeCommon::default(), attributes, opener: None });
        Arc::new(AnonymousFs { name, magic, root })
    }
}

impl FileSystem for AnonymousFs {
    fn name(&self) -> &'static str {
        self.name
    }

    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }

    fn statfs(&self) -> Result<StatFs, Errno> {
        Ok(StatFs {
            kind: self.magic as i64,
            bsize: 4096,
            frsize: 4096,
            namelen: 255,
            ..StatFs::default()
        })
    }
}

#[cfg(test)]
impl AnonymousMounts {
    pub(super) fn test_location(&self, label: &str, kind: FileKind) -> Location {
        self.location(label, kind, 0o600, (0, 0), None)
    }
}
