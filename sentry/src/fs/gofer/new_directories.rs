//! Directories that are made without waiting.
//!
//! Where the gofer has just made files with space to spare (`unnamed`), nothing can prevent that a directory
//! is made too, and what it will be like was seen of the one before. So the request is a quiet one. It
//! chooses the node, by which later ones name the new directory, and we choose its inode number ([`Told`]).
//!
//! The host has a number of its own for it. We are told that with the first answer about the directory
//! (`GoferInode::recognises`); until then the inode has no identity and is found as a child of its directory
//! only, so it is kept ([`Unmet`]). Afterwards the number that we have chosen is found by the host's
//! for as long as the directory exists (`Inodes`).
//!
//! Divergence: the inode number of a new directory is not the host's.

use std::sync::Arc;

use gofer_protocol::client::reply::Created;
use gofer_protocol::{Client, MAX_ATTR_NODES, NewNode as WireNode};
use linux_abi::Errno;
use platform::host;
use platform::host::time::Clock;

use super::attributes::{CachedAttributes, from_attr, time_stamp};
use super::export::{Export, Node};
use super::inode::GoferInode;
use super::row::Row;
use super::unnamed::LINKS_MAX;
use crate::sync::{Mutex, Rank};
use crate::vfs::{Attributes, NewNode};

/// Most directories of which the host has told nothing.
const UNMET_MAX: usize = 1 << 10;

/// Directories of which the host has told nothing yet.
pub(super) struct Unmet(Mutex<Row<Arc<GoferInode>>>);

impl Default for Unmet {
    fn default() -> Unmet {
        Unmet(Mutex::new(Rank::Leaf, Row::default()))
    }
}

impl Unmet {
    /// Adds one; whether there are too many now.
    fn add(&self, directory: &Arc<GoferInode>) -> bool {
        let mut unmet = self.0.lock();
        directory.seats.unmet.set(unmet.push(directory.clone()));
        unmet.len() > UNMET_MAX
    }

    /// Removes one that was met, or is gone.
    pub(super) fn remove(&self, directory: &GoferInode) {
        if directory.told().is_some() {
            // Outlives the guard.
            let _directory;
            let mut unmet = self.0.lock();
            _directory = unmet.remove(directory.seats.unmet.take());
        }
    }

    /// Takes the first ones out.
    fn take(&self) -> Vec<Arc<GoferInode>> {
        let mut unmet = self.0.lock();
        let first = std::iter::from_fn(|| {
            let directory = unmet.pop()?;
            directory.seats.unmet.take();
            Some(directory)
        });
        first.take(MAX_ATTR_NODES).collect()
    }
}

impl Export {
    /// Asks about the directories that were made first; whether there were any.
    fn meet_some(&self) -> bool {
        let directories = self.unmet.take();
        if directories.is_empty() {
            return false;
        }
        self.client().await_quiet();
        let questions: Vec<_> = directories.iter().filter_map(|it| it.question()).collect();
        if !questions.is_empty() {
            self.ask(&questions);
        }
        true
    }

    /// Asks about all directories of which the host has told nothing.
    pub(super) fn meet_all(&self) {
        while self.meet_some() {}
    }
}

impl GoferInode {
    /// Makes a directory that nobody waits for; none if it has to be waited for.
    ///
    /// Errors: EIO.
    pub(super) fn make_directory_quietly(
        &self,
        name: &[u8],
        new: &NewNode<'_>,
    ) -> Result<Option<Arc<GoferInode>>, Errno> {
        if !self.export.makes_unnamed(self.device())
            || self.state.lock().attributes.links() >= LINKS_MAX
            || !self.surely_lacks(name)
            || !self.export.nodes.has_room()
        {
            return Ok(None);
        }
        let kind = (new.permissions, new.uid, new.gid);
        let now = host::time::now(Clock::Monotonic);
        let Some(like) = self.pool().take_directory(kind, now) else { return Ok(None) };
        let numbered = self.state.lock().attributes.device();
        let Some(like) = from_attr(&like, numbered) else { return Ok(None) };
        let time = time_stamp();
        let Some(told) = self.export.inodes.tell(like.created.map(|_| time)) else {
            return Ok(None);
        };
        let dir = self.node()?;
        let (mode, uid, gid) = kind;
        let wire = WireNode { mode, uid, gid, wants_node: true };
        let make = |client: &Client| client.mkdir_quietly(dir.id(), name, wire);
        let Some(node) = self.after(self.export.call(make))? else { return Ok(None) };
        let node = Node::new(&self.export, node);
        self.note_entry_changed(None, 1);
        let like = told.applied_to(Attributes { accessed: time, ..like });
        let attributes = CachedAttributes::of_new_directory(like);
        let known = (self.device(), None, Some(told));
        let made = GoferInode::new(self.export.clone(), known, false, attributes);
        made.keep_node(node);
        made.note_quiet();
        self.place_child(Arc::from(name), &made)?;
        if self.export.unmet.add(&made) {
            self.export.meet_some();
        }
        Ok(Some(made))
    }

    /// Remembers what a directory is like that was made here just now.
    pub(super) fn note_new_directory(&self, new: &NewNode<'_>, made: &Created) {
        let is_as_asked = made.owner_error.is_none();
        if is_as_asked && self.export.takes_for_granted(self.device()) {
            self.pool().note_directory((new.permissions, new.uid, new.gid), made.attr);
        }
    }

    /// The nearest directory with the same pool of which the host has told something: those below it may
    /// have to be made first.
    pub(super) fn nearest_known(&self) -> Result<Arc<GoferInode>, Errno> {
        let pool = self.pool();
        let mut dir = self.shared()?;
        while dir.known_identity().is_none() {
            let Some(place) = dir.state.lock().place.clone() else { break };
            if !Arc::ptr_eq(&place.parent.pool(), &pool) {
                break;
            }
            dir = place.parent;
        }
        Ok(dir)
    }
}
