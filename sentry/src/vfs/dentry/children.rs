//! A directory's cached names, and looking them up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use linux_abi::Errno;
use linux_abi::fs::NAME_MAX;

use super::{Dentry, is_same_inode};
use crate::hash::HashMap;
use crate::sync::{Mutex, Rank};
use crate::vfs::Inode;

/// How many absent names one directory remembers.
const ABSENT_NAMES: usize = 512;

/// The part of a dentry that only directories have.
pub(super) struct Directory {
    /// Held by a [`super::Change`].
    pub(super) change: Mutex<()>,
    /// Counts begun and ended changes: odd while one is going on.
    pub(super) generation: AtomicU64,
    children: Mutex<Children>,
}

#[derive(Default)]
struct Children {
    names: HashMap<Arc<[u8]>, Child>,
    absent: usize,
}

enum Child {
    Present(Weak<Dentry>),
    Absent,
}

/// What the cache knows of a name.
pub(in crate::vfs) enum Cached {
    Present(Arc<Dentry>),
    Absent,
    Unknown,
}

impl Default for Directory {
    fn default() -> Directory {
        Directory {
            change: Mutex::new(Rank::Directory, ()),
            generation: AtomicU64::new(0),
            children: Mutex::new(Rank::Dentry, Children::default()),
        }
    }
}

impl Children {
    fn set(&mut self, name: Arc<[u8]>, child: Child) -> Option<Child> {
        if matches!(child, Child::Absent) {
            if self.absent >= ABSENT_NAMES {
                self.names.retain(|_, child| matches!(child, Child::Present(_)));
                self.absent = 0;
            }
            self.absent += 1;
        }
        let old = self.names.insert(name, child);
        if matches!(old, Some(Child::Absent)) {
            self.absent -= 1;
        }
        old
    }

    fn remove(&mut self, name: &[u8]) -> Option<Child> {
        let old = self.names.remove(name);
        if matches!(old, Some(Child::Absent)) {
            self.absent -= 1;
        }
        old
    }
}

impl Directory {
    fn cached(&self, name: &[u8]) -> Cached {
        match self.children.lock().names.get(name) {
            Some(Child::Present(weak)) => weak.upgrade().map_or(Cached::Unknown, Cached::Present),
            Some(Child::Absent) => Cached::Absent,
            None => Cached::Unknown,
        }
    }

    /// Forgets `name` if its dentry is dead.
    pub(super) fn remove_dead(&self, name: &[u8]) {
        let mut children = self.children.lock();
        let is_dead =
            |child: &Child| matches!(child, Child::Present(weak) if weak.strong_count() == 0);
        if children.names.get(name).is_some_and(is_dead) {
            children.remove(name);
        }
    }

    /// The generation once no change is going on.
    fn settled_generation(&self) -> u64 {
        loop {
            let generation = self.generation.load(Ordering::Acquire);
            if generation.is_multiple_of(2) {
                return generation;
            }
            drop(self.change.lock());
        }
    }

    /// Makes `dentry` what the cache answers for its name. The caller holds the change lock.
    pub(super) fn set_present(&self, name: Arc<[u8]>, dentry: &Arc<Dentry>) {
        self.children.lock().set(name, Child::Present(Arc::downgrade(dentry)));
    }

    /// Forgets what the cache knows of `name`. The caller holds the change lock.
    pub(super) fn set_unknown(&self, name: &[u8]) {
        self.children.lock().remove(name);
    }

    pub(super) fn set_absent(&self, name: Arc<[u8]>) {
        self.children.lock().set(name, Child::Absent);
    }

    /// Remembers that `name` was absent at `generation`. False if the directory has changed since.
    fn note_absent(&self, name: &[u8], generation: u64) -> bool {
        let mut children = self.children.lock();
        let is_current = self.generation.load(Ordering::Acquire) == generation;
        if is_current {
            children.set(Arc::from(name), Child::Absent);
        }
        is_current
    }
}

