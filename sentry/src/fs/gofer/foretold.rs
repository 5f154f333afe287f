//! Change times that are told before the host has set them.
//!
//! A quiet request that names, links, renames, unlinks or changes a file moves its change time when the host
//! comes to it. Whoever asks for the attributes meanwhile need not wait for that: all but this time is known
//! or told by the file's descriptor. We tell the time of our request then, and stay with it until something
//! happens to the file again: each change bumps the version of its attributes, or is something written
//! ([`GoferInode::note_written`]). While somebody may write, nothing is foretold.
//!
//! Divergence: another sandbox that gets the same tree later sees the host's own time, which is up to a
//! fifth of a second later.

use std::sync::atomic::Ordering;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, S_ISGID, S_ISUID};
use linux_abi::time::Timespec;
use platform::host;

use super::attributes::{CachedAttributes, merge};
use super::inode::GoferInode;
use super::inodes::{HostNumber, Identity};
use crate::hash::HashMap;
use crate::vfs::Attributes;

/// Most files whose times are remembered while they have no inode.
const ABSENT_MAX: usize = 1 << 12;

/// What is told of a file's change time.
#[derive(Default)]
pub(super) struct Foretold {
    /// When the last quiet request was sent that moves it.
    moved_at: Option<Timespec>,
    /// What was told since, and holds as long as [`GoferInode::is_foretold`] says so.
    told: Option<Timespec>,
}

/// Times that were told of files that have no inode now.
#[derive(Default)]
pub(super) struct Absent(HashMap<HostNumber, (Identity, Timespec)>);

impl Foretold {
    /// Something has happened to the file.
    pub(super) fn take_back(&mut self) {
        *self = Foretold::default();
    }

    pub(super) fn told(&self) -> Option<Timespec> {
        self.told
    }

    pub(super) fn stay_with(&mut self, told: Option<Timespec>) {
        self.told = told;
    }
}

impl Absent {
    pub(super) fn keep(&mut self, identity: Identity, told: Timespec) {
        if self.0.len() < ABSENT_MAX && identity.is_certain() {
            self.0.insert(identity.number(), (identity, told));
        }
    }

    /// What was told of a file that is met again.
    pub(super) fn take(&mut self, identity: &Identity) -> Option<Timespec> {
        let (known, told) = self.0.remove(&identity.number())?;
        (known == *identity).then_some(told)
    }
}

fn later(one: Timespec, other: Timespec) -> Timespec {
    if (one.sec, one.nsec) < (other.sec, other.nsec) { other } else { one }
}

impl CachedAttributes {
    /// A quiet request was sent at `now` that moves the change time.
    pub(super) fn foretell(&mut self, now: Timespec) {
        if self.kind() == FileKind::Regular {
            self.foretold = Foretold { moved_at: Some(now), told: None };
        }
    }
}

impl GoferInode {
    /// The attributes of a file that quiet requests concern which may not have been served; none if it has
    /// to be waited for, or there are none.
    pub(super) fn foretold_attributes(&self) -> Result<Option<Attributes>, Errno> {
        let (known, version, writers, moved_at, is_being_named, fd) = {
            let state = self.state.lock();
            let attributes = &state.attributes;
            let is_served = |mark| self.export.client().is_served(mark);
            let Some(moved_at) = attributes.foretold.moved_at else { return Ok(None) };
            let is_being_named = !is_served(state.name_mark);
            if (!is_being_named && is_served(state.quiet_mark)) || !is_served(state.times_mark) {
                return Ok(None);
            }
            let (may_be_written, writers) = state.descriptors.writers();
            let fd = state.descriptors.any().filter(|_| !may_be_written);
            let (Some(known), Some(fd)) = (attributes.accounted(), fd) else { return Ok(None) };
            // The host takes these away when it likes.
            if known.permissions & (S_ISUID | S_ISGID) != 0 {
                return Ok(None);
            }
            (*known, attributes.version(), writers, moved_at, is_being_named, fd)
        };
        let now = merge(&known, &host::fs::stat(&fd)?);
        let changed = later(now.changed, moved_at);
        let mut state = self.state.lock();
        let is_overtaken = state.attributes.version() != version
            || state.descriptors.writers() != (false, writers);
        if is_overtaken {
            return Ok(None);
        }
        // The first answer holds.
        let changed = match self.is_foretold.swap(true, Ordering::AcqRel) {
            true => state.attributes.foretold.told.unwrap_or(changed),
            false => changed,
        };
        state.attributes.foretold.told = Some(changed);
        let Attributes { links, permissions, .. } = known;
        let accessed =
            if is_being_named { later(now.accessed, now.modified) } else { now.accessed };
        Ok(Some(Attributes { links, permissions, accessed, changed, ..now }))
    }

    /// `attributes` as the host tells them, with the change time that was told before.
    pub(super) fn with_foretold(&self, attributes: Attributes) -> Attributes {
        if !self.is_foretold.load(Ordering::Acquire) {
            return attributes;
        }
        let told = self.state.lock().attributes.foretold.told;
        Attributes { changed: told.unwrap_or(attributes.changed), ..attributes }
    }

    /// What was told of the file and still holds, while its inode is being dropped.
    pub(super) fn last_foretold(&mut self) -> Option<Timespec> {
        let is_foretold = *self.is_foretold.get_mut();
        let attributes = &self.state.get_mut().attributes;
        attributes.foretold.told.filter(|_| is_foretold && attributes.links() > 0)
    }
}
