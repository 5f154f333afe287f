//! Making, removing and renaming entries of directories. All return EROFS on a read-only export.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use linux_abi::Errno;

use crate::MAX_LINK_BYTES;
use crate::attr::Attr;
use crate::client::pending::Scope;
use crate::client::reply::Created;
use crate::client::request::{NewNode, Target};
use crate::client::{Client, Unlinked, optional_error, write_target};
use crate::flags::{OpenFlags, RenameFlags};
use crate::message::{
    LinkRequest, NewDirectoryRequest, NewRequest, NodeReply, Op, RenameRequest, UnnamedReply,
    UnnamedRequest,
};
use crate::name::NodeId;
use crate::wire::{Reader, Writer};

impl Client {
    /// Makes and opens a regular file. EEXIST if the name is taken, by whatever.
    pub fn create(
        &self,
        dir: NodeId,
        name: &[u8],
        flags: OpenFlags,
        new: NewNode,
    ) -> Result<(Created, OwnedFd), Errno> {
        let (created, fd) = self.make(Op::Create, dir, name, flags, new, |_| {})?;
        Ok((created, fd.ok_or(Errno::EIO)?))
    }

    /// Makes a directory.
    pub fn mkdir(&self, dir: NodeId, name: &[u8], new: NewNode) -> Result<Created, Errno> {
        self.make(Op::MakeDirectory, dir, name, OpenFlags::RDONLY, new, |_| {}).map(|made| made.0)
    }

    /// Makes a directory as [`Client::mkdir`] does, quietly; returns its node. Does nothing if that would have
    /// to be served behind what waits.
    pub fn mkdir_quietly(
        &self,
        dir: NodeId,
        name: &[u8],
        new: NewNode,
    ) -> Result<Option<NodeId>, Errno> {
        self.on_channel(|channel| {
            if !channel.gathered.pending.goes_ahead(dir.raw(), name) {
                return Ok(None);
            }
            let node = NodeId::chosen(self.chosen_nodes.fetch_add(1, Ordering::Relaxed));
            self.tell_on(channel, Op::MakeDirectoryAs, |request| {
                let NewNode { mode, uid, gid, .. } = new;
                let (node, dir) = (node.raw(), dir.raw());
                request.fixed(&NewDirectoryRequest { node, dir, mode, uid, gid, reserved: 0 });
                request.short_bytes(name)
            })?;
            Ok(Some(node))
        })
    }

    /// Makes a fifo, a socket or a regular file, as the type bits of `new.mode` tell (none mean a
    /// regular file). EPERM for a device, EINVAL for any other type.
    pub fn mknod(&self, dir: NodeId, name: &[u8], new: NewNode) -> Result<Created, Errno> {
        self.make(Op::MakeNode, dir, name, OpenFlags::RDONLY, new, |_| {}).map(|made| made.0)
    }

    /// Makes a symbolic link; the mode in `new` is ignored. ENOENT for an empty target,
    /// ENAMETOOLONG for one of more than 4095 bytes.
    pub fn symlink(
        &self,
        dir: NodeId,
        name: &[u8],
        target: &[u8],
        new: NewNode,
    ) -> Result<Created, Errno> {
        if target.len() > MAX_LINK_BYTES {
            return Err(Errno::ENAMETOOLONG);
        }
        let add_target = |request: &mut Writer| request.bytes(target);
        self.make(Op::Symlink, dir, name, OpenFlags::RDONLY, new, add_target).map(|made| made.0)
    }

    /// Makes up to `count` (at most [`crate::transport::MAX_DESCRIPTORS`]) regular files without a name on the file
    /// system of `dir`, as they would be made in it, open to read and write. They last as long as their
    /// nodes and descriptors do, unless they get a name.
    ///
    /// # Errors
    /// EOPNOTSUPP where the file system has no such files; ENOSPC already when little space is left,
    /// so that there is room to give them a name.
    pub fn make_unnamed(
        &self,
        dir: NodeId,
        new: NewNode,
        count: usize,
    ) -> Result<Vec<(Created, OwnedFd)>, Errno> {
        self.call_apart(
            Scope::Exists(dir),
            Op::MakeUnnamed,
            |request| {
                write_unnamed(request, dir, new, count);
                Ok(())
            },
            read_unnamed,
        )
    }

    /// Gives a file that was made without a name the name `name` in `dir`, quietly; it was accessed
    /// at that time.
    pub fn name_quietly(&self, file: NodeId, dir: NodeId, name: &[u8]) -> Result<(), Errno> {
        self.tell(Op::Name, |request| {
            request.fixed(&LinkRequest { node: file.raw(), dir: dir.raw() });
            request.short_bytes(name)
        })
    }

