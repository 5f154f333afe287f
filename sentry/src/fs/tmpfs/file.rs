//! Open regular files of a tmpfs.

use std::any::Any;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FallocateFlags, OpenFlags};

use super::content::{Content, MAX_BYTES};
use super::inode::TmpfsInode;
use super::memfd::control_seals;
use crate::memory::{IoDest, IoSource};
use crate::sync::RwLock;
use crate::vfs::{File, IoContext, MapRequest, MapSource, SeekFrom};

/// An open regular file.
pub(super) struct TmpfsFile {
    inode: Arc<TmpfsInode>,
}

impl TmpfsFile {
    pub(super) fn new(inode: Arc<TmpfsInode>) -> TmpfsFile {
        TmpfsFile { inode }
    }

    fn content(&self) -> Result<&RwLock<Content>, Errno> {
        self.inode.content().ok_or(Errno::EINVAL)
    }
}

impl File for TmpfsFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    /// The content stays locked over the copy, as Linux' inode: a read sees no half of a write.
    fn read(&self, dest: &mut IoDest<'_>, offset: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        let count = self.content()?.read().read(dest, offset)?;
        self.inode.touch_accessed(io.flags);
        Ok(count)
    }

    fn write(
        &self,
        source: &mut IoSource<'_>,
        offset: u64,
        io: &IoContext<'_>,
    ) -> Result<(usize, u64), Errno> {
        let offset = (!io.flags.contains(OpenFlags::APPEND)).then_some(offset);
        let result = self.content()?.write().write(source, offset, &self.inode.shared.limits)?;
        if result.0 > 0 {
            self.inode.touch_modified();
        }
        Ok(result)
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn seek(&self, current: u64, from: SeekFrom, size: u64) -> Result<u64, Errno> {
        let target = match from {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(offset) => (current as i64).checked_add(offset),
            SeekFrom::End(offset) => (size as i64).checked_add(offset),
            SeekFrom::Data(offset) | SeekFrom::Hole(offset) => {
                let offset = u64::try_from(offset).map_err(|_| Errno::ENXIO)?;
                let content = self.content()?.read();
                if offset >= content.size() {
                    return Err(Errno::ENXIO);
                }
                let wants_hole = matches!(from, SeekFrom::Hole(_));
                return content.seek(offset, wants_hole).ok_or(Errno::ENXIO);
            }
        };
        match target {
            Some(offset) if offset >= 0 => Ok(offset as u64),
            Some(_) => Err(Errno::EINVAL),
            None => Err(Errno::EOVERFLOW),
        }
    }

    fn map(&self, request: &MapRequest) -> Result<MapSource, Errno> {
        if request.offset > MAX_BYTES {
            return Err(Errno::EOVERFLOW);
        }
        // Against writing by a mapping the host enforces the seals.
        let fd = self.content()?.write().host_file(&self.inode.shared.limits)?;
        Ok(MapSource::Host { fd, offset: request.offset })
    }

    fn control(&self, command: i32, argument: u64, _: &IoContext<'_>) -> Result<usize, Errno> {
        control_seals(&self.inode, command, argument)
    }

    fn truncate(&self, size: u64) -> Result<(), Errno> {
        self.content()?.write().truncate(size, &self.inode.shared.limits)?;
        self.inode.touch_modified();
        Ok(())
    }

    fn allocate(&self, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
        let mode = FallocateFlags::from_bits(mode).ok_or(Errno::EOPNOTSUPP)?;
        self.content()?.write().allocate(mode, offset, len, &self.inode.shared.limits)?;
        self.inode.touch_modified();
        Ok(())
    }

    fn sync(&self, _: bool) -> Result<(), Errno> {
        Ok(())
    }
}
