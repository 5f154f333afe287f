//! Files that are made before somebody wants them.
//!
//! Where files are made one after the other, the gofer makes some without a name (`O_TMPFILE`) in
//! advance, and hands their descriptors over; it is asked for more before there are none. A new file is one of them; its name is put into the
//! directory by a quiet request. That can fail only where the directory cannot grow, so the gofer makes
//! such files only while there is space to spare; a failure is told by `fsync(2)` of the file.
//!
//! A directory that we have made inherits what new files inherit from it (default ACLs, project
//! numbers, flags) from its parent, so they share a [`Pool`]. Modification and change time of a new file are
//! set when it is taken, by its descriptor, and its access time with its name.
//!
//! A file that is removed again before the request for its name was sent never gets one
//! ([`gofer_protocol::Unlinked`]). Once nobody uses it any more it goes back to the stock: see [`Origin`].
//!
//! Divergence: the birth time of a new file is up to a second too early, and its change time moves
//! when the name is put in place, which whoever has written to it and may go on waits for before it sees
//! any. Once nobody may write, we tell it in advance (`foretold`).

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use gofer_protocol::transport::MAX_DESCRIPTORS;
use gofer_protocol::{Attr, Created, NewNode as WireNode, Unlinked, Unnamed as Made};
use linux_abi::Errno;
use linux_abi::fs::{FileKind, S_ISGID, S_ISUID};
use linux_abi::time::Timespec;
use platform::host;
use platform::host::time::Clock;

use super::attributes::{time_stamp, wire_time};
use super::descriptors::Writable;
use super::export::{Export, Node};
use super::inode::GoferInode;
use crate::sync::{Mutex, Rank};
use crate::vfs::{Inode, NewNode};

/// No file system of the host has a lower limit.
pub(super) const LINKS_MAX: u64 = 1000;
/// Older ones are not used: it shows in their birth time.
const AGE_MAX: Duration = Duration::from_secs(1);

/// Most files that wait in a pool: more than are made at once, as files come back.
const WAITING_MAX: usize = 1 << 10;
/// More are asked for when there are fewer of a kind that is made again and again.
const LOW: usize = 2 * MAX_DESCRIPTORS;
/// Most that are dropped at once, because they are old.
const DROPPED_AT_ONCE: usize = 64;

/// Directories that are made without waiting before more files are made: the gofer makes sure that there is
/// room for more.
const DIRECTORIES_MAX: u32 = 64;

/// Pools that may have files, for each export, and kinds of files in each.
const POOLS_MAX: usize = 4;
const KINDS_MAX: usize = 4;

/// Files without a name, made alike in directories that are alike.
pub(super) struct Pool(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// What a new directory was like, and its kind.
    directory: Option<(Kind, Attr)>,
    /// How many directories can surely be made: there was that much space to spare.
    directories_left: u32,
    /// The kind that was wanted last is the last.
    shelves: Vec<Shelf>,
    /// Whether the export counts this pool among those that may have files.
    is_counted: bool,
}

/// Files of one kind.
#[derive(Default)]
struct Shelf {
    kind: Kind,
    files: Vec<Unnamed>,
    /// When the last ones were made, and when one was wanted last.
    made_at: Duration,
    wanted_at: Duration,
    /// How many were asked for last.
    batch: usize,
    /// Whether more were asked for and have not arrived.
    is_asked: bool,
}

/// What a pool has for whoever wants a file.
enum Taken {
    /// One, and whether to ask for more.
    File(Box<Unnamed>, bool),
    /// None yet.
    Asked,
    /// None, and how many to make.
    Nothing(usize),
}

struct Unnamed {
    attr: Attr,
    node: Node,
    fd: OwnedFd,
    made_at: Duration,
}

/// Permissions and owners.
pub(super) type Kind = (u32, u32, u32);

/// Where a new file comes from: what it takes to put it back, as long as that is possible. Nothing but
/// what was written to it may have changed.
pub(super) struct Origin {
    pool: Arc<Pool>,
    kind: Kind,
    attr: Attr,
    made_at: Duration,
    /// The request for its name was taken back, and it has no other.
    is_nameless: bool,
}

