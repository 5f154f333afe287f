//! Objects of an overlay.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags, RenameFlags};

use super::Core;
use super::file::OverlayFile;
use super::listing::OverlayDir;
use super::names::Names;
use super::table::LowerKey;
use crate::sync::{Mutex, Rank};
use crate::vfs::{
    AttributeChange, Attributes, DeviceId, File, Inode, InodeCommon, IoContext, NewNode,
    NewNodeKind, XattrFlags,
};

/// Size that a directory shows which is not in the lower tree.
const DIRECTORY_BYTES: u64 = 4096;

/// An object of an overlay.
pub struct OverlayInode {
    common: InodeCommon,
    pub(super) this: Weak<OverlayInode>,
    pub(super) core: Arc<Core>,
    number: u64,
    kind: FileKind,
    pub(super) lower: Option<Lower>,
    /// Set once anything but names has changed.
    pub(super) store: OnceLock<Arc<dyn Inode>>,
    /// Whether the store has the content.
    pub(super) has_content: AtomicBool,
    /// Held while the store is made, filled or has its metadata changed.
    pub(super) copy_up: Mutex<()>,
    /// Links more, or less, than the lower object has.
    links: AtomicI64,
    pub(super) body: Body,
}

/// The lower object that an inode came from.
pub(super) struct Lower {
    /// Only a directory can have several.
    pub(super) inodes: Vec<Arc<dyn Inode>>,
    pub(super) key: LowerKey,
    /// As they were when it was found.
    pub(super) attributes: Attributes,
}

/// What an object is besides its metadata.
pub(super) enum Body {
    Directory(Names),
    /// The target if it is not in the lower tree.
    Symlink(Option<Box<[u8]>>),
    Device(DeviceId),
    /// Regular files, FIFOs, sockets.
    Plain,
}

/// Subtracted from the links of a removed directory.
const REMOVED: i64 = i64::MIN;

impl Core {
    /// The inode of a lower object, or of a stack of lower directories.
    pub(super) fn inode_of(
        self: &Arc<Self>,
        inodes: Vec<Arc<dyn Inode>>,
    ) -> Result<Arc<OverlayInode>, Errno> {
        let attributes = inodes.first().ok_or(Errno::EINVAL)?.attributes()?;
        let key = LowerKey::of(&attributes);
        let number = self.table.number(attributes.device, attributes.inode);
        let body = match attributes.kind {
            FileKind::Directory => Body::Directory(Names::default()),
            FileKind::Symlink => Body::Symlink(None),
            FileKind::CharDevice | FileKind::BlockDevice => Body::Device(attributes.rdev),
            _ => Body::Plain,
        };
        let lower = Lower { inodes, key, attributes };
        Ok(self.table.find_or_make(key, || {
            OverlayInode::build(self, number, attributes.kind, Some(lower), body, 0)
        }))
    }

    /// A new object with `links` names. Errors: ENOSPC.
    pub(super) fn new_inode(
        self: &Arc<Self>,
        node: &NewNode<'_>,
        links: i64,
    ) -> Result<Arc<OverlayInode>, Errno> {
        let body = match node.kind {
            NewNodeKind::Directory => Body::Directory(Names::default()),
            NewNodeKind::Symlink(target) => Body::Symlink(Some(target.into())),
            NewNodeKind::CharDevice(id) | NewNodeKind::BlockDevice(id) => Body::Device(id),
            NewNodeKind::Regular | NewNodeKind::Fifo | NewNodeKind::Socket => Body::Plain,
        };
        let store = self.new_store(node.permissions, node.uid, node.gid)?;
        let number = self.table.new_number();
        let inode = OverlayInode::build(self, number, node.kind.file_kind(), None, body, links);
        inode.has_content.store(true, Ordering::Release);
        // Nobody else knows the inode yet.
        let _ = inode.store.set(store);
        Ok(inode)
    }
}

