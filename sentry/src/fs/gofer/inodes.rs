//! The inodes in use, by host identity: makes sure that one host file is one inode.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use gofer_protocol::Attr;
use linux_abi::time::Timespec;

use super::attributes::CachedAttributes;
use super::export::Export;
use super::foretold::Absent;
use super::inode::GoferInode;
use crate::hash::HashMap;
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

    pub(super) fn number(&self) -> HostNumber {
        self.number
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

/// What we tell of a directory that was made quietly: it stays so when the host has told its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) inode: u64,
    pub(super) created: Option<Timespec>,
}

impl Told {
    /// `attributes`, as the host tells them, with this.
    pub(super) fn applied_to(&self, attributes: Attributes) -> Attributes {
        let Told { inode, created } = *self;
        Attributes { inode, created, ..attributes }
    }
}

/// Where numbers begin that we choose: no local file system of the host comes as far. Programs that
/// compute with floating-point numbers tell them apart.
const TOLD_FIRST: u64 = 1 << 52;
/// Most directories whose numbers are remembered.
const TOLD_MAX: usize = 1 << 16;

/// Whether some changes are refused to everybody (`chattr(1)`).
fn is_protected(attr: &Attr) -> bool {
    attr.attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND) != 0
}

/// The inodes in use.
pub(super) struct Inodes {
    table: Mutex<Table>,
    /// Directories that are known outside by a number of ours.
    told: Mutex<HashMap<HostNumber, (Identity, Told)>>,
    next: AtomicU64,
}

#[derive(Default)]
struct Table {
    inodes: HashMap<HostNumber, Weak<GoferInode>>,
    /// Of files that are not among them.
    foretold: Absent,
}

impl Default for Inodes {
    fn default() -> Inodes {
        Inodes {
            table: Mutex::new(Rank::Leaf, Table::default()),
            told: Mutex::new(Rank::Leaf, HashMap::default()),
            next: AtomicU64::new(TOLD_FIRST),
        }
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
        let told = self.told(&identity);
        // Outlives the guard: dropping an inode takes the lock.
        let known;
        let mut table = self.table.lock();
        known = table.inodes.get(&identity.number).and_then(Weak::upgrade);
        if let Some(inode) = &known
            && inode.known_identity() == Some(&identity)
        {
            let inode = inode.clone();
            drop(table);
            inode.note_found(attributes, asked_at);
            return inode;
        }
        let attributes = told.map_or(*attributes, |told| told.applied_to(*attributes));
        let mut attributes = CachedAttributes::new(attributes, asked_at);
        attributes.foretold.stay_with(table.foretold.take(&identity));
        let known = (identity.device(), Some(identity), told);
        let inode = GoferInode::new(export.clone(), known, is_protected(attr), attributes);
        table.inodes.insert(identity.number, Arc::downgrade(&inode));
        inode
    }

    /// Adds an inode whose identity was not known before; nobody else can have met its file.
    pub(super) fn introduce(&self, inode: &Arc<GoferInode>, identity: Identity) {
        let has_name = inode.state.lock().attributes.links() > 0;
        if let Some(told) = inode.told().filter(|_| has_name) {
            self.told.lock().insert(identity.number, (identity, told));
        }
        let mut table = self.table.lock();
        if inode.known_identity().is_none() {
            table.inodes.insert(identity.number, Arc::downgrade(inode));
            // Who sees it finds the inode in the table.
            inode.set_identity(identity);
        }
    }

    /// Those that are in use and known.
    pub(super) fn all(&self) -> Vec<Arc<GoferInode>> {
        self.table.lock().inodes.values().filter_map(Weak::upgrade).collect()
    }

    /// Forgets an inode that is being dropped, but not the change time that was told of its file.
    pub(super) fn forget_dead(&self, identity: &Identity, foretold: Option<Timespec>) {
        let table = &mut *self.table.lock();
        let known = table.inodes.get(&identity.number);
        if known.is_some_and(|weak| weak.strong_count() == 0) {
            table.inodes.remove(&identity.number);
            if let Some(told) = foretold {
                table.foretold.keep(*identity, told);
            }
        }
    }

    /// Forgets the inode of a file that was removed: its number may soon be another's.
    pub(super) fn forget_removed(&self, inode: &GoferInode) {
        let Some(Identity { number, .. }) = inode.known_identity() else { return };
        if inode.told().is_some() {
            self.told.lock().remove(number);
        }
        let mut table = self.table.lock();
        if table.inodes.get(number).is_some_and(|weak| std::ptr::eq(weak.as_ptr(), inode)) {
            table.inodes.remove(number);
        }
    }

    /// What a new directory is told to be, while there is room to remember it.
    pub(super) fn tell(&self, created: Option<Timespec>) -> Option<Told> {
        let has_room = self.told.lock().len() < TOLD_MAX;
        let next = || self.next.fetch_add(1, Ordering::Relaxed);
        has_room.then(|| Told { inode: next(), created })
    }

    fn told(&self, identity: &Identity) -> Option<Told> {
        let told = self.told.lock();
        let (known, told) = told.get(&identity.number)?;
        (known == identity).then_some(*told)
    }

    /// The number by which a directory is known that the host calls `ino`.
    pub(super) fn number(&self, dev: (u32, u32), ino: u64) -> u64 {
        let told = self.told.lock();
        told.get(&HostNumber { dev, ino }).map_or(ino, |(_, told)| told.inode)
    }
}
