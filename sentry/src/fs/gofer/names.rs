//! The names in directories that we made ourselves.
//!
//! In an exclusive export nobody but us puts anything into a directory, so of one that we have made
//! we know all names, and what it has not got needs no question, nor does a listing. The first is
//! what programs ask for before they make a file, the second before they remove a tree. The names are
//! forgotten with the inode, when they are too many, or when it is not certain what a failed request
//! has done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use linux_abi::Errno;
use linux_abi::fs::FileKind;

use super::inode::GoferInode;

/// All names in a directory, in the order in which they are listed.
pub(super) type Names = BTreeMap<Arc<[u8]>, Option<Named>>;

/// What a listing tells of an entry; not known of one that was renamed into it without being looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) inode: u64,
    pub(super) kind: FileKind,
}

/// Most names that are known of one directory, and of all directories of an export.
const NAMES_MAX: usize = 1 << 12;
const ALL_NAMES_MAX: usize = 1 << 16;

impl GoferInode {
    /// The directory was made just now.
    pub(super) fn is_new_and_empty(&self) {
        if self.export.is_exclusive() {
            self.state.lock().names = Some(Names::new());
        }
    }

    /// Whether the directory is known not to have `name`.
    pub(super) fn is_known_to_lack(&self, name: &[u8]) -> bool {
        self.state.lock().names.as_ref().is_some_and(|names| !names.contains_key(name))
    }

    /// Notes that the directory did not have `name` when its attributes had this version.
    pub(super) fn note_lacking(&self, name: &[u8], version: u64) {
        if !self.export.is_exclusive() {
            return;
        }
        let state = &mut *self.state.lock();
        if state.names.is_some() {
            return;
        }
        match &mut state.lacks {
            Some((known, at)) if **known == *name => *at = version,
            lacks => *lacks = Some((Arc::from(name), version)),
        }
    }

    /// Whether the directory, which the caller keeps from changing, certainly does not have `name`.
    pub(super) fn surely_lacks(&self, name: &[u8]) -> bool {
        let mut state = self.state.lock();
        if let Some(names) = &state.names {
            return !names.contains_key(name);
        }
        let version = state.attributes.version();
        let is_known = |(known, at): &(Arc<[u8]>, u64)| **known == *name && *at == version;
        state.lacks.as_ref().is_some_and(is_known)
            || self.kept_listing(&mut state).is_some_and(|kept| kept.number(name).is_none())
    }

    /// What is known of the entry `name`.
    pub(super) fn entry(&self, name: &[u8]) -> Option<Named> {
        self.state.lock().names.as_ref()?.get(name).copied().flatten()
    }

    /// Whether the directory is empty, as far as known.
    pub(super) fn is_known_to_be_empty(&self) -> Option<bool> {
        self.state.lock().names.as_ref().map(Names::is_empty)
    }

    /// The directory has `name`. A listing that was made of the names before is none any more.
    pub(super) fn learn_name(&self, name: &Arc<[u8]>, what: Option<Named>) {
        let named = &self.export.named;
        let is_too_much = {
            let mut state = self.state.lock();
            let Some(names) = &mut state.names else { return };
            let old = names.insert(name.clone(), what);
            if old == Some(what) {
                return;
            }
            if old.is_none() {
                named.fetch_add(1, Ordering::Relaxed);
            }
            let is_too_much =
                names.len() > NAMES_MAX || named.load(Ordering::Relaxed) > ALL_NAMES_MAX;
            state.attributes.outdate_rest();
            is_too_much
        };
        if is_too_much {
            self.forget_names();
        }
    }

    /// The directory has `name` no more.
    pub(super) fn unlearn_name(&self, name: &[u8]) {
        let mut state = self.state.lock();
        if state.names.as_mut().is_some_and(|names| names.remove(name).is_some()) {
            state.attributes.outdate_rest();
            self.export.named.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// It is not known any more what the directory has.
    pub(super) fn forget_names(&self) {
        let names = self.state.lock().names.take();
        if let Some(names) = names {
            self.export.named.fetch_sub(names.len(), Ordering::Relaxed);
        }
    }

    /// Passes on the result of a request to change the directory, of which the names are known
    /// afterwards only if it was successful.
    pub(super) fn after<T>(&self, result: Result<T, Errno>) -> Result<T, Errno> {
        if result.is_err() {
            self.forget_names();
            // Nor is a listing that is being read.
            self.outdate_names();
        }
        result
    }
}
