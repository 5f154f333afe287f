//! Directories of a tmpfs.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, RenameFlags};

use super::inode::{Data, TmpfsInode, own_inode};
use crate::fs::synthetic::seek_dir;
use crate::hash::HashMap;
use crate::memory::IoDest;
use crate::sync::{Mutex, MutexGuard};
use crate::vfs::{DeviceId, DirEntry, File, Inode, IoContext, NewNode, NewNodeKind, SeekFrom};

/// The entries of a directory, by name and in the order they were made.
#[derive(Default)]
pub(super) struct Entries {
    by_name: HashMap<Arc<[u8]>, Entry>,
    /// Positions never come again, so a listing that stopped goes on where it was.
    by_position: BTreeMap<u64, Arc<[u8]>>,
    last_position: u64,
    /// The directory was removed: nothing can be made in it.
    is_removed: bool,
}

#[derive(Clone)]
struct Entry {
    inode: Arc<TmpfsInode>,
    position: u64,
}

/// The first position of an entry; `.` and `..` come before.
const FIRST_POSITION: u64 = 2;

/// Entries copied out of the directory at a time, so that its lock is not held while they are used.
const LISTED_AT_ONCE: usize = 64;

impl Entries {
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn take_all(&mut self) -> Vec<Arc<TmpfsInode>> {
        self.by_position.clear();
        self.by_name.drain().map(|(_, entry)| entry.inode).collect()
    }

    fn insert(&mut self, name: &[u8], inode: Arc<TmpfsInode>) {
        let name: Arc<[u8]> = Arc::from(name);
        self.last_position += 1;
        let position = self.last_position + FIRST_POSITION - 1;
        self.by_position.insert(position, name.clone());
        self.by_name.insert(name, Entry { inode, position });
    }

    fn remove(&mut self, name: &[u8]) -> Option<Arc<TmpfsInode>> {
        let entry = self.by_name.remove(name)?;
        self.by_position.remove(&entry.position);
        Some(entry.inode)
    }

    /// Puts another node under an existing name; its place in listings stays.
    fn replace(&mut self, name: &[u8], inode: Arc<TmpfsInode>) -> Option<Arc<TmpfsInode>> {
        let entry = self.by_name.get_mut(name)?;
        Some(std::mem::replace(&mut entry.inode, inode))
    }

    /// The node under `name`, which must be `target`. Errors: ENOENT.
    fn expect(&self, name: &[u8], target: &TmpfsInode) -> Result<(), Errno> {
        let entry = self.by_name.get(name).ok_or(Errno::ENOENT)?;
        if std::ptr::eq(&*entry.inode, target) { Ok(()) } else { Err(Errno::ENOENT) }
    }
}

impl TmpfsInode {
    fn entries(&self) -> Result<&Mutex<Entries>, Errno> {
        match &self.data {
            Data::Directory(entries) => Ok(entries),
            _ => Err(Errno::ENOTDIR),
        }
    }

    pub(super) fn find(&self, name: &[u8]) -> Result<Arc<TmpfsInode>, Errno> {
        let entries = self.entries()?.lock();
        entries.by_name.get(name).map(|entry| entry.inode.clone()).ok_or(Errno::ENOENT)
    }

    pub(super) fn create_child(
        &self,
        name: &[u8],
        node: &NewNode<'_>,
    ) -> Result<Arc<TmpfsInode>, Errno> {
        let inode = TmpfsInode::new(&self.shared, node)?;
        self.add_entry(name, &inode)?;
        if node.kind == NewNodeKind::Directory {
            self.change_links(1);
        }
        self.touch_modified();
        Ok(inode)
    }

    fn add_entry(&self, name: &[u8], inode: &Arc<TmpfsInode>) -> Result<(), Errno> {
        let mut entries = self.entries()?.lock();
        if entries.is_removed {
            return Err(Errno::ENOENT);
        }
        if entries.by_name.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        entries.insert(name, inode.clone());
        Ok(())
    }

