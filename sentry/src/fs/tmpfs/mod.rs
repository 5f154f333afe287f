//! tmpfs: files in memory, tmpfs(5).
//!
//! * [`Tmpfs`]: the file system, its limits and its root.
//! * [`TmpfsInode`]: a node of any kind; directories in `dir`, regular files' bytes in `content`.
//! * [`new_memfd`]: a file of its own for `memfd_create(2)`.
//!
//! Small files live on our heap; large ones and those that are mapped in a host memfd.
//!
//! Locks, outermost first: `Shared::structure` (rank `Inode`, renames and removals of directories)
//! or a file's content (rank `Inode`) → a directory's entries (`FileObject`) → an inode's metadata
//! (`Leaf`).

mod content;
mod dir;
mod file;
mod heap;
mod inode;
mod limits;
mod memfd;
mod storage;
#[cfg(test)]
mod tests;
mod xattr;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use linux_abi::Errno;
use linux_abi::fs::{FileKind, NAME_MAX, StatFs, TMPFS_MAGIC};

pub use inode::TmpfsInode;
pub use memfd::new_memfd;

use crate::kernel::Kernel;
use crate::sync::{Mutex, Rank};
use crate::vfs::{DeviceId, FileSystem, Inode};
use inode::NewInode;
use limits::Limits;

/// Options of a tmpfs mount.
#[derive(Clone, Copy, Debug)]
pub struct TmpfsOptions {
    /// Most bytes of file content; none for no limit.
    pub size: Option<u64>,
    /// Most inodes; none for no limit.
    pub inodes: Option<u64>,
    /// Permission bits and owner of the root directory.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

impl Default for TmpfsOptions {
    fn default() -> TmpfsOptions {
        TmpfsOptions { size: None, inodes: None, mode: 0o1777, uid: 0, gid: 0 }
    }
}

/// A tmpfs.
pub struct Tmpfs {
    shared: Arc<Shared>,
    root: Arc<TmpfsInode>,
    options: TmpfsOptions,
}

/// What all inodes of a tmpfs share.
struct Shared {
    device: DeviceId,
    limits: Limits,
    last_inode: AtomicU64,
    /// Held by operations that lock the entries of more than one directory.
    structure: Mutex<()>,
}

impl Tmpfs {
    pub fn new(kernel: &Kernel, options: &TmpfsOptions) -> Arc<Tmpfs> {
        Tmpfs::with_device(kernel.vfs.new_device(), options)
    }

    /// A tmpfs whose files show `device`.
    pub fn with_device(device: DeviceId, options: &TmpfsOptions) -> Arc<Tmpfs> {
        let shared = Shared::new(device, Limits::new(options.size, options.inodes));
        let root = NewInode {
            kind: FileKind::Directory,
            permissions: options.mode & 0o7777,
            uid: options.uid,
            gid: options.gid,
        };
        let root = TmpfsInode::new_unlimited(&shared, root);
        Arc::new(Tmpfs { shared, root, options: *options })
    }
}

impl Shared {
    fn new(device: DeviceId, limits: Limits) -> Arc<Shared> {
        let structure = Mutex::new(Rank::Inode, ());
        Arc::new(Shared { device, limits, last_inode: AtomicU64::new(0), structure })
    }

    fn next_inode(&self) -> u64 {
        self.last_inode.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl FileSystem for Tmpfs {
    fn name(&self) -> &'static str {
        "tmpfs"
    }

    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }

    fn statfs(&self) -> Result<StatFs, Errno> {
        Ok(statfs(&self.shared))
    }

    fn options(&self) -> String {
        let mut text = Vec::new();
        if let Some(size) = self.options.size {
            text.push(format!("size={}k", size / 1024));
        }
        if let Some(inodes) = self.options.inodes {
            text.push(format!("nr_inodes={inodes}"));
        }
        if self.options.mode != TmpfsOptions::default().mode {
            text.push(format!("mode={:o}", self.options.mode));
        }
        if self.options.uid != 0 {
            text.push(format!("uid={}", self.options.uid));
        }
        if self.options.gid != 0 {
            text.push(format!("gid={}", self.options.gid));
        }
        text.join(",")
    }
}

/// Linux: a tmpfs without limits shows no sizes at all.
fn statfs(shared: &Shared) -> StatFs {
    let (blocks, free) = shared.limits.pages();
    let (files, files_free) = shared.limits.inodes();
    let DeviceId { major, minor } = shared.device;
    StatFs {
        kind: TMPFS_MAGIC as i64,
        bsize: 4096,
        frsize: 4096,
        blocks,
        bfree: free,
        bavail: free,
        files,
        ffree: files_free,
        fsid: [major as i32, minor as i32],
        namelen: NAME_MAX as i64,
        ..StatFs::default()
    }
}
