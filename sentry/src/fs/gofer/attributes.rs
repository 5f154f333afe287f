//! Attributes of host files: where they come from and how long they are believed.
//!
//! An exclusive export's attributes change only through us, so they are kept; but the size and the
//! times of a file that we may be writing to are asked of its descriptor, and we note ourselves when a
//! directory was changed by quiet requests, which the host hears of later. A shared export's are
//! asked for once in each system call (the walk to the file may have told them); with an open
//! descriptor, the gofer only has to be asked when the change time tells that there is news. Owners always come from the gofer: `fstat` in the sentry
//! would tell them as its own user namespace sees them.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gofer_protocol::{Attr, SetAttr, SetTime, Target, Time};
use linux_abi::Errno;
use linux_abi::fs::{FileKind, S_IALLUGO, S_ISGID, S_ISUID, Stat};
use linux_abi::time::Timespec;
use platform::host;
use platform::host::time::Clock;

use super::foretold::Foretold;
use super::inode::GoferInode;
use crate::task::operation_start;
use crate::vfs::{AttributeChange, Attributes, DeviceId, Inode, TimeChange, now};

/// `STATX_BTIME`.
const STATX_BTIME: u32 = 0x800;

/// Attributes as last heard of.
pub(super) struct CachedAttributes {
    known: Attributes,
    /// Whether no change of ours came after them.
    is_current: bool,
    /// Whether none came that could have changed permissions or owners.
    is_ownership_current: bool,
    /// Whether none came that could have changed owners.
    is_owner_current: bool,
    /// Whether all names that have come and gone since are counted.
    are_links_current: bool,
    /// Of a file: see [`super::foretold`].
    pub(super) foretold: Foretold,
    /// When they were asked for.
    asked_at: Option<Duration>,
    /// Of a directory: when its entries were changed last, by a quiet request. The host has heard
    /// of it later.
    entries_changed: Option<Timespec>,
    /// Whether it waits among others to be asked about (`outdated`).
    is_waiting: bool,
    /// Counts changes, so that an answer which a change has overtaken is not believed.
    version: u64,
}

/// What can be said of attributes without asking the gofer.
enum AtHand {
    All(Attributes),
    /// Nothing; with a descriptor of the file, if there is one.
    Ask(Option<Arc<OwnedFd>>),
}

/// The circumstances under which attributes were asked for.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    /// Of the attributes known then.
    version: u64,
    at: Option<Duration>,
}

/// The time to note with a question, if answers may be believed for the rest of an operation.
pub(super) fn asking_time() -> Option<Duration> {
    operation_start().map(|_| host::time::now(Clock::Monotonic))
}

/// Whether something was asked for in the operation that is going on.
pub(super) fn is_of_this_operation(asked_at: Option<Duration>) -> bool {
    match (asked_at, operation_start()) {
        (Some(asked_at), Some(start)) => asked_at >= start,
        _ => false,
    }
}

/// The time of day by the clock of the host's own time stamps.
pub(super) fn time_stamp() -> Timespec {
    let time = host::time::now(Clock::RealtimeCoarse);
    Timespec { sec: time.as_secs() as i64, nsec: i64::from(time.subsec_nanos()) }
}

impl CachedAttributes {
    pub(super) fn new(known: Attributes, asked_at: Option<Duration>) -> CachedAttributes {
        CachedAttributes {
            known,
            is_current: true,
            is_ownership_current: true,
            is_owner_current: true,
            are_links_current: true,
            foretold: Foretold::default(),
            asked_at,
            entries_changed: None,
            is_waiting: false,
            version: 0,
        }
    }

    /// Of a directory that was made just now by a quiet request, like one that was made before.
    pub(super) fn of_new_directory(like: Attributes) -> CachedAttributes {
        let mut attributes = CachedAttributes::new(like, None);
        attributes.change_entries(None);
        attributes
    }

    /// All of them, if nothing has changed since they were heard of.
    pub(super) fn current(&self) -> Option<Attributes> {
        self.is_current.then_some(self.known)
    }

    /// They are asked for, or were told.
    pub(super) fn note_asked(&mut self) {
        self.is_waiting = false;
    }

    pub(super) fn kind(&self) -> FileKind {
        self.known.kind
    }

