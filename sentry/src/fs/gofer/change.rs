//! Changing directories of the host.

use std::sync::Arc;

use gofer_protocol::client::reply::Created;
use gofer_protocol::{NewNode as WireNode, OpenFlags, RenameFlags as WireFlags, Target, Unlinked};
use linux_abi::Errno;
use linux_abi::fs::{FileKind, RenameFlags};

use super::attributes::asking_time;
use super::descriptors::Writable;
use super::export::Node;
use super::inode::{GoferInode, Place};
use super::names::Named;
use crate::vfs::{Inode, NewNode, NewNodeKind};

impl GoferInode {
    /// Makes an entry of this directory.
    ///
    /// Divergence: an owner that the gofer may not give (it runs as an ordinary user) is left as
    /// the host chose; failing would keep everyone but the owner of the export from making files.
    ///
    /// Errors: EEXIST, EROFS, EPERM for a device, ENOSPC, EACCES.
    pub(super) fn make(&self, name: &[u8], new: &NewNode<'_>) -> Result<Arc<GoferInode>, Errno> {
        if new.kind == NewNodeKind::Regular
            && let Some(made) = self.make_quietly(name, new)?
        {
            return Ok(made);
        }
        let is_directory = matches!(new.kind, NewNodeKind::Directory);
        let quietly = if is_directory { self.make_directory_quietly(name, new)? } else { None };
        if let Some(made) = quietly {
            return Ok(self.has_new_directory(made));
        }
        let dir = self.node()?;
        let asked_at = asking_time();
        let wire = WireNode {
            mode: new.permissions | kind_of(new.kind).mode_bits(),
            uid: new.uid,
            gid: new.gid,
            wants_node: true,
        };
        let mut fd = None;
        let created: Created = match new.kind {
            NewNodeKind::Regular => {
                let wire = WireNode { mode: new.permissions, ..wire };
                let create = |client: &gofer_protocol::Client| {
                    client.create(dir.id(), name, OpenFlags::RDWR, wire)
                };
                let (created, made) = self.after(self.export.call(create))?;
                fd = Some(made);
                created
            }
            NewNodeKind::Directory => {
                let wire = WireNode { mode: new.permissions, ..wire };
                self.after(self.export.call(|client| client.mkdir(dir.id(), name, wire)))?
            }
            NewNodeKind::Symlink(target) => {
                let make =
                    |client: &gofer_protocol::Client| client.symlink(dir.id(), name, target, wire);
                self.after(self.export.call(make))?
            }
            NewNodeKind::Fifo | NewNodeKind::Socket => {
                self.after(self.export.call(|client| client.mknod(dir.id(), name, wire)))?
            }
            NewNodeKind::CharDevice(_) | NewNodeKind::BlockDevice(_) => return Err(Errno::EPERM),
        };
        self.note_entry_made(is_directory);
        let node = created.node.map(|node| Node::new(&self.export, node));
        let inode = self.after(self.adopt(name, &created.attr, node, asked_at))?;
        if is_directory {
            self.note_new_directory(new, &created);
            return Ok(self.has_new_directory(inode));
        }
        inode.state.lock().is_ours = self.export.is_exclusive();
        if let Some(fd) = fd {
            inode.keep_writable(Writable { fd: Arc::new(fd), is_readable: true });
        }
        if let NewNodeKind::Symlink(target) = new.kind {
            inode.keep_link_target(target);
        }
        Ok(inode)
    }

    /// The directory `made` has been made here.
    fn has_new_directory(&self, made: Arc<GoferInode>) -> Arc<GoferInode> {
        made.state.lock().is_ours = self.export.is_exclusive();
        made.is_new_and_empty();
        self.share_pool(&made);
        made
    }

    /// Errors: EXDEV for what is no file of a gofer, and the host's.
    pub(super) fn add_link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<(), Errno> {
        let target = downcast(target)?;
        let dir = self.node()?;
        if self.links_quietly(target, name) {
            let link = |client: &gofer_protocol::Client, node| {
                client.link_quietly(Target::from(node), dir.id(), name)
            };
            self.after(target.with_node(link))?;
            target.note_linked();
            self.note_entry_changed(None, 0);
        } else {
            let link = |client: &gofer_protocol::Client, node| {
                client.link(Target::from(node), dir.id(), name)
            };
            self.after(target.with_node(link))?;
            target.outdate_names();
            self.outdate_names();
        }
        self.place_child(Arc::from(name), &target.shared()?)
    }

