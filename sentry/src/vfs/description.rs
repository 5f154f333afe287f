//! Open file descriptions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use linux_abi::Errno;
use linux_abi::fs::{InotifyMask, OpenFlags};
use linux_abi::poll::PollEvents;

use super::watch::{notify, notify_if_gone};
use super::{Attributes, File, Inode, IoContext, Location, LockOwner};
use crate::sync::{Mutex, MutexGuard, Notify, Rank};
use crate::task::Task;

/// An open file: what `dup` and `fork` share.
pub struct FileDescription {
    file: Box<dyn File>,
    location: Location,
    /// Access mode and status flags (`F_GETFL`).
    flags: AtomicU32,
    offset: AtomicU64,
    /// Held while a read or write that uses the offset runs, as Linux' `f_pos_lock`. The outermost
    /// of all locks, so the file may do whatever it needs, user copies and round trips included.
    offset_lock: Mutex<()>,
    owner: Mutex<AsyncOwner>,
    /// The subscription of `O_ASYNC` at the file's wait queue.
    async_key: Mutex<Option<usize>>,
    access: Access,
    /// Reads and writes that guest code has not made by itself.
    calls: AtomicU32,
}

/// Who gets `SIGIO` (`F_SETOWN`, `F_SETOWN_EX`, `F_SETSIG`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AsyncOwner {
    pub target: AsyncTarget,
    /// Signal instead of `SIGIO`; 0 for that.
    pub signal: i32,
    /// Real and effective user who set it, for the permission to signal.
    pub uid: u32,
    pub euid: u32,
    /// Whether whoever set it may signal everybody.
    pub is_privileged: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AsyncTarget {
    #[default]
    Nobody,
    Thread(i32),
    Process(i32),
    Group(i32),
}

/// What an open description holds on its inode until it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Nothing,
    /// Counted by `begin_write`.
    Writes,
    /// Counted by `deny_write`: a program being executed.
    DeniesWrites,
}

/// The offset with its lock held.
pub struct OffsetGuard<'a> {
    description: &'a FileDescription,
    _lock: MutexGuard<'a, ()>,
}

/// Flags that only matter to the open itself.
const CREATION_FLAGS: OpenFlags = OpenFlags::CREAT
    .union(OpenFlags::EXCL)
    .union(OpenFlags::NOCTTY)
    .union(OpenFlags::TRUNC)
    .union(OpenFlags::CLOEXEC);

/// After so many reads and writes guest code might make them by itself.
const SERVED_AFTER: u32 = 16;

/// Flags that `F_SETFL` may change.
const SETTABLE_FLAGS: OpenFlags = OpenFlags::APPEND
    .union(OpenFlags::FASYNC)
    .union(OpenFlags::DIRECT)
    .union(OpenFlags::NOATIME)
    .union(OpenFlags::NONBLOCK);

impl FileDescription {
    /// `flags` without the creation flags (`CREAT EXCL NOCTTY TRUNC CLOEXEC`).
    pub fn new(file: Box<dyn File>, location: Location, flags: OpenFlags) -> Arc<FileDescription> {
        FileDescription::with_access(file, location, flags, Access::Nothing)
    }

    /// As [`FileDescription::new`] for one that holds `access`, which ends with it.
    pub fn with_access(
        file: Box<dyn File>,
        location: Location,
        flags: OpenFlags,
        access: Access,
    ) -> Arc<FileDescription> {
        location.dentry().inode().common().add_open();
        Arc::new(FileDescription {
            file,
            location,
            flags: AtomicU32::new(flags.difference(CREATION_FLAGS).bits()),
            offset: AtomicU64::new(0),
            offset_lock: Mutex::new(Rank::FileOffset, ()),
            owner: Mutex::new(Rank::Leaf, AsyncOwner::default()),
            async_key: Mutex::new(Rank::FileObject, None),
            access,
            calls: AtomicU32::new(0),
        })
    }

    pub fn file(&self) -> &dyn File {
        &*self.file
    }