impl Default for Pool {
    fn default() -> Pool {
        Pool(Mutex::new(Rank::Leaf, Waiting::default()))
    }
}

impl Pool {
    /// A file of this kind, if there is one.
    fn take(&self, kind: Kind, now: Duration) -> Taken {
        // Outlive the guard, as nodes do that are given back.
        let _unwanted;
        let mut old = Vec::new();
        let mut waiting = self.0.lock();
        _unwanted = waiting.want(kind);
        let Some(shelf) = waiting.shelves.last_mut() else { return Taken::Nothing(0) };
        let is_wanted_again = is_recent(shelf.wanted_at, now);
        shelf.wanted_at = now;
        while old.len() < DROPPED_AT_ONCE
            && let Some(file) = shelf.files.pop()
        {
            if is_recent(file.made_at, now) {
                let asks = shelf.files.len() < LOW && shelf.batch == MAX_DESCRIPTORS;
                let asks_now = asks && !std::mem::replace(&mut shelf.is_asked, asks);
                return Taken::File(Box::new(file), asks_now);
            }
            old.push(file);
        }
        if shelf.is_asked {
            return Taken::Asked;
        }
        shelf.batch = match is_wanted_again {
            true => (2 * shelf.batch).clamp(1, MAX_DESCRIPTORS),
            false => 0,
        };
        Taken::Nothing(shelf.batch)
    }

    /// Adds files that were asked for at `made_at`, or notes that there are none; answers as
    /// [`Pool::add`] does.
    fn add_made(&self, files: Option<Vec<Unnamed>>, kind: Kind, made_at: Duration) -> bool {
        {
            let mut waiting = self.0.lock();
            let shelf = waiting.shelves.iter_mut().find(|shelf| shelf.kind == kind);
            let Some(shelf) = shelf else { return false };
            shelf.is_asked = false;
            match files.is_some() {
                true => shelf.made_at = made_at,
                false => shelf.batch = 0,
            }
            waiting.directories_left = if files.is_some() { DIRECTORIES_MAX } else { 0 };
        }
        files.is_some_and(|files| self.add(files, kind))
    }

    /// What a new directory of this kind is like, if it can surely be made.
    pub(super) fn take_directory(&self, kind: Kind, now: Duration) -> Option<Attr> {
        let waiting = &mut *self.0.lock();
        let (_, like) = waiting.directory.filter(|(other, _)| *other == kind)?;
        if !waiting.has_made_lately(now) {
            return None;
        }
        waiting.directories_left = waiting.directories_left.checked_sub(1)?;
        Some(like)
    }

    /// Notes what a new directory of this kind is like.
    pub(super) fn note_directory(&self, kind: Kind, like: Attr) {
        self.0.lock().directory = Some((kind, like));
    }

    /// Whether the gofer has made files of it just now.
    fn has_made_lately(&self, now: Duration) -> bool {
        self.0.lock().has_made_lately(now)
    }

    /// Adds files of a kind that is still wanted; answers with whether the export has to count this
    /// pool from now on.
    fn add(&self, files: impl IntoIterator<Item = Unnamed>, kind: Kind) -> bool {
        // Those without room outlive the guard.
        let mut left = files.into_iter();
        let mut waiting = self.0.lock();
        let count: usize = waiting.shelves.iter().map(|shelf| shelf.files.len()).sum();
        let Some(shelf) = waiting.shelves.iter_mut().find(|shelf| shelf.kind == kind) else {
            return false;
        };
        shelf.files.extend(left.by_ref().take(WAITING_MAX.saturating_sub(count)));
        !std::mem::replace(&mut waiting.is_counted, true)
    }

    /// Drops the files that are too old; whether there are others.
    fn shed_old(&self, now: Duration) -> bool {
        let mut old = Vec::new();
        let mut waiting = self.0.lock();
        for shelf in &mut waiting.shelves {
            old.extend(shelf.files.extract_if(.., |file| !is_recent(file.made_at, now)));
        }
        let has_others = waiting.shelves.iter().any(|shelf| !shelf.files.is_empty());
        waiting.is_counted = has_others;
        has_others
    }

