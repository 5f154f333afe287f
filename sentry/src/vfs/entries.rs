//! Changing directory entries: create, link, remove, rename; with permissions, cache and watches.
//!
//! Callers have resolved the parent and looked at the last component; that the entry still is what
//! they saw is checked once the directory's lock is held.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, InotifyMask, RenameFlags};

use super::dentry::{Change, change_two};
use super::permission::{Want, check_attributes, check_inode, check_removal, new_group_and_mode};
use super::watch::{notify_entry, notify_if_gone, notify_inode};
use super::{Dentry, Location, NewNode, NewNodeKind};
use crate::task::Credentials;

/// Makes the entry `name` of `directory`. The caller has found that it does not exist and that the
/// mount is writable.
///
/// # Errors
/// EACCES, ENOENT (the directory was removed), EEXIST (somebody was faster), and those of the file
/// system.
pub fn create_entry(
    credentials: &Credentials,
    directory: &Location,
    name: &[u8],
    kind: NewNodeKind<'_>,
    mode: u32,
) -> Result<Arc<Dentry>, Errno> {
    let parent = directory.dentry().inode().ownership()?;
    check_attributes(&parent, credentials, Want::CHANGE_ENTRIES)?;
    let (gid, permissions) = new_group_and_mode(&parent, credentials, kind.file_kind(), mode);
    let node = NewNode { kind, permissions, uid: credentials.fsuid, gid };
    let made = {
        let change = directory.dentry().change()?;
        let inode = change.inode().create(name, &node)?;
        change.added(name, inode)
    };
    notify_entry(&**directory.dentry().inode(), name, &**made.inode(), InotifyMask::CREATE, 0);
    Ok(made)
}

/// Gives `target` the further name `name` in `directory`.
///
/// # Errors
/// EACCES, EPERM (a directory), ENOENT (the directory or the last name of `target` is gone), EEXIST,
/// EMLINK and those of the file system.
pub fn link_entry(
    credentials: &Credentials,
    target: &Location,
    directory: &Location,
    name: &[u8],
) -> Result<(), Errno> {
    let parent = directory.dentry().inode();
    check_inode(&**parent, credentials, Want::CHANGE_ENTRIES)?;
    let inode = target.dentry().inode();
    if inode.kind() == FileKind::Directory {
        return Err(Errno::EPERM);
    }
    if inode.is_nameless()? && !inode.common().can_revive() {
        return Err(Errno::ENOENT);
    }
    {
        let change = directory.dentry().change()?;
        change.inode().link(name, inode)?;
        let _ = change.added(name, inode.clone());
    }
    notify_inode(&**inode, InotifyMask::ATTRIB);
    notify_entry(&**parent, name, &**inode, InotifyMask::CREATE, 0);
    Ok(())
}

/// Removes `victim`, an entry of `directory` that is no directory.
///
/// # Errors
/// EACCES, EPERM, EISDIR, EBUSY (a mount point), ENOENT (somebody was faster).
pub fn remove_file(
    credentials: &Credentials,
    directory: &Location,
    victim: &Arc<Dentry>,
) -> Result<(), Errno> {
    let parent = directory.dentry().inode();
    check_removal(&**parent, &**victim.inode(), credentials)?;
    if victim.inode().kind() == FileKind::Directory {
        return Err(Errno::EISDIR);
    }
    if victim.is_mountpoint() {
        return Err(Errno::EBUSY);
    }
    let name = victim.name();
    {
        let change = directory.dentry().change()?;
        change.check_child(victim)?;
        change.inode().unlink(&name, victim.inode())?;
        change.removed(victim);
    }
    notify_inode(&**victim.inode(), InotifyMask::ATTRIB);
    notify_entry(&**parent, &name, &**victim.inode(), InotifyMask::DELETE, 0);
    notify_if_gone(&**victim.inode());
    Ok(())
}

/// Removes `victim`, an empty subdirectory of `directory`.
///
/// # Errors
/// EACCES, EPERM, ENOTDIR, EBUSY (a mount point), ENOTEMPTY, ENOENT (somebody was faster).
pub fn remove_directory(
    credentials: &Credentials,
    directory: &Location,
    victim: &Arc<Dentry>,
) -> Result<(), Errno> {
    let parent = directory.dentry().inode();
    check_removal(&**parent, &**victim.inode(), credentials)?;
    if victim.inode().kind() != FileKind::Directory {
        return Err(Errno::ENOTDIR);
    }
    if victim.is_mountpoint() {
        return Err(Errno::EBUSY);
    }
    let name = victim.name();
    {
        let change = directory.dentry().change()?;
        change.check_child(victim)?;
        // Nothing is created in it from here on: parent before child.
        let _emptied = victim.change_nested()?;
        change.inode().rmdir(&name, victim.inode())?;
        change.removed(victim);
    }
    notify_entry(&**parent, &name, &**victim.inode(), InotifyMask::DELETE, 0);
    notify_if_gone(&**victim.inode());
    Ok(())
}