    pub(super) fn link_child(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<(), Errno> {
        own_inode(&self.shared, target)?;
        let target: Arc<dyn Any + Send + Sync> = target.clone();
        let target = target.downcast::<TmpfsInode>().map_err(|_| Errno::EXDEV)?;
        self.add_entry(name, &target)?;
        target.change_links(1);
        self.touch_modified();
        Ok(())
    }

    pub(super) fn unlink_child(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<(), Errno> {
        let target = own_inode(&self.shared, target)?;
        let removed = {
            let mut entries = self.entries()?.lock();
            entries.expect(name, target)?;
            entries.remove(name)
        };
        target.change_links(-1);
        self.touch_modified();
        drop(removed);
        Ok(())
    }

    pub(super) fn rmdir_child(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<(), Errno> {
        let target = own_inode(&self.shared, target)?;
        let _structure = self.shared.structure.lock();
        let mut entries = self.entries()?.lock();
        entries.expect(name, target)?;
        target.mark_removed()?;
        let removed = entries.remove(name);
        drop(entries);
        target.clear_links();
        self.change_links(-1);
        self.touch_modified();
        drop(removed);
        Ok(())
    }

    /// Makes an empty directory refuse new entries. Under the structure lock. Errors: ENOTEMPTY.
    fn mark_removed(&self) -> Result<(), Errno> {
        let mut entries = self.entries()?.lock_nested();
        if entries.len() > 0 {
            return Err(Errno::ENOTEMPTY);
        }
        entries.is_removed = true;
        Ok(())
    }

    pub(super) fn rename_child(
        &self,
        old_name: &[u8],
        new_parent: &Arc<dyn Inode>,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        let new_parent = own_inode(&self.shared, new_parent)?;
        let whiteout = match flags.contains(RenameFlags::WHITEOUT) {
            true => Some(self.new_whiteout()?),
            false => None,
        };
        let _structure = self.shared.structure.lock();
        let dropped;
        {
            let mut source = self.entries()?.lock();
            let mut dest = match std::ptr::eq(self, new_parent) {
                true => None,
                // Only one thread holds more than one: it has the structure lock.
                false => Some(new_parent.entries()?.lock_nested()),
            };
            let child = source.by_name.get(old_name).ok_or(Errno::ENOENT)?.inode.clone();
            let is_removed = dest.as_ref().map_or(source.is_removed, |dest| dest.is_removed);
            if is_removed {
                return Err(Errno::ENOENT);
            }
            let names = dest.as_deref().unwrap_or(&source);
            let target = names.by_name.get(new_name).map(|entry| entry.inode.clone());
            check_target(&child, target.as_deref(), flags)?;
            if flags.contains(RenameFlags::EXCHANGE) {
                let target = target.ok_or(Errno::ENOENT)?;
                let dest = dest.as_deref_mut().unwrap_or(&mut source);
                dropped = (dest.replace(new_name, child.clone()), None);
                let _ = source.replace(old_name, target.clone());
                self.exchanged_links(new_parent, &child, &target);
            } else {
                let moved = source.remove(old_name);
                let dest_entries = dest.as_deref_mut().unwrap_or(&mut source);
                let replaced = dest_entries.remove(new_name);
                dest_entries.insert(new_name, child.clone());
                drop(dest);
                if let Some(whiteout) = whiteout {
                    source.insert(old_name, whiteout);
                }
                self.moved_links(new_parent, &child, replaced.as_deref());
                dropped = (replaced, moved);
            }
        }
        drop(dropped);
        self.touch_modified();
        new_parent.touch_modified();
        Ok(())
    }

    /// The mark that overlayfs reads as "deleted": a character device 0:0.
    fn new_whiteout(&self) -> Result<Arc<TmpfsInode>, Errno> {
        let kind = NewNodeKind::CharDevice(DeviceId::default());
        TmpfsInode::new(&self.shared, &NewNode { kind, permissions: 0, uid: 0, gid: 0 })
    }

    fn moved_links(&self, new_parent: &TmpfsInode, child: &TmpfsInode, old: Option<&TmpfsInode>) {
        child.touch_changed();
        if let Some(old) = old {
            if old.is_directory() {
                old.clear_links();
                new_parent.change_links(-1);
            } else {
                old.change_links(-1);
            }
        }
        if child.is_directory() {
            self.change_links(-1);
            new_parent.change_links(1);
        }
    }

    fn exchanged_links(&self, other: &TmpfsInode, child: &TmpfsInode, target: &TmpfsInode) {
        child.touch_changed();
        target.touch_changed();
        let moves = i64::from(child.is_directory()) - i64::from(target.is_directory());
        self.change_links(-moves);
        other.change_links(moves);
    }

    fn is_directory(&self) -> bool {
        matches!(self.data, Data::Directory(_))
    }
}

/// Whether `child` may take the place of `target`; an empty directory that is replaced refuses new
/// entries from now on. Errors: EEXIST, ENOENT, ENOTEMPTY, EISDIR, ENOTDIR.
fn check_target(
    child: &TmpfsInode,
    target: Option<&TmpfsInode>,
    flags: RenameFlags,
) -> Result<(), Errno> {
    match target {
        Some(_) if flags.contains(RenameFlags::NOREPLACE) => Err(Errno::EEXIST),
        None if flags.contains(RenameFlags::EXCHANGE) => Err(Errno::ENOENT),
        Some(target) if !flags.contains(RenameFlags::EXCHANGE) => {
            match (child.is_directory(), target.is_directory()) {
                (true, true) => target.mark_removed(),
                (true, false) => Err(Errno::ENOTDIR),
                (false, true) => Err(Errno::EISDIR),
                (false, false) => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// An open directory.
pub(super) struct DirFile {
    inode: Arc<TmpfsInode>,
}

impl DirFile {
    pub(super) fn new(inode: Arc<TmpfsInode>) -> DirFile {
        DirFile { inode }
    }

    /// The next entries from `position` on.
    fn batch(&self, position: u64) -> Result<Vec<DirEntry<'static>>, Errno> {
        let entries: MutexGuard<'_, Entries> = self.inode.entries()?.lock();
        let listed = entries.by_position.range(position..).take(LISTED_AT_ONCE);
        let entry = |(&position, name): (&u64, &Arc<[u8]>)| {
            let inode = &entries.by_name.get(name)?.inode;
            Some(DirEntry {
                name: name.to_vec().into(),
                inode: inode.number(),
                kind: inode.kind(),
                next: position + 1,
            })
        };
        Ok(listed.filter_map(entry).collect())
    }
}

impl File for DirFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read(&self, _: &mut IoDest<'_>, _: u64, _: &IoContext<'_>) -> Result<usize, Errno> {
        Err(Errno::EISDIR)
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn seek(&self, current: u64, from: SeekFrom, _: u64) -> Result<u64, Errno> {
        seek_dir(current, from)
    }

    fn read_dir(
        &self,
        position: u64,
        parent_inode: u64,
        io: &IoContext<'_>,
        sink: &mut dyn FnMut(DirEntry) -> bool,
    ) -> Result<u64, Errno> {
        self.inode.touch_accessed(io.flags);
        let mut at = position;
        let dots = [(&b"."[..], self.inode.number()), (&b".."[..], parent_inode)];
        for (index, (name, inode)) in dots.into_iter().enumerate() {
            let next = index as u64 + 1;
            if at >= next {
                continue;
            }
            let name = name.to_vec();
            if !sink(DirEntry { name: name.into(), inode, kind: FileKind::Directory, next }) {
                return Ok(at);
            }
            at = next;
        }
        loop {
            let batch = self.batch(at)?;
            if batch.is_empty() {
                return Ok(at);
            }
            for entry in batch {
                let next = entry.next;
                if !sink(entry) {
                    return Ok(at);
                }
                at = next;
            }
        }
    }

    fn sync(&self, _: bool) -> Result<(), Errno> {
        Ok(())
    }
}
