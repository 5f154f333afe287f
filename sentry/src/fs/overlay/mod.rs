//! A writable tree over one that is never written: overlay.
//!
//! The guest sees the names of the *lower* tree (a container's image, from a gofer). What it
//! changes lives in memory: names here, metadata and file content in unnamed files of the *upper*
//! file system (a tmpfs), one for each changed object, its **store**.
//!
//! * [`Overlay`]: the file system.
//! * [`OverlayInode`]: an object: its lower one if it came from there, its store once it has changed.
//! * `names`: a directory's changed entries, over those of its lower directories.
//! * `copy_up`: making stores. Metadata and content are copied separately, so that a changed
//!   owner does not copy the file.
//!
//! **Divergence** from Linux' overlayfs, all where that one is weaker than a plain file system: hard
//! links stay links and inode numbers stay what they are when a file changes; a directory of the
//! lower tree can be renamed, it just takes its lower directories along; files that were opened
//! for reading before show later changes. Only a mapping made before stays as it was.
//!
//! **Invariant:** whatever differs from the lower tree is reachable from the root: by the entries
//! of directories, and by `Table` for objects that still have a lower name.
//!
//! **Locks.** `copy_up` of an inode (rank `CopyUp`, held over reads of the lower tree and writes of
//! the store) → a directory's entries (`Inode`) → the table (`Leaf`). Who changes a directory holds
//! the VFS' lock of it.

mod copy_up;
mod file;
mod inode;
mod listing;
mod names;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OVERLAYFS_SUPER_MAGIC, StatFs};

use crate::vfs::{DeviceId, FileSystem, Inode};

pub use inode::OverlayInode;
use table::Table;

/// A writable view of a tree that is never written.
pub struct Overlay {
    core: Arc<Core>,
    root: Arc<OverlayInode>,
    lowers: Vec<Arc<dyn FileSystem>>,
}

/// What all inodes of an overlay share.
struct Core {
    device: DeviceId,
    upper: Arc<dyn FileSystem>,
    table: Table,
    is_volatile: bool,
}

impl Overlay {
    /// An overlay over `lower` that keeps changes in `upper`, which nobody else uses; its files
    /// show `device`.
    ///
    /// # Errors
    /// ENOTDIR if the root of `lower` is no directory, and those of reading its attributes.
    pub fn new(
        upper: Arc<dyn FileSystem>,
        lower: Arc<dyn FileSystem>,
        device: DeviceId,
    ) -> Result<Arc<Overlay>, Errno> {
        Overlay::with_lowers(upper, &[lower], device)
    }

    /// An overlay over several trees, the topmost first. Character devices 0:0 in all but the
    /// last hide names of those below.
    ///
    /// # Errors
    /// As [`Overlay::new`]; EINVAL without lower trees.
    pub fn with_lowers(
        upper: Arc<dyn FileSystem>,
        lowers: &[Arc<dyn FileSystem>],
        device: DeviceId,
    ) -> Result<Arc<Overlay>, Errno> {
        let roots: Vec<_> = lowers.iter().map(|lower| lower.root()).collect();
        if roots.iter().any(|root| root.kind() != FileKind::Directory) {
            return Err(Errno::ENOTDIR);
        }
        let is_volatile = lowers.iter().any(|lower| lower.is_volatile());
        let core = Arc::new(Core { device, upper, table: Table::default(), is_volatile });
        let root = core.inode_of(roots)?;
        Ok(Arc::new(Overlay { core, root, lowers: lowers.to_vec() }))
    }
}

impl Drop for Overlay {
    /// The table's inodes hold what holds the table.
    fn drop(&mut self) {
        self.core.table.clear();
    }
}

impl FileSystem for Overlay {
    fn name(&self) -> &'static str {
        "overlay"
    }

    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }

    fn settle(&self) {
        self.lowers.iter().for_each(|lower| lower.settle());
    }

    fn finish(&self) {
        self.lowers.iter().for_each(|lower| lower.finish());
    }

    /// Linux: the figures of the upper file system.
    fn statfs(&self) -> Result<StatFs, Errno> {
        Ok(StatFs { kind: OVERLAYFS_SUPER_MAGIC as i64, ..self.core.upper.statfs()? })
    }

    fn is_volatile(&self) -> bool {
        self.core.is_volatile
    }
}