    /// Removes an entry, a directory if `is_directory`.
    pub(super) fn remove(
        &self,
        name: &[u8],
        target: &Arc<dyn Inode>,
        is_directory: bool,
    ) -> Result<(), Errno> {
        let target = downcast(target)?;
        if is_directory && target.is_known_to_be_empty() == Some(false) {
            return Err(Errno::ENOTEMPTY);
        }
        target.prepare_unlink()?;
        let dir = self.node()?;
        let is_quiet =
            self.gives_up(target) && (!is_directory || target.is_known_to_be_empty() == Some(true));
        let done = |()| Unlinked::Quietly;
        let remove = |client: &gofer_protocol::Client| match (is_directory, is_quiet) {
            (false, false) => client.unlink(dir.id(), name).map(done),
            (false, true) => client.unlink_quietly(dir.id(), name),
            (true, false) => client.rmdir(dir.id(), name).map(done),
            (true, true) => client.rmdir_quietly(dir.id(), name).map(done),
        };
        let unlinked = self.after(self.export.call(remove))?;
        if is_quiet {
            target.note_quiet();
            self.note_entry_changed(None, if is_directory { -1 } else { 0 });
        } else {
            self.outdate_names();
        }
        self.forget_child(name);
        let version = self.state.lock().attributes.version();
        self.note_lacking(name, version);
        target.unlinked_from(self, name);
        target.note_last_name(unlinked);
        Ok(())
    }