    /// Our number of the device.
    pub(super) fn device(&self) -> DeviceId {
        self.known.device
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Names of the file, as far as known.
    pub(super) fn links(&self) -> u64 {
        self.known.links
    }

    /// A change has happened, or is about to.
    pub(super) fn outdate(&mut self) -> u64 {
        self.is_ownership_current = false;
        self.are_links_current = false;
        self.entries_changed = None;
        self.outdate_rest()
    }

    /// Nothing has happened to the file, but what is known may be old: there is no descriptor any more that
    /// tells the rest.
    pub(super) fn outdate_unchanged(&mut self) {
        let told = self.foretold.told();
        self.outdate();
        self.foretold.stay_with(told);
    }

    /// The same, of what leaves permissions and owners alone.
    pub(super) fn outdate_rest(&mut self) -> u64 {
        self.is_current = false;
        self.foretold.take_back();
        self.version += 1;
        self.version
    }

    /// An entry has come or gone by a request that is served later: `at` a time of the host's, or now.
    fn change_entries(&mut self, at: Option<Timespec>) {
        // The host's own times are finer, and none goes back.
        let times = [at, Some(time_stamp()), self.entries_changed];
        self.entries_changed = times.into_iter().flatten().max_by_key(|time| (time.sec, time.nsec));
        self.outdate_rest();
    }

    /// An entry has come, a directory if `is_directory`, that the host has made; what happened
    /// before may still wait.
    fn note_made(&mut self, is_directory: bool) {
        if is_directory {
            self.note_subdirectories(1);
        }
        match self.entries_changed {
            Some(_) => self.change_entries(None),
            None => drop(self.outdate_rest()),
        }
    }

    /// Not all file systems count them.
    fn note_subdirectories(&mut self, more: i64) {
        if self.known.links >= 2 {
            self.known.links = self.known.links.saturating_add_signed(more).max(2);
        }
    }

    /// What nothing has changed but requests that we keep account of: all that `fstat` of a file in the
    /// sentry does not tell, or not yet.
    pub(super) fn accounted(&self) -> Option<&Attributes> {
        let is_accounted =
            self.is_ownership_current && self.is_owner_current && self.are_links_current;
        is_accounted.then_some(&self.known)
    }

    /// As last heard of, with what has become of a directory's entries since.
    fn with_entries(&self) -> Option<Attributes> {
        let changed = self.entries_changed?;
        Some(Attributes { modified: changed, changed, ..self.known })
    }

    /// The file has another name.
    pub(super) fn note_linked(&mut self) {
        self.known.links += 1;
        self.outdate_rest();
        self.foretell(time_stamp());
    }

    fn refresh(&mut self, fresh: Attributes, asked: Asked) {
        if self.version == asked.version {
            self.known = fresh;
            self.known = self.with_entries().unwrap_or(fresh);
            self.is_current = true;
            self.is_ownership_current = true;
            self.is_owner_current = true;
            self.are_links_current = true;
            self.asked_at = asked.at;
        }
    }
}

impl GoferInode {
    pub(super) fn current_attributes(&self) -> Result<Attributes, Errno> {
        let attributes = match self.foretold_attributes()? {
            Some(attributes) => attributes,
            None => self.served_attributes()?,
        };
        Ok(self.with_foretold(attributes))
    }

    /// Those that the host tells, which is waited for but for a new file.
    fn served_attributes(&self) -> Result<Attributes, Errno> {
        if !self.is_being_named() {
            return self.named_attributes();
        }
        if !self.is_fresh.load(Ordering::Acquire) {
            // What was written before is not to look as if it had changed after.
            self.await_name()?;
            return self.named_attributes();
        }
        match self.fresh_attributes()? {
            Some(attributes) => Ok(attributes),
            None => self.named_attributes(),
        }
    }

    /// The attributes of a new file to which nothing was written, by its descriptor.
    fn fresh_attributes(&self) -> Result<Option<Attributes>, Errno> {
        let (known, fd) = {
            let state = self.state.lock();
            if let Some(made) = state.attributes.current() {
                return Ok(Some(made));
            }
            (state.attributes.known, state.descriptors.writable())
        };
        let Some(fd) = fd else { return Ok(None) };
        let now = merge(&known, &host::fs::stat(&fd)?);
        let Attributes { links, permissions, .. } = known;
        Ok(Some(Attributes { links, permissions, accessed: now.modified, ..now }))
    }