/// One end of a rename.
pub struct RenameEnd<'a> {
    pub directory: &'a Location,
    pub name: &'a [u8],
    pub has_slash: bool,
}

/// Renames within one mount; the caller has checked that both ends are in it and that it is
/// writable. `cookie` ties the events together.
///
/// # Errors
/// ENOENT, EEXIST (`NOREPLACE`), ENOTDIR, EISDIR, EINVAL (into itself), ENOTEMPTY, EACCES, EPERM,
/// EBUSY (a mount point), and those of the file system.
pub fn rename_entry(
    credentials: &Credentials,
    from: &RenameEnd<'_>,
    to: &RenameEnd<'_>,
    flags: RenameFlags,
    cookie: u32,
) -> Result<(), Errno> {
    loop {
        let generations =
            (from.directory.dentry().generation()?, to.directory.dentry().generation()?);
        let child = from.directory.dentry().lookup(from.name)?;
        let target = match to.directory.dentry().lookup(to.name) {
            Ok(target) => Some(target),
            Err(Errno::ENOENT) => None,
            Err(errno) => return Err(errno),
        };
        check_slashes(from, to, &child, target.as_ref(), flags)?;
        let rename = Rename { credentials, from, to, child, target, flags, cookie };
        match rename.run(generations)? {
            Outcome::Done => return Ok(()),
            Outcome::Overtaken => {}
        }
    }
}

fn check_slashes(
    from: &RenameEnd<'_>,
    to: &RenameEnd<'_>,
    child: &Dentry,
    target: Option<&Arc<Dentry>>,
    flags: RenameFlags,
) -> Result<(), Errno> {
    let is_directory = |dentry: &Dentry| dentry.inode().kind() == FileKind::Directory;
    if flags.contains(RenameFlags::NOREPLACE) && target.is_some() {
        return Err(Errno::EEXIST);
    }
    let is_exchange = flags.contains(RenameFlags::EXCHANGE);
    if is_exchange {
        let target = target.ok_or(Errno::ENOENT)?;
        if !is_directory(target) && to.has_slash {
            return Err(Errno::ENOTDIR);
        }
    }
    if !is_directory(child) && (from.has_slash || (!is_exchange && to.has_slash)) {
        return Err(Errno::ENOTDIR);
    }
    Ok(())
}

struct Rename<'a> {
    credentials: &'a Credentials,
    from: &'a RenameEnd<'a>,
    to: &'a RenameEnd<'a>,
    child: Arc<Dentry>,
    target: Option<Arc<Dentry>>,
    flags: RenameFlags,
    cookie: u32,
}

enum Outcome {
    Done,
    /// A directory changed since its entries were looked at.
    Overtaken,
}

