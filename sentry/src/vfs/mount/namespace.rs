//! Mount namespaces.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use super::table::MountTable;
use super::{Mount, MountOptions};
use crate::vfs::{Dentry, FileSystem, Location, Superblock};

/// A tree of mounts: what a container's processes see as `/`.
pub struct MountNamespace {
    pub(super) table: Arc<MountTable>,
    root: Arc<Mount>,
}

impl MountNamespace {
    /// A namespace that shows `root_fs` as `/`.
    pub fn new(root_fs: Arc<dyn FileSystem>, options: MountOptions) -> Arc<MountNamespace> {
        let table = Arc::new(MountTable::default());
        let source = root_fs.source().into_bytes();
        let dentry = Dentry::root(Superblock::new(root_fs));
        let id = table.inner.write().next_id();
        let root = Mount::new(id, dentry, options, source, Arc::downgrade(&table));
        table.inner.write().attach(root.clone(), None);
        Arc::new(MountNamespace { table, root })
    }

    /// The root directory, with all that is mounted over it.
    pub fn root(&self) -> Location {
        let mount = self.table.root().unwrap_or_else(|| self.root.clone());
        let dentry = mount.root().clone();
        Location::new(mount, dentry).through_mounts()
    }

    /// A copy of the tree in a new namespace (`CLONE_NEWNS`), and how to translate places: the
    /// returned function answers with the same place in the copy.
    pub fn copy(&self) -> (Arc<MountNamespace>, impl Fn(&Location) -> Location + use<>) {
        let table = Arc::new(MountTable::default());
        let mut copies: HashMap<i32, Arc<Mount>> = HashMap::new();
        let mut root = None;
        for (mount, at) in self.parents_first() {
            let copy = mount.copy(&table);
            // A mount without a copied parent is the root.
            let at = at.and_then(|at| {
                let parent = copies.get(&at.mount().id())?;
                Some(Location::new(parent.clone(), at.dentry().clone()))
            });
            if at.is_none() {
                root = Some(copy.clone());
            }
            copies.insert(mount.id(), copy.clone());
            table.inner.write().attach(copy, at);
        }
        let root = root.unwrap_or_else(|| self.root.clone());
        let translate = move |place: &Location| match copies.get(&place.mount().id()) {
            Some(mount) => Location::new(mount.clone(), place.dentry().clone()),
            None => place.clone(),
        };
        (Arc::new(MountNamespace { table, root }), translate)
    }

    /// All mounts with where they hang, each behind the one it hangs on.
    fn parents_first(&self) -> Vec<(Arc<Mount>, Option<Location>)> {
        let inner = self.table.inner.read();
        let tops = inner.mounts.values().filter(|attached| attached.at.is_none());
        let order = tops.flat_map(|top| inner.subtree(&top.mount));
        order
            .filter_map(|mount| {
                let attached = inner.mounts.get(&mount.id())?;
                Some((attached.mount.clone(), attached.at.clone()))
            })
            .collect()
    }

    /// All mounts in the order they were made, with where they hang.
    pub fn mounts(&self) -> Vec<(Arc<Mount>, Option<Location>)> {
        let inner = self.table.inner.read();
        inner.mounts.values().map(|entry| (entry.mount.clone(), entry.at.clone())).collect()
    }
}

impl MountTable {
    fn root(&self) -> Option<Arc<Mount>> {
        let inner = self.inner.read();
        inner.mounts.values().find(|entry| entry.at.is_none()).map(|entry| entry.mount.clone())
    }
}

impl Mount {
    /// The same mount for another namespace.
    fn copy(&self, table: &Arc<MountTable>) -> Arc<Mount> {
        let id = table.inner.write().next_id();
        let weak: Weak<MountTable> = Arc::downgrade(table);
        Mount::new(id, self.root.clone(), self.options(), self.source.clone(), weak)
    }
}

impl Drop for MountNamespace {
    /// Takes the tree apart; open files keep their own mounts.
    fn drop(&mut self) {
        let taken = std::mem::take(&mut *self.table.inner.write());
        for attached in taken.mounts.values() {
            if let Some(at) = &attached.at {
                at.dentry().remove_mount();
            }
        }
    }
}
