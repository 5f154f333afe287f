//! Watches on inodes: the hook for inotify(7).
//!
//! The VFS reports what happens to a file; who watches gets told. With no watch on a file and its
//! directory a report costs two loads.

use std::sync::Arc;

use linux_abi::fs::{FileKind, InotifyMask};

use super::{Inode, Location};
use crate::sync::{Mutex, Rank};

/// Somebody who watches inodes.
pub trait Watcher: Send + Sync {
    /// Something happened: to the watched inode itself (`name` is none) or to its entry `name`.
    /// `cookie` ties the two halves of a rename together. Must not block.
    fn event(&self, mask: InotifyMask, cookie: u32, name: Option<&[u8]>);

    /// The inode is gone, and with it the watch. Must not block.
    fn ended(&self);
}

/// The watchers of one inode.
pub struct Watches {
    list: Mutex<Vec<(u64, Arc<dyn Watcher>)>>,
}

impl Default for Watches {
    fn default() -> Watches {
        Watches { list: Mutex::new(Rank::Inode, Vec::new()) }
    }
}

impl Watches {
    /// Adds a watcher under a key of its own choice (unique per inode).
    pub fn add(&self, key: u64, watcher: Arc<dyn Watcher>) {
        self.list.lock().push((key, watcher));
    }

    pub fn remove(&self, key: u64) -> Option<Arc<dyn Watcher>> {
        let mut list = self.list.lock();
        let index = list.iter().position(|(other, _)| *other == key)?;
        Some(list.swap_remove(index).1)
    }

    pub fn is_empty(&self) -> bool {
        self.list.lock().is_empty()
    }

    fn tell(&self, mask: InotifyMask, cookie: u32, name: Option<&[u8]>) {
        let list: Vec<_> = self.list.lock().iter().map(|(_, watcher)| watcher.clone()).collect();
        for watcher in list {
            watcher.event(mask, cookie, name);
        }
    }
}

/// Reports `mask` for `location`: to its own watchers and, with its name, to its directory's.
pub fn notify(location: &Location, mask: InotifyMask) {
    let inode = location.dentry().inode();
    let mask = with_kind(&**inode, mask);
    if let Some(watches) = inode.common().existing_watches() {
        watches.tell(mask, 0, None);
    }
    let Some((parent, name)) = location.dentry().parent_and_name() else { return };
    if let Some(watches) = parent.inode().common().existing_watches() {
        watches.tell(mask, 0, Some(&name));
    }
}

/// Reports that the entry `name` of `directory`, a `child`, came, went or moved.
pub fn notify_entry(
    directory: &dyn Inode,
    name: &[u8],
    child: &dyn Inode,
    mask: InotifyMask,
    cookie: u32,
) {
    if let Some(watches) = directory.common().existing_watches() {
        watches.tell(with_kind(child, mask), cookie, Some(name));
    }
}

/// Reports what happened to an inode whatever its names (`ATTRIB`, `MOVE_SELF`).
pub fn notify_inode(inode: &dyn Inode, mask: InotifyMask) {
    if let Some(watches) = inode.common().existing_watches() {
        watches.tell(with_kind(inode, mask), 0, None);
    }
}

/// Ends the watches of an inode that has lost its last name and is not open, or has just been
/// closed for the last time.
pub(super) fn notify_if_gone(inode: &dyn Inode) {
    let Some(watches) = inode.common().existing_watches() else { return };
    let has_names = match inode.attributes() {
        Ok(attributes) if inode.kind() == FileKind::Directory => attributes.links > 1,
        Ok(attributes) => attributes.links > 0,
        Err(_) => false,
    };
    if has_names || inode.common().is_open() {
        return;
    }
    watches.tell(with_kind(inode, InotifyMask::DELETE_SELF), 0, None);
    let ended = std::mem::take(&mut *watches.list.lock());
    for (_, watcher) in ended {
        watcher.ended();
    }
}

fn with_kind(inode: &dyn Inode, mask: InotifyMask) -> InotifyMask {
    if inode.kind() == FileKind::Directory { mask | InotifyMask::ISDIR } else { mask }
}
