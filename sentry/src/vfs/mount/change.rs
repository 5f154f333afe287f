//! Changing the mount tree: mount, bind, move, umount, pivot_root.

use std::sync::Arc;

use linux_abi::Errno;

use super::table::Inner;
use super::{Mount, MountNamespace, MountOptions};
use crate::vfs::{Dentry, FileSystem, Location, Superblock};

/// What [`MountNamespace::bind`] makes.
#[derive(Clone, Copy, Debug, Default)]
pub struct BindRequest {
    /// Whether mounts below the source come along.
    pub is_recursive: bool,
    /// Options of the new mount; those of the source's mount if none.
    pub options: Option<MountOptions>,
}

impl MountNamespace {
    /// Mounts `fs` over `at`.
    ///
    /// # Errors
    /// ENOTDIR (a directory over a file or the other way round), ENOENT (`at` was removed),
    /// EINVAL (`at` is not of this namespace).
    pub fn mount(
        &self,
        at: &Location,
        fs: Arc<dyn FileSystem>,
        options: MountOptions,
        source: Vec<u8>,
    ) -> Result<Arc<Mount>, Errno> {
        let root = Dentry::root(Superblock::new(fs));
        self.attach_new(at, root, options, source)
    }

    /// Shows `source` a second time, at `at`.
    ///
    /// # Errors
    /// As [`MountNamespace::mount`].
    pub fn bind(
        &self,
        source: &Location,
        at: &Location,
        request: BindRequest,
    ) -> Result<Arc<Mount>, Errno> {
        let below = if request.is_recursive { self.mounts_below(source) } else { Vec::new() };
        let options = request.options.unwrap_or_else(|| source.mount().options());
        let name = source.mount().source().to_vec();
        let bound = self.attach_new(at, source.dentry().clone(), options, name)?;
        let mut copies = vec![(source.mount().clone(), bound.clone())];
        for (mount, place) in below {
            let parent = copies.iter().find(|(old, _)| Arc::ptr_eq(old, place.mount()));
            let Some((_, parent)) = parent else { continue };
            let at = Location::new(parent.clone(), place.dentry().clone());
            let name = mount.source().to_vec();
            let copy = self.attach_new(&at, mount.root().clone(), mount.options(), name)?;
            copies.push((mount, copy));
        }
        Ok(bound)
    }

    /// Moves the mount whose root is `from` to `to`.
    ///
    /// # Errors
    /// EINVAL (`from` is no mount's root, or the root of the tree), ELOOP (`to` lies within it),
    /// ENOTDIR, ENOENT.
    pub fn move_mount(&self, from: &Location, to: &Location) -> Result<(), Errno> {
        if !from.is_mount_root() || !self.owns(from) || !self.owns(to) {
            return Err(Errno::EINVAL);
        }
        check_kinds(from.dentry(), to.dentry())?;
        let _detached = {
            let mut table = self.table.inner.write();
            if table.is_below(to.mount(), from.mount()) {
                return Err(Errno::ELOOP);
            }
            let to = topmost(&table, to);
            let attached = table.detach(from.mount()).ok_or(Errno::EINVAL)?;
            if attached.at.is_none() {
                table.attach(attached.mount, None);
                return Err(Errno::EINVAL);
            }
            table.attach(attached.mount.clone(), Some(to));
            attached
        };
        Ok(())
    }

    /// Takes down the mount whose root is `at`; with `detach` together with all below it, even
    /// while files are open.
    ///
    /// # Errors
    /// EINVAL (no mount's root, or the root of the tree), EBUSY (in use, or mounts below).
    pub fn unmount(&self, at: &Location, detach: bool) -> Result<(), Errno> {
        if !at.is_mount_root() || !self.owns(at) {
            return Err(Errno::EINVAL);
        }
        let mount = at.mount();
        let _detached: Vec<_> = {
            let mut table = self.table.inner.write();
            if !detach && table.has_children(mount) {
                return Err(Errno::EBUSY);
            }
            if mount.id == table.root_id() {
                return Err(if detach { Errno::EINVAL } else { Errno::EBUSY });
            }
            // The table's reference and that of `at`; any more is a user.
            if !detach && Arc::strong_count(mount) > 3 {
                return Err(Errno::EBUSY);
            }
            let subtree = table.subtree(mount);
            subtree.iter().rev().filter_map(|mount| table.detach(mount)).collect()
        };
        Ok(())
    }

