//! Changing directories: cache and file system together.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use linux_abi::Errno;

use super::children::Directory;
use super::{Dentry, is_same_inode};
use crate::sync::MutexGuard;
use crate::vfs::Inode;

/// A directory that is being changed, with its lock held.
///
/// The file system's operation happens while this lives, then the matching method here; lookups
/// that overlap are repeated.
pub struct Change<'a> {
    dentry: &'a Arc<Dentry>,
    directory: &'a Directory,
    _lock: MutexGuard<'a, ()>,
}

impl Dentry {
    /// Begins a change of this directory.
    ///
    /// Errors: ENOTDIR; ENOENT when the directory itself was removed.
    pub fn change(self: &Arc<Self>) -> Result<Change<'_>, Errno> {
        let directory = self.directory()?;
        Change::begin(self, directory, directory.change.lock())
    }

    /// As [`Dentry::change`] while the parent's change, or that of a directory which does not lie
    /// below this one, is held: parents come first, under the rename lock anything may.
    pub fn change_nested(self: &Arc<Self>) -> Result<Change<'_>, Errno> {
        let directory = self.directory()?;
        Change::begin(self, directory, directory.change.lock_nested())
    }
}

/// Begins changes of two different directories; the caller holds the rename lock and passes an
/// ancestor first. Both are in the order given.
///
/// Errors: as [`Dentry::change`].
pub fn change_two<'a>(
    first: &'a Arc<Dentry>,
    second: &'a Arc<Dentry>,
) -> Result<(Change<'a>, Change<'a>), Errno> {
    let first = first.change()?;
    let second = second.change_nested()?;
    Ok((first, second))
}

impl<'a> Change<'a> {
    fn begin(
        dentry: &'a Arc<Dentry>,
        directory: &'a Directory,
        lock: MutexGuard<'a, ()>,
    ) -> Result<Change<'a>, Errno> {
        if dentry.is_deleted() {
            return Err(Errno::ENOENT);
        }
        directory.generation.fetch_add(1, Ordering::AcqRel);
        dentry.superblock.count_change();
        Ok(Change { dentry, directory, _lock: lock })
    }

    pub fn inode(&self) -> &Arc<dyn Inode> {
        &self.dentry.inode
    }

    /// Whether this is the first change since the directory's generation was `generation`.
    pub fn is_first_since(&self, generation: u64) -> bool {
        self.directory.generation.load(Ordering::Acquire) == generation + 1
    }

    /// Whether `child` still is what this directory holds under its name.
    ///
    /// Errors: ENOENT when it was removed or renamed since it was looked up.
    pub fn check_child(&self, child: &Dentry) -> Result<(), Errno> {
        let is_here = child.parent().is_some_and(|parent| Arc::ptr_eq(&parent, self.dentry));
        if is_here && !child.is_deleted() { Ok(()) } else { Err(Errno::ENOENT) }
    }

    /// The file system has made or linked `inode` as `name`.
    pub fn added(&self, name: &[u8], inode: Arc<dyn Inode>) -> Arc<Dentry> {
        let name: Arc<[u8]> = Arc::from(name);
        let superblock = &self.dentry.superblock;
        let dentry =
            Dentry::new(superblock.clone(), inode, Some(self.dentry.clone()), name.clone());
        self.directory.set_present(name, &dentry);
        superblock.keep(&dentry);
        dentry
    }

    /// The file system has removed `child`.
    pub fn removed(&self, child: &Arc<Dentry>) {
        let name = child.name();
        if self.dentry.superblock.fs().is_volatile() {
            self.directory.set_unknown(&name);
        } else {
            self.directory.set_absent(name);
        }
        child.mark_deleted();
    }

    /// The file system has put something else, yet unknown, under `name`.
    pub fn became_unknown(&self, name: &[u8]) {
        self.directory.set_unknown(name);
    }

    /// The file system has moved `child` here from `from` (`None`: from this same directory),
    /// over `replaced`.
    pub fn moved(
        &self,
        from: Option<&Change<'_>>,
        child: &Arc<Dentry>,
        new_name: &[u8],
        replaced: Option<&Arc<Dentry>>,
    ) {
        let source = from.unwrap_or(self);
        let old_name = child.name();
        if let Some(replaced) = replaced {
            replaced.mark_deleted();
        }
        source.directory.set_unknown(&old_name);
        self.hang(child, Arc::from(new_name));
    }

    /// The file system has exchanged `child` of this directory with `other` of `with` (`None`: of
    /// this same directory).
    pub fn exchanged(&self, child: &Arc<Dentry>, with: Option<&Change<'_>>, other: &Arc<Dentry>) {
        let other_side = with.unwrap_or(self);
        let (name, other_name) = (child.name(), other.name());
        self.hang(other, name);
        other_side.hang(child, other_name);
    }

    fn hang(&self, child: &Arc<Dentry>, name: Arc<[u8]>) {
        let old_parent = {
            let mut place = child.place.lock();
            place.name = name.clone();
            place.parent.replace(self.dentry.clone())
        };
        self.directory.set_present(name, child);
        drop(old_parent);
    }

    /// Whether both dentries show one and the same inode.
    pub fn is_same_object(one: &Dentry, other: &Dentry) -> bool {
        is_same_inode(&one.inode, &other.inode)
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.dentry.superblock.count_change();
        self.directory.generation.fetch_add(1, Ordering::AcqRel);
    }
}
