//! Finding inodes by name, and nodes by inode.

use std::sync::Arc;
use std::time::Duration;

use gofer_protocol::{Attr, Client, MAX_WALK_NAMES, NodeId, Target, WalkFlags, WalkReply};
use linux_abi::Errno;
use linux_abi::fs::FileKind;

use super::attributes::asking_time;
use super::budget::Answer;
use super::export::Node;
use super::inode::{GoferInode, Place};
use super::inodes::Identity;
use crate::vfs::Inode;

/// How often a node is looked for anew when a rename came in between.
const ATTEMPTS: usize = 3;

/// A part of a tree that a walk went through.
struct Walked {
    asked_at: Option<Duration>,
    entries: Vec<(Attr, Option<Node>)>,
    link_target: Option<Vec<u8>>,
    error: Option<Errno>,
}

impl GoferInode {
    /// Finds an entry of this directory. Errors: ENOENT, ENOTDIR, ESTALE, EIO.
    pub(super) fn find(&self, name: &[u8]) -> Result<Arc<GoferInode>, Errno> {
        if self.take_absent(name) {
            return Err(Errno::ENOENT);
        }
        let walked = self.walk(&[name], WalkFlags::DIRECTORY_NODES)?;
        let error = walked.error;
        let found = self.adopt_all(&[name], walked)?.pop();
        found.ok_or(error.unwrap_or(Errno::EIO))
    }

    /// Finds as many of `names`, one below the other, as one round trip can.
    pub(super) fn find_chain(&self, names: &[&[u8]]) -> Result<Vec<Arc<GoferInode>>, Errno> {
        if self.kind() != FileKind::Directory || names.is_empty() {
            return Ok(Vec::new());
        }
        let names = &names[..names.len().min(MAX_WALK_NAMES)];
        let walked = self.walk(names, WalkFlags::DIRECTORY_NODES)?;
        let is_absent = walked.error == Some(Errno::ENOENT);
        let found = self.adopt_all(names, walked)?;
        if is_absent && let Some(name) = names.get(found.len()) {
            found.last().map_or(self, |last| last).note_absent(name);
        }
        Ok(found)
    }

    /// Remembers for the lookup that follows that there is no `name` here.
    fn note_absent(&self, name: &[u8]) {
        if self.export.is_exclusive() {
            let mut state = self.state.lock();
            state.absent = Some((Arc::from(name), state.attributes.version()));
        }
    }

    /// Whether a walk found lately that there is no `name` here, and nothing has changed since.
    fn take_absent(&self, name: &[u8]) -> bool {
        let mut state = self.state.lock();
        let Some((absent, version)) = state.absent.take() else { return false };
        *absent == *name && version == state.attributes.version()
    }

    fn walk(&self, names: &[&[u8]], flags: WalkFlags) -> Result<Walked, Errno> {
        let node = self.node()?;
        let asked_at = asking_time();
        let walk = |client: &Client| client.walk(node.id(), names, flags);
        let walked = self.take_over(self.export.call(walk)?, asked_at);
        if walked.error != Some(Errno::ENFILE) {
            return Ok(walked);
        }
        drop(walked);
        self.export.give_nodes_back();
        self.export.call(walk).map(|reply| self.take_over(reply, asked_at))
    }

    /// Makes sure that each node of the reply is given back some time.
    fn take_over(&self, reply: WalkReply, asked_at: Option<Duration>) -> Walked {
        let own = |node: NodeId| Node::new(&self.export, node);
        let entries = reply.entries.into_iter().map(|entry| (entry.attr, entry.node.map(own)));
        Walked {
            asked_at,
            entries: entries.collect(),
            link_target: reply.symlink,
            error: reply.error,
        }
    }

    /// The inodes of what a walk from here found, one below the other.
    fn adopt_all(&self, names: &[&[u8]], walked: Walked) -> Result<Vec<Arc<GoferInode>>, Errno> {
        let mut parent = self.shared()?;
        let mut found = Vec::with_capacity(walked.entries.len());
        for (name, (attr, node)) in names.iter().zip(walked.entries) {
            let inode = parent.adopt(name, &attr, node, walked.asked_at)?;
            found.push(inode.clone());
            parent = inode;
        }
        if let (Some(last), Some(target)) = (found.last(), walked.link_target) {
            last.keep_link_target(&target);
        }
        Ok(found)
    }

    /// The inode of what the gofer found as `name` in this directory.
    pub(super) fn adopt(
        &self,
        name: &[u8],
        attr: &Attr,
        node: Option<Node>,
        asked_at: Option<Duration>,
    ) -> Result<Arc<GoferInode>, Errno> {
        let inode = self.export.inode(attr, node, asked_at)?;
        self.place_child(Arc::from(name), &inode)?;
        Ok(inode)
    }

