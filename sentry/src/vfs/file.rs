//! The behaviour of open files.

use std::any::Any;
use std::borrow::Cow;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags};
use linux_abi::poll::PollEvents;

use super::{Attributes, Conduits, SelfServed};
use crate::memory::{IoDest, IoSource, MakeConduit};
use crate::sync::WaitQueue;
use crate::task::Task;

/// Who does I/O, and how.
#[derive(Clone, Copy)]
pub struct IoContext<'a> {
    /// The calling task; none while a container is being set up.
    pub task: Option<&'a Arc<Task>>,
    /// Status flags in force for this operation (`NONBLOCK`, `APPEND`, `DSYNC`, …).
    pub flags: OpenFlags,
}

/// What [`File::map`] is asked for.
#[derive(Clone, Copy, Debug)]
pub struct MapRequest {
    pub shared: bool,
    /// Whether a shared mapping may become writable.
    pub writable: bool,
    pub executable: bool,
    /// Bytes from the start of the file, page aligned.
    pub offset: u64,
    pub len: u64,
}

/// What a mapping is made of.
pub enum MapSource {
    /// Pages of a host file at `offset`.
    Host { fd: Arc<OwnedFd>, offset: u64 },
    /// Fresh zero pages (`/dev/zero`).
    Anonymous,
}

/// `lseek(2)` requests that depend on the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeekFrom {
    Start(i64),
    Current(i64),
    End(i64),
    Data(i64),
    Hole(i64),
}

/// `VMIN` and `VTIME` of a terminal in raw mode, termios(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    /// Bytes to wait for.
    pub min: usize,
    /// Tenths of a second: between bytes, or for the first one if `min` is 0.
    pub tenths: u32,
}

/// One directory entry.
#[derive(Clone, Debug)]
pub struct DirEntry<'a> {
    pub name: Cow<'a, [u8]>,
    pub inode: u64,
    pub kind: FileKind,
    /// Position of the next entry (`d_off`): reading from there continues behind this one.
    pub next: u64,
}

