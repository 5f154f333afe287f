//! A toolkit for file systems that are made up as one looks: proc, sysfs, devices.
//!
//! * [`SyntheticFs`]: the file system around a root node.
//! * [`NodeSource`]: device and inode numbers for its nodes.
//! * [`SyntheticDir`]: a directory with [`Children`], fixed ones ([`FixedChildren`]) or its own.
//! * [`SyntheticFile`]: a regular file whose [`Content`] is generated when it is read from its start.
//! * [`SyntheticLink`]: a symbolic link, ordinary or "magic".
//! * [`SyntheticNode`]: a device node or another special file.

mod children;
mod dir;
mod file;
mod link;
mod node;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use linux_abi::Errno;
use linux_abi::fs::{FileKind, StatFs};

pub use children::{Child, ChildCache, Children, FixedChildren};
pub use dir::SyntheticDir;
pub(crate) use dir::seek_dir;
pub use file::{Content, SyntheticFile, Writable};
pub use link::SyntheticLink;
pub use node::{NodeAttributes, SyntheticNode};

use crate::vfs::{DeviceId, FileSystem, Inode};

/// Gives out numbers for the nodes of one file system.
pub struct NodeSource {
    device: DeviceId,
    last: AtomicU64,
}

impl NodeSource {
    /// `device` as from [`crate::vfs::Vfs::new_device`].
    pub fn new(device: DeviceId) -> Arc<NodeSource> {
        Arc::new(NodeSource { device, last: AtomicU64::new(0) })
    }

    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// Attributes of a new node with a fresh inode number, owned by root.
    pub fn attributes(&self, kind: FileKind, permissions: u32) -> NodeAttributes {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        NodeAttributes::new(self.device, number, kind, permissions)
    }
}

/// A file system of synthetic nodes.
pub struct SyntheticFs {
    name: &'static str,
    magic: u64,
    root: Arc<dyn Inode>,
    is_volatile: bool,
    options: String,
}

impl SyntheticFs {
    /// `name` as in `/proc/filesystems`, `magic` as in `statfs(2)`.
    pub fn new(name: &'static str, magic: u64, root: Arc<dyn Inode>) -> SyntheticFs {
        SyntheticFs { name, magic, root, is_volatile: false, options: String::new() }
    }

    /// Names come and go by themselves.
    pub fn volatile(mut self) -> SyntheticFs {
        self.is_volatile = true;
        self
    }

    /// Options for `/proc/mounts`.
    pub fn with_options(mut self, options: String) -> SyntheticFs {
        self.options = options;
        self
    }
}

impl FileSystem for SyntheticFs {
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

    fn options(&self) -> String {
        self.options.clone()
    }

    fn is_volatile(&self) -> bool {
        self.is_volatile
    }
}
