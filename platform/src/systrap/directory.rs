//! Which threads the table of an address space leads to ([`layout`]).
//!
//! Two threads can have the same FS.base: when a thread or process that shares the memory starts
//! without one of its own. Neither is in the table then, for each would be taken for the other. A parent
//! that waits in the stub for the end of its `vfork` does not count. FS.base is known
//! of a thread when it leaves the stub; one that user code loads by itself is in no entry, and so
//! not found. (A guest that exchanges the FS.bases of running threads so exchanges what the
//! stub takes them for, too.)
//!
//! **Invariant:** an entry changes from one thread's to another's only while the first is in the
//! stub, or gone. In between it is empty.
//!
//! [`layout`]: super::layout

use std::collections::HashMap;
use std::mem::offset_of;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::channel::{Channel, SlotMemory};
use super::layout::{FAST_OFFSET, Fast};

/// The threads of an address space.
#[derive(Default)]
pub(super) struct Directory {
    inner: Mutex<Inner>,
    /// Counts what may make another thread welcome or unwelcome.
    version: AtomicU64,
}

#[derive(Default)]
struct Inner {
    /// Slots, by the FS.base that their threads have.
    users: HashMap<u64, Vec<u64>>,
    /// Slots, by the entry that is theirs.
    owners: HashMap<u16, u64>,
}

/// What the directory knows of one thread.
#[derive(Debug, Default)]
pub(super) struct Listing {
    fs_base: Option<u64>,
    wants: bool,
    version: u64,
    /// Whether the table leads to the thread, if it still has its FS.base.
    is_listed: bool,
}

impl Listing {
    /// Whether the thread can be found.
    pub(super) fn is_listed(&self) -> bool {
        self.is_listed
    }
}

impl Directory {
    /// Notes with which FS.base a thread in the stub goes on, and whether it wants to be found.
    pub(super) fn update(
        &self,
        memory: &SlotMemory,
        listing: &mut Listing,
        fs_base: u64,
        wants: bool,
    ) {
        let version = self.version.load(Ordering::SeqCst);
        if listing.fs_base == Some(fs_base) && listing.wants == wants && listing.version == version
        {
            return;
        }
        let mut inner = self.inner.lock();
        let slot = memory.index;
        if listing.fs_base != Some(fs_base) {
            self.forget_base(&mut inner, memory, listing);
            inner.give_up(memory, listing);
            let users = inner.users.entry(fs_base).or_default();
            users.push(slot);
            if users.len() > 1 {
                inner.empty(memory, fs_base);
                self.version.fetch_add(1, Ordering::SeqCst);
            }
            listing.fs_base = Some(fs_base);
        }
        let is_alone = inner.users.get(&fs_base).is_some_and(|users| users.len() == 1);
        let owner = inner.owners.get(&entry(fs_base)).copied();
        if wants && is_alone && owner.is_none_or(|owner| owner == slot) {
            inner.owners.insert(entry(fs_base), slot);
            let place = FAST_OFFSET + offset_of!(Fast, negated_fs_base) as u64;
            memory.write(place, &fs_base.wrapping_neg());
            memory.channel().set_entry(entry(fs_base), memory.address() + FAST_OFFSET);
            listing.is_listed = true;
        } else {
            inner.give_up(memory, listing);
        }
        listing.wants = wants;
        listing.version = self.version.load(Ordering::SeqCst);
    }

    /// Lets nobody find a thread, which is trapped but maybe not in the stub, until its next update.
    pub(super) fn hide(&self, memory: &SlotMemory, listing: &mut Listing) {
        let _inner = self.inner.lock();
        if let Some(fs_base) = listing.fs_base.filter(|_| listing.is_listed) {
            memory.channel().set_entry(entry(fs_base), 0);
            listing.version = u64::MAX;
        }
    }

    /// Whether a thread that was found changes memory by itself just now.
    pub(super) fn is_changing(&self, channel: &Channel) -> bool {
        let inner = self.inner.lock();
        inner.owners.values().any(|&slot| channel.is_changing(slot))
    }

    /// Takes a thread out that ends, or rests in the stub until its next update. If it may still run guest
    /// code (`may_run`), its entry stays empty.
    pub(super) fn remove(&self, memory: &SlotMemory, listing: &mut Listing, may_run: bool) {
        let mut inner = self.inner.lock();
        self.forget_base(&mut inner, memory, listing);
        if !may_run {
            inner.give_up(memory, listing);
        } else if let Some(fs_base) = listing.fs_base.filter(|_| listing.is_listed) {
            memory.channel().set_entry(entry(fs_base), 0);
        }
        *listing = Listing::default();
    }

    fn forget_base(&self, inner: &mut Inner, memory: &SlotMemory, listing: &Listing) {
        let Some(old) = listing.fs_base else { return };
        let Some(users) = inner.users.get_mut(&old) else { return };
        users.retain(|&user| user != memory.index);
        if users.is_empty() {
            inner.users.remove(&old);
        } else {
            self.version.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Inner {
    /// Takes the thread's own entry away.
    fn give_up(&mut self, memory: &SlotMemory, listing: &mut Listing) {
        let Some(fs_base) = listing.fs_base.filter(|_| listing.is_listed) else { return };
        listing.is_listed = false;
        if self.owners.get(&entry(fs_base)) == Some(&memory.index) {
            self.owners.remove(&entry(fs_base));
            memory.channel().set_entry(entry(fs_base), 0);
        }
    }

    /// Empties the entry of one of those that share an FS.base. It stays its owner's.
    fn empty(&self, memory: &SlotMemory, fs_base: u64) {
        let owner = self.owners.get(&entry(fs_base));
        let users = self.users.get(&fs_base);
        if owner.is_some_and(|owner| users.is_some_and(|users| users.contains(owner))) {
            memory.channel().set_entry(entry(fs_base), 0);
        }
    }
}

/// The entry for an FS.base: what trampolines compute with `crc32`, the lower half.
fn entry(fs_base: u64) -> u16 {
    /// The polynomial of CRC-32C, reflected.
    const POLYNOMIAL: u64 = 0x82f6_3b78;
    (0..64).fold(fs_base, |crc, _| crc >> 1 ^ (POLYNOMIAL & (crc & 1).wrapping_neg())) as u16
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;