impl Rename<'_> {
    fn run(&self, generations: (u64, u64)) -> Result<Outcome, Errno> {
        let (old, new) = (self.from.directory.dentry(), self.to.directory.dentry());
        let superblock = old.superblock();
        // Before any lock: a file system may take its own to tell attributes.
        let permitted = self.check();
        let _ancestry = superblock.rename_lock.lock();
        if new.is_within(&self.child) {
            return Err(Errno::EINVAL);
        }
        let target_above = self.target.as_ref().is_some_and(|target| old.is_within(target));
        if target_above {
            let is_exchange = self.flags.contains(RenameFlags::EXCHANGE);
            return Err(if is_exchange { Errno::EINVAL } else { Errno::ENOTEMPTY });
        }
        if let Some(target) = &self.target
            && Change::is_same_object(&self.child, target)
        {
            return Ok(Outcome::Done);
        }
        permitted?;
        let _seen = RenameCount::begin(&superblock.renames);
        if Arc::ptr_eq(old, new) {
            let change = old.change()?;
            if !change.is_first_since(generations.0) {
                return Ok(Outcome::Overtaken);
            }
            self.apply(&change, None)?;
        } else {
            let (source, dest) =
                if old.is_within(new) || (!new.is_within(old) && is_before(new, old)) {
                    let (dest, source) = change_two(new, old)?;
                    (source, dest)
                } else {
                    change_two(old, new)?
                };
            let is_current =
                source.is_first_since(generations.0) && dest.is_first_since(generations.1);
            if !is_current {
                return Ok(Outcome::Overtaken);
            }
            self.apply(&dest, Some(&source))?;
        }
        self.tell();
        Ok(Outcome::Done)
    }

    /// Permissions and kinds.
    fn check(&self) -> Result<(), Errno> {
        let old_dir = &**self.from.directory.dentry().inode();
        let new_dir = &**self.to.directory.dentry().inode();
        let child = &**self.child.inode();
        check_removal(old_dir, child, self.credentials)?;
        let is_directory = child.kind() == FileKind::Directory;
        let is_exchange = self.flags.contains(RenameFlags::EXCHANGE);
        let mut target_is_directory = false;
        match &self.target {
            None => check_inode(new_dir, self.credentials, Want::CHANGE_ENTRIES)?,
            Some(target) => {
                check_removal(new_dir, &**target.inode(), self.credentials)?;
                target_is_directory = target.inode().kind() == FileKind::Directory;
                if !is_exchange && is_directory && !target_is_directory {
                    return Err(Errno::ENOTDIR);
                }
                if !is_exchange && !is_directory && target_is_directory {
                    return Err(Errno::EISDIR);
                }
            }
        }
        let changes_parent = !Arc::ptr_eq(self.from.directory.dentry(), self.to.directory.dentry());
        if changes_parent {
            // The entry `..` of a directory that moves is written.
            if is_directory {
                check_inode(child, self.credentials, Want::WRITE)?;
            }
            if let (true, true, Some(target)) = (is_exchange, target_is_directory, &self.target) {
                check_inode(&**target.inode(), self.credentials, Want::WRITE)?;
            }
        }
        let is_covered = |dentry: &Arc<Dentry>| dentry.is_mountpoint();
        if is_covered(&self.child) || self.target.as_ref().is_some_and(is_covered) {
            return Err(Errno::EBUSY);
        }
        Ok(())
    }

    /// Moves in file system and cache. `source` is none for a rename within `dest`.
    fn apply(&self, dest: &Change<'_>, source: Option<&Change<'_>>) -> Result<(), Errno> {
        let source_inode = source.unwrap_or(dest).inode();
        let is_exchange = self.flags.contains(RenameFlags::EXCHANGE);
        // Nothing is created in a directory that is being replaced: it lies below `dest`.
        let _replaced = match &self.target {
            Some(target) if !is_exchange && target.inode().kind() == FileKind::Directory => {
                Some(target.change_nested()?)
            }
            _ => None,
        };
        source_inode.rename(self.from.name, dest.inode(), self.to.name, self.flags)?;
        match &self.target {
            Some(target) if is_exchange => {
                source.unwrap_or(dest).exchanged(&self.child, source.map(|_| dest), target)
            }
            target => dest.moved(source, &self.child, self.to.name, target.as_ref()),
        }
        Ok(())
    }

    fn tell(&self) {
        let old_dir = &**self.from.directory.dentry().inode();
        let new_dir = &**self.to.directory.dentry().inode();
        let child = &**self.child.inode();
        notify_entry(old_dir, self.from.name, child, InotifyMask::MOVED_FROM, self.cookie);
        notify_entry(new_dir, self.to.name, child, InotifyMask::MOVED_TO, self.cookie);
        notify_inode(child, InotifyMask::MOVE_SELF);
        if let Some(target) = &self.target
            && !self.flags.contains(RenameFlags::EXCHANGE)
        {
            notify_inode(&**target.inode(), InotifyMask::ATTRIB);
            notify_if_gone(&**target.inode());
        }
    }
}

/// Makes the superblock's count of renames odd while it lives.
struct RenameCount<'a>(&'a std::sync::atomic::AtomicU64);

impl<'a> RenameCount<'a> {
    fn begin(count: &'a std::sync::atomic::AtomicU64) -> RenameCount<'a> {
        count.fetch_add(1, Ordering::AcqRel);
        RenameCount(count)
    }
}

impl Drop for RenameCount<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// An order for two directories of which neither is the other's ancestor.
fn is_before(one: &Arc<Dentry>, other: &Arc<Dentry>) -> bool {
    Arc::as_ptr(one).addr() < Arc::as_ptr(other).addr()
}

impl NewNodeKind<'_> {
    pub fn file_kind(&self) -> FileKind {
        match self {
            NewNodeKind::Regular => FileKind::Regular,
            NewNodeKind::Directory => FileKind::Directory,
            NewNodeKind::Symlink(_) => FileKind::Symlink,
            NewNodeKind::Fifo => FileKind::Fifo,
            NewNodeKind::Socket => FileKind::Socket,
            NewNodeKind::CharDevice(_) => FileKind::CharDevice,
            NewNodeKind::BlockDevice(_) => FileKind::BlockDevice,
        }
    }
}
