//! The entries of directories: what has changed, over those of the lower directories.
//!
//! The VFS holds its lock of each directory that is changed, so what is looked at stays true until
//! it is changed here; lookups may come at any time.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use linux_abi::Errno;
use linux_abi::fs::{FileKind, RenameFlags};

use super::inode::{Body, OverlayInode};
use super::listing::Listed;
use crate::sync::{Mutex, Rank};
use crate::vfs::{AttributeChange, DeviceId, Inode, NewNode, NewNodeKind, TimeChange};

/// The entries of a directory that differ from the lower ones.
pub(super) struct Names {
    changed: Mutex<BTreeMap<Arc<[u8]>, Entry>>,
    /// What the lower directories list; kept, for they do not change.
    pub(super) lower_listing: OnceLock<Arc<[Listed]>>,
}

/// A changed entry.
#[derive(Clone)]
enum Entry {
    /// A lower entry is gone.
    Whiteout,
    Present {
        inode: Arc<OverlayInode>,
        /// Whether there is a lower entry of this name.
        hides_lower: bool,
    },
}

impl Default for Names {
    fn default() -> Names {
        Names { changed: Mutex::new(Rank::Inode, BTreeMap::new()), lower_listing: OnceLock::new() }
    }
}

impl Names {
    fn get(&self, name: &[u8]) -> Option<Entry> {
        self.changed.lock().get(name).cloned()
    }

    /// Puts `inode` under `name`. `is_below` tells whether there is a lower entry, if nothing has
    /// changed there yet.
    fn put(&self, name: &[u8], inode: Arc<OverlayInode>, is_below: bool) {
        let name: Arc<[u8]> = Arc::from(name);
        let _old = {
            let mut changed = self.changed.lock();
            let hides_lower = match changed.get(&name) {
                Some(Entry::Whiteout) => true,
                Some(Entry::Present { hides_lower, .. }) => *hides_lower,
                None => is_below,
            };
            changed.insert(name, Entry::Present { inode, hides_lower })
        };
    }

    /// Takes the entry `name` away.
    fn take(&self, name: &[u8]) {
        let _old = {
            let mut changed = self.changed.lock();
            match changed.get(name) {
                Some(Entry::Present { hides_lower: false, .. }) => changed.remove(name),
                _ => changed.insert(Arc::from(name), Entry::Whiteout),
            }
        };
    }

    /// Whether `name` is not as in the lower directories.
    fn has_changed(&self, name: &[u8]) -> bool {
        self.changed.lock().contains_key(name)
    }

    /// What is not as in the lower directories: names with what they lead to, or to nothing.
    pub(super) fn all_changed(&self) -> BTreeMap<Arc<[u8]>, Option<Arc<OverlayInode>>> {
        let changed = self.changed.lock();
        let inode = |entry: &Entry| match entry {
            Entry::Whiteout => None,
            Entry::Present { inode, .. } => Some(inode.clone()),
        };
        changed.iter().map(|(name, entry)| (name.clone(), inode(entry))).collect()
    }

    fn take_all(&mut self) -> Vec<Arc<OverlayInode>> {
        let changed = std::mem::take(self.changed.get_mut());
        let inode = |entry| match entry {
            Entry::Whiteout => None,
            Entry::Present { inode, .. } => Some(inode),
        };
        changed.into_values().filter_map(inode).collect()
    }
}

/// The entries of a directory have changed.
const MODIFIED: AttributeChange = AttributeChange {
    permissions: None,
    uid: None,
    gid: None,
    size: None,
    accessed: None,
    modified: Some(TimeChange::Now),
};

/// A name of an object has changed.
const CHANGED: AttributeChange = AttributeChange { modified: None, ..MODIFIED };