impl OverlayInode {
    fn build(
        core: &Arc<Core>,
        number: u64,
        kind: FileKind,
        lower: Option<Lower>,
        body: Body,
        links: i64,
    ) -> Arc<OverlayInode> {
        Arc::new_cyclic(|this| OverlayInode {
            common: InodeCommon::default(),
            this: this.clone(),
            core: core.clone(),
            number,
            kind,
            lower,
            store: OnceLock::new(),
            has_content: AtomicBool::new(false),
            copy_up: Mutex::new(Rank::CopyUp, ()),
            links: AtomicI64::new(links),
            body,
        })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The topmost lower object.
    pub(super) fn top_lower(&self) -> Option<&Arc<dyn Inode>> {
        self.lower.as_ref()?.inodes.first()
    }

    /// What has the metadata now.
    fn metadata(&self) -> Result<&Arc<dyn Inode>, Errno> {
        self.store.get().or_else(|| self.top_lower()).ok_or(Errno::EIO)
    }

    pub(super) fn links(&self) -> u64 {
        let lower = self.lower.as_ref().map_or(0, |lower| lower.attributes.links);
        let change = self.links.load(Ordering::Acquire);
        // Some file systems do not count the subdirectories of a directory: 1 says so.
        if self.kind == FileKind::Directory && lower == 1 && change != REMOVED {
            return 1;
        }
        lower.saturating_add_signed(change)
    }

    pub(super) fn change_links(&self, by: i64) {
        self.links.fetch_add(by, Ordering::AcqRel);
    }

    /// The directory was removed.
    pub(super) fn mark_removed(&self) {
        self.links.store(REMOVED, Ordering::Release);
        self.release_if_gone();
    }

    /// Lets the table forget the inode if it has no name any more.
    pub(super) fn release_if_gone(&self) {
        if let Some(lower) = &self.lower
            && self.links() == 0
        {
            self.core.table.release(lower.key);
        }
    }

    fn current_attributes(&self) -> Result<Attributes, Errno> {
        let mut attributes = self.metadata()?.attributes()?;
        attributes.device = self.core.device;
        attributes.inode = self.number;
        attributes.links = self.links();
        if self.store.get().is_none() {
            return Ok(attributes);
        }
        let lower = self.lower.as_ref().map(|lower| &lower.attributes);
        attributes.kind = self.kind;
        attributes.created = lower.map_or(attributes.created, |lower| lower.created);
        match &self.body {
            Body::Directory(_) => {
                attributes.size = lower.map_or(DIRECTORY_BYTES, |lower| lower.size);
                attributes.blocks = lower.map_or(DIRECTORY_BYTES / 512, |lower| lower.blocks);
            }
            Body::Symlink(target) => {
                let bytes = target.as_ref().map(|target| target.len() as u64);
                attributes.size = bytes.or(lower.map(|lower| lower.size)).unwrap_or(0);
            }
            Body::Device(id) => attributes.rdev = *id,
            // Its content is still below.
            Body::Plain if !self.has_content() => {
                attributes.blocks = lower.map_or(0, |lower| lower.blocks);
            }
            Body::Plain => {}
        }
        Ok(attributes)
    }

    fn change_attributes(&self, change: &AttributeChange) -> Result<(), Errno> {
        let store = match change.size {
            None => self.store()?,
            Some(size) if self.kind == FileKind::Regular => self.store_with_content(size)?,
            Some(_) if self.kind == FileKind::Directory => return Err(Errno::EISDIR),
            Some(_) => return Err(Errno::EINVAL),
        };
        let _copy_up = self.copy_up.lock();
        store.set_attributes(change)
    }

    /// Sets times after a change that is not one of attributes.
    pub(super) fn touch(&self, change: &AttributeChange) -> Result<(), Errno> {
        let store = self.store()?;
        let _copy_up = self.copy_up.lock();
        store.set_attributes(change)
    }

    fn read_link(&self, io: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
        match &self.body {
            Body::Symlink(Some(target)) => Ok(target.to_vec()),
            Body::Symlink(None) => self.top_lower().ok_or(Errno::EIO)?.readlink(io),
            _ => Err(Errno::EINVAL),
        }
    }
}

/// Attributes that only the lower file system could make sense of, such as its access lists.
/// Errors: EOPNOTSUPP.
fn check_xattr_name(name: &[u8]) -> Result<(), Errno> {
    if name.starts_with(b"system.") { Err(Errno::EOPNOTSUPP) } else { Ok(()) }
}

impl Inode for OverlayInode {
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
        self.current_attributes()
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<(), Errno> {
        self.change_attributes(change)
    }

    fn open(self: Arc<Self>, flags: OpenFlags, io: &IoContext<'_>) -> Result<Box<dyn File>, Errno> {
        match self.kind {
            FileKind::Regular => Ok(Box::new(OverlayFile::open(self, flags, io)?)),
            FileKind::Directory => Ok(Box::new(OverlayDir::new(self))),
            FileKind::Symlink => Err(Errno::ELOOP),
            _ => Err(Errno::ENXIO),
        }
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        let child: Arc<dyn Inode> = self.child(name)?;
        Ok(child)
    }

    fn lookup_chain(&self, names: &[&[u8]], opens: bool) -> Vec<Arc<dyn Inode>> {
        self.chain(names, opens).into_iter().map(|inode| inode as Arc<dyn Inode>).collect()
    }

    fn is_still(&self, name: &[u8], child: &Arc<dyn Inode>) -> bool {
        self.still_has(name, child)
    }

    fn create(&self, name: &[u8], node: &NewNode<'_>) -> Result<Arc<dyn Inode>, Errno> {
        let made: Arc<dyn Inode> = self.make(name, node)?;
        Ok(made)
    }

    fn create_unnamed(&self, node: &NewNode<'_>) -> Result<Arc<dyn Inode>, Errno> {
        let made: Arc<dyn Inode> = self.core.new_inode(node, 0)?;
        Ok(made)
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<(), Errno> {
        self.add_link(name, target)
    }

    fn unlink(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<(), Errno> {
        self.remove_file(name, target)
    }

    fn rmdir(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<(), Errno> {
        self.remove_directory(name, target)
    }

    fn rename(
        &self,
        old_name: &[u8],
        new_parent: &Arc<dyn Inode>,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        self.rename_entry(old_name, new_parent, new_name, flags)
    }

    fn readlink(&self, io: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
        self.read_link(io)
    }

    fn xattr_get(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        check_xattr_name(name)?;
        self.metadata()?.xattr_get(name)
    }

    fn xattr_set(&self, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<(), Errno> {
        check_xattr_name(name)?;
        self.store()?.xattr_set(name, value, flags)
    }

    fn xattr_list(&self) -> Result<Vec<Vec<u8>>, Errno> {
        let mut names = self.metadata()?.xattr_list()?;
        names.retain(|name| check_xattr_name(name).is_ok());
        Ok(names)
    }

    fn xattr_remove(&self, name: &[u8]) -> Result<(), Errno> {
        check_xattr_name(name)?;
        self.store()?.xattr_remove(name)
    }
}

impl Drop for OverlayInode {
    /// Lets go of what is below level by level: directories may be nested deeper than our stack.
    fn drop(&mut self) {
        let mut work = self.take_children();
        if let Some(lower) = &self.lower {
            self.core.table.forget_dead(lower.key);
        }
        while let Some(child) = work.pop() {
            if let Some(mut inode) = Arc::into_inner(child) {
                work.append(&mut inode.take_children());
            }
        }
    }
}
