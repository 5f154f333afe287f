//! Which mount hangs where.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Mount, MountNamespace};
use crate::hash::HashMap;
use crate::sync::{Rank, RwLock};
use crate::vfs::{Dentry, Location};

/// The mounts of one namespace.
pub(super) struct MountTable {
    pub(super) inner: RwLock<Inner>,
}

#[derive(Default)]
pub(super) struct Inner {
    /// All mounts in the order they were made.
    pub(super) mounts: BTreeMap<i32, Attached>,
    children: HashMap<Key, Arc<Mount>>,
    last_id: i32,
}

pub(super) struct Attached {
    pub(super) mount: Arc<Mount>,
    /// None for the root mount.
    pub(super) at: Option<Location>,
}

/// A mount point: the covering mount's id and the dentry's address. The dentry cannot go away and
/// leave the address to another: [`Attached`] holds it.
type Key = (i32, usize);

fn key(mount: &Mount, dentry: &Arc<Dentry>) -> Key {
    (mount.id, Arc::as_ptr(dentry).addr())
}

impl Default for MountTable {
    fn default() -> MountTable {
        MountTable { inner: RwLock::new(Rank::MountTree, Inner::default()) }
    }
}

impl MountTable {
    pub(super) fn child(&self, mount: &Mount, dentry: &Arc<Dentry>) -> Option<Arc<Mount>> {
        self.inner.read().child(mount, dentry)
    }

    pub(super) fn mountpoint(&self, mount: &Mount) -> Option<Location> {
        self.inner.read().mounts.get(&mount.id)?.at.clone()
    }

    pub(super) fn contains(&self, mount: &Mount) -> bool {
        self.inner.read().mounts.contains_key(&mount.id)
    }

    pub(super) fn is_of(&self, namespace: &MountNamespace) -> bool {
        std::ptr::eq(self, Arc::as_ptr(&namespace.table))
    }
}

impl Inner {
    pub(super) fn next_id(&mut self) -> i32 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn child(&self, mount: &Mount, dentry: &Arc<Dentry>) -> Option<Arc<Mount>> {
        self.children.get(&key(mount, dentry)).cloned()
    }

    /// Hangs `mount` up. `at` is not covered yet.
    pub(super) fn attach(&mut self, mount: Arc<Mount>, at: Option<Location>) {
        if let Some(at) = &at {
            at.dentry().add_mount();
            self.children.insert(key(at.mount(), at.dentry()), mount.clone());
        }
        self.mounts.insert(mount.id, Attached { mount, at });
    }

    /// Takes `mount` down. What it held is handed out to be dropped outside of the lock.
    pub(super) fn detach(&mut self, mount: &Mount) -> Option<Attached> {
        let attached = self.mounts.remove(&mount.id)?;
        if let Some(at) = &attached.at {
            at.dentry().remove_mount();
            self.children.remove(&key(at.mount(), at.dentry()));
        }
        Some(attached)
    }

    /// `mount` and all below it, parents first.
    pub(super) fn subtree(&self, mount: &Arc<Mount>) -> Vec<Arc<Mount>> {
        let mut found = vec![mount.clone()];
        let mut next = 0;
        while let Some(parent) = found.get(next).cloned() {
            let below = self.mounts.values().filter(|attached| {
                attached.at.as_ref().is_some_and(|at| Arc::ptr_eq(at.mount(), &parent))
            });
            found.extend(below.map(|attached| attached.mount.clone()));
            next += 1;
        }
        found
    }

    /// Whether something is mounted below `mount`.
    pub(super) fn has_children(&self, mount: &Arc<Mount>) -> bool {
        self.mounts
            .values()
            .any(|attached| attached.at.as_ref().is_some_and(|at| Arc::ptr_eq(at.mount(), mount)))
    }

    /// Whether `mount` is `ancestor` or hangs below it.
    pub(super) fn is_below(&self, mount: &Arc<Mount>, ancestor: &Arc<Mount>) -> bool {
        let mut current = mount.clone();
        loop {
            if Arc::ptr_eq(&current, ancestor) {
                return true;
            }
            match self.mounts.get(&current.id).and_then(|attached| attached.at.as_ref()) {
                Some(at) => current = at.mount().clone(),
                None => return false,
            }
        }
    }
}
