//! Open regular files of an overlay: they read the lower file until the store has the content.

use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};

use linux_abi::Errno;
use linux_abi::fs::OpenFlags;

use super::inode::OverlayInode;
use crate::memory::{IoDest, IoSource};
use crate::vfs::{File, IoContext, MapRequest, MapSource, SeekFrom};

/// An open regular file. Whatever was opened first, it goes on with the store once that has the
/// content.
pub(super) struct OverlayFile {
    inode: Arc<OverlayInode>,
    flags: OpenFlags,
    lower: OnceLock<Box<dyn File>>,
    store: OnceLock<Box<dyn File>>,
}

impl OverlayFile {
    pub(super) fn open(
        inode: Arc<OverlayInode>,
        flags: OpenFlags,
        io: &IoContext<'_>,
    ) -> Result<OverlayFile, Errno> {
        let file = OverlayFile { inode, flags, lower: OnceLock::new(), store: OnceLock::new() };
        file.current(io)?;
        Ok(file)
    }

    /// What is to be read now.
    fn current(&self, io: &IoContext<'_>) -> Result<&dyn File, Errno> {
        if self.inode.has_content() { self.stored(io) } else { self.lower_file(io) }
    }

    fn lower_file(&self, io: &IoContext<'_>) -> Result<&dyn File, Errno> {
        if let Some(file) = self.lower.get() {
            return Ok(&**file);
        }
        let lower = self.inode.top_lower().ok_or(Errno::EIO)?;
        // A gofer file needs no permission of the guest; NOATIME is for what the guest asked.
        let file = lower.clone().open(self.flags & OpenFlags::NOATIME, io)?;
        Ok(&**self.lower.get_or_init(|| file))
    }

    fn stored(&self, io: &IoContext<'_>) -> Result<&dyn File, Errno> {
        if let Some(file) = self.store.get() {
            return Ok(&**file);
        }
        let store = self.inode.store.get().ok_or(Errno::EIO)?;
        let file = store.clone().open(self.flags, io)?;
        Ok(&**self.store.get_or_init(|| file))
    }

    /// What is to be written: the store, with the first `wanted` bytes of the content.
    fn writable(&self, wanted: u64, io: &IoContext<'_>) -> Result<&dyn File, Errno> {
        self.inode.store_with_content(wanted)?;
        self.stored(io)
    }

    /// A context where none is given.
    fn io(&self) -> IoContext<'static> {
        IoContext { task: None, flags: self.flags }
    }
}

impl File for OverlayFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read(&self, dest: &mut IoDest<'_>, offset: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        self.current(io)?.read(dest, offset, io)
    }

    fn write(
        &self,
        source: &mut IoSource<'_>,
        offset: u64,
        io: &IoContext<'_>,
    ) -> Result<(usize, u64), Errno> {
        if source.remaining() == 0 {
            return Ok((0, offset));
        }
        self.writable(u64::MAX, io)?.write(source, offset, io)
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn seek(&self, current: u64, from: SeekFrom, size: u64) -> Result<u64, Errno> {
        self.current(&self.io())?.seek(current, from, size)
    }

    fn ioctl(&self, command: u32, argument: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        self.current(io)?.ioctl(command, argument, io)
    }

    /// A file that can be written is copied first: the mapping would not follow later.
    fn map(&self, request: &MapRequest) -> Result<MapSource, Errno> {
        let io = self.io();
        let file = match self.flags.is_writable() {
            true => self.writable(u64::MAX, &io)?,
            false => self.current(&io)?,
        };
        file.map(request)
    }

    fn host_bytes(&self, is_written: bool) -> Option<Arc<OwnedFd>> {
        let io = self.io();
        let file = if is_written { self.writable(u64::MAX, &io) } else { self.current(&io) };
        file.ok()?.host_bytes(is_written)
    }

    fn truncate(&self, size: u64) -> Result<(), Errno> {
        self.writable(size, &self.io())?.truncate(size)
    }

    fn allocate(&self, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
        self.writable(u64::MAX, &self.io())?.allocate(mode, offset, len)
    }

    fn sync(&self, data_only: bool) -> Result<(), Errno> {
        match self.inode.has_content() {
            true => self.stored(&self.io())?.sync(data_only),
            // What nobody has written is on the disk.
            false => Ok(()),
        }
    }
}
