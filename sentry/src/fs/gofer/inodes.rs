//! The inodes in use, by host identity: makes sure that one host file is one inode.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use gofer_protocol::Attr;

use super::export::Export;
use super::inode::GoferInode;
use crate::sync::{Mutex, Rank};
use crate::vfs::Attributes;

/// `STATX_BTIME`.
const STATX_BTIME: u32 = 0x800;
const STATX_ATTR_IMMUTABLE: u64 = 0x10;
const STATX_ATTR_APPEND: u64 = 0x20;

/// What the host calls the file now; another file may have it after this one is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct HostNumber {
    dev: (u32, u32),
    ino: u64,
}

/// A host file: what stays the same over its life, and tells it from a later one with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    number: HostNumber,
    file_type: u32,
    /// Birth time, where the host's file system keeps it.
    birth: Option<(i64, u64)>,
}

impl Identity {
    pub(super) fn of(attr: &Attr) -> Identity {
        let birth = attr.mask & STATX_BTIME != 0;
        Identity {
            number: HostNumber { dev: attr.dev(), ino: attr.ino },
            file_type: attr.file_type(),
            birth: birth.then_some((attr.btime.sec, attr.btime.nsec)),
        }
    }

    pub(super) fn device(&self) -> (u32, u32) {
        self.number.dev
    }

    /// The inode number.
    pub(super) fn ino(&self) -> u64 {
        self.number.ino
    }

    /// Whether another file can never be taken for this one.
    pub(super) fn is_certain(&self) -> bool {
        self.birth.is_some()
    }
}

/// Whether some changes are refused to everybody (`chattr(1)`).
fn is_protected(attr: &Attr) -> bool {
    attr.attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND) != 0
}

/// The inodes in use.
pub(super) struct Inodes {
    table: Mutex<HashMap<HostNumber, Weak<GoferInode>>>,
}

impl Default for Inodes {
    fn default() -> Inodes {
        Inodes { table: Mutex::new(Rank::Leaf, HashMap::new()) }
    }
}

impl Inodes {
    /// The inode of the file that `attr` (the same as `attributes`) describes.
    pub(super) fn find_or_make(
        &self,
        export: &Arc<Export>,
        attr: &Attr,
        attributes: &Attributes,
        asked_at: Option<Duration>,
    ) -> Arc<GoferInode> {
        let identity = Identity::of(attr);
        // Outlives the guard: dropping an inode takes the lock.
        let known;
        let mut table = self.table.lock();
        known = table.get(&identity.number).and_then(Weak::upgrade);
        if let Some(inode) = &known
            && inode.known_identity() == Some(&identity)
        {
            let inode = inode.clone();
            drop(table);
            inode.note_found(attributes, asked_at);
            return inode;
        }
        let inode =
            GoferInode::new(export.clone(), identity, is_protected(attr), *attributes, asked_at);
        table.insert(identity.number, Arc::downgrade(&inode));
        inode
    }

    /// Adds an inode whose identity was not known before; nobody else can have met its file.
    pub(super) fn introduce(&self, inode: &Arc<GoferInode>, identity: Identity) {
        let mut table = self.table.lock();
        if inode.known_identity().is_none() {
            table.insert(identity.number, Arc::downgrade(inode));
            // Who sees it finds the inode in the table.
            inode.set_identity(identity);
        }
    }

    /// Those that are in use and known.
    pub(super) fn all(&self) -> Vec<Arc<GoferInode>> {
        self.table.lock().values().filter_map(Weak::upgrade).collect()
    }

    /// Forgets an inode that is being dropped.
    pub(super) fn forget_dead(&self, identity: &Identity) {
        let mut table = self.table.lock();
        if table.get(&identity.number).is_some_and(|weak| weak.strong_count() == 0) {
            table.remove(&identity.number);
        }
    }

    /// Forgets the inode of a file that was removed: its number may soon be another's.
    pub(super) fn forget_removed(&self, inode: &GoferInode) {
        let Some(Identity { number, .. }) = inode.known_identity() else { return };
        let mut table = self.table.lock();
        if table.get(number).is_some_and(|weak| std::ptr::eq(weak.as_ptr(), inode)) {
            table.remove(number);
        }
    }
}
