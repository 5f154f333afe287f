//! Path resolution, path_resolution(7).
//!
//! A [`PathContext`] says from where, as whom and under which restrictions (`openat2(2)`); it
//! resolves a path completely ([`PathContext::lookup`]) or up to its last component
//! ([`PathContext::parent`]), which is what creating and removing calls need. The [`Walker`] does
//! the steps; `open` drives it itself, because a symlink at the end may lead to a file to be created.

mod ahead;
#[cfg(test)]
mod stress;
mod task;
#[cfg(test)]
mod tests;
mod walker;

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::ResolveFlags;
use smallvec::SmallVec;

pub use task::{LookupFlags, chdir, lookup_at, lookup_fd, parent_at, path_context};
pub(super) use walker::Walker;

use super::{IoContext, Location};
use crate::task::Credentials;

/// Where a walk starts and what it may do.
pub struct PathContext<'a> {
    /// What `/` means, and where `..` ends.
    pub root: Location,
    /// Where relative paths start.
    pub start: Location,
    pub credentials: Arc<Credentials>,
    /// For links that depend on who asks.
    pub io: IoContext<'a>,
    pub resolve: ResolveFlags,
}

/// One component of a path; those of common length take no memory of their own.
pub type Component = SmallVec<[u8; 36]>;

/// The last component of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Last {
    Name(Component),
    Dot,
    DotDot,
    /// There is none: the path leads to the root, or was a magic link's jump.
    Nothing,
}

/// A path up to its last component.
pub struct Parent {
    /// The directory that holds (or would hold) the last component. Searching it is allowed.
    pub at: Location,
    pub last: Last,
    /// Whether slashes follow the last component.
    pub has_slash: bool,
}

impl PathContext<'_> {
    /// Resolves `path`; with `follow` also a symlink at its end. With `wants_directory` the result
    /// must be one.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR, EACCES, ELOOP, ENAMETOOLONG, EXDEV and EAGAIN (restrictions), EIO.
    pub fn lookup(
        &self,
        path: &[u8],
        follow: bool,
        wants_directory: bool,
    ) -> Result<Location, Errno> {
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        Walker::new(self, path)?.walk(follow, wants_directory)
    }

    /// As [`PathContext::lookup`], for what is about to be opened for reading.
    pub(super) fn lookup_to_open(&self, path: &[u8], follow: bool) -> Result<Location, Errno> {
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        Walker::new(self, path)?.opening().walk(follow, false)
    }

    /// Resolves `path` up to its last component.
    ///
    /// # Errors
    /// As [`PathContext::lookup`], for the components before the last.
    pub fn parent(&self, path: &[u8]) -> Result<Parent, Errno> {
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        let mut walker = Walker::new(self, path)?;
        let (last, has_slash) = walker.walk_to_last()?;
        Ok(Parent { at: walker.at().clone(), last, has_slash })
    }
}