    /// The attributes of a file that has its name.
    fn named_attributes(&self) -> Result<Attributes, Errno> {
        let open = match self.told_attributes_at_hand()? {
            AtHand::All(attributes) => return Ok(attributes),
            AtHand::Ask(open) => open,
        };
        match self.ask_attributes() {
            // It has no name any more, and nobody has a node of it.
            Err(Errno::ESTALE | Errno::ENOENT | Errno::ENOTDIR) => self.last_attributes(open),
            result => result,
        }
    }

    /// The same as far as the gofer need not be asked.
    fn told_attributes_at_hand(&self) -> Result<AtHand, Errno> {
        let is_exclusive = self.export.is_exclusive();
        let (known, is_current, is_told_by_host, written, open) = {
            let state = self.state.lock();
            let attributes = &state.attributes;
            if !attributes.is_current
                && let Some(known) = attributes.with_entries()
                && !self.export.client().is_served(state.quiet_mark)
            {
                return Ok(AtHand::All(known));
            }
            let is_current = match is_exclusive {
                true => attributes.is_current,
                false => attributes.is_current && is_of_this_operation(attributes.asked_at),
            };
            // All but the owner.
            let is_told_by_host = is_exclusive
                && attributes.is_owner_current
                && self.export.client().is_served(state.quiet_mark);
            let written = state.descriptors.writable();
            (attributes.known, is_current, is_told_by_host, written, state.descriptors.any())
        };
        if is_current {
            return Ok(AtHand::All(match written {
                Some(fd) => merge(&known, &host::fs::stat(&fd)?),
                None => known,
            }));
        }
        if let Some(fd) = &open
            && (is_told_by_host || !is_exclusive)
        {
            let stat = host::fs::stat(fd)?;
            if is_told_by_host || stat.ctime == known.changed {
                return Ok(AtHand::All(merge(&known, &stat)));
            }
        }
        Ok(AtHand::Ask(open))
    }

    /// See [`Inode::attributes_at_hand`].
    pub(super) fn settled_attributes(&self) -> Option<Attributes> {
        if !self.changes_with_calls_only() {
            return None;
        }
        let attributes = match self.foretold_attributes().ok()? {
            Some(attributes) => attributes,
            None => self.served_attributes_at_hand()?,
        };
        Some(self.with_foretold(attributes))
    }

    fn served_attributes_at_hand(&self) -> Option<Attributes> {
        if !self.is_being_named() {
            return match self.told_attributes_at_hand().ok()? {
                AtHand::All(attributes) => Some(attributes),
                AtHand::Ask(_) => None,
            };
        }
        let is_fresh = self.is_fresh.load(Ordering::Acquire);
        if is_fresh { self.fresh_attributes().ok()? } else { None }
    }

    /// The size of a file that nobody is writing to, if it is known.
    pub(super) fn settled_size(&self) -> Option<u64> {
        if !self.export.is_exclusive() {
            return None;
        }
        let state = self.state.lock();
        let is_written = state.descriptors.writable().is_some();
        let size = state.attributes.current().map(|known| known.size);
        size.filter(|_| !is_written && !state.descriptors.is_mapped_writable())
    }

    fn changes_with_calls_only(&self) -> bool {
        self.export.is_exclusive() && !self.state.lock().descriptors.is_mapped_writable()
    }

    /// See [`Inode::ownership`]: in an exclusive export it outlasts changes of entries.
    pub(super) fn current_ownership(&self) -> Result<Attributes, Errno> {
        let known = {
            let state = self.state.lock();
            let attributes = &state.attributes;
            let is_current = self.export.is_exclusive() && attributes.is_ownership_current;
            is_current.then_some(attributes.known)
        };
        known.map_or_else(|| self.current_attributes(), Ok)
    }

    fn ask_attributes(&self) -> Result<Attributes, Errno> {
        // The question about a directory that is being made has that done.
        if self.kind() == FileKind::Directory && self.known_identity().is_some() {
            self.await_quiet();
        }
        let is_behind = self.known_identity().is_some() && self.is_awaited();
        if !self.is_awaited()
            && let Some(told) = self.ask_for_many()
        {
            return Ok(told);
        }
        let asked = self.asking();
        let named = self.named()?;
        let ask = |client: &gofer_protocol::Client| match is_behind {
            true => client.get_attr_behind_all(named.target()),
            false => client.get_attr(named.target()),
        };
        let attr = self.export.call(ask)?;
        if !self.recognises(&attr) {
            return Err(Errno::ESTALE);
        }
        self.note_attr(&attr, asked).ok_or(Errno::EIO)
    }