    /// `pivot_root(2)`: makes the mount of `new_root` the root and hangs the old one at `put_old`.
    /// Answers with the two roots (old, new); moving processes over is the caller's work.
    ///
    /// # Errors
    /// EINVAL (not a mount's root, `put_old` not below `new_root`), EBUSY (on the current root).
    pub fn pivot_root(
        &self,
        new_root: &Location,
        put_old: &Location,
        current_root: &Location,
    ) -> Result<(), Errno> {
        let mounts = [new_root.mount(), put_old.mount(), current_root.mount()];
        if mounts.iter().any(|mount| !mount.is_in(self)) {
            return Err(Errno::EINVAL);
        }
        let old_mount = current_root.mount();
        if Arc::ptr_eq(new_root.mount(), old_mount) || Arc::ptr_eq(put_old.mount(), old_mount) {
            return Err(Errno::EBUSY);
        }
        if !new_root.is_mount_root() || !current_root.is_mount_root() {
            return Err(Errno::EINVAL);
        }
        let _dropped;
        {
            let mut table = self.table.inner.write();
            if !table.is_below(put_old.mount(), new_root.mount()) {
                return Err(Errno::EINVAL);
            }
            let old = table.detach(old_mount).ok_or(Errno::EINVAL)?;
            let new = table.detach(new_root.mount()).ok_or(Errno::EINVAL)?;
            // The new root takes the old one's place in the tree.
            table.attach(new.mount.clone(), old.at.clone());
            table.attach(old.mount.clone(), Some(put_old.clone()));
            _dropped = (old, new);
        }
        Ok(())
    }

    fn owns(&self, place: &Location) -> bool {
        place.mount().is_in(self)
    }

    fn attach_new(
        &self,
        at: &Location,
        root: Arc<Dentry>,
        options: MountOptions,
        source: Vec<u8>,
    ) -> Result<Arc<Mount>, Errno> {
        if !self.owns(at) {
            return Err(Errno::EINVAL);
        }
        check_kinds(&root, at.dentry())?;
        if at.dentry().is_deleted() {
            return Err(Errno::ENOENT);
        }
        let id = self.table.inner.write().next_id();
        let mount = Mount::new(id, root, options, source, Arc::downgrade(&self.table));
        let mut table = self.table.inner.write();
        let at = topmost(&table, at);
        table.attach(mount.clone(), Some(at));
        Ok(mount)
    }

    /// Mounts below `source` in its own mount, recursively, parents first.
    fn mounts_below(&self, source: &Location) -> Vec<(Arc<Mount>, Location)> {
        let table = self.table.inner.read();
        let mut found: Vec<(Arc<Mount>, Location)> = Vec::new();
        for mount in table.subtree(source.mount()).into_iter().skip(1) {
            let at = table.mounts.get(&mount.id).and_then(|attached| attached.at.clone());
            let Some(at) = at else { continue };
            let is_direct =
                Arc::ptr_eq(at.mount(), source.mount()) && at.dentry().is_within(source.dentry());
            let is_deeper = found.iter().any(|(parent, _)| Arc::ptr_eq(parent, at.mount()));
            if is_direct || is_deeper {
                found.push((mount, at));
            }
        }
        found
    }
}

impl Inner {
    fn root_id(&self) -> i32 {
        let root = self.mounts.values().find(|attached| attached.at.is_none());
        root.map_or(0, |attached| attached.mount.id)
    }
}

/// A directory is mounted over a directory, anything else over anything else.
fn check_kinds(root: &Dentry, over: &Dentry) -> Result<(), Errno> {
    use linux_abi::fs::FileKind::Directory;
    let (root, over) = (root.inode().kind(), over.inode().kind());
    if (root == Directory) == (over == Directory) { Ok(()) } else { Err(Errno::ENOTDIR) }
}

/// `place`, or the root of what has been mounted over it since.
fn topmost(table: &Inner, place: &Location) -> Location {
    let mut place = place.clone();
    while let Some(mount) = table.child(place.mount(), place.dentry()) {
        let root = mount.root().clone();
        place = Location::new(mount, root);
    }
    place
}