impl Dentry {
    /// What the cache knows of `name` in this directory, without a look at the file system.
    ///
    /// Errors: ENOTDIR.
    pub(in crate::vfs) fn cached(&self, name: &[u8]) -> Result<Cached, Errno> {
        let cached = self.directory()?.cached(name);
        if let Cached::Present(dentry) = &cached {
            dentry.mark_used();
        }
        Ok(cached)
    }

    /// Finds `name` in this directory.
    ///
    /// Errors: ENOENT, ENOTDIR, ENAMETOOLONG and those of the file system.
    pub fn lookup(self: &Arc<Self>, name: &[u8]) -> Result<Arc<Dentry>, Errno> {
        if name.len() > NAME_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let is_volatile = self.superblock.fs().is_volatile();
        match self.cached(name)? {
            Cached::Present(child) if !is_volatile || self.inode.is_still(name, &child.inode) => {
                return Ok(child);
            }
            Cached::Absent if !is_volatile => return Err(Errno::ENOENT),
            _ => {}
        }
        let directory = self.directory()?;
        loop {
            let generation = directory.settled_generation();
            match self.inode.lookup(name) {
                Ok(inode) => {
                    if let Some(child) = self.insert_found(name, inode, generation) {
                        return Ok(child);
                    }
                }
                Err(Errno::ENOENT) => {
                    if is_volatile || directory.note_absent(name, generation) {
                        return Err(Errno::ENOENT);
                    }
                }
                Err(errno) => return Err(errno),
            }
        }
    }

    /// The generation of this directory, for [`super::Change::is_first_since`].
    ///
    /// Errors: ENOTDIR.
    pub(in crate::vfs) fn generation(&self) -> Result<u64, Errno> {
        Ok(self.directory()?.settled_generation())
    }

    /// Takes over what [`Inode::lookup_chain`] found as `name`, unless any directory of the file
    /// system has changed since `changes` was read.
    pub(in crate::vfs) fn adopt(
        self: &Arc<Self>,
        name: &[u8],
        inode: Arc<dyn Inode>,
        changes: u64,
    ) -> Option<Arc<Dentry>> {
        let directory = self.directory().ok()?;
        let generation = directory.settled_generation();
        if self.superblock.changes() != changes {
            return None;
        }
        self.insert_found(name, inode, generation)
    }

    /// The dentry for `inode` found as `name` at `generation`; `None` if the directory has changed
    /// since.
    fn insert_found(
        self: &Arc<Self>,
        name: &[u8],
        inode: Arc<dyn Inode>,
        generation: u64,
    ) -> Option<Arc<Dentry>> {
        let directory = self.directory().ok()?;
        // Kept beyond the lock: dropping the last reference locks the children again.
        let existing;
        let made;
        {
            let mut children = directory.children.lock();
            if directory.generation.load(Ordering::Acquire) != generation {
                return None;
            }
            existing = match children.names.get(name) {
                Some(Child::Present(weak)) => weak.upgrade(),
                _ => None,
            };
            made = match &existing {
                Some(child) if is_same_inode(&child.inode, &inode) => None,
                _ => {
                    let name: Arc<[u8]> = Arc::from(name);
                    let dentry = Dentry::new(
                        self.superblock.clone(),
                        inode,
                        Some(self.clone()),
                        name.clone(),
                    );
                    children.set(name, Child::Present(Arc::downgrade(&dentry)));
                    Some(dentry)
                }
            };
        }
        match (made, existing) {
            (Some(made), stale) => {
                if let Some(stale) = stale {
                    stale.mark_deleted();
                }
                self.superblock.keep(&made);
                Some(made)
            }
            (None, existing) => existing,
        }
    }

    pub(super) fn directory(&self) -> Result<&Directory, Errno> {
        self.directory.as_deref().ok_or(Errno::ENOTDIR)
    }
}