    /// Before a name of this file goes: gets a node if the file will be needed without that name.
    fn prepare_unlink(&self) -> Result<(), Errno> {
        let is_needed = {
            let state = self.state.lock();
            state.descriptors.is_open() || state.attributes.links() > 1
        };
        if is_needed && self.kind() != FileKind::Directory {
            match self.node() {
                // Somebody else has removed or replaced it.
                Ok(_) | Err(Errno::ESTALE) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// The name `name` in `dir` is gone.
    fn unlinked_from(&self, dir: &GoferInode, name: &[u8]) {
        let is_last =
            self.kind() == FileKind::Directory || self.state.lock().attributes.links() <= 1;
        self.note_unlinked(is_last);
        if is_last {
            self.export.unmet.remove(self);
            self.export.inodes.forget_removed(self);
        }
        let _old = {
            let mut state = self.state.lock();
            if is_last && let Some(node) = &state.node {
                node.note_gone();
            }
            let was_here = state.place.as_ref().is_some_and(|place| place.is(dir, name));
            if was_here { state.place.take() } else { None }
        };
    }

    /// Errors: EXDEV, EINVAL for `RENAME_WHITEOUT`, and the host's.
    pub(super) fn rename_entry(
        &self,
        old_name: &[u8],
        new_parent: &Arc<dyn Inode>,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        if flags.contains(RenameFlags::WHITEOUT) {
            return Err(Errno::EINVAL);
        }
        let wire = WireFlags::from_bits(flags.bits()).ok_or(Errno::EINVAL)?;
        let new_parent = downcast(new_parent)?;
        let moved = self.known_child(old_name);
        let other = new_parent.known_child(new_name);
        let (entry, other_entry) = (self.entry(old_name), new_parent.entry(new_name));
        let is_exchange = flags.contains(RenameFlags::EXCHANGE);
        if let (Some(replaced), false) = (&other, is_exchange) {
            replaced.prepare_unlink()?;
        }
        let (from, to) = (self.node()?, new_parent.node()?);
        if let Some(moved) = moved.as_ref()
            && flags.is_empty()
            && self.renames_quietly(moved, new_parent, new_name, other.as_deref())
        {
            let rename = |client: &gofer_protocol::Client| {
                client.rename_quietly(from.id(), old_name, to.id(), new_name)
            };
            self.after(new_parent.after(self.export.call(rename)))?;
            self.note_renamed_here(old_name, other, new_parent, new_name);
            moved.note_renamed();
            // Fails only for a directory that is being dropped, which needs no children.
            let _ = new_parent.place_child(Arc::from(new_name), moved);
            return Ok(());
        }
        let rename = |client: &gofer_protocol::Client| {
            client.rename(from.id(), old_name, to.id(), new_name, wire)
        };
        self.after(new_parent.after(self.export.call(rename)))?;
        self.outdate_names();
        new_parent.outdate_names();
        let directories = |child: &Option<Arc<GoferInode>>| {
            i64::from(child.as_ref().is_some_and(|child| child.kind() == FileKind::Directory))
        };
        let (leave, make_way) = (directories(&moved), directories(&other));
        self.note_subdirectories(if is_exchange { make_way } else { 0 } - leave);
        new_parent.note_subdirectories(leave - make_way);
        if is_exchange {
            self.now_has(old_name, other, other_entry);
        } else {
            self.forget_child(old_name);
            if let Some(replaced) = other {
                replaced.unlinked_from(new_parent, new_name);
            }
        }
        new_parent.now_has(new_name, moved, entry);
        Ok(())
    }

    /// Whether it is certain that `moved`, an entry of this directory, can get the name `new_name` in
    /// `new_parent` in place of `other`. Where new files inherit something else the host may refuse.
    fn renames_quietly(
        &self,
        moved: &Arc<GoferInode>,
        new_parent: &GoferInode,
        new_name: &[u8],
        other: Option<&GoferInode>,
    ) -> bool {
        let is_file = |inode: &GoferInode| inode.kind() != FileKind::Directory;
        // Linux: two names of one file both stay.
        let has_room = match other {
            Some(other) => {
                is_file(other) && new_parent.gives_up(other) && !std::ptr::eq(other, &**moved)
            }
            None => new_parent.can_add(new_name),
        };
        has_room
            && is_file(moved)
            && moved.is_ours()
            && self.gives_up(moved)
            && self.device() == new_parent.device()
            && Arc::ptr_eq(&self.pool(), &new_parent.pool())
    }

    /// An entry of this directory was quietly renamed, and has taken the place of `other`.
    fn note_renamed_here(
        &self,
        old_name: &[u8],
        other: Option<Arc<GoferInode>>,
        new_parent: &GoferInode,
        new_name: &[u8],
    ) {
        self.note_entry_changed(None, 0);
        self.forget_child(old_name);
        let version = self.state.lock().attributes.version();
        self.note_lacking(old_name, version);
        if let Some(replaced) = other {
            replaced.note_quiet();
            replaced.unlinked_from(new_parent, new_name);
            replaced.note_last_name(Unlinked::Quietly);
        }
        new_parent.note_entry_changed(None, 0);
    }

    /// A rename has put `child` here as `name`, or what was the entry `entry` if nobody uses it.
    fn now_has(&self, name: &[u8], child: Option<Arc<GoferInode>>, entry: Option<Named>) {
        match child {
            Some(child) => {
                child.outdate_names();
                // Fails only for a directory that is being dropped, which needs no children.
                let _ = self.place_child(Arc::from(name), &child);
            }
            None => {
                self.forget_child(name);
                self.learn_name(&Arc::from(name), entry);
            }
        }
    }
}

impl Place {
    fn is(&self, dir: &GoferInode, name: &[u8]) -> bool {
        std::ptr::eq(Arc::as_ptr(&self.parent), dir) && *self.name == *name
    }
}

/// EXDEV for an inode of another file system.
fn downcast(inode: &Arc<dyn Inode>) -> Result<&GoferInode, Errno> {
    inode.as_any().downcast_ref().ok_or(Errno::EXDEV)
}

fn kind_of(kind: NewNodeKind<'_>) -> FileKind {
    match kind {
        NewNodeKind::Regular => FileKind::Regular,
        NewNodeKind::Directory => FileKind::Directory,
        NewNodeKind::Symlink(_) => FileKind::Symlink,
        NewNodeKind::Fifo => FileKind::Fifo,
        NewNodeKind::Socket => FileKind::Socket,
        NewNodeKind::CharDevice(_) => FileKind::CharDevice,
        NewNodeKind::BlockDevice(_) => FileKind::BlockDevice,
    }
}