    /// Drops all that wait.
    fn empty(&self) {
        let _shelves = {
            let mut waiting = self.0.lock();
            waiting.is_counted = false;
            std::mem::take(&mut waiting.shelves)
        };
    }
}

impl Waiting {
    fn has_made_lately(&self, now: Duration) -> bool {
        let made = |shelf: &Shelf| shelf.batch > 0 && is_recent(shelf.made_at, now);
        self.shelves.iter().any(made)
    }

    /// Puts the shelf of this kind last; answers with one that has to go.
    fn want(&mut self, kind: Kind) -> Option<Shelf> {
        let known = self.shelves.iter().rposition(|shelf| shelf.kind == kind);
        let is_full = known.is_none() && self.shelves.len() >= KINDS_MAX;
        let gone = is_full.then(|| self.shelves.remove(0));
        match known {
            Some(at) => self.shelves[at..].rotate_left(1),
            None => self.shelves.push(Shelf { kind, ..Shelf::default() }),
        }
        gone
    }
}

fn is_recent(then: Duration, now: Duration) -> bool {
    now.saturating_sub(then) < AGE_MAX
}

fn wire((mode, uid, gid): Kind) -> WireNode {
    WireNode { mode, uid, gid, wants_node: true }
}

impl Export {
    /// Takes over what the gofer has made.
    fn own_unnamed(self: &Arc<Self>, made: Made, made_at: Duration) -> Option<Vec<Unnamed>> {
        if let Err(Errno::EOPNOTSUPP | Errno::EINVAL | Errno::EISDIR) = made {
            self.makes_unnamed.store(false, Ordering::Relaxed);
        }
        // Whatever else is wrong: making the file in the usual way tells.
        let own = |(created, fd): (Created, OwnedFd)| {
            let node = Node::new(self, created.node?);
            Some(Unnamed { attr: created.attr, node, fd, made_at })
        };
        Some(made.ok()?.into_iter().filter_map(own).collect())
    }

    fn fill(&self, pool: &Arc<Pool>, files: Option<Vec<Unnamed>>, kind: Kind, made_at: Duration) {
        if pool.add_made(files, kind, made_at) {
            self.pools.count(pool);
        }
    }
}

/// The pools that may have files: a few.
pub(super) struct Pools(Mutex<VecDeque<Weak<Pool>>>);

impl Default for Pools {
    fn default() -> Pools {
        Pools(Mutex::new(Rank::Leaf, VecDeque::new()))
    }
}

impl Pools {
    /// Counts `pool`; empties the one that was counted first if they are too many.
    fn count(&self, pool: &Arc<Pool>) {
        let first = {
            let mut pools = self.0.lock();
            pools.push_back(Arc::downgrade(pool));
            if pools.len() > POOLS_MAX { pools.pop_front() } else { None }
        };
        if let Some(pool) = first.and_then(|pool| pool.upgrade()) {
            pool.empty();
        }
    }

    /// Drops the files that are too old.
    pub(super) fn shed_old(&self) {
        let now = host::time::now(Clock::Monotonic);
        let pools = std::mem::take(&mut *self.0.lock());
        let has_others = |pool: &Weak<Pool>| pool.upgrade().is_some_and(|pool| pool.shed_old(now));
        let left: Vec<_> = pools.into_iter().filter(has_others).collect();
        self.0.lock().extend(left);
    }

    /// Empties all.
    pub(super) fn empty(&self) {
        let pools = std::mem::take(&mut *self.0.lock());
        pools.iter().filter_map(Weak::upgrade).for_each(|pool| pool.empty());
    }
}

