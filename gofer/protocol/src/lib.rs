//! What a sentry and its gofer say to each other, and the sentry's side of it ([`Client`]).
//!
//! A gofer serves host directory trees, one per connection. A connection is a `SOCK_SEQPACKET`
//! Unix socket; each message is one packet: a fixed header ([`message`]), bounded trailing bytes,
//! and for some responses descriptors (`SCM_RIGHTS`). The client asks, the gofer answers, in
//! turn; only [`message::Op::Release`], [`message::Op::Settle`] and quiet requests have no answer.
//! `docs/gofer-protocol.md` is the reference.
//!
//! Nodes: the gofer names an opened directory, or a file if asked, by a [`NodeId`]. Everything
//! else is named by its directory's node and one path component, a [`Target`]. A request never
//! carries a path of several components as one string, nor `.` or `..`.
#![forbid(unsafe_code)]

pub mod attr;
pub mod client;
pub mod flags;
pub mod message;
pub mod name;
pub mod transport;
pub mod wire;

pub use attr::{Attr, FsStats, SetAttr, SetTime, Time};
pub use client::reply::{
    Created, DirChunk, DirEntry, Entry, Opened, RootInfo, Surveyed, WalkReply,
};
pub use client::request::{DirPosition, NewNode, Target};
pub use client::{Client, Unlinked, Unnamed};
pub use flags::{OpenFlags, ReadDirFlags, RenameFlags, SurveyFlags, WalkFlags, XattrFlags};
pub use name::{Name, NodeId};

/// Version of the protocol, compared when a client connects.
pub const VERSION: u32 = 5;
/// Longest message in bytes: an extended attribute of the greatest size and its headers.
pub const MAX_MESSAGE_BYTES: usize = 72 << 10;
/// Longest path component in bytes (`NAME_MAX`).
pub const MAX_NAME_BYTES: usize = 255;
/// Most path components in one walk.
pub const MAX_WALK_NAMES: usize = 256;
/// Longest target of a symbolic link in bytes (`PATH_MAX` less the zero).
pub const MAX_LINK_BYTES: usize = 4095;
/// Longest value of an extended attribute in bytes (`XATTR_SIZE_MAX`).
pub const MAX_XATTR_BYTES: usize = 64 << 10;
/// Most nodes whose attributes are asked for at once.
pub const MAX_ATTR_NODES: usize = 64;
/// Most nodes in one release message.
pub const MAX_RELEASE_NODES: usize = 512;
