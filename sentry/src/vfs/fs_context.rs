//! Where a process stands in the file tree.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Location, MountNamespace};
use crate::sync::{Rank, RwLock};

/// Root, working directory, umask and mount namespace; shared by `CLONE_FS`.
pub struct FsContext {
    places: RwLock<Places>,
    umask: AtomicU32,
}

#[derive(Clone)]
struct Places {
    root: Location,
    cwd: Location,
    namespace: Arc<MountNamespace>,
}

/// The umask that a container starts with.
const DEFAULT_UMASK: u32 = 0o022;

impl FsContext {
    /// At the root of `namespace`.
    pub fn new(namespace: Arc<MountNamespace>) -> Arc<FsContext> {
        let root = namespace.root();
        let places = Places { cwd: root.clone(), root, namespace };
        FsContext::with_places(places, DEFAULT_UMASK)
    }

    fn with_places(places: Places, umask: u32) -> Arc<FsContext> {
        Arc::new(FsContext {
            places: RwLock::new(Rank::FdTable, places),
            umask: AtomicU32::new(umask),
        })
    }

    /// A copy that changes on its own (`fork`).
    pub fn copy(&self) -> Arc<FsContext> {
        FsContext::with_places(self.places.read().clone(), self.umask())
    }

    /// A copy in a copy of the mount namespace (`CLONE_NEWNS`).
    pub fn copy_with_new_namespace(&self) -> Arc<FsContext> {
        let places = self.places.read().clone();
        let (namespace, translate) = places.namespace.copy();
        let places =
            Places { root: translate(&places.root), cwd: translate(&places.cwd), namespace };
        FsContext::with_places(places, self.umask())
    }

    pub fn root(&self) -> Location {
        self.places.read().root.clone()
    }

    pub fn cwd(&self) -> Location {
        self.places.read().cwd.clone()
    }

    pub fn namespace(&self) -> Arc<MountNamespace> {
        self.places.read().namespace.clone()
    }

    pub fn set_root(&self, root: Location) {
        let _old = std::mem::replace(&mut self.places.write().root, root);
    }

    pub fn set_cwd(&self, cwd: Location) {
        let _old = std::mem::replace(&mut self.places.write().cwd, cwd);
    }

    /// Root and working directory move from `old` to `new` where they are there (`pivot_root`).
    pub fn move_from(&self, old: &Location, new: &Location) {
        let _dropped;
        {
            let mut places = self.places.write();
            _dropped = places.clone();
            if places.root.is_same(old) {
                places.root = new.clone();
            }
            if places.cwd.is_same(old) {
                places.cwd = new.clone();
            }
        }
    }

    pub fn umask(&self) -> u32 {
        self.umask.load(Ordering::Relaxed)
    }

    /// Sets the umask; answers with the old one.
    pub fn set_umask(&self, umask: u32) -> u32 {
        self.umask.swap(umask & 0o777, Ordering::Relaxed)
    }
}
