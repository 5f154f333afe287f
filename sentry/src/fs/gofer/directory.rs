//! Open host directories.
//!
//! A listing is fetched in parts as it is read, and kept until it is read from its start again:
//! positions in it stay valid whatever happens to the directory. Position 2 + n is that of entry n.
//!
//! In an exclusive export the directory itself keeps a complete listing, as long as nothing changes
//! there and the listings that are kept are not too many. Of a directory that we have made ourselves
//! the listing is what we know of it (`names`), in the order of the names.

use std::any::Any;
use std::borrow::Cow;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gofer_protocol::{DirPosition, ReadDirFlags, Target};
use linux_abi::Errno;
use linux_abi::fs::FileKind;

use super::budget::Answer;
use super::inode::{GoferInode, State};
use super::names::{Named, Names};
use crate::fs::synthetic::seek_dir;
use crate::hash::HashMap;
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

/// Most entries in all listings that an export's directories keep: a few megabytes.
const KEPT_ENTRIES_MAX: usize = 1 << 16;
/// Longer listings are not kept.
const KEPT_LENGTH_MAX: usize = 1 << 12;

/// A complete listing that a directory keeps.
pub(super) struct Kept {
    pub(super) parts: Vec<Arc<Part>>,
    pub(super) length: usize,
    /// Of the directory's attributes before it was read.
    version: u64,
    is_used: bool,
    /// Numbers of entries by name, once somebody looks for one.
    index: Option<HashMap<Arc<[u8]>, u32>>,
}

/// What of a listing was fetched.
struct Listing {
    parts: Vec<Arc<Part>>,
    /// Of the directory's attributes before the first was.
    version: u64,
    /// Where it goes on; none at the end.
    next: Option<DirPosition>,
}

pub(super) struct Part {
    /// Number of the first entry.
    first: u64,
    entries: Vec<Entry>,
}

pub(super) struct Entry {
    pub(super) name: Arc<[u8]>,
    inode: u64,
    pub(super) kind: FileKind,
}

impl Kept {
    /// The number of the entry `name`.
    pub(super) fn number(&mut self, name: &[u8]) -> Option<u32> {
        let parts = &self.parts;
        let index = self.index.get_or_insert_with(|| {
            let entries = parts.iter().flat_map(|part| &part.entries);
            entries.zip(0..).map(|(entry, number)| (entry.name.clone(), number)).collect()
        });
        index.get(name).copied()
    }

    /// The entries from number `first` on.
    pub(super) fn entries_from(&self, first: u32) -> impl Iterator<Item = &Entry> {
        self.parts.iter().flat_map(|part| &part.entries).skip(first as usize)
    }
}

impl Listing {
    fn new(version: u64) -> Listing {
        Listing { parts: Vec::new(), version, next: Some(DirPosition::START) }
    }

    fn part(&self, number: u64) -> Option<Arc<Part>> {
        let behind = self.parts.partition_point(|part| part.first <= number);
        let part = self.parts.get(behind.checked_sub(1)?)?;
        (number - part.first < part.entries.len() as u64).then(|| part.clone())
    }
}

impl GoferDir {
    pub(super) fn new(inode: Arc<GoferInode>) -> GoferDir {
        GoferDir { inode, listing: Mutex::new(Rank::FileObject, Listing::new(0)) }
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
        if start == DirPosition::START {
            let known = self.inode.known_listing();
            let is_complete = known.next.is_none();
            *self.listing.lock() = known;
            if is_complete {
                return Ok(());
            }
            self.inode.note_listed();
        }
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
            if listing.next.is_none() {
                let (parts, version) = (listing.parts.clone(), listing.version);
                drop(listing);
                self.inode.keep_listing(parts, version);
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
        Some(self.inode.listed(entry, kind))
    }

    /// Passes `.` and `..` on; answers with the position behind what was taken and whether to go on.
    fn read_dots(
        &self,
        position: u64,
        parent_inode: u64,
        sink: &mut dyn FnMut(DirEntry) -> bool,
    ) -> Result<(u64, bool), Errno> {
        let own = self.inode.number();
        let dots = [(&b"."[..], own), (&b".."[..], parent_inode)];
        for (at, (name, inode)) in (0..).zip(dots).skip(position.min(DOTS) as usize) {
            let kind = FileKind::Directory;
            if !sink(DirEntry { name: Cow::Borrowed(name), inode, kind, next: at + 1 }) {
                return Ok((at, false));
            }
        }
        Ok((position.max(DOTS), true))
    }
}

impl GoferInode {
    /// The listing as far as it is known: all of it, or nothing.
    fn known_listing(&self) -> Listing {
        let (version, entries) = {
            let mut state = self.state.lock();
            let version = state.attributes.version();
            if let Some(kept) = self.kept_listing(&mut state) {
                kept.is_used = true;
                return Listing { parts: kept.parts.clone(), version, next: None };
            }
            (version, state.names.as_ref().and_then(entries_of))
        };
        let Some(entries) = entries else { return Listing::new(version) };
        let parts = parts_of(entries);
        self.keep_listing(parts.clone(), version);
        Listing { parts, version, next: None }
    }

