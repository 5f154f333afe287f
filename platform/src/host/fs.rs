//! Data, size and flags of open host files.
//!
//! Paths never occur here: the gofer opens files, the sentry works on descriptors.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use linux_abi::Errno;
use linux_abi::fs::Stat;
use linux_abi::time::Timespec;
use rustix::fs::{FallocateFlags, MemfdFlags, Mode, OFlags, SealFlags, SeekFrom};
use rustix::io::ReadWriteFlags;

use super::{errno, last_errno, retry};

/// Reads at the file's own position, `read(2)`.
pub fn read(fd: impl AsFd, buf: &mut [u8]) -> Result<usize, Errno> {
    retry(|| rustix::io::read(&fd, &mut *buf))
}

/// Writes at the file's own position, `write(2)`.
pub fn write(fd: impl AsFd, buf: &[u8]) -> Result<usize, Errno> {
    retry(|| rustix::io::write(&fd, buf))
}

/// `readv(2)`.
pub fn readv(fd: impl AsFd, bufs: &mut [IoSliceMut<'_>]) -> Result<usize, Errno> {
    retry(|| rustix::io::readv(&fd, bufs))
}

/// `writev(2)`.
pub fn writev(fd: impl AsFd, bufs: &[IoSlice<'_>]) -> Result<usize, Errno> {
    retry(|| rustix::io::writev(&fd, bufs))
}

/// `pread64(2)`.
pub fn pread(fd: impl AsFd, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
    retry(|| rustix::io::pread(&fd, &mut *buf, offset))
}

/// `pwrite64(2)`. A file opened with `O_APPEND` is written at its end whatever `offset` says.
pub fn pwrite(fd: impl AsFd, buf: &[u8], offset: u64) -> Result<usize, Errno> {
    retry(|| rustix::io::pwrite(&fd, buf, offset))
}

/// `preadv(2)`.
pub fn preadv(fd: impl AsFd, bufs: &mut [IoSliceMut<'_>], offset: u64) -> Result<usize, Errno> {
    retry(|| rustix::io::preadv(&fd, bufs, offset))
}

/// `pwritev(2)`.
pub fn pwritev(fd: impl AsFd, bufs: &[IoSlice<'_>], offset: u64) -> Result<usize, Errno> {
    retry(|| rustix::io::pwritev(&fd, bufs, offset))
}

/// Appends in one step whatever other descriptors do, `pwritev2(2)` with `RWF_APPEND`.
pub fn append(fd: impl AsFd, buf: &[u8]) -> Result<usize, Errno> {
    let bufs = [IoSlice::new(buf)];
    retry(|| rustix::io::pwritev2(&fd, &bufs, 0, ReadWriteFlags::APPEND))
}

/// Appends as [`append`] does and tells the offset behind the last byte. It moves the open file's
/// own position, so the caller lets only one call at a time use that.
pub fn append_and_tell(fd: impl AsFd, buf: &[u8]) -> Result<(usize, u64), Errno> {
    /// "At the file's own position", as `pwritev2(2)` spells it.
    const OWN_POSITION: u64 = u64::MAX;
    let bufs = [IoSlice::new(buf)];
    let flags = ReadWriteFlags::APPEND;
    let count = retry(|| rustix::io::pwritev2(&fd, &bufs, OWN_POSITION, flags))?;
    Ok((count, seek(&fd, Seek::Current(0))?))
}

/// Attributes of an open file, `fstat(2)`.
pub fn stat(fd: impl AsFd) -> Result<Stat, Errno> {
    let host = retry(|| rustix::fs::fstat(&fd))?;
    let time = |sec: i64, nsec: u64| Timespec { sec, nsec: nsec as i64 };
    Ok(Stat {
        dev: host.st_dev,
        ino: host.st_ino,
        nlink: host.st_nlink,
        mode: host.st_mode,
        uid: host.st_uid,
        gid: host.st_gid,
        rdev: host.st_rdev,
        size: host.st_size,
        blksize: host.st_blksize,
        blocks: host.st_blocks,
        atime: time(host.st_atime, host.st_atime_nsec),
        mtime: time(host.st_mtime, host.st_mtime_nsec),
        ctime: time(host.st_ctime, host.st_ctime_nsec),
        ..Stat::default()
    })
}

/// Where [`seek`] goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    Start(u64),
    Current(i64),
    End(i64),
    /// The first data at or after this offset.
    Data(u64),
    /// The first hole at or after this offset.
    Hole(u64),
}

/// `lseek(2)`. Errors: ENXIO for `Data` and `Hole` beyond the end, ESPIPE for pipes and sockets.
pub fn seek(fd: impl AsFd, to: Seek) -> Result<u64, Errno> {
    let to = match to {
        Seek::Start(offset) => SeekFrom::Start(offset),
        Seek::Current(offset) => SeekFrom::Current(offset),
        Seek::End(offset) => SeekFrom::End(offset),
        Seek::Data(offset) => SeekFrom::Data(offset),
        Seek::Hole(offset) => SeekFrom::Hole(offset),
    };
    retry(|| rustix::fs::seek(&fd, to))
}

/// `ftruncate(2)`.
pub fn ftruncate(fd: impl AsFd, len: u64) -> Result<(), Errno> {
    retry(|| rustix::fs::ftruncate(&fd, len))
}

/// `fallocate(2)` with the bare mode bits. Errors: EOPNOTSUPP for unknown bits or where the file
/// system cannot.
pub fn fallocate(fd: impl AsFd, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
    let mode = FallocateFlags::from_bits_retain(mode);
    retry(|| rustix::fs::fallocate(&fd, mode, offset, len))
}

/// `fsync(2)`; may block for long.
pub fn fsync(fd: impl AsFd) -> Result<(), Errno> {
    retry(|| rustix::fs::fsync(&fd))
}

/// `fdatasync(2)`; may block for long.
pub fn fdatasync(fd: impl AsFd) -> Result<(), Errno> {
    retry(|| rustix::fs::fdatasync(&fd))
}

/// `sync_file_range(2)`.
pub fn sync_file_range(fd: impl AsFd, offset: i64, len: i64, flags: u32) -> Result<(), Errno> {
    // SAFETY: the call takes no pointers.
    match unsafe { libc::sync_file_range(fd.as_fd().as_raw_fd(), offset, len, flags) } {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

/// `posix_fadvise(2)` with the bare advice number.
pub fn fadvise(fd: impl AsFd, offset: i64, len: i64, advice: i32) -> Result<(), Errno> {
    // SAFETY: the call takes no pointers.
    match unsafe { libc::posix_fadvise(fd.as_fd().as_raw_fd(), offset, len, advice) } {
        0 => Ok(()),
        error => Err(Errno::from_raw(error)),
    }
}

/// `fchmod(2)`; `mode` holds permission bits only.
pub fn fchmod(fd: impl AsFd, mode: u32) -> Result<(), Errno> {
    retry(|| rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode)))
}

/// `copy_file_range(2)` between two explicit offsets, which are not changed. Returns the number of
/// bytes copied; EXDEV, EOPNOTSUPP or EINVAL where the caller must copy by itself.
pub fn copy_file_range(
    from: impl AsFd,
    from_offset: u64,
    to: impl AsFd,
    to_offset: u64,
    len: usize,
) -> Result<usize, Errno> {
    retry(|| {
        let (mut source, mut target) = (from_offset, to_offset);
        rustix::fs::copy_file_range(&from, Some(&mut source), &to, Some(&mut target), len)
    })
}

/// Makes an anonymous memory file, close-on-exec and sealable. The host sees `name` only in
/// `/proc/[pid]/maps`. Errors: ENOMEM, EMFILE; EINVAL for a name with a NUL byte.
pub fn memfd_create(name: &str) -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    retry(|| rustix::fs::memfd_create(name, flags))
}

/// A memory file with these bytes, which nobody can change. Errors: those of `memfd_create(2)` and
/// `write(2)`.
pub fn sealed_copy(name: &str, bytes: &[u8]) -> Result<OwnedFd, Errno> {
    let file = memfd_create(name)?;
    let mut done = 0;
    while done < bytes.len() {
        done += write(&file, &bytes[done..])?;
    }
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    add_seals(&file, seals.bits())?;
    Ok(file)
}

/// Adds seals to a memory file, `F_ADD_SEALS`, with the bare bits.
///
/// Errors: EBUSY (`F_SEAL_WRITE` while it is mapped for writing), EPERM (sealed against sealing).
pub fn add_seals(fd: impl AsFd, seals: u32) -> Result<(), Errno> {
    let seals = SealFlags::from_bits_retain(seals);
    retry(|| rustix::fs::fcntl_add_seals(&fd, seals))
}

/// The status flags of a descriptor (`O_ACCMODE | O_APPEND | O_NONBLOCK | …`), `F_GETFL`.
pub fn status_flags(fd: impl AsFd) -> Result<i32, Errno> {
    retry(|| rustix::fs::fcntl_getfl(&fd)).map(|flags| flags.bits() as i32)
}

/// Whether a descriptor is open for writing.
pub fn is_writable(fd: impl AsFd) -> Result<bool, Errno> {
    let access = retry(|| rustix::fs::fcntl_getfl(&fd))? & OFlags::RWMODE;
    Ok(access != OFlags::RDONLY)
}

/// Sets or clears `O_NONBLOCK` of the open file (not of the descriptor alone).
pub fn set_nonblocking(fd: impl AsFd, nonblocking: bool) -> Result<(), Errno> {
    let mut flags = rustix::fs::fcntl_getfl(&fd).map_err(errno)?;
    flags.set(OFlags::NONBLOCK, nonblocking);
    retry(|| rustix::fs::fcntl_setfl(&fd, flags))
}

/// Another descriptor for the same open file, close-on-exec.
pub fn dup(fd: impl AsFd) -> Result<OwnedFd, Errno> {
    retry(|| rustix::io::fcntl_dupfd_cloexec(&fd, 3))
}

/// Opens the file behind `fd` once more, for reading only, through a procfs of our own pid
/// namespace. Whoever maps it by the new descriptor can never write to it.
///
/// Errors: EACCES, EMFILE; ENOENT for another procfs.
pub fn reopen_read_only(procfs: impl AsFd, fd: impl AsFd) -> Result<OwnedFd, Errno> {
    let path = format!("self/fd/{}", fd.as_fd().as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    retry(|| rustix::fs::openat(&procfs, &path, flags, Mode::empty()))
}

/// A pipe (read end, write end), close-on-exec and non-blocking.
pub fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    use rustix::pipe::{PipeFlags, pipe_with};
    retry(|| pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK))
}

/// Bytes ready to be read, `FIONREAD`. Errors: ENOTTY where the file has no such notion.
pub fn bytes_readable(fd: impl AsFd) -> Result<u64, Errno> {
    retry(|| rustix::io::ioctl_fionread(&fd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memfd_reads_what_was_written() {
        let file = memfd_create("test").expect("memfd");
        assert_eq!(pwrite(&file, b"hello", 3), Ok(5));
        let mut buf = [0; 16];
        assert_eq!(pread(&file, &mut buf, 0), Ok(8));
        assert_eq!(&buf[..8], b"\0\0\0hello");
        assert_eq!(append(&file, b"!"), Ok(1));
        assert_eq!(seek(&file, Seek::End(0)), Ok(9));
        assert_eq!(seek(&file, Seek::Start(2)), Ok(2));
        assert_eq!(append_and_tell(&file, b"??"), Ok((2, 11)));
    }

    #[test]
    fn seek_finds_holes_and_data() {
        let file = memfd_create("holes").expect("memfd");
        ftruncate(&file, 1 << 20).expect("ftruncate");
        pwrite(&file, b"x", 1 << 16).expect("pwrite");
        assert_eq!(seek(&file, Seek::Data(0)), Ok(1 << 16));
        assert_eq!(seek(&file, Seek::Hole(1 << 16)), Ok((1 << 16) + 4096));
        assert_eq!(seek(&file, Seek::Data(1 << 20)), Err(Errno::ENXIO));
    }

    #[test]
    fn pipe_is_nonblocking_and_counts_bytes() {
        let (reader, writer) = pipe().expect("pipe");
        assert_eq!(read(&reader, &mut [0; 4]), Err(Errno::EAGAIN));
        write(&writer, b"abc").expect("write");
        assert_eq!(bytes_readable(&reader), Ok(3));
        set_nonblocking(&reader, false).expect("fcntl");
        assert_eq!(status_flags(&reader).expect("fcntl") & libc::O_NONBLOCK, 0);
        assert_eq!(seek(&reader, Seek::Current(0)), Err(Errno::ESPIPE));
    }

    #[test]
    fn sync_calls_report_bad_files() {
        let (reader, _writer) = pipe().expect("pipe");
        assert_eq!(sync_file_range(&reader, 0, 0, 2), Err(Errno::ESPIPE));
        assert_eq!(fadvise(&reader, 0, 0, 0), Err(Errno::ESPIPE));
    }
}
