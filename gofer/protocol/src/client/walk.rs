//! Finding, opening and listing.

use std::os::fd::OwnedFd;

use linux_abi::Errno;

use crate::MAX_WALK_NAMES;
use crate::attr::Attr;
use crate::client::pending::Scope;
use crate::client::reply::{DirChunk, DirEntry, Entry, Opened, WalkReply};
use crate::client::request::{DirPosition, Target};
use crate::client::{Client, optional_error};
use crate::flags::{OpenFlags, ReadDirFlags, WalkFlags};
use crate::message::{self, NodeReply, Op, OpenRequest, ReadDirRequest, WalkRequest, WireEntry};
use crate::name::NodeId;
use crate::wire::Reader;

impl Client {
    /// Walks from `dir` along `names`: attributes and, as `flags` ask, nodes of each component
    /// reached. Stops at a symbolic link, a missing component, or what is no directory.
    ///
    /// # Errors
    /// EINVAL for more than [`MAX_WALK_NAMES`] or no names. What stops the walk is told in the
    /// reply.
    pub fn walk(&self, dir: NodeId, names: &[&[u8]], flags: WalkFlags) -> Result<WalkReply, Errno> {
        self.walk_with(dir, names, flags.difference(WalkFlags::OPEN), OpenFlags::RDONLY)
    }

    /// Walks as [`Client::walk`] does and opens the last component if it is a regular file.
    pub fn walk_open(
        &self,
        dir: NodeId,
        names: &[&[u8]],
        flags: WalkFlags,
        open_flags: OpenFlags,
    ) -> Result<WalkReply, Errno> {
        self.walk_with(dir, names, flags | WalkFlags::OPEN, open_flags)
    }

    fn walk_with(
        &self,
        dir: NodeId,
        names: &[&[u8]],
        flags: WalkFlags,
        open_flags: OpenFlags,
    ) -> Result<WalkReply, Errno> {
        if names.is_empty() || names.len() > MAX_WALK_NAMES {
            return Err(Errno::EINVAL);
        }
        // Of directories on the way we do not know what waits.
        let scope = if names.len() == 1 { Scope::Node(dir) } else { Scope::All };
        self.call_apart(
            scope,
            Op::Walk,
            |request| {
                request.fixed(&WalkRequest {
                    dir: dir.raw(),
                    flags: flags.bits(),
                    open_flags: open_flags.bits(),
                    count: names.len() as u32,
                    reserved: 0,
                });
                names.iter().try_for_each(|name| request.short_bytes(name))
            },
            |response, fds| read_walk(response, fds.into_iter().next(), flags, names.len()),
        )
    }

    /// Opens a regular file; the descriptor has no more rights than `flags` ask for.
    ///
    /// # Errors
    /// EISDIR for a directory, ELOOP for a symbolic link, ENXIO for a socket or a fifo, EACCES for
    /// a device, EROFS for writing to a read-only export, EINVAL for flags that make no sense.
    pub fn open(
        &self,
        target: Target<'_>,
        flags: OpenFlags,
        wants_node: bool,
    ) -> Result<Opened, Errno> {
        if !target.name.is_empty() {
            return self.open_within(Scope::Node(target.node), target, flags, wants_node);
        }
        // Neither names nor modes matter to a file that is there, but for a gofer without privileges.
        match self.open_within(Scope::Exists(target.node), target, flags, wants_node) {
            Err(Errno::EACCES | Errno::EPERM) if !self.is_served(self.quiet_mark()) => {
                self.open_within(Scope::All, target, flags, wants_node)
            }
            result => result,
        }
    }

    fn open_within(
        &self,
        scope: Scope<'_>,
        target: Target<'_>,
        flags: OpenFlags,
        wants_node: bool,
    ) -> Result<Opened, Errno> {
        self.call_apart(
            scope,
            Op::Open,
            |request| {
                request.fixed(&OpenRequest {
                    node: target.node.raw(),
                    flags: flags.bits(),
                    wants_node: wants_node.into(),
                });
                request.short_bytes(target.name)
            },
            |response, fds| {
                let reply: NodeReply = response.fixed()?;
                let fd = fds.into_iter().next().ok_or(Errno::EIO)?;
                Ok(Opened { fd, attr: reply.attr, node: NodeId::from_raw(reply.node) })
            },
        )
    }

