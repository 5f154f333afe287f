//! Open host files. Data goes through the host's descriptors; the gofer is not asked.

use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::OpenFlags;
use platform::host::fs as host_fs;

use super::descriptors::Writable;
use super::inode::GoferInode;
use crate::memory::{IoDest, IoSource};
use crate::vfs::{File, IoContext, MapRequest, MapSource, SeekFrom};

/// An open regular file of the host.
pub(super) struct GoferFile {
    inode: Arc<GoferInode>,
    is_writable: bool,
    read: Option<Arc<OwnedFd>>,
    write: Option<Writable>,
}

impl GoferFile {
    /// Opens `inode`. A failed `open(2)` of a file without read permission is the VFS' business;
    /// here it is the host that refuses.
    ///
    /// Errors: EROFS, EACCES, EPERM, ESTALE, ETXTBSY.
    pub(super) fn open(inode: Arc<GoferInode>, flags: OpenFlags) -> Result<GoferFile, Errno> {
        let is_writable = flags.is_writable();
        inode.begin_open(is_writable);
        let mut file = GoferFile { inode, is_writable, read: None, write: None };
        if is_writable {
            file.write = Some(file.inode.writable_descriptor()?);
        }
        if flags.is_readable() {
            file.read = Some(file.inode.readable_descriptor()?);
        }
        Ok(file)
    }

    fn any(&self) -> Result<&Arc<OwnedFd>, Errno> {
        let written = self.write.as_ref().map(|writable| &writable.fd);
        self.read.as_ref().or(written).ok_or(Errno::EBADF)
    }

    /// The descriptor for what is about to be written.
    fn written(&self) -> Result<&Arc<OwnedFd>, Errno> {
        self.inode.note_written();
        self.write.as_ref().map(|writable| &writable.fd).ok_or(Errno::EBADF)
    }

    /// Does what takes space on the disk; once more if files are still being removed.
    fn with_space<T>(&self, write: impl Fn() -> Result<T, Errno>) -> Result<T, Errno> {
        match write() {
            Err(Errno::ENOSPC | Errno::EDQUOT) if self.inode.export.await_removals() => write(),
            result => result,
        }
    }

    /// Appends in pieces; answers with the count and the offset behind the last byte.
    fn append(&self, fd: &OwnedFd, source: &mut IoSource<'_>) -> Result<(usize, u64), Errno> {
        let mut end = 0;
        let total = source.drain(usize::MAX, |_, piece| {
            let _position = self.inode.position.lock();
            let append = || host_fs::append_and_tell(fd, piece);
            let (count, new_end) = self.with_space(append)?;
            end = new_end;
            Ok(count)
        })?;
        Ok((total, end))
    }

    /// Finds data or a hole through the host's position, which nothing else needs.
    fn seek_host(&self, to: host_fs::Seek) -> Result<u64, Errno> {
        let _position = self.inode.position.lock();
        host_fs::seek(self.any()?, to)
    }
}

impl Drop for GoferFile {
    fn drop(&mut self) {
        self.inode.end_open(self.is_writable);
    }
}

impl File for GoferFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read(&self, dest: &mut IoDest<'_>, offset: u64, _: &IoContext<'_>) -> Result<usize, Errno> {
        let fd = self.any()?;
        dest.fill(usize::MAX, |done, piece| host_fs::pread(fd, piece, offset + done as u64))
    }

    fn write(
        &self,
        source: &mut IoSource<'_>,
        offset: u64,
        io: &IoContext<'_>,
    ) -> Result<(usize, u64), Errno> {
        let fd = self.written()?;
        let (count, end) = if io.flags.contains(OpenFlags::APPEND) {
            self.append(fd, source)?
        } else {
            let write = |done, piece: &[u8]| {
                self.with_space(|| host_fs::pwrite(fd, piece, offset + done as u64))
            };
            let count = source.drain(usize::MAX, write)?;
            (count, offset + count as u64)
        };
        if io.flags.contains(OpenFlags::SYNC) {
            self.sync(false)?;
        } else if io.flags.contains(OpenFlags::DSYNC) {
            self.sync(true)?;
        }
        Ok((count, end))
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn seek(&self, current: u64, from: SeekFrom, size: u64) -> Result<u64, Errno> {
        let natural = |offset: i64| u64::try_from(offset).map_err(|_| Errno::ENXIO);
        let target = match from {
            SeekFrom::Data(offset) => return self.seek_host(host_fs::Seek::Data(natural(offset)?)),
            SeekFrom::Hole(offset) => return self.seek_host(host_fs::Seek::Hole(natural(offset)?)),
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(offset) => (current as i64).checked_add(offset),
            SeekFrom::End(offset) => (size as i64).checked_add(offset),
        };
        u64::try_from(target.ok_or(Errno::EOVERFLOW)?).map_err(|_| Errno::EINVAL)
    }

    fn ends_at(&self, offset: u64) -> bool {
        self.inode.settled_size().is_some_and(|size| offset >= size)
    }

    /// A shared mapping that may be written gets a writable descriptor, any other a read-only one.
    fn map(&self, request: &MapRequest) -> Result<MapSource, Errno> {
        let fd = if request.shared && request.writable {
            let writable = self.write.as_ref().filter(|writable| writable.is_readable);
            self.inode.note_mapped_writable();
            self.inode.note_written();
            writable.ok_or(Errno::EACCES)?.fd.clone()
        } else {
            self.inode.read_only_descriptor()?
        };
        Ok(MapSource::Host { fd, offset: request.offset })
    }

    fn host_bytes(&self, is_written: bool) -> Option<Arc<OwnedFd>> {
        let fd = if is_written { self.written() } else { self.any() };
        fd.ok().cloned()
    }

    fn truncate(&self, size: u64) -> Result<(), Errno> {
        host_fs::ftruncate(self.written()?, size)
    }

    fn allocate(&self, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
        let fd = self.written()?;
        self.with_space(|| host_fs::fallocate(fd, mode, offset, len))
    }

    fn sync(&self, data_only: bool) -> Result<(), Errno> {
        self.inode.await_name()?;
        let fd = self.any()?;
        if data_only { host_fs::fdatasync(fd) } else { host_fs::fsync(fd) }
    }
}
