//! What a caller tells the client.

use crate::name::NodeId;

/// The object of a request: a node, or an entry of a directory node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    pub node: NodeId,
    /// Empty for the node itself.
    pub name: &'a [u8],
}

impl<'a> Target<'a> {
    /// The entry `name` of the directory `dir`.
    pub fn child(dir: NodeId, name: &'a [u8]) -> Target<'a> {
        Target { node: dir, name }
    }
}

impl From<NodeId> for Target<'_> {
    fn from(node: NodeId) -> Self {
        Target { node, name: b"" }
    }
}

/// What a new file shall be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewNode {
    /// Permission bits (the caller has applied its umask), and for
    /// [`crate::Client::mknod`] the type.
    pub mode: u32,
    /// Owner; `u32::MAX` leaves what the host gives.
    pub uid: u32,
    pub gid: u32,
    /// Whether to keep a node for it.
    pub wants_node: bool,
}

/// Where a listing goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirPosition {
    /// The gofer's open listing, or zero. The gofer may forget it; the listing then goes on at
    /// `offset` all the same.
    pub stream: u64,
    /// Zero for the beginning, or the offset of an entry: the listing goes on after that one.
    pub offset: u64,
}

impl DirPosition {
    pub const START: DirPosition = DirPosition { stream: 0, offset: 0 };
}
