//! Looking up several components in one step where the cache does not know them.

use std::collections::VecDeque;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::NAME_MAX;
use smallvec::{SmallVec, smallvec};

use crate::vfs::dentry::Cached;
use crate::vfs::{Dentry, Inode};

/// Most components that are looked up at once.
const MAX_NAMES: usize = 16;

/// Inodes that [`Inode::lookup_chain`] found for the components to come.
#[derive(Default)]
pub(super) struct Ahead {
    inodes: VecDeque<Arc<dyn Inode>>,
    /// The file system's count of changes before they were found.
    changes: u64,
}

impl Ahead {
    /// Forgets what was found: the walk goes another way.
    pub(super) fn clear(&mut self) {
        self.inodes.clear();
    }

    /// Finds `name` in `directory`; `rest` is the path behind it, whose end is about to be opened
    /// for reading if `opens`.
    ///
    /// # Errors
    /// ENOENT and those of the file system.
    pub(super) fn find(
        &mut self,
        directory: &Arc<Dentry>,
        name: &[u8],
        rest: &[u8],
        opens: bool,
    ) -> Result<Arc<Dentry>, Errno> {
        if let Some(inode) = self.inodes.pop_front() {
            if let Some(found) = directory.adopt(name, inode, self.changes) {
                return Ok(found);
            }
            self.clear();
        }
        let fs = directory.superblock().fs();
        if !fs.is_volatile() {
            match directory.cached(name)? {
                Cached::Present(found) => return Ok(found),
                Cached::Absent => return Err(Errno::ENOENT),
                Cached::Unknown => {}
            }
        }
        if let Some(found) = self.look_ahead(directory, name, rest, opens) {
            return Ok(found);
        }
        directory.lookup(name)
    }

    /// Finds `name` and as many of the components behind it as one step gives.
    fn look_ahead(
        &mut self,
        directory: &Arc<Dentry>,
        name: &[u8],
        rest: &[u8],
        opens: bool,
    ) -> Option<Arc<Dentry>> {
        let mut names: SmallVec<[&[u8]; MAX_NAMES]> = smallvec![name];
        let mut further =
            rest.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).peekable();
        while names.len() < MAX_NAMES
            && let Some(name) = further.next_if(|name| is_plain(name))
        {
            names.push(name);
        }
        let opens = opens && further.peek().is_none();
        // A single name is only worth it if there is more to it than a lookup.
        if names.len() < 2 && !opens {
            return None;
        }
        self.changes = directory.superblock().changes();
        self.inodes = directory.inode().lookup_chain(&names, opens).into();
        let first = self.inodes.pop_front()?;
        let found = directory.adopt(name, first, self.changes);
        if found.is_none() {
            self.clear();
        }
        found
    }
}

/// Whether a component is looked up as it stands.
fn is_plain(name: &[u8]) -> bool {
    !matches!(name, b"." | b"..") && name.len() <= NAME_MAX
}