    fn make(
        &self,
        op: Op,
        dir: NodeId,
        name: &[u8],
        flags: OpenFlags,
        new: NewNode,
        complete: impl FnOnce(&mut Writer),
    ) -> Result<(Created, Option<OwnedFd>), Errno> {
        self.call_apart(
            Scope::New(dir, name),
            op,
            |request| {
                request.fixed(&NewRequest {
                    dir: dir.raw(),
                    open_flags: flags.bits(),
                    mode: new.mode,
                    uid: new.uid,
                    gid: new.gid,
                    wants_node: new.wants_node.into(),
                    reserved: 0,
                });
                request.short_bytes(name)?;
                complete(request);
                Ok(())
            },
            |response, fds| Ok((read_created(response)?, fds.into_iter().next())),
        )
    }

    /// Gives a file another name; a symbolic link is not followed. Returns its new attributes.
    pub fn link(&self, source: Target<'_>, dir: NodeId, name: &[u8]) -> Result<Attr, Errno> {
        self.call(
            Op::Link,
            |request| {
                request.fixed(&LinkRequest { node: source.node.raw(), dir: dir.raw() });
                request.short_bytes(source.name)?;
                request.short_bytes(name)
            },
            |response, _| response.fixed(),
        )
    }

    /// Gives a file another name as [`Client::link`] does, quietly.
    pub fn link_quietly(&self, source: Target<'_>, dir: NodeId, name: &[u8]) -> Result<(), Errno> {
        self.tell(Op::Link, |request| {
            request.fixed(&LinkRequest { node: source.node.raw(), dir: dir.raw() });
            request.short_bytes(source.name)?;
            request.short_bytes(name)
        })
    }

    /// Removes an entry that is no directory (EISDIR).
    pub fn unlink(&self, dir: NodeId, name: &[u8]) -> Result<(), Errno> {
        self.call_target(Op::Unlink, Target::child(dir, name), |_, _| Ok(()))
    }

    /// Removes an empty directory (ENOTEMPTY, ENOTDIR).
    pub fn rmdir(&self, dir: NodeId, name: &[u8]) -> Result<(), Errno> {
        self.call_target(Op::RemoveDirectory, Target::child(dir, name), |_, _| Ok(()))
    }

    /// Removes an entry as [`Client::unlink`] does, quietly. If it would have got its name by a quiet
    /// request that has not been sent, it does not get it.
    pub fn unlink_quietly(&self, dir: NodeId, name: &[u8]) -> Result<Unlinked, Errno> {
        let channel = &mut *self.shared.channel.lock();
        let unlinked = channel.gathered.pending.take_back(dir, name);
        if unlinked == Unlinked::Quietly {
            let write = |request: &mut Writer| write_target(request, Target::child(dir, name));
            self.tell_on(channel, Op::Unlink, write)?;
        }
        Ok(unlinked)
    }

    /// Removes an empty directory quietly.
    pub fn rmdir_quietly(&self, dir: NodeId, name: &[u8]) -> Result<(), Errno> {
        self.tell(Op::RemoveDirectory, |request| write_target(request, Target::child(dir, name)))
    }

    /// Renames an entry quietly. What had the new name has it no more.
    pub fn rename_quietly(
        &self,
        old_dir: NodeId,
        old_name: &[u8],
        new_dir: NodeId,
        new_name: &[u8],
    ) -> Result<(), Errno> {
        let (old, new) = ((old_dir, old_name), (new_dir, new_name));
        self.tell(Op::Rename, |request| write_rename(request, old, new, RenameFlags::empty()))
    }

    /// Renames an entry (`renameat2(2)`).
    pub fn rename(
        &self,
        old_dir: NodeId,
        old_name: &[u8],
        new_dir: NodeId,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        let (old, new) = ((old_dir, old_name), (new_dir, new_name));
        self.call(Op::Rename, |request| write_rename(request, old, new, flags), |_, _| Ok(()))
    }
}

fn write_rename(
    request: &mut Writer,
    (old_dir, old_name): (NodeId, &[u8]),
    (new_dir, new_name): (NodeId, &[u8]),
    flags: RenameFlags,
) -> Result<(), Errno> {
    let (old_dir, new_dir, flags) = (old_dir.raw(), new_dir.raw(), flags.bits());
    request.fixed(&RenameRequest { old_dir, new_dir, flags, reserved: 0 });
    request.short_bytes(old_name)?;
    request.short_bytes(new_name)
}

pub(super) fn write_unnamed(request: &mut Writer, dir: NodeId, new: NewNode, count: usize) {
    let (count, NewNode { mode, uid, gid, .. }) = (count as u32, new);
    request.fixed(&UnnamedRequest { dir: dir.raw(), mode, uid, gid, count });
}

pub(super) fn read_unnamed(
    response: &mut Reader<'_>,
    fds: Vec<OwnedFd>,
) -> Result<Vec<(Created, OwnedFd)>, Errno> {
    let reply: UnnamedReply = response.fixed()?;
    if reply.count as usize != fds.len() {
        return Err(Errno::EIO);
    }
    fds.into_iter().map(|fd| Ok((read_created(response)?, fd))).collect()
}

fn read_created(response: &mut Reader<'_>) -> Result<Created, Errno> {
    let reply: NodeReply = response.fixed()?;
    Ok(Created {
        node: NodeId::from_raw(reply.node),
        attr: reply.attr,
        owner_error: optional_error(reply.owner_error),
    })
}
