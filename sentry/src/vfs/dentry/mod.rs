//! Names in directories.
//!
//! A [`Dentry`] ties an inode to a name in a parent. A parent knows its children weakly, a child
//! its parent strongly; unused names are kept alive by the [`Superblock`]'s cache. That a name does
//! *not* exist is remembered in the parent, without a dentry.
//!
//! Every change of a directory goes through a [`Change`], which holds the directory's lock (rank
//! `Directory`) across the file system's own operation, a gofer round trip included: name cache
//! and file system must change together, and whoever else wants to change the same directory would
//! have to wait for it anyway. Lookups take no lock across the file system's operation; they notice by
//! the directory's generation that a change came in between, and repeat.

mod change;
mod children;
mod path;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use linux_abi::Errno;
use linux_abi::fs::FileKind;

pub use change::Change;
pub(super) use change::change_two;
pub(super) use children::Cached;
use children::Directory;
pub use path::{getcwd_path, path_of};

use super::{Inode, Superblock};
use crate::sync::{Mutex, Rank};

/// A name of an inode.
pub struct Dentry {
    superblock: Arc<Superblock>,
    inode: Arc<dyn Inode>,
    place: Mutex<Place>,
    /// Only directories have one.
    directory: Option<Box<Directory>>,
    /// How many mounts, in whatever namespace, cover this name.
    mounts: AtomicU32,
    is_deleted: AtomicBool,
    /// Whether it was found since the cache looked last.
    is_used: AtomicBool,
    /// Where the superblock's cache holds it; `usize::MAX` for nowhere. Guarded by the cache's lock.
    cache_key: AtomicUsize,
}

/// Where a dentry hangs; changed by rename. The root of a file system has no parent.
struct Place {
    parent: Option<Arc<Dentry>>,
    name: Arc<[u8]>,
}

const NOT_CACHED: usize = usize::MAX;

/// Whether both are the same object.
pub fn is_same_inode(one: &Arc<dyn Inode>, other: &Arc<dyn Inode>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
}

impl Dentry {
    /// The root of a file system.
    pub fn root(superblock: Arc<Superblock>) -> Arc<Dentry> {
        let inode = superblock.fs().root();
        Dentry::new(superblock, inode, None, Arc::from(&b"/"[..]))
    }

    /// A name outside of any directory (anonymous inodes, unnamed files); `name` is only shown.
    pub fn unattached(
        superblock: Arc<Superblock>,
        inode: Arc<dyn Inode>,
        name: &[u8],
    ) -> Arc<Dentry> {
        Dentry::new(superblock, inode, None, Arc::from(name))
    }

    /// A file made in `directory` without a name (`O_TMPFILE`); shown as a deleted `name`.
    pub fn unnamed(directory: &Arc<Dentry>, inode: Arc<dyn Inode>, name: &[u8]) -> Arc<Dentry> {
        let parent = Some(directory.clone());
        let dentry = Dentry::new(directory.superblock.clone(), inode, parent, Arc::from(name));
        dentry.is_deleted.store(true, Ordering::Release);
        dentry
    }

    fn new(
        superblock: Arc<Superblock>,
        inode: Arc<dyn Inode>,
        parent: Option<Arc<Dentry>>,
        name: Arc<[u8]>,
    ) -> Arc<Dentry> {
        let directory = (inode.kind() == FileKind::Directory).then(Box::<Directory>::default);
        Arc::new(Dentry {
            superblock,
            inode,
            place: Mutex::new(Rank::Dentry, Place { parent, name }),
            directory,
            mounts: AtomicU32::new(0),
            is_deleted: AtomicBool::new(false),
            is_used: AtomicBool::new(false),
            cache_key: AtomicUsize::new(NOT_CACHED),
        })
    }

    pub fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    pub fn superblock(&self) -> &Arc<Superblock> {
        &self.superblock
    }

    pub fn parent(&self) -> Option<Arc<Dentry>> {
        self.place.lock().parent.clone()
    }

    pub fn name(&self) -> Arc<[u8]> {
        self.place.lock().name.clone()
    }

    /// The directory it hangs in and its name there; `None` for a root and for unattached names.
    pub fn parent_and_name(&self) -> Option<(Arc<Dentry>, Arc<[u8]>)> {
        let place = self.place.lock();
        Some((place.parent.clone()?, place.name.clone()))
    }

    /// Inode number of the parent directory, for `..` in listings.
    pub fn parent_inode_number(&self) -> Result<u64, Errno> {
        match self.parent() {
            Some(parent) => Ok(parent.inode.attributes()?.inode),
            None => Ok(self.inode.attributes()?.inode),
        }
    }

    /// Whether the name was removed.
    pub fn is_deleted(&self) -> bool {
        self.is_deleted.load(Ordering::Acquire)
    }

    pub fn is_mountpoint(&self) -> bool {
        self.mounts.load(Ordering::Acquire) > 0
    }

    pub(super) fn add_mount(&self) {
        self.mounts.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn remove_mount(&self) {
        self.mounts.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether `self` is `other` or lies below it. Only stable under the superblock's rename lock.
    pub fn is_within(self: &Arc<Self>, other: &Arc<Dentry>) -> bool {
        let mut current = Some(self.clone());
        while let Some(dentry) = current {
            if Arc::ptr_eq(&dentry, other) {
                return true;
            }
            current = dentry.parent();
        }
        false
    }

    /// Marks the name as gone. Its inode lives on while it is open.
    fn mark_deleted(&self) {
        self.is_deleted.store(true, Ordering::Release);
        self.superblock.forget(self);
    }

    fn mark_used(&self) {
        if !self.is_used.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn take_used(&self) -> bool {
        self.is_used.swap(false, Ordering::Relaxed)
    }

    pub(super) fn cache_key(&self) -> Option<usize> {
        let key = self.cache_key.load(Ordering::Relaxed);
        (key != NOT_CACHED).then_some(key)
    }

    pub(super) fn set_cache_key(&self, key: Option<usize>) {
        self.cache_key.store(key.unwrap_or(NOT_CACHED), Ordering::Relaxed);
    }

    /// Takes the dentry, whose last reference is gone, out of its parent.
    fn leave_parent(&mut self) -> Option<Arc<Dentry>> {
        let place = self.place.get_mut();
        let parent = place.parent.take()?;
        if let Some(directory) = &parent.directory {
            directory.remove_dead(&place.name);
        }
        Some(parent)
    }
}

impl Drop for Dentry {
    /// Lets go of the ancestors one by one: a guest may nest directories deeper than our stack.
    fn drop(&mut self) {
        let mut parent = self.leave_parent();
        while let Some(dentry) = parent {
            parent = Arc::into_inner(dentry).and_then(|mut dentry| dentry.leave_parent());
        }
    }
}
