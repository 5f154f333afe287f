//! Nodes of a tmpfs.

use std::any::Any;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags, RenameFlags, S_IXUGO, SealFlags};
use linux_abi::time::Timespec;

use super::Shared;
use super::content::Content;
use super::dir::{DirFile, Entries};
use super::file::TmpfsFile;
use super::limits::PAGE_BYTES;
use super::xattr::Xattrs;
use crate::sync::{Mutex, Rank, RwLock};
use crate::vfs::{
    AttributeChange, Attributes, DeviceId, File, Inode, InodeCommon, IoContext, NewNode,
    NewNodeKind, XattrFlags, apply_change, new_atime, now,
};

/// Bytes that a directory entry adds to its directory's size, as Linux counts.
const ENTRY_BYTES: u64 = 20;

/// A node of a tmpfs.
pub struct TmpfsInode {
    pub(super) shared: Arc<Shared>,
    common: InodeCommon,
    kind: FileKind,
    pub(super) meta: Mutex<Meta>,
    pub(super) data: Data,
    /// Whether the inode limit counts it.
    is_counted: bool,
}

/// What `stat` and `getxattr` tell.
pub(super) struct Meta {
    attributes: Attributes,
    xattrs: Xattrs,
}

/// What a node is besides its metadata.
pub(super) enum Data {
    Regular(RwLock<Content>),
    Directory(Mutex<Entries>),
    Symlink(Box<[u8]>),
    /// Device nodes, FIFOs, sockets.
    Nothing,
}

/// Kind, mode and owner of a node to be made.
pub(super) struct NewInode {
    pub kind: FileKind,
    pub permissions: u32,
    pub uid: u32,
    pub gid: u32,
}

impl TmpfsInode {
    /// Makes a node that no limit refuses. What has data other than empty gets it by the caller.
    pub(super) fn new_unlimited(shared: &Arc<Shared>, new: NewInode) -> Arc<TmpfsInode> {
        shared.limits.add_inode();
        let data = data_of(new.kind, SealFlags::SEAL);
        Arc::new(TmpfsInode::build(shared, &new, data, DeviceId::default()))
    }

    /// Makes the node that `node` describes. Errors: ENOSPC.
    pub(super) fn new(shared: &Arc<Shared>, node: &NewNode<'_>) -> Result<Arc<TmpfsInode>, Errno> {
        shared.limits.take_inode()?;
        let kind = node.kind.file_kind();
        let (data, rdev) = match node.kind {
            NewNodeKind::Symlink(target) => (Data::Symlink(target.into()), DeviceId::default()),
            NewNodeKind::CharDevice(rdev) | NewNodeKind::BlockDevice(rdev) => (Data::Nothing, rdev),
            _ => (data_of(kind, SealFlags::SEAL), DeviceId::default()),
        };
        let new = NewInode { kind, permissions: node.permissions, uid: node.uid, gid: node.gid };
        Ok(Arc::new(TmpfsInode::build(shared, &new, data, rdev)))
    }

    pub(super) fn build(
        shared: &Arc<Shared>,
        new: &NewInode,
        data: Data,
        rdev: DeviceId,
    ) -> TmpfsInode {
        let now = now();
        let attributes = Attributes {
            device: shared.device,
            inode: shared.next_inode(),
            kind: new.kind,
            permissions: new.permissions & 0o7777,
            links: if new.kind == FileKind::Directory { 2 } else { 1 },
            uid: new.uid,
            gid: new.gid,
            rdev,
            size: 0,
            block_size: PAGE_BYTES as u32,
            blocks: 0,
            accessed: now,
            modified: now,
            changed: now,
            created: Some(now),
        };
        TmpfsInode {
            shared: shared.clone(),
            common: InodeCommon::default(),
            kind: new.kind,
            meta: Mutex::new(Rank::Leaf, Meta { attributes, xattrs: Xattrs::default() }),
            data,
            is_counted: true,
        }
    }

    /// Its inode number.
    pub(super) fn number(&self) -> u64 {
        self.meta.lock().attributes.inode
    }

    /// Whether anybody may execute it.
    pub(super) fn is_executable(&self) -> bool {
        self.meta.lock().attributes.permissions & S_IXUGO != 0
    }

    /// The bytes of a regular file.
    pub(super) fn content(&self) -> Option<&RwLock<Content>> {
        match &self.data {
            Data::Regular(content) => Some(content),
            _ => None,
        }
    }

    /// The content has changed.
    pub(super) fn touch_modified(&self) {
        let now = now();
        let mut meta = self.meta.lock();
        meta.attributes.modified = now;
        meta.attributes.changed = now;
    }

    /// Metadata (links, name) has changed.
    pub(super) fn touch_changed(&self) {
        self.meta.lock().attributes.changed = now();
    }

    /// It was read, under `flags`.
    pub(super) fn touch_accessed(&self, flags: OpenFlags) {
        let mut meta = self.meta.lock();
        if let Some(time) = new_atime(&meta.attributes, flags) {
            meta.attributes.accessed = time;
        }
    }

    /// Adds to the number of links.
    pub(super) fn change_links(&self, by: i64) {
        let mut meta = self.meta.lock();
        meta.attributes.links = meta.attributes.links.saturating_add_signed(by);
        meta.attributes.changed = now();
    }

    pub(super) fn clear_links(&self) {
        self.meta.lock().attributes.links = 0;
    }

