//! Open file descriptions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use linux_abi::Errno;
use linux_abi::fs::OpenFlags;

use super::{Attributes, File, Inode, IoContext, Location};
use crate::sync::{Mutex, Rank};
use crate::task::Task;

/// An open file: what `dup` and `fork` share.
pub struct FileDescription {
    file: Box<dyn File>,
    location: Location,
    /// Access mode and status flags (`F_GETFL`).
    flags: AtomicU32,
    /// Held while a read or write that uses it runs, as Linux' `f_pos_lock`.
    pub offset: Mutex<u64>,
    /// `F_SETOWN`: positive a process, negative a group, 0 nobody.
    pub owner: std::sync::atomic::AtomicI32,
}

impl FileDescription {
    /// `flags` without the creation flags (`CREAT EXCL NOCTTY TRUNC CLOEXEC`).
    pub fn new(file: Box<dyn File>, location: Location, flags: OpenFlags) -> Arc<FileDescription> {
        let kept = flags
            & !(OpenFlags::CREAT
                | OpenFlags::EXCL
                | OpenFlags::NOCTTY
                | OpenFlags::TRUNC
                | OpenFlags::CLOEXEC);
        Arc::new(FileDescription {
            file,
            location,
            flags: AtomicU32::new(kept.bits()),
            offset: Mutex::new(Rank::FileOffset, 0),
            owner: std::sync::atomic::AtomicI32::new(0),
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
        let settable = OpenFlags::APPEND
            | OpenFlags::FASYNC
            | OpenFlags::DIRECT
            | OpenFlags::NOATIME
            | OpenFlags::NONBLOCK;
        let kept = self.flags() & !settable;
        self.flags.store((kept | (new & settable)).bits(), Ordering::Relaxed);
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

    /// An I/O context of `task` with this description's flags.
    pub fn io<'a>(&self, task: &'a Arc<Task>) -> IoContext<'a> {
        IoContext { task: Some(task), flags: self.flags() }
    }

    pub fn attributes(&self) -> Result<Attributes, Errno> {
        match self.file.attributes() {
            Some(attributes) => attributes,
            None => self.inode().attributes(),
        }
    }
}
