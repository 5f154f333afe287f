//! Writing data back: `fsync`, `sync`, `sync_file_range`, and hints about file access.

use linux_abi::Errno;
use linux_abi::fs::FileKind;

use super::{Fd, SysResult};
use crate::task::Ctx;

/// `fsync(2)`.
pub fn fsync(ctx: &mut Ctx, fd: Fd) -> SysResult {
    ctx.task.fds().get_usable(fd)?.file().sync(false).map(|()| 0)
}

/// `fdatasync(2)`.
pub fn fdatasync(ctx: &mut Ctx, fd: Fd) -> SysResult {
    ctx.task.fds().get_usable(fd)?.file().sync(true).map(|()| 0)
}

/// `sync(2)`: what waits to be asked of the host is done when it returns. File systems in memory have
/// nothing to write; the data of host files are the host's to write.
pub fn sync(ctx: &mut Ctx) -> SysResult {
    let mounts = ctx.task.fs().namespace().mounts();
    mounts.iter().for_each(|(mount, _)| mount.fs().finish());
    Ok(0)
}

/// `syncfs(2)`.
pub fn syncfs(ctx: &mut Ctx, fd: Fd) -> SysResult {
    let file = ctx.task.fds().get_usable(fd)?;
    file.location().mount().fs().finish();
    Ok(0)
}

/// `sync_file_range(2)`.
pub fn sync_file_range(ctx: &mut Ctx, fd: Fd, offset: i64, len: i64, flags: u32) -> SysResult {
    let file = ctx.task.fds().get_usable(fd)?;
    if flags & !7 != 0 || offset < 0 || len < 0 || offset.checked_add(len).is_none() {
        return Err(Errno::EINVAL);
    }
    match file.location().kind() {
        FileKind::Regular => file.file().sync(true).map(|()| 0),
        FileKind::Directory | FileKind::BlockDevice => Ok(0),
        _ => Err(Errno::ESPIPE),
    }
}

/// `readahead(2)`: the host reads ahead by itself.
pub fn readahead(ctx: &mut Ctx, fd: Fd, _offset: i64, _count: usize) -> SysResult {
    let file = ctx.task.fds().get_usable(fd)?;
    if !file.is_readable() {
        return Err(Errno::EBADF);
    }
    if file.location().kind() == FileKind::Regular { Ok(0) } else { Err(Errno::EINVAL) }
}

/// `posix_fadvise(2)`: advice that may be ignored.
pub fn fadvise64(ctx: &mut Ctx, fd: Fd, _offset: i64, len: i64, advice: i32) -> SysResult {
    let file = ctx.task.fds().get_usable(fd)?;
    if file.location().kind() == FileKind::Fifo {
        return Err(Errno::ESPIPE);
    }
    if len < 0 || !(0..=5).contains(&advice) { Err(Errno::EINVAL) } else { Ok(0) }
}
