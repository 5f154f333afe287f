//! Regular files of the host as standard input or output (`prog <in >out`).
//!
//! The host's open file, and with it the offset, is shared: with processes outside that were
//! started before or go on after the sandbox, and between our own descriptors (`>out 2>&1`).
//! Reading and writing in sequence therefore uses the host's offset. An access elsewhere
//! (`pread`) is told from it by the offset, which then is not where the last one ended.

use std::any::Any;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::OpenFlags;
use platform::host::fs as host_fs;

use super::attributes_of;
use crate::memory::{IoDest, IoSource};
use crate::sync::{Mutex, Rank};
use crate::vfs::{Attributes, File, IoContext, MapRequest, MapSource, SeekFrom};

/// A regular file of the host.
pub struct HostRegular {
    fd: Arc<OwnedFd>,
    /// Where the last access in sequence ended, as the file description counts; none if the
    /// description has an offset of its own.
    expected: Mutex<Option<u64>>,
    /// Whether the host appends by itself.
    host_appends: bool,
}

impl HostRegular {
    /// Errors: those of `lseek(2)`.
    pub fn new(fd: OwnedFd) -> Result<HostRegular, Errno> {
        let flags = OpenFlags::from_bits_retain(host_fs::status_flags(&fd)? as u32);
        let offset = host_fs::seek(&fd, host_fs::Seek::Current(0))?;
        Ok(HostRegular {
            fd: Arc::new(fd),
            expected: Mutex::new(Rank::FileObject, Some(offset)),
            host_appends: flags.contains(OpenFlags::APPEND),
        })
    }

    /// The same file with an offset of its own, as opening it again gives.
    pub fn reopen(&self) -> HostRegular {
        HostRegular {
            fd: self.fd.clone(),
            expected: Mutex::new(Rank::FileObject, None),
            host_appends: self.host_appends,
        }
    }

    /// The host's offset: where a file description over this file starts.
    pub fn offset(&self) -> Result<u64, Errno> {
        host_fs::seek(&self.fd, host_fs::Seek::Current(0))
    }

    fn is_in_sequence(&self, offset: u64) -> bool {
        *self.expected.lock() == Some(offset)
    }

    fn write_piece(
        &self,
        piece: &[u8],
        offset: u64,
        in_sequence: bool,
        appends: bool,
    ) -> Result<usize, Errno> {
        if appends && !self.host_appends {
            host_fs::append(&self.fd, piece)
        } else if in_sequence || appends {
            host_fs::write(&self.fd, piece)
        } else {
            host_fs::pwrite(&self.fd, piece, offset)
        }
    }
}

impl File for HostRegular {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read(&self, dest: &mut IoDest<'_>, offset: u64, _: &IoContext<'_>) -> Result<usize, Errno> {
        let in_sequence = self.is_in_sequence(offset);
        let total = dest.fill(usize::MAX, |done, piece| {
            if in_sequence {
                host_fs::read(&self.fd, piece)
            } else {
                host_fs::pread(&self.fd, piece, offset + done as u64)
            }
        })?;
        if in_sequence {
            *self.expected.lock() = Some(offset + total as u64);
        }
        Ok(total)
    }

    fn write(
        &self,
        source: &mut IoSource<'_>,
        offset: u64,
        io: &IoContext<'_>,
    ) -> Result<(usize, u64), Errno> {
        let appends = io.flags.contains(OpenFlags::APPEND);
        let in_sequence = self.is_in_sequence(offset);
        let total = source.drain(usize::MAX, |done, piece| {
            self.write_piece(piece, offset + done as u64, in_sequence, appends)
        })?;
        let end = if appends {
            host_fs::stat(&self.fd)?.size.max(0) as u64
        } else {
            offset + total as u64
        };
        if in_sequence {
            *self.expected.lock() = Some(end);
        }
        Ok((total, end))
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn seek(&self, current: u64, from: SeekFrom, _: u64) -> Result<u64, Errno> {
        use host_fs::Seek;
        let shares_offset = self.expected.lock().is_some();
        if let (SeekFrom::Current(offset), false) = (from, shares_offset) {
            let target = (current as i64).checked_add(offset).ok_or(Errno::EOVERFLOW)?;
            return u64::try_from(target).map_err(|_| Errno::EINVAL);
        }
        let natural = |offset: i64| u64::try_from(offset).map_err(|_| Errno::EINVAL);
        let to = match from {
            SeekFrom::Start(offset) => Seek::Start(natural(offset)?),
            SeekFrom::Current(offset) => Seek::Current(offset),
            SeekFrom::End(offset) => Seek::End(offset),
            SeekFrom::Data(offset) => Seek::Data(natural(offset).map_err(|_| Errno::ENXIO)?),
            SeekFrom::Hole(offset) => Seek::Hole(natural(offset).map_err(|_| Errno::ENXIO)?),
        };
        let before = self.offset()?;
        let offset = host_fs::seek(&self.fd, to)?;
        if shares_offset {
            *self.expected.lock() = Some(offset);
        } else {
            host_fs::seek(&self.fd, Seek::Start(before))?;
        }
        Ok(offset)
    }

    fn map(&self, request: &MapRequest) -> Result<MapSource, Errno> {
        Ok(MapSource::Host { fd: self.fd.clone(), offset: request.offset })
    }

    fn truncate(&self, size: u64) -> Result<(), Errno> {
        host_fs::ftruncate(&self.fd, size)
    }

    fn allocate(&self, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
        host_fs::fallocate(self.fd.as_fd(), mode, offset, len)
    }

    fn sync(&self, data_only: bool) -> Result<(), Errno> {
        if data_only { host_fs::fdatasync(&self.fd) } else { host_fs::fsync(&self.fd) }
    }

    fn attributes(&self) -> Option<Result<Attributes, Errno>> {
        Some(host_fs::stat(&self.fd).map(|stat| attributes_of(&stat)))
    }
}
