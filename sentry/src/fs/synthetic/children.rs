//! What is in a synthetic directory.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, OnceLock, Weak};

use linux_abi::Errno;
use linux_abi::fs::FileKind;

use crate::sync::{Mutex, Rank};
use crate::vfs::{Inode, IoContext};

/// An entry in a listing.
#[derive(Clone, Debug)]
pub struct Child {
    /// Where it comes in the listing. Stays with the entry, so that a listing goes on at the right
    /// place when others come and go (a pid, a descriptor number, an index).
    pub position: u64,
    pub name: Vec<u8>,
    pub inode: u64,
    pub kind: FileKind,
}

/// The entries of a synthetic directory. Called without locks held.
pub trait Children: Send + Sync + 'static {
    /// Finds an entry; the same `Arc` each time while the object is in use (see [`ChildCache`]).
    ///
    /// Errors: ENOENT.
    fn find(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno>;

    /// All entries (without `.` and `..`) in ascending order of position.
    ///
    /// Errors: ENOENT when what the directory stands for is gone.
    fn list(&self, io: &IoContext<'_>) -> Result<Vec<Child>, Errno>;

    /// Whether `child`, found as `name` before, still is there. Only asked in volatile file systems.
    fn is_still(&self, _name: &[u8], _child: &Arc<dyn Inode>) -> bool {
        true
    }
}

type MakeFn = Box<dyn Fn() -> Arc<dyn Inode> + Send + Sync>;

/// Entries that never change. Those given as a closure are made when they are first asked for.
#[derive(Default)]
pub struct FixedChildren {
    list: Vec<(Cow<'static, str>, Fixed)>,
    index: HashMap<Vec<u8>, usize>,
}

struct Fixed {
    made: OnceLock<Arc<dyn Inode>>,
    make: Option<MakeFn>,
}

impl FixedChildren {
    pub fn new() -> FixedChildren {
        FixedChildren::default()
    }

    /// Adds an entry.
    pub fn with(self, name: impl Into<Cow<'static, str>>, inode: Arc<dyn Inode>) -> FixedChildren {
        self.add(name.into(), Fixed { made: OnceLock::from(inode), make: None })
    }

    /// Adds an entry that `make` makes on first use.
    pub fn with_lazy(
        self,
        name: impl Into<Cow<'static, str>>,
        make: impl Fn() -> Arc<dyn Inode> + Send + Sync + 'static,
    ) -> FixedChildren {
        self.add(name.into(), Fixed { made: OnceLock::new(), make: Some(Box::new(make)) })
    }

    fn add(mut self, name: Cow<'static, str>, child: Fixed) -> FixedChildren {
        self.index.insert(name.as_bytes().to_vec(), self.list.len());
        self.list.push((name, child));
        self
    }

    fn inode(child: &Fixed) -> Option<&Arc<dyn Inode>> {
        match &child.make {
            Some(make) => Some(child.made.get_or_init(make)),
            None => child.made.get(),
        }
    }
}

impl Children for FixedChildren {
    fn find(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        let index = *self.index.get(name).ok_or(Errno::ENOENT)?;
        FixedChildren::inode(&self.list[index].1).cloned().ok_or(Errno::ENOENT)
    }

    fn list(&self, _: &IoContext<'_>) -> Result<Vec<Child>, Errno> {
        let entry = |(index, (name, child)): (usize, &(Cow<'static, str>, Fixed))| {
            let inode = FixedChildren::inode(child)?;
            Some(Child {
                position: index as u64,
                name: name.as_bytes().to_vec(),
                inode: inode.attributes().ok()?.inode,
                kind: inode.kind(),
            })
        };
        Ok(self.list.iter().enumerate().filter_map(entry).collect())
    }
}

/// Nodes by a key while somebody uses them: makes sure that one object is one inode.
pub struct ChildCache<K> {
    nodes: Mutex<HashMap<K, Weak<dyn Inode>>>,
}

impl<K: Eq + Hash> Default for ChildCache<K> {
    fn default() -> ChildCache<K> {
        ChildCache { nodes: Mutex::new(Rank::FileObject, HashMap::new()) }
    }
}

impl<K: Eq + Hash> ChildCache<K> {
    /// The living node of `key`, or the one that `make` makes now (called without the lock).
    pub fn get_or_make(&self, key: K, make: impl FnOnce() -> Arc<dyn Inode>) -> Arc<dyn Inode> {
        if let Some(living) = self.get(&key) {
            return living;
        }
        let made = make();
        let mut nodes = self.nodes.lock();
        if let Some(living) = nodes.get(&key).and_then(Weak::upgrade) {
            drop(nodes);
            return living;
        }
        if nodes.len() >= 64 && nodes.len().is_power_of_two() {
            nodes.retain(|_, node| node.strong_count() > 0);
        }
        nodes.insert(key, Arc::downgrade(&made));
        made
    }

    pub fn get(&self, key: &K) -> Option<Arc<dyn Inode>> {
        self.nodes.lock().get(key).and_then(Weak::upgrade)
    }
}
