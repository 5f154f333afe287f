//! `read`, `write` and their positioned and vectored relatives, `lseek`.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{
    FileKind, InotifyMask, IoVec, OpenFlags, RwFlags, SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_HOLE,
    SEEK_SET,
};

use super::attr::strip_privileges;
use super::blocking::{limit_write, read_stream, write_stream};
use super::{Fd, SysResult, self_service};
use crate::memory::{IoDest, IoSource, MAX_RW_COUNT, UserAddr, UserIoVec, UserPtr};
use crate::task::Ctx;
use crate::vfs::{FileDescription, IoContext, SeekFrom, notify};

/// Flags of `preadv2` and `pwritev2` that are served.
const SERVED_FLAGS: RwFlags = RwFlags::HIPRI
    .union(RwFlags::DSYNC)
    .union(RwFlags::SYNC)
    .union(RwFlags::NOWAIT)
    .union(RwFlags::APPEND);

/// Where an operation takes place.
#[derive(Clone, Copy)]
enum Position {
    /// At the description's own offset, which moves.
    Current,
    At(u64),
}

/// `read(2)`.
pub async fn read(ctx: &mut Ctx, fd: Fd, buf: UserAddr, count: usize) -> SysResult {
    let file = readable(ctx, fd)?;
    let ranges = one(ctx, buf, count)?;
    let count = read_ranges(ctx, &file, ranges, Position::Current, RwFlags::empty()).await?;
    self_service::offer(ctx, fd, &file).await;
    Ok(count)
}

/// `write(2)`.
pub async fn write(ctx: &mut Ctx, fd: Fd, buf: UserAddr, count: usize) -> SysResult {
    let file = writable(ctx, fd)?;
    let ranges = one(ctx, buf, count)?;
    let count = write_ranges(ctx, &file, ranges, Position::Current, RwFlags::empty()).await?;
    self_service::offer(ctx, fd, &file).await;
    Ok(count)
}

/// `pread(2)`.
pub async fn pread64(ctx: &mut Ctx, fd: Fd, buf: UserAddr, count: usize, offset: i64) -> SysResult {
    let position = position(offset)?;
    let file = readable_at(ctx, fd)?;
    let ranges = one(ctx, buf, count)?;
    read_ranges(ctx, &file, ranges, position, RwFlags::empty()).await
}

/// `pwrite(2)`.
pub async fn pwrite64(
    ctx: &mut Ctx,
    fd: Fd,
    buf: UserAddr,
    count: usize,
    offset: i64,
) -> SysResult {
    let position = position(offset)?;
    let file = writable_at(ctx, fd)?;
    let ranges = one(ctx, buf, count)?;
    write_ranges(ctx, &file, ranges, position, RwFlags::empty()).await
}

/// `readv(2)`.
pub async fn readv(ctx: &mut Ctx, fd: Fd, iov: UserPtr<IoVec>, count: usize) -> SysResult {
    let file = readable(ctx, fd)?;
    let ranges = ctx.memory().read_iovecs(iov, count)?;
    read_ranges(ctx, &file, ranges, Position::Current, RwFlags::empty()).await
}

/// `writev(2)`.
pub async fn writev(ctx: &mut Ctx, fd: Fd, iov: UserPtr<IoVec>, count: usize) -> SysResult {
    let file = writable(ctx, fd)?;
    let ranges = ctx.memory().read_iovecs(iov, count)?;
    write_ranges(ctx, &file, ranges, Position::Current, RwFlags::empty()).await
}

/// `preadv(2)`. The offset comes whole in its low half on x86-64.
pub async fn preadv(
    ctx: &mut Ctx,
    fd: Fd,
    iov: UserPtr<IoVec>,
    count: usize,
    offset: i64,
) -> SysResult {
    let position = position(offset)?;
    let file = readable_at(ctx, fd)?;
    let ranges = ctx.memory().read_iovecs(iov, count)?;
    read_ranges(ctx, &file, ranges, position, RwFlags::empty()).await
}

/// `pwritev(2)`.
pub async fn pwritev(
    ctx: &mut Ctx,
    fd: Fd,
    iov: UserPtr<IoVec>,
    count: usize,
    offset: i64,
) -> SysResult {
    let position = position(offset)?;
    let file = writable_at(ctx, fd)?;
    let ranges = ctx.memory().read_iovecs(iov, count)?;
    write_ranges(ctx, &file, ranges, position, RwFlags::empty()).await
}

