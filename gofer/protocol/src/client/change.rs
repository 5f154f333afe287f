//! What a quiet request does, read back from its bytes.

use smallvec::SmallVec;

use crate::message::{
    LinkRequest, NewDirectoryRequest, Op, RenameRequest, RequestHeader, SetAttrRequest,
    TargetRequest,
};
use crate::wire::{Reader, Writer};

/// A name; those of common length take no memory of their own.
type Name = SmallVec<[u8; 32]>;

#[derive(Debug)]
pub(super) enum Change {
    /// Gives a file its first name, or another.
    Names {
        file: u64,
        is_first: bool,
        dir: u64,
        name: Name,
    },
    /// Makes a directory, which is this node from then on.
    Makes {
        node: u64,
        dir: u64,
        name: Name,
    },
    Removes {
        dir: u64,
        name: Name,
    },
    /// Gives a file another name in place of the one it has.
    Renames {
        from: (u64, Name),
        to: (u64, Name),
    },
    /// Changes attributes of a node, or of an entry.
    Sets {
        node: u64,
        name: Name,
    },
    /// Gives nodes back.
    Releases,
    /// It may have to do with any other.
    Strange,
}

impl Change {
    pub(super) fn of(request: &[u8]) -> Change {
        Change::read(request).unwrap_or(Change::Strange)
    }

    fn read(request: &[u8]) -> Option<Change> {
        let mut rest = Reader::new(request);
        let op = Op::from_raw(rest.fixed::<RequestHeader>().ok()?.op)?;
        match op {
            Op::Name | Op::Link => {
                let LinkRequest { node, dir } = rest.fixed().ok()?;
                let is_first = op == Op::Name;
                if !is_first && !rest.short_bytes().ok()?.is_empty() {
                    return None;
                }
                let name = rest.short_bytes().ok()?.into();
                Some(Change::Names { file: node, is_first, dir, name })
            }
            Op::MakeDirectoryAs => {
                let NewDirectoryRequest { node, dir, .. } = rest.fixed().ok()?;
                Some(Change::Makes { node, dir, name: rest.short_bytes().ok()?.into() })
            }
            Op::Rename => {
                let RenameRequest { old_dir, new_dir, flags, .. } = rest.fixed().ok()?;
                if flags != 0 {
                    return None;
                }
                let from = (old_dir, rest.short_bytes().ok()?.into());
                Some(Change::Renames { from, to: (new_dir, rest.short_bytes().ok()?.into()) })
            }
            Op::Unlink | Op::RemoveDirectory => {
                let TargetRequest { node } = rest.fixed().ok()?;
                Some(Change::Removes { dir: node, name: rest.short_bytes().ok()?.into() })
            }
            Op::SetAttr => {
                let SetAttrRequest { node, .. } = rest.fixed().ok()?;
                Some(Change::Sets { node, name: rest.short_bytes().ok()?.into() })
            }
            Op::Release => Some(Change::Releases),
            _ => None,
        }
    }

    /// Whether it may fail, and counts therefore among those that were told.
    pub(super) fn counts(&self) -> bool {
        !matches!(self, Change::Releases)
    }

    /// The entries that it is about: their directories and their names there.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let (first, second) = match self {
            Change::Names { dir, name, .. }
            | Change::Makes { dir, name, .. }
            | Change::Removes { dir, name } => (Some((*dir, &**name)), None),
            Change::Renames { from, to } => (Some((from.0, &*from.1)), Some((to.0, &*to.1))),
            Change::Sets { node, name } if !name.is_empty() => (Some((*node, &**name)), None),
            Change::Sets { .. } | Change::Releases | Change::Strange => (None, None),
        };
        first.into_iter().chain(second)
    }

    /// The request that gives a file this name as its first.
    pub(super) fn as_first_name(&self) -> Vec<u8> {
        let mut request = Writer::default();
        if let Change::Names { file, dir, name, .. } = self {
            request.fixed(&RequestHeader {
                op: Op::Name as u32,
                is_quiet: 1,
                ..RequestHeader::default()
            });
            request.fixed(&LinkRequest { node: *file, dir: *dir });
            // It was as long before.
            let _ = request.short_bytes(name);
        }
        request.as_bytes().to_vec()
    }
}