    /// Keeps a complete listing, unless something has changed meanwhile.
    fn keep_listing(&self, parts: Vec<Arc<Part>>, version: u64) {
        let length = parts.iter().map(|part| part.entries.len()).sum();
        if !self.export.is_exclusive() || length > KEPT_LENGTH_MAX {
            return;
        }
        let Ok(shared) = self.shared() else { return };
        let kept = Kept { parts, length, version, is_used: false, index: None };
        let old = {
            let mut state = self.state.lock();
            if state.attributes.version() != version {
                return;
            }
            state.listing.replace(kept)
        };
        let listed = &self.export.listed;
        listed.fetch_add(length, Ordering::Relaxed);
        match old {
            Some(old) => drop(listed.fetch_sub(old.length, Ordering::Relaxed)),
            None => self.export.listings.add(&shared, GoferInode::let_listing_go),
        }
        if listed.load(Ordering::Relaxed) > KEPT_ENTRIES_MAX {
            self.export.listings.shed_half(GoferInode::let_listing_go);
        }
    }

    /// What the host lists, as the guest knows it.
    fn listed(&self, entry: gofer_protocol::DirEntry, kind: FileKind) -> Entry {
        let mut inode = entry.ino;
        if kind == FileKind::Directory && self.export.is_exclusive() {
            // The host may not have told the number of one that we have made.
            inode = match self.known_child(&entry.name).filter(|child| child.told().is_some()) {
                Some(child) => child.number(),
                None => self.export.inodes.number(self.device(), inode),
            };
        }
        Entry { name: Arc::from(entry.name), inode, kind }
    }

    /// Takes over all that a survey has told of this directory, which was found by it.
    pub(super) fn keep_surveyed(&self, listing: Vec<gofer_protocol::DirEntry>) {
        let entry = |entry: gofer_protocol::DirEntry| {
            let kind = FileKind::from_dirent_type(entry.kind)?;
            Some(self.listed(entry, kind))
        };
        // Kinds that the host's listing does not tell have to be asked for.
        let Some(entries) = listing.into_iter().map(entry).collect::<Option<Vec<_>>>() else {
            return;
        };
        let version = self.state.lock().attributes.version();
        self.keep_listing(parts_of(entries), version);
    }

    /// The listing that is kept, if nothing has changed since.
    pub(super) fn kept_listing<'a>(&self, state: &'a mut State) -> Option<&'a mut Kept> {
        let version = state.attributes.version();
        state.listing.as_mut().filter(|kept| kept.version == version)
    }

    fn let_listing_go(&self) -> Answer {
        let was_used = {
            let mut state = self.state.lock();
            state.listing.as_mut().is_some_and(|kept| std::mem::take(&mut kept.is_used))
        };
        if was_used {
            return Answer::Keeps;
        }
        self.forget_listing();
        Answer::LetGo
    }

    /// Drops the listing that is kept, if there is one.
    pub(super) fn forget_listing(&self) {
        let kept = self.state.lock().listing.take();
        if let Some(kept) = kept {
            self.export.listed.fetch_sub(kept.length, Ordering::Relaxed);
        }
    }
}

/// What a directory has whose names are known; none if they are all that is.
fn entries_of(names: &Names) -> Option<Vec<Entry>> {
    let entry = |(name, named): (&Arc<[u8]>, &Option<Named>)| {
        let Named { inode, kind } = (*named)?;
        Some(Entry { name: name.clone(), inode, kind })
    };
    names.iter().map(entry).collect()
}

/// A whole listing in one part.
fn parts_of(entries: Vec<Entry>) -> Vec<Arc<Part>> {
    let has_some = !entries.is_empty();
    has_some.then(|| Arc::new(Part { first: 0, entries })).into_iter().collect()
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
            *self.listing.lock() = Listing::new(0);
        }
        let (mut at, goes_on) = self.read_dots(position, parent_inode, sink)?;
        if !goes_on {
            return Ok(at);
        }
        while let Some(part) = self.part(at - DOTS)? {
            for entry in &part.entries[(at - DOTS - part.first) as usize..] {
                let Entry { inode, kind, .. } = *entry;
                if !sink(DirEntry { name: Cow::Borrowed(&entry.name), inode, kind, next: at + 1 }) {
                    return Ok(at);
                }
                at += 1;
            }
        }
        Ok(at)
    }

    fn ends_at(&self, offset: u64) -> bool {
        let listing = self.listing.lock();
        let end = listing.parts.last().map_or(0, |part| part.first + part.entries.len() as u64);
        listing.next.is_none() && offset >= DOTS + end
    }

    fn sync(&self, _: bool) -> Result<(), Errno> {
        self.inode.with_node(|client, node| client.sync(node))
    }
}