/// `preadv2(2)`. Offset -1 is the description's own.
pub async fn preadv2(
    ctx: &mut Ctx,
    fd: Fd,
    iov: UserPtr<IoVec>,
    count: usize,
    offset: i64,
    _high: u64,
    flags: u32,
) -> SysResult {
    let place = if offset == -1 { Position::Current } else { position(offset)? };
    let file = if offset == -1 { readable(ctx, fd)? } else { readable_at(ctx, fd)? };
    let ranges = ctx.memory().read_iovecs(iov, count)?;
    let flags = served_flags(flags)?;
    if flags.contains(RwFlags::APPEND) {
        return Err(Errno::EOPNOTSUPP);
    }
    read_ranges(ctx, &file, ranges, place, flags).await
}

/// `pwritev2(2)`. Offset -1 is the description's own.
pub async fn pwritev2(
    ctx: &mut Ctx,
    fd: Fd,
    iov: UserPtr<IoVec>,
    count: usize,
    offset: i64,
    _high: u64,
    flags: u32,
) -> SysResult {
    let place = if offset == -1 { Position::Current } else { position(offset)? };
    let file = if offset == -1 { writable(ctx, fd)? } else { writable_at(ctx, fd)? };
    let ranges = ctx.memory().read_iovecs(iov, count)?;
    let flags = served_flags(flags)?;
    write_ranges(ctx, &file, ranges, place, flags).await
}

/// Flags we do not serve are refused as by a file system that does not know them.
fn served_flags(raw: u32) -> Result<RwFlags, Errno> {
    let flags = RwFlags::from_bits(raw).ok_or(Errno::EOPNOTSUPP)?;
    if SERVED_FLAGS.contains(flags) { Ok(flags) } else { Err(Errno::EOPNOTSUPP) }
}

/// A single range. Errors: EFAULT when it does not lie in the guest's part of the address space,
/// whatever is mapped there.
fn one(ctx: &Ctx, addr: UserAddr, count: usize) -> Result<Vec<UserIoVec>, Errno> {
    ctx.memory().check_range(addr, count)?;
    Ok(vec![UserIoVec { addr, len: count.min(MAX_RW_COUNT) }])
}

fn position(offset: i64) -> Result<Position, Errno> {
    u64::try_from(offset).map(Position::At).map_err(|_| Errno::EINVAL)
}

/// The open file `fd`. Errors: EBADF unless it can be read.
fn readable(ctx: &Ctx, fd: Fd) -> Result<Arc<FileDescription>, Errno> {
    let file = ctx.file(fd)?;
    if file.is_readable() { Ok(file) } else { Err(Errno::EBADF) }
}

/// The open file `fd`. Errors: EBADF unless it can be written.
fn writable(ctx: &Ctx, fd: Fd) -> Result<Arc<FileDescription>, Errno> {
    let file = ctx.file(fd)?;
    if file.is_writable() { Ok(file) } else { Err(Errno::EBADF) }
}

/// The open file `fd`. Errors: EBADF unless it can be read, ESPIPE if it has no positions.
fn readable_at(ctx: &Ctx, fd: Fd) -> Result<Arc<FileDescription>, Errno> {
    let file = seekable(ctx.task.fds().get_usable(fd)?)?;
    if file.is_readable() { Ok(file) } else { Err(Errno::EBADF) }
}

/// The open file `fd`. Errors: EBADF unless it can be written, ESPIPE if it has no positions.
fn writable_at(ctx: &Ctx, fd: Fd) -> Result<Arc<FileDescription>, Errno> {
    let file = seekable(ctx.task.fds().get_usable(fd)?)?;
    if file.is_writable() { Ok(file) } else { Err(Errno::EBADF) }
}

fn seekable(file: Arc<FileDescription>) -> Result<Arc<FileDescription>, Errno> {
    if file.file().is_seekable() { Ok(file) } else { Err(Errno::ESPIPE) }
}

/// The description's flags with those of one call.
fn io_context<'a>(ctx: &'a Ctx, file: &FileDescription, flags: RwFlags) -> IoContext<'a> {
    let mut io = file.io(&ctx.task);
    if ctx.has_waited() {
        io.flags.remove(OpenFlags::NONBLOCK);
    }
    if flags.contains(RwFlags::DSYNC) {
        io.flags |= OpenFlags::DSYNC;
    }
    if flags.contains(RwFlags::SYNC) {
        io.flags |= OpenFlags::SYNC;
    }
    if flags.contains(RwFlags::APPEND) {
        io.flags |= OpenFlags::APPEND;
    }
    if flags.contains(RwFlags::NOWAIT) {
        io.flags |= OpenFlags::NONBLOCK;
    }
    io
}

