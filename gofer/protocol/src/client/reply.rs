//! What the client returns.

use std::os::fd::OwnedFd;

use linux_abi::Errno;

use crate::attr::Attr;
use crate::client::request::DirPosition;
use crate::name::NodeId;

/// What a connection serves.
#[derive(Clone, Copy, Debug)]
pub struct RootInfo {
    /// The root as it was when the client connected: a directory or a single file.
    pub attr: Attr,
    pub is_readonly: bool,
    /// Most nodes the connection can hold at a time; one more is ENFILE.
    pub max_nodes: u64,
}

/// A component that a walk reached.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Set if the walk was to keep a node for it.
    pub node: Option<NodeId>,
    pub attr: Attr,
}

/// How far a walk came.
#[derive(Debug)]
pub struct WalkReply {
    /// The components reached, in order. Fewer than asked for if `error` is set, or if the last
    /// one is a symbolic link.
    pub entries: Vec<Entry>,
    /// The target of the last component reached, if that is a symbolic link.
    pub symlink: Option<Vec<u8>>,
    /// Why the next component was not reached: ENOENT, ENOTDIR (the last one reached is no
    /// directory), EACCES, ENFILE (too many nodes), …
    pub error: Option<Errno>,
    /// For a walk that was to open: the descriptor, or why there is none (EISDIR for a directory,
    /// ELOOP for a symbolic link, ENXIO for a socket or a fifo, EACCES for a device, …). `None` if
    /// the walk did not get to the last component.
    pub opened: Option<Result<OwnedFd, Errno>>,
}

/// An opened file.
#[derive(Debug)]
pub struct Opened {
    pub fd: OwnedFd,
    /// Attributes after opening.
    pub attr: Attr,
    /// Set if asked for.
    pub node: Option<NodeId>,
}

/// A new file or directory.
#[derive(Clone, Copy, Debug)]
pub struct Created {
    /// Set if asked for.
    pub node: Option<NodeId>,
    pub attr: Attr,
    /// Why it does not have the owner asked for: EPERM for a gofer that may not change owners,
    /// EINVAL for an owner that its user namespace does not have.
    pub owner_error: Option<Errno>,
}

/// An entry of a directory; never `.` or `..`.
#[derive(Clone, Debug)]
pub struct DirEntry {
    pub name: Vec<u8>,
    pub ino: u64,
    /// The offset to go on after this entry.
    pub offset: u64,
    /// `DT_*`; `DT_UNKNOWN` on file systems that do not tell.
    pub kind: u8,
    /// Set if asked for, and the entry was still there.
    pub attr: Option<Attr>,
}

/// What a survey tells of an entry.
#[derive(Debug)]
pub struct Surveyed {
    pub attr: Attr,
    /// That of a directory, if it was to be listed and there was room.
    pub node: Option<NodeId>,
    /// All that a directory holds, if it was to be listed and fitted into the message.
    pub listing: Option<Vec<DirEntry>>,
    /// That of a regular file, if it was to be opened and could be.
    pub fd: Option<OwnedFd>,
}

/// A part of a directory's listing.
#[derive(Clone, Debug)]
pub struct DirChunk {
    pub entries: Vec<DirEntry>,
    /// Where to go on; `None` at the end.
    pub next: Option<DirPosition>,
}