/// An open file. Methods never block: what cannot go on answers EAGAIN whatever the flags, and
/// the caller waits on [`File::wait_queue`] if the descriptor is blocking.
pub trait File: Send + Sync + 'static {
    fn as_any(&self) -> &dyn Any;

    /// Reads at `offset` (ignored by streams). 0 at the end.
    /// Errors: EAGAIN, EISDIR, EINVAL (cannot be read so), EIO.
    fn read(
        &self,
        _dest: &mut IoDest<'_>,
        _offset: u64,
        _io: &IoContext<'_>,
    ) -> Result<usize, Errno> {
        Err(Errno::EINVAL)
    }

    /// Writes at `offset` (ignored by streams). With `APPEND` in `io.flags` a seekable file
    /// writes at its end, atomically; the result is the count and the offset behind the last byte.
    /// Errors: EAGAIN, EPIPE, ENOSPC, EFBIG, EINVAL.
    fn write(
        &self,
        _source: &mut IoSource<'_>,
        _offset: u64,
        _io: &IoContext<'_>,
    ) -> Result<(usize, u64), Errno> {
        Err(Errno::EINVAL)
    }

    /// Whether the file has an offset. Streams (pipes, sockets, ttys, eventfds) have none: `lseek`
    /// and `pread` answer ESPIPE.
    fn is_seekable(&self) -> bool {
        false
    }

    /// Whether it is certain that there is nothing to read from this offset on, until the next
    /// system call of the sandbox.
    fn ends_at(&self, _offset: u64) -> bool {
        false
    }

    /// How a read waits for more than there is: a terminal in raw mode. None for all else.
    fn pacing(&self) -> Option<Pacing> {
        None
    }

    /// Whether a blocking write goes on until everything is written (pipes, stream sockets, ttys).
    fn writes_all(&self) -> bool {
        false
    }

    /// The new offset. The default serves files with a size in their attributes.
    /// Errors: EINVAL, ENXIO (Data, Hole), EOVERFLOW, ESPIPE.
    fn seek(&self, current: u64, from: SeekFrom, size: u64) -> Result<u64, Errno> {
        let target = match from {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(offset) => (current as i64).checked_add(offset),
            SeekFrom::End(offset) => (size as i64).checked_add(offset),
            SeekFrom::Data(offset) | SeekFrom::Hole(offset)
                if offset < 0 || offset as u64 >= size =>
            {
                return Err(Errno::ENXIO);
            }
            SeekFrom::Data(offset) => Some(offset),
            SeekFrom::Hole(_) => Some(size as i64),
        };
        match target {
            Some(offset) if offset >= 0 => Ok(offset as u64),
            Some(_) => Err(Errno::EINVAL),
            None => Err(Errno::EOVERFLOW),
        }
    }

    /// Passes entries from `position` on to `sink` until it answers false or none is left.
    /// `.` and `..` come first; no lock may be held over `sink`. Answers with the position after the last entry taken.
    /// Errors: ENOTDIR.
    fn read_dir(
        &self,
        _position: u64,
        _parent_inode: u64,
        _io: &IoContext<'_>,
        _sink: &mut dyn FnMut(DirEntry) -> bool,
    ) -> Result<u64, Errno> {
        Err(Errno::ENOTDIR)
    }

    /// Errors: ENOTTY for an unknown `command`.
    fn ioctl(&self, _command: u32, _argument: u64, _io: &IoContext<'_>) -> Result<usize, Errno> {
        Err(Errno::ENOTTY)
    }

    /// Serves the `fcntl(2)` commands that only some files have (pipe size, seals, leases).
    /// Errors: EINVAL for an unknown `command`.
    fn control(&self, _command: i32, _argument: u64, _io: &IoContext<'_>) -> Result<usize, Errno> {
        Err(Errno::EINVAL)
    }

    /// Errors: ENODEV (cannot be mapped), EACCES, ENOMEM.
    fn map(&self, _request: &MapRequest) -> Result<MapSource, Errno> {
        Err(Errno::ENODEV)
    }

    /// The host's file that holds its bytes, if the host may copy them (`is_written`: put others
    /// there) without a word to this object. None where bytes have to go through it.
    fn host_bytes(&self, _is_written: bool) -> Option<Arc<OwnedFd>> {
        None
    }

    /// What holds now. The default is always ready.
    fn readiness(&self) -> PollEvents {
        PollEvents::IN | PollEvents::OUT | PollEvents::RDNORM | PollEvents::WRNORM
    }

    /// As [`File::readiness`]; but of a file with [`File::conduits`] whoever waits need not hear of
    /// what guest code does there.
    fn look(&self) -> PollEvents {
        self.readiness()
    }

    /// Where its bytes are, if guest code reads and writes them by itself. The wait queue hears of that
    /// only if [`File::readiness`] was asked since the last time.
    fn conduits(&self) -> Option<Conduits> {
        None
    }

    /// Notified when readiness changes; none for a file that is always ready (epoll: EPERM).
    fn wait_queue(&self) -> Option<&WaitQueue> {
        None
    }

    /// Changes the size of an open regular file. Errors: EINVAL.
    fn truncate(&self, _size: u64) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    /// `fallocate(2)`. Errors: EOPNOTSUPP, ENODEV, ENOSPC.
    fn allocate(&self, _mode: u32, _offset: u64, _len: u64) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Errors: EINVAL (not supported by this kind of file), EIO.
    fn sync(&self, _data_only: bool) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    /// Attributes of the open object where they differ from its inode's (open and unlinked files
    /// need not be special: the inode lives on).
    fn attributes(&self) -> Option<Result<Attributes, Errno>> {
        None
    }

    /// Called at each `close(2)` of a descriptor for it (POSIX locks are handled elsewhere).
    fn flush(&self, _io: &IoContext<'_>) -> Result<(), Errno> {
        Ok(())
    }

    /// Told when status flags change by `fcntl(F_SETFL)` or `FIONBIO`. Errors: EINVAL, EPERM.
    fn check_flags(&self, _new: OpenFlags) -> Result<(), Errno> {
        Ok(())
    }

    /// Status flags have changed.
    fn flags_changed(&self) {}

    /// How guest code that has the file open may read and write it by itself from now on, until
    /// [`File::flags_changed`] or something that the file cannot do so; `make` makes conduits.
    fn self_served(&self, _make: MakeConduit<'_>) -> Option<SelfServed> {
        None
    }

    /// Lines for `/proc/[pid]/fdinfo/[fd]` beyond pos, flags, mnt_id and ino.
    fn fdinfo(&self) -> String {
        String::new()
    }
}