    /// To be called before asking for attributes.
    pub(super) fn asking(&self) -> Asked {
        let at = asking_time();
        Asked { version: self.state.lock().attributes.version, at }
    }

    /// What is known of a removed file.
    fn last_attributes(&self, open: Option<Arc<OwnedFd>>) -> Result<Attributes, Errno> {
        let known = self.state.lock().attributes.known;
        match open {
            // The host may not have come to the removal yet.
            Some(fd) if self.export.is_exclusive() => {
                Ok(Attributes { links: known.links, ..merge(&known, &host::fs::stat(&fd)?) })
            }
            Some(fd) => Ok(merge(&known, &host::fs::stat(&fd)?)),
            None => Ok(known),
        }
    }

    /// Takes over attributes that the gofer told.
    pub(super) fn note_attr(&self, attr: &Attr, asked: Asked) -> Option<Attributes> {
        let mut state = self.state.lock();
        let fresh = self.told_attributes(attr, state.attributes.known.device)?;
        state.attributes.refresh(fresh, asked);
        let is_taken = state.attributes.version == asked.version;
        Some(if is_taken { state.attributes.known } else { fresh })
    }

    /// Takes over what a walk that began at `asked_at` tells, which may be overtaken by a change
    /// of ours. A shared export's attributes are asked for again before long.
    pub(super) fn note_found(&self, found: &Attributes, asked_at: Option<Duration>) {
        if !self.export.is_exclusive() {
            let attributes = &mut self.state.lock().attributes;
            let asked = Asked { version: attributes.version, at: asked_at };
            attributes.refresh(*found, asked);
        }
    }

    /// Something was done to the file that changes its attributes.
    pub(super) fn outdate_attributes(&self) {
        self.state.lock().attributes.outdate();
    }

    /// An entry of the directory, or a name of the file, has come or gone.
    pub(super) fn outdate_names(&self) {
        let attributes = &mut self.state.lock().attributes;
        attributes.entries_changed = None;
        attributes.are_links_current = false;
        attributes.outdate_rest();
    }

    /// The same of an entry, by a quiet request that has been told: `at` this time of the host's, and
    /// with so many more directories.
    pub(super) fn note_entry_changed(&self, at: Option<Timespec>, subdirectories: i64) {
        let was_waiting = {
            let mut state = self.state.lock();
            state.quiet_mark = self.export.client().quiet_mark();
            state.attributes.note_subdirectories(subdirectories);
            state.attributes.change_entries(at);
            std::mem::replace(&mut state.attributes.is_waiting, true)
        };
        if !was_waiting {
            self.export.outdated.add(self.this.clone());
        }
    }

    /// The host has made an entry of the directory.
    pub(super) fn note_entry_made(&self, is_directory: bool) {
        self.state.lock().attributes.note_made(is_directory);
    }

    /// So many more directories are in this one, which the host has done.
    pub(super) fn note_subdirectories(&self, more: i64) {
        self.state.lock().attributes.note_subdirectories(more);
    }

    /// A name of the file was removed; none is left if `is_last`.
    pub(super) fn note_unlinked(&self, is_last: bool) {
        let mut state = self.state.lock();
        let known = &mut state.attributes.known;
        known.links = if is_last { 0 } else { known.links.saturating_sub(1) };
        known.changed = now();
        state.attributes.outdate_rest();
        state.attributes.foretell(time_stamp());
    }

    /// Runs a request that changes the attributes and answers with the new ones.
    fn change_by(&self, request: impl FnOnce() -> Result<Attr, Errno>) -> Result<(), Errno> {
        let version = {
            let attributes = &mut self.state.lock().attributes;
            attributes.is_owner_current = false;
            attributes.outdate()
        };
        let attr = request()?;
        let mut state = self.state.lock();
        if state.attributes.version == version
            && let Some(fresh) = self.told_attributes(&attr, state.attributes.known.device)
        {
            // Answers to questions asked meanwhile may be older.
            let version = state.attributes.outdate();
            state.attributes.refresh(fresh, Asked { version, at: None });
        }
        Ok(())
    }