    fn set_times_now(&self, time: Timespec) {
        let mut meta = self.meta.lock();
        meta.attributes.modified = time;
        meta.attributes.changed = time;
    }

    /// The children of a directory that nobody else knows any more.
    fn take_children(&mut self) -> Vec<Arc<TmpfsInode>> {
        match &mut self.data {
            Data::Directory(entries) => entries.get_mut().take_all(),
            _ => Vec::new(),
        }
    }
}

fn data_of(kind: FileKind, seals: SealFlags) -> Data {
    match kind {
        FileKind::Regular => Data::Regular(RwLock::new(Rank::Inode, Content::new(seals))),
        FileKind::Directory => Data::Directory(Mutex::new(Rank::FileObject, Entries::default())),
        _ => Data::Nothing,
    }
}

impl Drop for TmpfsInode {
    /// Frees what it holds. Directories are taken apart level by level: a guest may nest them
    /// deeper than our stack.
    fn drop(&mut self) {
        let mut work = self.take_children();
        while let Some(child) = work.pop() {
            if let Some(mut inode) = Arc::into_inner(child) {
                work.append(&mut inode.take_children());
            }
        }
        if let Data::Regular(content) = &mut self.data {
            content.get_mut().release(&self.shared.limits);
        }
        if self.is_counted {
            self.shared.limits.give_inode();
        }
    }
}

impl Inode for TmpfsInode {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn common(&self) -> &InodeCommon {
        &self.common
    }

    fn kind(&self) -> FileKind {
        self.kind
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        let (size, pages) = match &self.data {
            Data::Regular(content) => {
                let content = content.read();
                (content.size(), content.pages())
            }
            Data::Directory(entries) => (entries.lock().len() as u64 * ENTRY_BYTES, 0),
            Data::Symlink(target) => (target.len() as u64, 0),
            Data::Nothing => (0, 0),
        };
        let attributes = self.meta.lock().attributes;
        Ok(Attributes { size, blocks: pages * (PAGE_BYTES / 512), ..attributes })
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<(), Errno> {
        if let Some(size) = change.size {
            let content = self.content().ok_or(match self.kind {
                FileKind::Directory => Errno::EISDIR,
                _ => Errno::EINVAL,
            })?;
            content.write().truncate(size, &self.shared.limits)?;
            if change.modified.is_none() {
                self.set_times_now(now());
            }
        }
        if let (Some(permissions), Some(content)) = (change.permissions, self.content())
            && content.read().seals.contains(SealFlags::EXEC)
            && (permissions ^ self.meta.lock().attributes.permissions) & S_IXUGO != 0
        {
            return Err(Errno::EPERM);
        }
        apply_change(&mut self.meta.lock().attributes, change);
        Ok(())
    }

    fn open(self: Arc<Self>, _: OpenFlags, _: &IoContext<'_>) -> Result<Box<dyn File>, Errno> {
        match self.kind {
            FileKind::Regular => Ok(Box::new(TmpfsFile::new(self))),
            FileKind::Directory => Ok(Box::new(DirFile::new(self))),
            _ => Err(Errno::ENXIO),
        }
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        Ok(self.find(name)?)
    }

    fn create(&self, name: &[u8], node: &NewNode<'_>) -> Result<Arc<dyn Inode>, Errno> {
        Ok(self.create_child(name, node)?)
    }

    fn create_unnamed(&self, node: &NewNode<'_>) -> Result<Arc<dyn Inode>, Errno> {
        let inode = TmpfsInode::new(&self.shared, node)?;
        inode.clear_links();
        Ok(inode)
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<(), Errno> {
        self.link_child(name, target)
    }

    fn unlink(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<(), Errno> {
        self.unlink_child(name, target)
    }

    fn rmdir(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<(), Errno> {
        self.rmdir_child(name, target)
    }

    fn rename(
        &self,
        old_name: &[u8],
        new_parent: &Arc<dyn Inode>,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        self.rename_child(old_name, new_parent, new_name, flags)
    }

    fn readlink(&self, io: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
        let Data::Symlink(target) = &self.data else { return Err(Errno::EINVAL) };
        self.touch_accessed(io.flags);
        Ok(target.to_vec())
    }

    fn xattr_get(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        self.meta.lock().xattrs.get(name)
    }

    fn xattr_set(&self, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<(), Errno> {
        let mut meta = self.meta.lock();
        meta.xattrs.set(name, value, flags)?;
        meta.attributes.changed = now();
        Ok(())
    }

    fn xattr_list(&self) -> Result<Vec<Vec<u8>>, Errno> {
        Ok(self.meta.lock().xattrs.names())
    }

    fn xattr_remove(&self, name: &[u8]) -> Result<(), Errno> {
        let mut meta = self.meta.lock();
        meta.xattrs.remove(name)?;
        meta.attributes.changed = now();
        Ok(())
    }
}

/// The node of this file system behind `inode`. Errors: EXDEV.
pub(super) fn own_inode<'a>(
    shared: &Arc<Shared>,
    inode: &'a Arc<dyn Inode>,
) -> Result<&'a TmpfsInode, Errno> {
    let own = inode.as_any().downcast_ref::<TmpfsInode>().ok_or(Errno::EXDEV)?;
    if Arc::ptr_eq(&own.shared, shared) { Ok(own) } else { Err(Errno::EXDEV) }
}