impl GoferInode {
    /// Makes a regular file that nobody waits for; none if it has to be waited for.
    ///
    /// Errors: EIO.
    pub(super) fn make_quietly(
        &self,
        name: &[u8],
        new: &NewNode<'_>,
    ) -> Result<Option<Arc<GoferInode>>, Errno> {
        if !self.export.makes_unnamed(self.device()) || !self.surely_lacks(name) {
            return Ok(None);
        }
        let Some(file) = self.take_unnamed(new) else { return Ok(None) };
        // Sets its times.
        let truncated = host::fs::ftruncate(&file.fd, 0);
        let Ok(now) = truncated.and_then(|()| host::fs::stat(&file.fd)) else { return Ok(None) };
        let dir = self.node()?;
        let give =
            |client: &gofer_protocol::Client| client.name_quietly(file.node.id(), dir.id(), name);
        self.after(self.export.call(give))?;
        if !self.export.has_named() {
            return Ok(None);
        }
        self.note_entry_changed(Some(now.ctime), 0);
        let Unnamed { attr, made_at, .. } = file;
        let (mtime, ctime) = (wire_time(now.mtime), wire_time(now.ctime));
        let named = Attr { nlink: 1, atime: mtime, mtime, ctime, ..attr };
        let inode = self.after(self.adopt(name, &named, Some(file.node), None))?;
        inode.note_named(now.ctime);
        // Writing takes these bits away.
        if new.permissions & (S_ISUID | S_ISGID) == 0 {
            inode.common().set_plain();
            let (pool, kind) = (self.pool(), (new.permissions, new.uid, new.gid));
            let origin = Origin { pool, kind, attr, made_at, is_nameless: false };
            inode.state.lock().origin = Some(Box::new(origin));
        }
        inode.keep_writable(Writable { fd: Arc::new(file.fd), is_readable: true });
        Ok(Some(inode))
    }

    /// A file of the pool, which is filled if it is empty and files are made again and again.
    fn take_unnamed(&self, new: &NewNode<'_>) -> Option<Unnamed> {
        let kind = (new.permissions, new.uid, new.gid);
        let pool = self.pool();
        let now = host::time::now(Clock::Monotonic);
        let mut taken = pool.take(kind, now);
        if matches!(taken, Taken::Asked) {
            self.export.client().await_ahead();
            taken = pool.take(kind, now);
        }
        match taken {
            Taken::File(file, asks) => {
                if asks && self.ask_ahead(&pool, kind, now).is_err() {
                    pool.add_made(None, kind, now);
                }
                Some(*file)
            }
            Taken::Asked | Taken::Nothing(0) => None,
            Taken::Nothing(count) => {
                let dir = self.nearest_known().and_then(|dir| dir.node()).ok()?;
                // Not worth making room for.
                let made = self.export.client().make_unnamed(dir.id(), wire(kind), count);
                self.export.take_doubt();
                let mut files = self.export.own_unnamed(made, now);
                let file = files.as_mut().and_then(Vec::pop);
                self.export.fill(&pool, files, kind, now);
                file
            }
        }
    }

    /// Asks for more files of a kind that is wanted again and again, before there are none.
    fn ask_ahead(&self, pool: &Arc<Pool>, kind: Kind, now: Duration) -> Result<(), Errno> {
        let (dir, pool) = (self.nearest_known()?.node()?, pool.clone());
        let export = Arc::downgrade(&self.export);
        let take = move |made: Made| {
            if let Some(export) = export.upgrade() {
                let files = export.own_unnamed(made, now);
                export.fill(&pool, files, kind, now);
            }
        };
        self.export.client().make_unnamed_ahead(dir.id(), wire(kind), MAX_DESCRIPTORS, take)
    }

    /// The pool of this directory.
    pub(super) fn pool(&self) -> Arc<Pool> {
        self.state.lock().pool.get_or_insert_default().clone()
    }

    /// `child` was made here just now, as a directory.
    pub(super) fn share_pool(&self, child: &GoferInode) {
        let pool = self.pool();
        child.state.lock().pool = Some(pool);
    }

    /// What new files inherit from this directory may be something else from now on.
    pub(super) fn forget_pool(&self) {
        let _pool = self.state.lock().pool.take();
    }

    /// The file was made at `now` and given its name by a quiet request.
    fn note_named(&self, now: Timespec) {
        self.is_fresh.store(true, Ordering::Release);
        let mut state = self.state.lock();
        state.is_ours = true;
        state.attributes.foretell(now);
        state.name_mark = self.export.client().quiet_mark();
    }