    pub(super) fn change_attributes(&self, change: &AttributeChange) -> Result<(), Errno> {
        if let Some(size) = change.size {
            self.change_size(size)?;
        }
        let set = SetAttr {
            mode: change.permissions,
            uid: change.uid,
            gid: change.gid,
            size: None,
            atime: set_time(change.accessed),
            mtime: set_time(change.modified),
        };
        if set == SetAttr::default() {
            return Ok(());
        }
        self.note_changed();
        if self.is_ours() && self.is_harmless(&set) {
            return self.change_quietly(&set);
        }
        self.change_by(|| self.with_node(|client, node| client.set_attr(Target::from(node), &set)))
    }

    /// Whether it is certain what becomes of a change that is not waited for. A change of owners takes
    /// set-id bits away, the host may refuse to set them, and times change with what is written.
    fn is_harmless(&self, set: &SetAttr) -> bool {
        let sets_id = set.mode.is_some_and(|mode| mode & (S_ISUID | S_ISGID) != 0);
        !sets_id
            && set.uid.is_none()
            && set.gid.is_none()
            && set.size.is_none()
            && !(sets_times(set) && self.state.lock().descriptors.is_open())
    }

    /// Changes permissions and times of what is ours.
    fn change_quietly(&self, set: &SetAttr) -> Result<(), Errno> {
        self.with_node(|client, node| client.set_attr_quietly(Target::from(node), set))?;
        self.note_quiet();
        let mut state = self.state.lock();
        if sets_times(set) {
            state.times_mark = state.quiet_mark;
        }
        let attributes = &mut state.attributes;
        if let Some(mode) = set.mode {
            attributes.known.permissions = mode & S_IALLUGO;
        }
        attributes.entries_changed = None;
        attributes.outdate_rest();
        attributes.foretell(time_stamp());
        Ok(())
    }

    /// Errors: EISDIR for a directory, EINVAL for what has no size, EROFS.
    fn change_size(&self, size: u64) -> Result<(), Errno> {
        match self.kind() {
            FileKind::Regular => {}
            FileKind::Directory => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        }
        self.await_times();
        self.note_written();
        // In an exclusive export the descriptor is kept for the open that often follows.
        let known = self.state.lock().descriptors.writable();
        let fd = match known {
            None if self.export.is_exclusive() => Some(self.writable_descriptor()?.fd),
            known => known,
        };
        match fd {
            Some(fd) => {
                host::fs::ftruncate(&fd, size)?;
                self.outdate_attributes();
                Ok(())
            }
            None => self.change_by(|| {
                let set = SetAttr { size: Some(size), ..SetAttr::default() };
                self.with_node(|client, node| client.set_attr(Target::from(node), &set))
            }),
        }
    }
}

/// `known`, with what `fstat` of the same file tells.
pub(super) fn merge(known: &Attributes, stat: &Stat) -> Attributes {
    Attributes {
        permissions: stat.mode & S_IALLUGO,
        links: stat.nlink,
        size: stat.size.max(0) as u64,
        blocks: stat.blocks.max(0) as u64,
        accessed: stat.atime,
        modified: stat.mtime,
        changed: stat.ctime,
        ..*known
    }
}

/// The attributes that the gofer tells; `None` for a file of no known type.
pub(super) fn from_attr(attr: &Attr, device: DeviceId) -> Option<Attributes> {
    let time = |time: Time| Timespec { sec: time.sec, nsec: time.nsec as i64 };
    Some(Attributes {
        device,
        inode: attr.ino,
        kind: FileKind::from_mode(attr.mode)?,
        permissions: attr.mode & S_IALLUGO,
        links: attr.nlink.into(),
        uid: attr.uid,
        gid: attr.gid,
        rdev: DeviceId { major: attr.rdev_major, minor: attr.rdev_minor },
        size: attr.size,
        block_size: attr.blksize,
        blocks: attr.blocks,
        accessed: time(attr.atime),
        modified: time(attr.mtime),
        changed: time(attr.ctime),
        created: (attr.mask & STATX_BTIME != 0).then(|| time(attr.btime)),
    })
}

pub(super) fn wire_time(time: Timespec) -> Time {
    Time { sec: time.sec, nsec: time.nsec as u64 }
}

fn sets_times(set: &SetAttr) -> bool {
    (set.atime, set.mtime) != (SetTime::Omit, SetTime::Omit)
}

fn set_time(change: Option<TimeChange>) -> SetTime {
    match change {
        None => SetTime::Omit,
        Some(TimeChange::Now) => SetTime::Now,
        Some(TimeChange::To(time)) => SetTime::At(wire_time(time)),
    }
}