/// Errors: EINVAL when the end lies beyond any offset, whatever the file (Linux: `rw_verify_area`).
fn check_span(offset: u64, len: usize) -> Result<(), Errno> {
    let end = offset.checked_add(len as u64);
    if end.is_some_and(|end| end <= i64::MAX as u64) { Ok(()) } else { Err(Errno::EINVAL) }
}

async fn read_ranges(
    ctx: &Ctx,
    file: &FileDescription,
    ranges: Vec<UserIoVec>,
    position: Position,
    flags: RwFlags,
) -> SysResult {
    let memory = ctx.memory().clone();
    let mut dest = IoDest::user(&memory, ranges);
    let io = io_context(ctx, file, flags);
    if !file.file().is_seekable() {
        return read_stream(ctx, file, &mut dest, &io).await;
    }
    let count = match position {
        Position::At(offset) => {
            check_span(offset, dest.remaining())?;
            file.file().read(&mut dest, offset, &io)?
        }
        Position::Current => {
            let offset = file.lock_offset();
            check_span(offset.get(), dest.remaining())?;
            let count = file.file().read(&mut dest, offset.get(), &io)?;
            offset.set(offset.get() + count as u64);
            count
        }
    };
    if count > 0 {
        notify(file.location(), InotifyMask::ACCESS);
    }
    Ok(count)
}

async fn write_ranges(
    ctx: &Ctx,
    file: &FileDescription,
    ranges: Vec<UserIoVec>,
    position: Position,
    flags: RwFlags,
) -> SysResult {
    let memory = ctx.memory().clone();
    let mut source = IoSource::user(&memory, ranges);
    let io = io_context(ctx, file, flags);
    if !file.file().is_seekable() {
        return write_stream(ctx, file, &mut source, &io).await;
    }
    match position {
        Position::At(offset) => {
            check_span(offset, source.remaining())?;
            write_at(ctx, file, &mut source, offset, &io).map(|(count, _)| count)
        }
        Position::Current => {
            let offset = file.lock_offset();
            check_span(offset.get(), source.remaining())?;
            let (count, end) = write_at(ctx, file, &mut source, offset.get(), &io)?;
            offset.set(end);
            Ok(count)
        }
    }
}

/// Writes to a seekable file within the limit on file sizes.
fn write_at(
    ctx: &Ctx,
    file: &FileDescription,
    source: &mut IoSource<'_>,
    offset: u64,
    io: &IoContext<'_>,
) -> Result<(usize, u64), Errno> {
    let is_regular = file.location().kind() == FileKind::Regular;
    if is_regular && source.remaining() > 0 {
        strip_privileges(ctx, file.location())?;
        let appends = io.flags.contains(OpenFlags::APPEND);
        let start = if appends { file.attributes()?.size } else { offset };
        let allowed = limit_write(ctx, start, source.remaining())?;
        source.limit(allowed);
    }
    let written = file.file().write(source, offset, io)?;
    if written.0 > 0 {
        notify(file.location(), InotifyMask::MODIFY);
    }
    Ok(written)
}

/// `lseek(2)`.
pub fn lseek(ctx: &mut Ctx, fd: Fd, offset: i64, whence: i32) -> SysResult {
    let file = ctx.task.fds().get_usable(fd)?;
    let from = match whence {
        SEEK_SET => SeekFrom::Start(offset),
        SEEK_CUR => SeekFrom::Current(offset),
        SEEK_END => SeekFrom::End(offset),
        SEEK_DATA => SeekFrom::Data(offset),
        SEEK_HOLE => SeekFrom::Hole(offset),
        _ => return Err(Errno::EINVAL),
    };
    if !file.file().is_seekable() {
        return Err(Errno::ESPIPE);
    }
    let size = match from {
        SeekFrom::Start(_) | SeekFrom::Current(_) => 0,
        _ => file.attributes()?.size,
    };
    let current = file.lock_offset();
    let target = file.file().seek(current.get(), from, size)?;
    current.set(target);
    Ok(target as usize)
}
