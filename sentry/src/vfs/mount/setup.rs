//! Putting a container's mounts together, before there is a task: paths are walked without
//! permissions, and mount points that are missing are made.
//!
//! Linux: as runc does, symbolic links are followed and lead nowhere but below the root, so that a
//! mount at `/sbin/x` lands in `/usr/sbin` where `/sbin` is a link to it.

use std::collections::VecDeque;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags};

use super::{Mount, MountNamespace, MountOptions};
use crate::vfs::{FileSystem, IoContext, Location, NewNode, NewNodeKind};

/// Most symbolic links on one way, as in path_resolution(7).
const MAX_LINKS: u32 = 40;

impl MountNamespace {
    /// Mounts `fs` at the absolute `path`, which must exist.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR, ELOOP.
    pub fn mount_at(
        &self,
        path: &[u8],
        fs: Arc<dyn FileSystem>,
        options: MountOptions,
    ) -> Result<Arc<Mount>, Errno> {
        let at = self.setup_walk(path, None)?;
        let source = fs.source().into_bytes();
        self.mount(&at, fs, options, source)
    }

    /// Makes the directories of the absolute `path` that are missing, mode 0755, owned by root.
    ///
    /// # Errors
    /// ENOTDIR, ELOOP, EROFS and those of the file systems.
    pub fn mkdir_all(&self, path: &[u8]) -> Result<Location, Errno> {
        self.setup_walk(path, Some(NewNodeKind::Directory))
    }

    /// Makes an empty file at the absolute `path` if nothing is there, and its directories.
    ///
    /// # Errors
    /// As [`MountNamespace::mkdir_all`].
    pub fn create_file_all(&self, path: &[u8]) -> Result<Location, Errno> {
        self.setup_walk(path, Some(NewNodeKind::Regular))
    }

    /// Walks; what is missing is made: `last` at the end, directories on the way.
    fn setup_walk(&self, path: &[u8], last: Option<NewNodeKind<'_>>) -> Result<Location, Errno> {
        // The way down from the root; `..` goes back on it, at most to the root.
        let mut way = vec![self.root()];
        let mut names: VecDeque<Vec<u8>> = components(path).collect();
        let mut links = 0;
        while let Some(name) = names.pop_front() {
            if name == b".." {
                way.truncate(way.len().saturating_sub(1).max(1));
                continue;
            }
            let Some(at) = way.last().cloned() else { return Err(Errno::ENOENT) };
            let dentry = match (at.dentry().lookup(&name), last) {
                (Err(Errno::ENOENT), Some(last)) => {
                    let kind = if names.is_empty() { last } else { NewNodeKind::Directory };
                    let permissions = if kind == NewNodeKind::Directory { 0o755 } else { 0o644 };
                    let node = NewNode { kind, permissions, uid: 0, gid: 0 };
                    at.check_writable()?;
                    let change = at.dentry().change()?;
                    let inode = change.inode().create(&name, &node)?;
                    change.added(&name, inode)
                }
                (found, _) => found?,
            };
            if dentry.inode().kind() == FileKind::Symlink {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::ELOOP);
                }
                let io = IoContext { task: None, flags: OpenFlags::empty() };
                let target = dentry.inode().readlink(&io)?;
                if target.starts_with(b"/") {
                    way.truncate(1);
                }
                components(&target).rev().for_each(|name| names.push_front(name));
                continue;
            }
            way.push(at.with_dentry(dentry).through_mounts());
        }
        way.pop().ok_or(Errno::ENOENT)
    }
}

/// The names of a path, without empty ones and `.`.
fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .map(<[u8]>::to_vec)
}
