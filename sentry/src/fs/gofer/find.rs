//! Finding inodes by name.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use gofer_protocol::{
    Attr, Client, MAX_WALK_NAMES, NodeId, OpenFlags, Target, WalkFlags, WalkReply,
};
use linux_abi::Errno;
use linux_abi::fs::FileKind;

use super::attributes::{asking_time, is_of_this_operation};
use super::export::Node;
use super::inode::{GoferInode, Place};
use super::names::Named;
use crate::vfs::Inode;

/// A part of a tree that a walk went through.
pub(super) struct Walked {
    asked_at: Option<Duration>,
    pub(super) entries: Vec<(Attr, Option<Node>)>,
    link_target: Option<Vec<u8>>,
    opened: Option<OwnedFd>,
    pub(super) error: Option<Errno>,
}

/// A name that a directory does not have.
pub(super) struct Absent {
    name: Arc<[u8]>,
    asked_at: Option<Duration>,
    /// Of the directory's attributes when the answer came.
    version: u64,
}

impl GoferInode {
    /// Finds an entry of this directory. Errors: ENOENT, ENOTDIR, ESTALE, EIO.
    pub(super) fn find(&self, name: &[u8]) -> Result<Arc<GoferInode>, Errno> {
        if let Some(version) = self.take_absent(name) {
            self.note_lacking(name, version);
            return Err(Errno::ENOENT);
        }
        if self.is_known_to_lack(name) {
            return Err(Errno::ENOENT);
        }
        if let Some(found) = self.find_foreseen(name, false)? {
            return Ok(found);
        }
        let version = self.state.lock().attributes.version();
        let walked = self.walk(&[name], WalkFlags::DIRECTORY_NODES)?;
        let error = walked.error;
        if error == Some(Errno::ENOENT) {
            self.note_lacking(name, version);
        }
        let found = self.adopt_all(&[name], walked)?.pop();
        found.ok_or(error.unwrap_or(Errno::EIO))
    }

    /// Finds as many of `names`, one below the other, as one round trip can; with `opens` the last
    /// one gets its descriptor to read along.
    pub(super) fn find_chain(
        &self,
        names: &[&[u8]],
        opens: bool,
    ) -> Result<Vec<Arc<GoferInode>>, Errno> {
        if self.kind() != FileKind::Directory || names.is_empty() || names.len() > MAX_WALK_NAMES {
            return Ok(Vec::new());
        }
        if names.first().is_some_and(|name| self.is_known_to_lack(name)) {
            return Ok(Vec::new());
        }
        if let [name] = names
            && let Some(found) = self.find_foreseen(name, opens)?
        {
            return Ok(vec![found]);
        }
        let mut flags = WalkFlags::DIRECTORY_NODES;
        flags.set(WalkFlags::OPEN, opens);
        let walked = self.walk(names, flags)?;
        let is_absent = walked.error == Some(Errno::ENOENT);
        let asked_at = walked.asked_at;
        let found = self.adopt_all(names, walked)?;
        if is_absent && let Some(name) = names.get(found.len()) {
            found.last().map_or(self, |last| last).note_absent(name, asked_at);
        }
        Ok(found)
    }

    /// Remembers for the lookup that follows that there is no `name` here.
    fn note_absent(&self, name: &[u8], asked_at: Option<Duration>) {
        let mut state = self.state.lock();
        let version = state.attributes.version();
        state.absent = Some(Absent { name: Arc::from(name), asked_at, version });
    }

    /// Whether a walk found lately that there is no `name` here, and nothing can have changed.
    /// Answers with the version of the directory's attributes then.
    fn take_absent(&self, name: &[u8]) -> Option<u64> {
        let mut state = self.state.lock();
        let absent = state.absent.take()?;
        let is_absent = *absent.name == *name
            && absent.version == state.attributes.version()
            && (self.export.is_exclusive() || is_of_this_operation(absent.asked_at));
        is_absent.then_some(absent.version)
    }

    pub(super) fn walk(&self, names: &[&[u8]], flags: WalkFlags) -> Result<Walked, Errno> {
        let node = self.node()?;
        let asked_at = asking_time();
        let walk = |client: &Client| match flags.contains(WalkFlags::OPEN) {
            true => client.walk_open(node.id(), names, flags, OpenFlags::RDONLY),
            false => client.walk(node.id(), names, flags),
        };
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
            // Why it was not opened is for the open itself to find out.
            opened: reply.opened.and_then(Result::ok),
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
        let Some(last) = found.last() else { return Ok(found) };
        if let Some(target) = walked.link_target {
            last.keep_link_target(&target);
        }
        if let Some(fd) = walked.opened {
            last.keep_read_only(fd);
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
        // Of a directory that was made quietly, this may be the first that is heard.
        if let Some(child) = self.known_child(name).filter(|child| child.known_identity().is_none())
        {
            child.recognises(attr);
        }
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
        let what = Named { inode: child.number(), kind: child.kind() };
        self.learn_name(&name, Some(what));
        let _foreseen = {
            let mut state = self.state.lock();
            state.children.insert(name.clone(), Arc::downgrade(child));
            state.foresight.remove(&name)
        };
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
        self.unlearn_name(name);
        let _foreseen = {
            let mut state = self.state.lock();
            state.children.remove(name);
            state.foresight.remove(name)
        };
    }

    pub(super) fn forget_dead_child(&self, name: &[u8]) {
        let mut state = self.state.lock();
        if state.children.get(name).is_some_and(|weak| weak.strong_count() == 0) {
            state.children.remove(name);
        }
        state.foresight.note_gone();
    }

    /// Whether this directory of a shared tree still has `child` as `name`; refreshes its
    /// attributes.
    pub(super) fn still_has(&self, name: &[u8], child: &Arc<dyn Inode>) -> bool {
        let Some(child) = child.as_any().downcast_ref::<GoferInode>() else { return false };
        let asked = child.asking();
        let attr = self.with_node(|client, node| client.get_attr(Target::child(node, name)));
        let Ok(attr) = attr else { return false };
        if !child.recognises(&attr) {
            return false;
        }
        child.note_attr(&attr, asked);
        child.shared().and_then(|child| self.place_child(Arc::from(name), &child)).is_ok()
    }
}