    /// Reads the target of a symbolic link. EINVAL if it is none.
    pub fn read_link(&self, target: Target<'_>) -> Result<Vec<u8>, Errno> {
        self.ask_target(Op::ReadLink, target, |response, _| Ok(response.rest().to_vec()))
    }

    /// Lists a part of a directory, without `.` and `..`.
    ///
    /// # Errors
    /// ENOTDIR if it is none.
    pub fn read_dir(
        &self,
        dir: NodeId,
        position: DirPosition,
        flags: ReadDirFlags,
    ) -> Result<DirChunk, Errno> {
        self.call_apart(
            Scope::Node(dir),
            Op::ReadDir,
            |request| {
                request.fixed(&ReadDirRequest {
                    dir: dir.raw(),
                    stream: position.stream,
                    offset: position.offset,
                    flags: flags.bits(),
                    reserved: 0,
                });
                Ok(())
            },
            |response, _| read_chunk(response),
        )
    }

    /// Lists a whole directory.
    pub fn read_dir_all(&self, dir: NodeId, flags: ReadDirFlags) -> Result<Vec<DirEntry>, Errno> {
        let mut entries = Vec::new();
        let mut position = Some(DirPosition::START);
        while let Some(start) = position {
            let mut chunk = self.read_dir(dir, start, flags)?;
            entries.append(&mut chunk.entries);
            position = chunk.next;
        }
        Ok(entries)
    }
}

fn read_walk(
    response: &mut Reader<'_>,
    fd: Option<OwnedFd>,
    flags: WalkFlags,
    names: usize,
) -> Result<WalkReply, Errno> {
    let reply: message::WalkReply = response.fixed()?;
    let count = reply.count as usize;
    if count > names {
        return Err(Errno::EIO);
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let entry: WireEntry = response.fixed()?;
        entries.push(Entry { node: NodeId::from_raw(entry.node), attr: entry.attr });
    }
    let link = response.bytes(reply.link_bytes as usize)?;
    let is_symlink = entries.last().is_some_and(|entry| entry.attr.is_symlink());
    let opened = match (optional_error(reply.open_error), fd) {
        _ if !flags.contains(WalkFlags::OPEN) || count < names => None,
        (Some(error), _) => Some(Err(error)),
        (None, Some(fd)) => Some(Ok(fd)),
        (None, None) => return Err(Errno::EIO),
    };
    let symlink = is_symlink.then(|| link.to_vec());
    Ok(WalkReply { entries, symlink, error: optional_error(reply.error), opened })
}

fn read_chunk(response: &mut Reader<'_>) -> Result<DirChunk, Errno> {
    let reply: message::ReadDirReply = response.fixed()?;
    let entries = read_entries(response, reply.count)?;
    let next = DirPosition { stream: reply.stream, offset: reply.offset };
    Ok(DirChunk { entries, next: (reply.is_end == 0).then_some(next) })
}

/// Reads `count` entries of a directory.
pub(super) fn read_entries(response: &mut Reader<'_>, count: u32) -> Result<Vec<DirEntry>, Errno> {
    let mut entries = Vec::with_capacity((count as usize).min(4096));
    for _ in 0..count {
        let entry: message::WireDirEntry = response.fixed()?;
        let attr = if entry.has_attr != 0 { Some(response.fixed::<Attr>()?) } else { None };
        let name = response.name()?.as_bytes().to_vec();
        let kind = u8::try_from(entry.kind).map_err(|_| Errno::EIO)?;
        entries.push(DirEntry { name, ino: entry.ino, offset: entry.offset, kind, attr });
    }
    Ok(entries)
}