    /// Whether it is certain that `target` can be linked here as `name`: it is ours, and files have
    /// just been made with space to spare.
    pub(super) fn links_quietly(&self, target: &GoferInode, name: &[u8]) -> bool {
        let device = self.device();
        self.export.makes_unnamed(device)
            && target.device() == device
            && target.kind() == FileKind::Regular
            && target.is_ours()
            && target.state.lock().attributes.links() < LINKS_MAX
            && self.can_add(name)
    }

    /// Whether it is certain that there is room for another name here, and that `name` is free.
    pub(super) fn can_add(&self, name: &[u8]) -> bool {
        self.surely_lacks(name) && self.pool().has_made_lately(host::time::now(Clock::Monotonic))
    }

    /// The file was given another name in place of the one it had, by a quiet request.
    pub(super) fn note_renamed(&self) {
        self.note_written();
        let mut state = self.state.lock();
        state.quiet_mark = self.export.client().quiet_mark();
        state.name_mark = state.quiet_mark;
        state.attributes.outdate_rest();
        state.attributes.foretell(time_stamp());
    }

    /// The file was given another name by a quiet request.
    pub(super) fn note_linked(&self) {
        self.note_written();
        let mut state = self.state.lock();
        state.attributes.note_linked();
        state.name_mark = self.export.client().quiet_mark();
    }

    /// Waits until the file has its name. Errors: why it could not be given any.
    pub(super) fn await_name(&self) -> Result<(), Errno> {
        let (mark, links) = {
            let state = self.state.lock();
            (state.name_mark, state.attributes.links())
        };
        let client = self.export.client();
        if !client.is_served(mark) {
            client.await_quiet();
            self.export.take_doubt();
        }
        match self.export.doubted() {
            Some(errno) if mark > 0 && links > 0 => {
                let attr = self.with_node(|client, node| client.get_attr(node.into()))?;
                if attr.nlink == 0 { Err(errno) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    /// Whether the name of the file may still be on its way.
    pub(super) fn is_being_named(&self) -> bool {
        let mark = self.state.lock().name_mark;
        !self.export.client().is_served(mark)
    }

    /// The removal of a name was asked for with this result.
    pub(super) fn note_last_name(&self, unlinked: Unlinked) {
        let mut state = self.state.lock();
        match (unlinked, &mut state.origin) {
            (Unlinked::BeforeNamed, Some(origin)) => origin.is_nameless = true,
            (Unlinked::BeforeLinked, _) | (_, None) => {}
            (Unlinked::Quietly, origin) => {
                let _origin = origin.take();
                drop(state);
            }
        }
    }

    /// Something that was changed about the file stays as it is.
    pub(super) fn forget_origin(&self) {
        let _origin = self.state.lock().origin.take();
    }

    /// Nobody uses the file any more: puts it back where it came from, if it is as it was then.
    pub(super) fn go_back_unnamed(&mut self) {
        let is_written = !*self.is_fresh.get_mut();
        let state = self.state.get_mut();
        let Some(origin) = state.origin.take().filter(|origin| origin.is_nameless) else { return };
        let Some(fd) = state.descriptors.take_only() else { return };
        let Some(node) = state.node.take().and_then(Arc::into_inner) else { return };
        if is_written && host::fs::ftruncate(&fd, 0).is_err() {
            return;
        }
        let Origin { pool, kind, attr, made_at, .. } = *origin;
        if pool.add([Unnamed { attr, node, fd, made_at }], kind) {
            self.export.pools.count(&pool);
        }
    }

    /// Attributes of the file are changed.
    pub(super) fn note_changed(&self) {
        self.note_written();
        self.forget_origin();
    }

    /// Something is written to the file, or its attributes are changed.
    pub(super) fn note_written(&self) {
        if self.is_fresh.load(Ordering::Relaxed) {
            self.is_fresh.store(false, Ordering::Release);
        }
        if self.is_foretold.load(Ordering::Relaxed) {
            self.is_foretold.store(false, Ordering::Release);
        }
    }
}