    /// The file as its concrete type.
    pub fn downcast<T: 'static>(&self) -> Option<&T> {
        self.file.as_any().downcast_ref()
    }

    pub fn location(&self) -> &Location {
        &self.location
    }

    pub fn inode(&self) -> Arc<dyn Inode> {
        self.location.inode()
    }

    pub fn flags(&self) -> OpenFlags {
        OpenFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }

    /// Replaces the status flags that `F_SETFL` may change; the caller has checked them.
    pub fn set_status_flags(&self, new: OpenFlags) {
        let kept = self.flags().difference(SETTABLE_FLAGS);
        let new = kept | (new & SETTABLE_FLAGS);
        let old = self.flags.swap(new.bits(), Ordering::SeqCst);
        if old != new.bits() {
            self.file.flags_changed();
        }
    }

    /// Counts a read or write; whether guest code had better make such calls by itself now.
    pub fn is_worth_serving(&self) -> bool {
        self.calls.fetch_add(1, Ordering::Relaxed) % SERVED_AFTER == SERVED_AFTER - 1
    }

    /// Whether it was opened with `O_PATH`: a place, not good for I/O.
    pub fn is_path(&self) -> bool {
        self.flags().contains(OpenFlags::PATH)
    }

    pub fn is_readable(&self) -> bool {
        self.flags().is_readable()
    }

    pub fn is_writable(&self) -> bool {
        self.flags().is_writable()
    }

    pub fn is_nonblocking(&self) -> bool {
        self.flags().contains(OpenFlags::NONBLOCK)
    }

    /// The offset now, without waiting for a read or write that may be changing it.
    pub fn offset(&self) -> u64 {
        self.offset.load(Ordering::Acquire)
    }

    /// Locks the offset. The caller holds no other lock.
    pub fn lock_offset(&self) -> OffsetGuard<'_> {
        OffsetGuard { description: self, _lock: self.offset_lock.lock() }
    }

    pub fn owner(&self) -> AsyncOwner {
        *self.owner.lock()
    }

    pub fn set_owner(&self, owner: AsyncOwner) {
        *self.owner.lock() = owner;
    }

    /// Has `target` told of readiness (`O_ASYNC`), unless somebody is already.
    pub fn subscribe_async(&self, target: Arc<dyn Notify>) {
        let Some(queue) = self.file.wait_queue() else { return };
        let mut key = self.async_key.lock();
        if key.is_none() {
            let events = PollEvents::IN | PollEvents::OUT | PollEvents::PRI;
            *key = Some(queue.subscribe(events, false, target));
        }
    }

    /// Ends what [`FileDescription::subscribe_async`] began.
    pub fn unsubscribe_async(&self) {
        let key = self.async_key.lock().take();
        if let (Some(key), Some(queue)) = (key, self.file.wait_queue()) {
            queue.unsubscribe(key);
        }
    }

    /// The owner of `flock` and OFD locks taken through this description.
    pub fn lock_owner(&self) -> LockOwner {
        LockOwner::Description(std::ptr::from_ref(self).addr())
    }

    /// An I/O context of `task` with this description's flags.
    pub fn io<'a>(&self, task: &'a Arc<Task>) -> IoContext<'a> {
        IoContext { task: Some(task), flags: self.io_flags() }
    }

    /// Status flags for I/O; a mount without access times shows as `NOATIME`.
    pub fn io_flags(&self) -> OpenFlags {
        let mut flags = self.flags();
        if self.location.mount().skips_atime(self.location.kind()) {
            flags |= OpenFlags::NOATIME;
        }
        flags
    }

    pub fn attributes(&self) -> Result<Attributes, Errno> {
        match self.file.attributes() {
            Some(attributes) => attributes,
            None => self.location.dentry().inode().attributes(),
        }
    }
}

impl OffsetGuard<'_> {
    pub fn get(&self) -> u64 {
        self.description.offset()
    }

    pub fn set(&self, offset: u64) {
        self.description.offset.store(offset, Ordering::Release);
    }
}

/// What `close(2)` does besides dropping the reference: the file's own `flush`, and letting go of
/// the record locks of the descriptor table's owner.
pub(super) fn close_descriptor(
    description: &FileDescription,
    owner: LockOwner,
) -> Result<(), Errno> {
    if description.is_path() {
        return Ok(());
    }
    let io = IoContext { task: None, flags: description.flags() };
    let result = description.file.flush(&io);
    if let Some(locks) = description.location.dentry().inode().common().existing_locks() {
        locks.release_records(owner);
    }
    result
}

impl Drop for FileDescription {
    fn drop(&mut self) {
        let inode = self.location.dentry().inode();
        if let Some(locks) = inode.common().existing_locks() {
            locks.release_all(self.lock_owner());
        }
        match self.access {
            Access::Nothing => {}
            Access::Writes => inode.common().end_write(),
            Access::DeniesWrites => inode.common().allow_write(),
        }
        self.unsubscribe_async();
        let is_last = inode.common().remove_open();
        if !self.is_path() {
            let written = InotifyMask::CLOSE_WRITE;
            let event = if self.is_writable() { written } else { InotifyMask::CLOSE_NOWRITE };
            notify(&self.location, event);
        }
        if is_last {
            notify_if_gone(&**inode);
        }
    }
}