impl OverlayInode {
    pub(super) fn names(&self) -> Result<&Names, Errno> {
        match &self.body {
            Body::Directory(names) => Ok(names),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// The children that nothing else may know, when this inode is dropped.
    pub(super) fn take_children(&mut self) -> Vec<Arc<OverlayInode>> {
        match &mut self.body {
            Body::Directory(names) => names.take_all(),
            _ => Vec::new(),
        }
    }

    fn lower_directories(&self) -> &[Arc<dyn Inode>] {
        self.lower.as_ref().map_or(&[], |lower| &lower.inodes)
    }

    /// Finds an entry. Errors: ENOENT, ENOTDIR and those of the lower file system.
    pub(super) fn child(&self, name: &[u8]) -> Result<Arc<OverlayInode>, Errno> {
        match self.names()?.get(name) {
            Some(Entry::Present { inode, .. }) => Ok(inode),
            Some(Entry::Whiteout) => Err(Errno::ENOENT),
            None => self.lower_child(name),
        }
    }

    /// Finds an entry of the lower directories; directories of the same name are merged.
    fn lower_child(&self, name: &[u8]) -> Result<Arc<OverlayInode>, Errno> {
        let mut found: Vec<Arc<dyn Inode>> = Vec::new();
        for lower in self.lower_directories() {
            let inode = match lower.lookup(name) {
                Ok(inode) => inode,
                Err(Errno::ENOENT) => continue,
                Err(errno) => return Err(errno),
            };
            let is_directory = inode.kind() == FileKind::Directory;
            if is_whiteout(&inode)? || (!is_directory && !found.is_empty()) {
                break;
            }
            found.push(inode);
            if !is_directory {
                break;
            }
        }
        if found.is_empty() { Err(Errno::ENOENT) } else { self.core.inode_of(found) }
    }

    /// Finds as many of `names`, one below the other, as can be had in few steps. The lower tree is
    /// told if the last one will be opened.
    pub(super) fn chain(&self, names: &[&[u8]], opens: bool) -> Vec<Arc<OverlayInode>> {
        let mut found: Vec<Arc<OverlayInode>> = Vec::new();
        while found.len() < names.len() {
            let rest = &names[found.len()..];
            let mut step = found.last().map_or(self, |last| last).chain_step(rest, opens);
            if step.is_empty() {
                break;
            }
            found.append(&mut step);
        }
        found
    }

    /// One step of [`OverlayInode::chain`]: a changed entry, or what the lower tree finds at once
    /// before something has changed.
    fn chain_step(&self, names: &[&[u8]], opens: bool) -> Vec<Arc<OverlayInode>> {
        let Ok(own) = self.names() else { return Vec::new() };
        if let Some(entry) = own.get(names[0]) {
            return match entry {
                Entry::Present { inode, .. } => vec![inode],
                Entry::Whiteout => Vec::new(),
            };
        }
        let [lower] = self.lower_directories() else {
            return self.lower_child(names[0]).into_iter().collect();
        };
        let mut found: Vec<Arc<OverlayInode>> = Vec::new();
        for (lower, name) in lower.lookup_chain(names, opens).into_iter().zip(names) {
            let last = found.last().and_then(|last| last.names().ok());
            let is_hidden = last.is_some_and(|names| names.has_changed(name));
            if is_hidden || is_whiteout(&lower) != Ok(false) {
                break;
            }
            match self.core.inode_of(vec![lower]) {
                Ok(inode) => found.push(inode),
                Err(_) => break,
            }
        }
        found
    }

    /// Whether `child`, found as `name` before, still is there although the lower tree may change.
    pub(super) fn still_has(&self, name: &[u8], child: &Arc<dyn Inode>) -> bool {
        let (Ok(names), Ok(child)) = (self.names(), self.downcast(child)) else { return false };
        match names.get(name) {
            Some(Entry::Whiteout) => false,
            Some(Entry::Present { inode, .. }) => std::ptr::eq(&*inode, child),
            None if !self.core.is_volatile => true,
            None => match (self.lower_directories(), child.top_lower()) {
                ([lower], Some(below)) => lower.is_still(name, below),
                _ => self.lower_child(name).is_ok_and(|found| std::ptr::eq(&*found, child)),
            },
        }
    }

    /// Makes an entry. Errors: EEXIST; EPERM for what other overlays take for a deleted entry.
    pub(super) fn make(&self, name: &[u8], node: &NewNode<'_>) -> Result<Arc<OverlayInode>, Errno> {
        let names = self.names()?;
        if let Some(Entry::Present { .. }) = names.get(name) {
            return Err(Errno::EEXIST);
        }
        // Linux: overlayfs refuses them.
        if node.kind == NewNodeKind::CharDevice(DeviceId::default()) {
            return Err(Errno::EPERM);
        }
        let is_directory = node.kind == NewNodeKind::Directory;
        let inode = self.core.new_inode(node, if is_directory { 2 } else { 1 })?;
        self.touch(&MODIFIED)?;
        names.put(name, inode.clone(), false);
        if is_directory {
            self.change_links(1);
        }
        Ok(inode)
    }

    /// Gives `target` another name. Errors: EEXIST, EXDEV.
    pub(super) fn add_link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<(), Errno> {
        let target = self.downcast(target)?;
        let names = self.names()?;
        if let Some(Entry::Present { .. }) = names.get(name) {
            return Err(Errno::EEXIST);
        }
        self.touch(&MODIFIED)?;
        target.touch(&CHANGED)?;
        target.change_links(1);
        names.put(name, target.shared()?, false);
        Ok(())
    }

    /// Removes the name of what is no directory. Errors: ENOENT.
    pub(super) fn remove_file(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<(), Errno> {
        let target = self.check_entry(name, target)?;
        self.touch(&MODIFIED)?;
        self.names()?.take(name);
        target.drop_link();
        Ok(())
    }

    /// Removes an empty directory. Errors: ENOTEMPTY, ENOENT.
    pub(super) fn remove_directory(
        &self,
        name: &[u8],
        target: &Arc<dyn Inode>,
    ) -> Result<(), Errno> {
        let target = self.check_entry(name, target)?;
        target.check_empty()?;
        self.touch(&MODIFIED)?;
        self.names()?.take(name);
        self.change_links(-1);
        target.mark_removed();
        Ok(())
    }

    /// `target` as ours; ENOENT if something else has become of `name`.
    fn check_entry<'a>(
        &self,
        name: &[u8],
        target: &'a Arc<dyn Inode>,
    ) -> Result<&'a OverlayInode, Errno> {
        let target = self.downcast(target)?;
        match self.names()?.get(name) {
            Some(Entry::Present { inode, .. }) if !std::ptr::eq(&*inode, target) => {
                Err(Errno::ENOENT)
            }
            Some(Entry::Whiteout) => Err(Errno::ENOENT),
            _ => Ok(target),
        }
    }

    /// A name of this object, which is no directory, is gone.
    fn drop_link(&self) {
        self.change_links(-1);
        if self.links() == 0 {
            self.release_if_gone();
        } else {
            // The name is gone, whether or not there is room to note when.
            let _ = self.touch(&CHANGED);
        }
    }

    /// Moves, or exchanges, entries.
    ///
    /// Errors: EINVAL for flags that are not offered (Linux: `RENAME_WHITEOUT` among them), EXDEV,
    /// ENOENT, EEXIST, ENOTDIR, EISDIR, ENOTEMPTY, ENOSPC.
    pub(super) fn rename_entry(
        &self,
        old_name: &[u8],
        new_parent: &Arc<dyn Inode>,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        let is_exchange = flags == RenameFlags::EXCHANGE;
        if !is_exchange && !RenameFlags::NOREPLACE.contains(flags) {
            return Err(Errno::EINVAL);
        }
        let new_parent = self.downcast(new_parent)?;
        let child = self.child(old_name)?;
        let target = match new_parent.child(new_name) {
            Ok(target) => Some(target),
            Err(Errno::ENOENT) => None,
            Err(errno) => return Err(errno),
        };
        if target.as_ref().is_some_and(|target| Arc::ptr_eq(target, &child)) {
            return Ok(());
        }
        // All that may fail comes before the first change of a name.
        match (&target, is_exchange) {
            (None, true) => return Err(Errno::ENOENT),
            (Some(_), false) if !flags.is_empty() => return Err(Errno::EEXIST),
            (Some(target), false) => child.check_replaces(target)?,
            (Some(target), true) => target.touch(&CHANGED)?,
            (None, false) => {}
        }
        self.touch(&MODIFIED)?;
        new_parent.touch(&MODIFIED)?;
        child.touch(&CHANGED)?;
        new_parent.names()?.put(new_name, child.clone(), target.is_some());
        match target {
            Some(target) if is_exchange => {
                self.count_moved(new_parent, &child, Some(&target));
                self.names()?.put(old_name, target, true);
            }
            target => {
                self.names()?.take(old_name);
                self.count_moved(new_parent, &child, None);
                match target {
                    Some(target) if target.kind() == FileKind::Directory => {
                        new_parent.change_links(-1);
                        target.mark_removed();
                    }
                    Some(target) => target.drop_link(),
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// Whether this may take the place of `target`. Errors: ENOTDIR, EISDIR, ENOTEMPTY.
    fn check_replaces(&self, target: &OverlayInode) -> Result<(), Errno> {
        let is_directory = |inode: &OverlayInode| inode.kind() == FileKind::Directory;
        match (is_directory(self), is_directory(target)) {
            (true, false) => Err(Errno::ENOTDIR),
            (false, true) => Err(Errno::EISDIR),
            (true, true) => target.check_empty(),
            (false, false) => Ok(()),
        }
    }

    /// Counts the subdirectories of this directory and `other` after `child` has moved there, and
    /// `back` here.
    fn count_moved(&self, other: &OverlayInode, child: &OverlayInode, back: Option<&OverlayInode>) {
        let is_directory = |inode: &OverlayInode| i64::from(inode.kind() == FileKind::Directory);
        let moved = is_directory(child) - back.map_or(0, is_directory);
        if moved != 0 {
            self.change_links(-moved);
            other.change_links(moved);
        }
    }

    /// Errors: ENOTEMPTY, ENOTDIR.
    fn check_empty(&self) -> Result<(), Errno> {
        let changed = self.names()?.all_changed();
        let is_empty = changed.values().all(Option::is_none)
            && self.lower_listing()?.iter().all(|listed| changed.contains_key(&listed.name));
        if is_empty { Ok(()) } else { Err(Errno::ENOTEMPTY) }
    }

    /// Itself as it is shared. Errors: ESTALE, which only one that is being dropped answers.
    fn shared(&self) -> Result<Arc<OverlayInode>, Errno> {
        self.this.upgrade().ok_or(Errno::ESTALE)
    }

    /// EXDEV for an inode that is not of this overlay.
    fn downcast<'a>(&self, inode: &'a Arc<dyn Inode>) -> Result<&'a OverlayInode, Errno> {
        let own = inode.as_any().downcast_ref::<OverlayInode>().ok_or(Errno::EXDEV)?;
        if Arc::ptr_eq(&own.core, &self.core) { Ok(own) } else { Err(Errno::EXDEV) }
    }
}

/// Whether a lower inode marks a deleted name: a character device 0:0.
pub(super) fn is_whiteout(inode: &Arc<dyn Inode>) -> Result<bool, Errno> {
    Ok(inode.kind() == FileKind::CharDevice
        && inode.attributes()?.rdev == DeviceId { major: 0, minor: 0 })
}
