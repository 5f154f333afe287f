//! Node numbers and path components.

use std::num::NonZeroU64;

use linux_abi::Errno;

use crate::MAX_NAME_BYTES;

/// A node of a connection: an object that the gofer holds open. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(NonZeroU64);

impl NodeId {
    /// The root of the export. It is there from the start and is never released.
    pub const ROOT: NodeId = NodeId(NonZeroU64::MIN);

    /// Set in the number of a node that the client has chosen.
    pub const CHOSEN: u64 = 1 << 63;

    /// The node that the client names by this number, which it must not have used before.
    pub const fn chosen(number: u64) -> NodeId {
        match NodeId::from_raw(number | NodeId::CHOSEN) {
            Some(node) => node,
            None => NodeId::ROOT,
        }
    }

    /// Makes a node from its number on the wire; zero, which means "no node", gives `None`.
    pub const fn from_raw(raw: u64) -> Option<NodeId> {
        match NonZeroU64::new(raw) {
            Some(raw) => Some(NodeId(raw)),
            None => None,
        }
    }

    /// The number on the wire.
    pub const fn raw(self) -> u64 {
        self.0.get()
    }
}

/// One path component, proven to be harmless: not empty, at most 255 bytes, not `.` or `..`,
/// without `/` and zero bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a>(&'a [u8]);

impl<'a> Name<'a> {
    /// Checks a component.
    ///
    /// # Errors
    /// EINVAL for what is not one component, ENAMETOOLONG for more than 255 bytes.
    pub fn new(bytes: &'a [u8]) -> Result<Name<'a>, Errno> {
        if bytes.len() > MAX_NAME_BYTES {
            return Err(Errno::ENAMETOOLONG);
        }
        if matches!(bytes, b"" | b"." | b"..") || bytes.iter().any(|&b| b == b'/' || b == 0) {
            return Err(Errno::EINVAL);
        }
        Ok(Name(bytes))
    }

    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmful_components_are_refused() {
        for bad in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0b"] {
            assert_eq!(Name::new(bad), Err(Errno::EINVAL), "{bad:?}");
        }
        assert_eq!(Name::new(&[b'a'; 256]), Err(Errno::ENAMETOOLONG));
        for good in [&b"..."[..], b".a", b"..a", b"\xff\n", &[b'a'; 255]] {
            assert!(Name::new(good).is_ok(), "{good:?}");
        }
    }
}
