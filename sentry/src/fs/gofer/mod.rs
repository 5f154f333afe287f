//! Host directory trees, served by a gofer.
//!
//! [`GoferFs`] is one export: a tree or a single file. Path operations are messages to the gofer
//! ([`gofer_protocol::Client`]), each one round trip; data flows on host descriptors that it donates.
//!
//! * [`Export`]: the connection with what is bounded by it: nodes, descriptors, the inode table.
//! * [`GoferInode`]: a host file. One host file (device, inode number, birth time) is one `Arc`.
//! * [`GoferFile`], [`GoferDir`]: open ones.
//!
//! **Naming.** A directory is named by its node, any other file by its directory's node and its
//! name, or by a node of its own where the name may not lead to it any more. Whatever was found by
//! name is compared with the inode before it is believed. Nodes and idle descriptors may be given
//! back at any time and are fetched again by name.
//!
//! **Exclusive** exports (nobody else changes them) cache attributes and descriptors, and ask for many
//! entries at once where a program goes through a directory (`foresight`). What was made
//! by us there, on a local file system, is changed and removed by *quiet* requests where nothing but
//! a failing disk can prevent it (`Export::takes_for_granted`), and regular files get their names so
//! (`unnamed`), and directories are made (`new_directories`); whatever depends on the order of what
//! the gofer and what we do to a file waits for them (`GoferInode::await_times`), but what they do to its
//! attributes is told in advance (`foretold`). **Shared** ones
//! ask again: names are revalidated on each walk, attributes come from the host each time.
//!
//! **Locks.** All here are rank `Leaf`, held for moments and never over a round trip, but the one
//! over a host file's position (`FileObject`). An inode is never dropped under them.

mod attributes;
mod budget;
mod change;
mod descriptors;
mod directory;
mod export;
mod file;
mod find;
mod foresight;
mod foretold;
mod inode;
mod inodes;
mod names;
mod new_directories;
mod nodes;
mod outdated;
mod row;
mod unnamed;
mod xattr;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use gofer_protocol::{Client, NodeId};
use linux_abi::Errno;
use linux_abi::fs::{EXT4_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, StatFs, TMPFS_MAGIC};

use crate::vfs::{DeviceNumbers, FileSystem, Inode};

use export::{Export, Node};
pub use inode::GoferInode;

/// A host tree, or a single host file, as a file system.
pub struct GoferFs {
    export: Arc<Export>,
    root: Arc<GoferInode>,
    type_name: &'static str,
}

/// Names of the host's file systems by their magic numbers (`statfs(2)`).
const TYPE_NAMES: [(u64, &str); 8] = [
    (EXT4_SUPER_MAGIC, "ext4"),
    (TMPFS_MAGIC, "tmpfs"),
    (OVERLAYFS_SUPER_MAGIC, "overlay"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0xf2f5_2010, "f2fs"),
    (0x2fc1_2fc1, "zfs"),
    (0x6969, "nfs"),
];

impl GoferFs {
    /// Starts to use a gofer's connection. `is_exclusive`: nobody changes the tree but this sandbox.
    /// Each host file system in the tree gets a device number of its own from `devices`.
    ///
    /// # Errors
    /// ENOTSOCK or EPROTOTYPE for a descriptor that is no such socket, EPROTO for a gofer of another
    /// version, EIO if there is none.
    pub fn connect(
        socket: OwnedFd,
        devices: Arc<DeviceNumbers>,
        is_exclusive: bool,
    ) -> Result<Arc<GoferFs>, Errno> {
        let client = Client::new(socket)?;
        let magic = client.stat_fs(NodeId::ROOT)?.fs_type;
        let export = Export::new(client, devices, is_exclusive, magic);
        let attr = export.client().root().attr;
        let node = Node::new(&export, NodeId::ROOT);
        let root = export.inode(&attr, Some(node), None)?;
        let known = TYPE_NAMES.iter().find(|(number, _)| *number == magic);
        let type_name = known.map_or("hostfs", |(_, name)| name);
        Ok(Arc::new(GoferFs { export, root, type_name }))
    }

    /// Whether the host refuses every change.
    pub fn is_readonly(&self) -> bool {
        self.export.client().root().is_readonly
    }
}

impl FileSystem for GoferFs {
    /// The host's type, as a bind mount shows it.
    fn name(&self) -> &'static str {
        self.type_name
    }

    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }

    fn statfs(&self) -> Result<StatFs, Errno> {
        let stats = self.export.client().stat_fs(NodeId::ROOT)?;
        Ok(StatFs {
            kind: stats.fs_type as i64,
            bsize: stats.block_size as i64,
            blocks: stats.blocks,
            bfree: stats.blocks_free,
            bavail: stats.blocks_available,
            files: stats.files,
            ffree: stats.files_free,
            fsid: stats.fsid.map(|part| part as i32),
            namelen: stats.name_max as i64,
            frsize: stats.fragment_size as i64,
            ..StatFs::default()
        })
    }

    fn source(&self) -> String {
        "none".to_owned()
    }

    fn is_volatile(&self) -> bool {
        !self.export.is_exclusive()
    }

    fn settle(&self) {
        self.export.client().settle();
    }

    fn finish(&self) {
        self.export.client().await_quiet();
    }

    fn end(&self) {
        self.export.client().end();
    }
}