    /// Notes that `child` is what this directory has as `name`.
    pub(super) fn place_child(
        &self,
        name: Arc<[u8]>,
        child: &Arc<GoferInode>,
    ) -> Result<(), Errno> {
        let parent = self.shared()?;
        self.state.lock().children.insert(name.clone(), Arc::downgrade(child));
        // A place goes only when its lock is free: its directory may go with it.
        let _old = child.state.lock().place.replace(Place { parent, name });
        Ok(())
    }

    /// The inode in use that this directory has as `name`, as far as known.
    pub(super) fn known_child(&self, name: &[u8]) -> Option<Arc<GoferInode>> {
        let weak = self.state.lock().children.get(name).cloned();
        weak.and_then(|weak| weak.upgrade())
    }

    pub(super) fn forget_child(&self, name: &[u8]) {
        self.state.lock().children.remove(name);
    }

    pub(super) fn forget_dead_child(&self, name: &[u8]) {
        let mut state = self.state.lock();
        if state.children.get(name).is_some_and(|weak| weak.strong_count() == 0) {
            state.children.remove(name);
        }
    }

    /// Whether this directory of a shared tree still has `child` as `name`; refreshes its
    /// attributes.
    pub(super) fn still_has(&self, name: &[u8], child: &Arc<dyn Inode>) -> bool {
        let Some(child) = child.as_any().downcast_ref::<GoferInode>() else { return false };
        let asked = child.asking();
        let attr = self.with_node(|client, node| client.get_attr(Target::child(node, name)));
        let Ok(attr) = attr else { return false };
        if Identity::of(&attr) != *child.identity() {
            return false;
        }
        child.note_attr(&attr, asked);
        child.shared().and_then(|child| self.place_child(Arc::from(name), &child)).is_ok()
    }

    /// The node of this object; found again by name if it was given back.
    ///
    /// Errors: ESTALE when another file, or none, has its name now.
    pub(super) fn node(&self) -> Result<Arc<Node>, Errno> {
        let mut failures = 0;
        while failures < ATTEMPTS {
            {
                let mut state = self.state.lock();
                state.is_node_used = true;
                if let Some(node) = &state.node {
                    return Ok(node.clone());
                }
            }
            match self.find_node() {
                // A part of the way, if it is long.
                Ok(()) => {}
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ESTALE) => failures += 1,
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::ESTALE)
    }

    /// Walks from the nearest ancestor with a node down to here, or a part of the way.
    fn find_node(&self) -> Result<(), Errno> {
        let mut current = self.shared()?;
        let mut way: Vec<(Arc<[u8]>, Arc<GoferInode>)> = Vec::new();
        loop {
            let place = {
                let state = current.state.lock();
                if state.node.is_some() { None } else { state.place.clone() }
            };
            match place {
                Some(Place { parent, name }) => {
                    way.push((name, current));
                    current = parent;
                }
                None if current.state.lock().node.is_some() => break,
                None => return Err(Errno::ESTALE),
            }
        }
        way.reverse();
        way.truncate(MAX_WALK_NAMES);
        let names: Vec<&[u8]> = way.iter().map(|(name, _)| &**name).collect();
        if names.is_empty() {
            return Ok(());
        }
        let walked = current.walk(&names, WalkFlags::DIRECTORY_NODES | WalkFlags::FILE_NODE)?;
        let error = walked.error;
        let count = walked.entries.len();
        for ((_, inode), (attr, node)) in way.iter().zip(walked.entries) {
            if Identity::of(&attr) != *inode.identity() {
                return Err(Errno::ESTALE);
            }
            if let Some(node) = node {
                inode.keep_node(node);
            }
        }
        if count < way.len() { Err(error.unwrap_or(Errno::ESTALE)) } else { Ok(()) }
    }

    /// Keeps `node` unless there is one already.
    pub(super) fn keep_node(self: &Arc<Self>, node: Node) {
        let node = Arc::new(node);
        let is_new = {
            let mut state = self.state.lock();
            let is_new = state.node.is_none();
            if is_new {
                state.node = Some(node.clone());
            }
            is_new
        };
        // The root's node is never given back.
        if is_new && node.id() != NodeId::ROOT {
            self.export.nodes.add(self, GoferInode::give_node_back);
        }
    }

    /// Gives the node back if it can be found again and nobody has used it lately.
    pub(super) fn give_node_back(&self) -> Answer {
        let _node = {
            let mut state = self.state.lock();
            let was_used = std::mem::take(&mut state.is_node_used);
            let is_busy = state.node.as_ref().is_some_and(|node| Arc::strong_count(node) > 1);
            if was_used || is_busy || state.place.is_none() {
                return Answer::Keeps;
            }
            state.node.take()
        };
        Answer::LetGo
    }
}
