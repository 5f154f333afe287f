//! Open host directories.
//!
//! A listing is fetched in parts as it is read, and kept until it is read from its start again:
//! positions in it stay valid whatever happens to the directory. Position 2 + n is that of entry n.

use std::any::Any;
use std::sync::Arc;

use gofer_protocol::{DirPosition, ReadDirFlags, Target};
use linux_abi::Errno;
use linux_abi::fs::FileKind;

use super::inode::GoferInode;
use crate::fs::synthetic::seek_dir;
use crate::memory::IoDest;
use crate::sync::{Mutex, Rank};
use crate::vfs::{DirEntry, File, IoContext, SeekFrom};

/// `.` and `..`.
const DOTS: u64 = 2;

/// An open directory of the host.
pub(super) struct GoferDir {
    inode: Arc<GoferInode>,
    listing: Mutex<Listing>,
}

/// What of a listing was fetched.
struct Listing {
    parts: Vec<Arc<Part>>,
    /// Where it goes on; none at the end.
    next: Option<DirPosition>,
}

struct Part {
    /// Number of the first entry.
    first: u64,
    entries: Vec<Entry>,
}

struct Entry {
    name: Vec<u8>,
    inode: u64,
    kind: FileKind,
}

impl Listing {
    fn new() -> Listing {
        Listing { parts: Vec::new(), next: Some(DirPosition::START) }
    }

    fn part(&self, number: u64) -> Option<Arc<Part>> {
        let behind = self.parts.partition_point(|part| part.first <= number);
        let part = self.parts.get(behind.checked_sub(1)?)?;
        (number - part.first < part.entries.len() as u64).then(|| part.clone())
    }
}

impl GoferDir {
    pub(super) fn new(inode: Arc<GoferInode>) -> GoferDir {
        GoferDir { inode, listing: Mutex::new(Rank::FileObject, Listing::new()) }
    }

    /// The part that holds entry `number`; none behind the end.
    fn part(&self, number: u64) -> Result<Option<Arc<Part>>, Errno> {
        loop {
            let next = {
                let listing = self.listing.lock();
                if let Some(part) = listing.part(number) {
                    return Ok(Some(part));
                }
                listing.next
            };
            let Some(start) = next else { return Ok(None) };
            self.fetch(start)?;
        }
    }

    /// Fetches the part at `start`.
    fn fetch(&self, start: DirPosition) -> Result<(), Errno> {
        let flags = ReadDirFlags::empty();
        let chunk = self.inode.with_node(|client, node| client.read_dir(node, start, flags))?;
        let entries: Vec<Entry> =
            chunk.entries.into_iter().filter_map(|entry| self.entry(entry)).collect();
        let mut listing = self.listing.lock();
        // Unless another reader has fetched it meanwhile.
        if listing.next == Some(start) {
            let last = listing.parts.last();
            let first = last.map_or(0, |part| part.first + part.entries.len() as u64);
            listing.next = chunk.next;
            if !entries.is_empty() {
                listing.parts.push(Arc::new(Part { first, entries }));
            }
        }
        Ok(())
    }

    /// An entry as we keep it; its kind is asked for where the host's listing does not tell.
    fn entry(&self, entry: gofer_protocol::DirEntry) -> Option<Entry> {
        let kind = FileKind::from_dirent_type(entry.kind).or_else(|| {
            let name = &entry.name;
            let ask =
                |client: &gofer_protocol::Client, node| client.get_attr(Target::child(node, name));
            FileKind::from_mode(self.inode.with_node(ask).ok()?.mode)
        })?;
        Some(Entry { name: entry.name, inode: entry.ino, kind })
    }

    /// Passes `.` and `..` on; answers with the position behind what was taken and whether to go on.
    fn read_dots(
        &self,
        position: u64,
        parent_inode: u64,
        sink: &mut dyn FnMut(DirEntry) -> bool,
    ) -> Result<(u64, bool), Errno> {
        let own = self.inode.identity().ino();
        let dots = [(&b"."[..], own), (&b".."[..], parent_inode)];
        for (at, (name, inode)) in (0..).zip(dots).skip(position.min(DOTS) as usize) {
            let kind = FileKind::Directory;
            if !sink(DirEntry { name: name.to_vec(), inode, kind, next: at + 1 }) {
                return Ok((at, false));
            }
        }
        Ok((position.max(DOTS), true))
    }
}

impl File for GoferDir {
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
        if position == 0 {
            *self.listing.lock() = Listing::new();
        }
        let (mut at, goes_on) = self.read_dots(position, parent_inode, sink)?;
        if !goes_on {
            return Ok(at);
        }
        while let Some(part) = self.part(at - DOTS)? {
            for entry in &part.entries[(at - DOTS - part.first) as usize..] {
                let Entry { inode, kind, .. } = *entry;
                if !sink(DirEntry { name: entry.name.clone(), inode, kind, next: at + 1 }) {
                    return Ok(at);
                }
                at += 1;
            }
        }
        Ok(at)
    }

    fn sync(&self, _: bool) -> Result<(), Errno> {
        self.inode.with_node(|client, node| client.sync(node))
    }
}
