//! Directories that are made without waiting.
//!
//! Where the gofer has just made files with space to spare (`unnamed`), nothing can prevent that a directory
//! is made too, and what it will be like was seen of the one before. So the request is a quiet one. It
//! chooses the node, by which later ones name the new directory. What only the host can tell, the inode number
//! for one, is asked for when somebody wants to know (`GoferInode::recognises`); until then
//! the inode has no identity and is found as a child of its directory only.
//!
//! Divergence: the birth time of a new directory is up to a fifth of a second late.

use std::sync::Arc;

use gofer_protocol::client::reply::Created;
use gofer_protocol::{Client, NewNode as WireNode};
use linux_abi::Errno;
use platform::host;
use platform::host::time::Clock;

use super::attributes::{CachedAttributes, from_attr};
use super::export::Node;
use super::inode::GoferInode;
use super::unnamed::LINKS_MAX;
use crate::vfs::{Attributes, NewNode};

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
        let dir = self.node()?;
        let (mode, uid, gid) = kind;
        let wire = WireNode { mode, uid, gid, wants_node: true };
        let make = |client: &Client| client.mkdir_quietly(dir.id(), name, wire);
        let node = Node::new(&self.export, self.after(self.export.call(make))?);
        self.note_entry_changed(None, 1);
        let attributes = CachedAttributes::of_new_directory(Attributes { inode: 0, ..like });
        let made = GoferInode::with(self.export.clone(), self.device(), None, false, attributes);
        made.keep_node(node);
        made.note_quiet();
        self.place_child(Arc::from(name), &made)?;
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
