//! Listing directories of an overlay.
//!
//! The entries are those at the last read from the start, so that positions stay valid: 2 + n is
//! that of entry n. Unchanged entries come first, in the order of the lower file system.

use std::any::Any;
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags};

use super::inode::OverlayInode;
use super::names::is_whiteout;
use crate::fs::synthetic::seek_dir;
use crate::memory::IoDest;
use crate::sync::{Mutex, Rank};
use crate::vfs::{DirEntry, File, Inode, IoContext, SeekFrom};

/// An entry in a listing.
#[derive(Clone)]
pub(super) struct Listed {
    pub(super) name: Arc<[u8]>,
    number: u64,
    kind: FileKind,
}

impl OverlayInode {
    /// The entries of the lower directories, without `.` and `..`.
    pub(super) fn lower_listing(&self) -> Result<Arc<[Listed]>, Errno> {
        let names = self.names()?;
        if let Some(known) = names.lower_listing.get() {
            return Ok(known.clone());
        }
        let mut all = Vec::new();
        let mut seen = HashSet::new();
        let lowers = self.lower.as_ref().map_or(&[][..], |lower| &lower.inodes);
        for lower in lowers {
            for listed in self.list_one(lower)? {
                if lowers.len() > 1 && !seen.insert(listed.name.clone()) {
                    continue;
                }
                if listed.kind != FileKind::CharDevice || !is_whiteout_entry(lower, &listed)? {
                    all.push(listed);
                }
            }
        }
        let all: Arc<[Listed]> = all.into();
        if self.core.is_volatile {
            return Ok(all);
        }
        Ok(names.lower_listing.get_or_init(|| all).clone())
    }

    /// The entries of one lower directory.
    fn list_one(&self, lower: &Arc<dyn Inode>) -> Result<Vec<Listed>, Errno> {
        let device = lower.attributes()?.device;
        let io = IoContext { task: None, flags: OpenFlags::DIRECTORY };
        let file = lower.clone().open(io.flags, &io)?;
        let mut all = Vec::new();
        let mut sink = |entry: DirEntry| {
            if !matches!(&entry.name[..], b"." | b"..") {
                let number = self.core.table.number(device, entry.inode);
                all.push(Listed { name: entry.name.into(), number, kind: entry.kind });
            }
            true
        };
        file.read_dir(0, 0, &io, &mut sink)?;
        Ok(all)
    }

    /// All entries as they are now.
    fn listing(&self) -> Result<Arc<[Listed]>, Errno> {
        let lower = self.lower_listing()?;
        let changed = self.names()?.all_changed();
        if changed.is_empty() {
            return Ok(lower);
        }
        let unchanged = lower.iter().filter(|listed| !changed.contains_key(&listed.name)).cloned();
        let present = changed.iter().filter_map(|(name, inode)| {
            let inode = inode.as_ref()?;
            Some(Listed { name: name.clone(), number: inode.number(), kind: inode.kind() })
        });
        Ok(unchanged.chain(present).collect())
    }
}

fn is_whiteout_entry(directory: &Arc<dyn Inode>, listed: &Listed) -> Result<bool, Errno> {
    match directory.lookup(&listed.name) {
        Ok(inode) => is_whiteout(&inode),
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// An open directory.
pub(super) struct OverlayDir {
    inode: Arc<OverlayInode>,
    listing: Mutex<Option<Arc<[Listed]>>>,
}

impl OverlayDir {
    pub(super) fn new(inode: Arc<OverlayInode>) -> OverlayDir {
        OverlayDir { inode, listing: Mutex::new(Rank::FileObject, None) }
    }

    /// The entries; fresh ones for a read from the start.
    fn entries(&self, position: u64) -> Result<Arc<[Listed]>, Errno> {
        let known = self.listing.lock().clone().filter(|_| position > 0);
        match known {
            Some(known) => Ok(known),
            None => {
                let fresh = self.inode.listing()?;
                *self.listing.lock() = Some(fresh.clone());
                Ok(fresh)
            }
        }
    }
}

impl File for OverlayDir {
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
        _: &IoContext<'_>,
        sink: &mut dyn FnMut(DirEntry) -> bool,
    ) -> Result<u64, Errno> {
        let entries = self.entries(position)?;
        let dots = [(&b"."[..], self.inode.number()), (&b".."[..], parent_inode)];
        let dots = dots.map(|(name, number)| (name, number, FileKind::Directory));
        let listed = entries.iter().map(|listed| (&*listed.name, listed.number, listed.kind));
        let first = usize::try_from(position).unwrap_or(usize::MAX);
        let mut at = position;
        for (name, inode, kind) in dots.into_iter().chain(listed).skip(first) {
            if !sink(DirEntry { name: Cow::Borrowed(name), inode, kind, next: at + 1 }) {
                break;
            }
            at += 1;
        }
        Ok(at)
    }

    fn sync(&self, _: bool) -> Result<(), Errno> {
        Ok(())
    }
}
