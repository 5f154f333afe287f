//! File locks: record locks of `fcntl` and `flock`.

use linux_abi::Errno;
use linux_abi::fs::{
    F_GETLK, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_RDLCK, F_SETLKW, F_UNLCK, F_WRLCK, Flock,
    LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, SEEK_CUR, SEEK_END, SEEK_SET,
};
use linux_abi::poll::PollEvents;

use super::{Fd, SysResult};
use crate::memory::UserPtr;
use crate::sync::wait_for;
use crate::task::Ctx;
use crate::vfs::locks::{LockKind, RecordLock};
use crate::vfs::{FileDescription, LockOwner};

/// The record-lock commands of `fcntl(2)`.
pub(super) async fn fcntl_lock(
    ctx: &mut Ctx,
    file: &FileDescription,
    command: i32,
    ptr: UserPtr<Flock>,
) -> SysResult {
    let mut flock = ctx.memory().read_value(ptr)?;
    let is_ofd = matches!(command, F_OFD_GETLK | F_OFD_SETLK | F_OFD_SETLKW);
    if is_ofd && flock.pid != 0 {
        return Err(Errno::EINVAL);
    }
    let (start, end) = range(file, &flock)?;
    let owner = if is_ofd { file.lock_owner() } else { ctx.task.fds().lock_owner() };
    let pid = if is_ofd { -1 } else { ctx.task.pid() };
    let kind = match flock.kind {
        F_RDLCK => Some(LockKind::Read),
        F_WRLCK => Some(LockKind::Write),
        F_UNLCK => None,
        _ => return Err(Errno::EINVAL),
    };
    let inode = file.inode();
    let locks = inode.common().locks();
    if matches!(command, F_GETLK | F_OFD_GETLK) {
        // Linux: F_GETLK of F_UNLCK is refused, except for OFD locks, which test all their own.
        let kind = kind.ok_or(Errno::EINVAL)?;
        match locks.conflict(&RecordLock { owner, pid, kind, start, end }) {
            Some(other) => describe(&mut flock, &other),
            None => flock.kind = F_UNLCK,
        }
        ctx.memory().write_value(ptr, &flock)?;
        return Ok(0);
    }
    let Some(kind) = kind else {
        locks.release_record(owner, start, end);
        return Ok(0);
    };
    let is_allowed = match kind {
        LockKind::Read => file.is_readable(),
        LockKind::Write => file.is_writable(),
    };
    if !is_allowed {
        return Err(Errno::EBADF);
    }
    let wanted = RecordLock { owner, pid, kind, start, end };
    if matches!(command, F_SETLKW | F_OFD_SETLKW) {
        return wait_for_record(ctx, file, &wanted).await;
    }
    locks.take_record(&wanted)?;
    Ok(0)
}

async fn wait_for_record(ctx: &Ctx, file: &FileDescription, wanted: &RecordLock) -> SysResult {
    let inode = file.inode();
    let locks = inode.common().locks();
    let waits = ctx.task.kernel.vfs.lock_waits();
    let attempt = || match locks.take_record_or_wait(wanted, waits) {
        Err(Errno::EAGAIN) => None,
        result => Some(result),
    };
    let result = ctx.block(wait_for(locks.wait_queue(), PollEvents::IN, attempt)).await;
    waits.remove(wanted.owner);
    result??;
    Ok(0)
}

/// The range that `flock` names: first and last byte.
///
/// Errors: EINVAL (before the start of the file, bad whence), EOVERFLOW.
fn range(file: &FileDescription, flock: &Flock) -> Result<(u64, u64), Errno> {
    let base = match i32::from(flock.whence) {
        SEEK_SET => 0,
        SEEK_CUR => file.offset() as i64,
        SEEK_END => file.attributes()?.size as i64,
        _ => return Err(Errno::EINVAL),
    };
    let start = base.checked_add(flock.start).ok_or(Errno::EOVERFLOW)?;
    if start < 0 {
        return Err(Errno::EINVAL);
    }
    let (first, last) = match flock.len {
        0 => (start, i64::MAX),
        len if len > 0 => (start, start.checked_add(len - 1).ok_or(Errno::EOVERFLOW)?),
        // A negative length names the bytes before the start.
        len => (start.checked_add(len).ok_or(Errno::EINVAL)?, start - 1),
    };
    if first < 0 { Err(Errno::EINVAL) } else { Ok((first as u64, last as u64)) }
}

fn describe(flock: &mut Flock, other: &RecordLock) {
    flock.kind = match other.kind {
        LockKind::Read => F_RDLCK,
        LockKind::Write => F_WRLCK,
    };
    flock.whence = SEEK_SET as i16;
    flock.start = other.start as i64;
    let is_to_end = other.end >= i64::MAX as u64;
    flock.len = if is_to_end { 0 } else { (other.end - other.start + 1) as i64 };
    flock.pid = if matches!(other.owner, LockOwner::Description(_)) { -1 } else { other.pid };
}

/// `flock(2)`.
pub async fn flock(ctx: &mut Ctx, fd: Fd, operation: i32) -> SysResult {
    let kind = match operation & !LOCK_NB {
        LOCK_SH => Some(LockKind::Read),
        LOCK_EX => Some(LockKind::Write),
        LOCK_UN => None,
        _ => return Err(Errno::EINVAL),
    };
    let file = ctx.task.fds().get_usable(fd)?;
    let inode = file.inode();
    let locks = inode.common().locks();
    let owner = file.lock_owner();
    let Some(kind) = kind else {
        locks.release_flock(owner);
        return Ok(0);
    };
    match locks.take_flock(owner, kind) {
        Err(Errno::EAGAIN) if operation & LOCK_NB == 0 => {}
        result => return result.map(|()| 0),
    }
    let attempt = || match locks.take_flock(owner, kind) {
        Err(Errno::EAGAIN) => None,
        result => Some(result),
    };
    ctx.block(wait_for(locks.wait_queue(), PollEvents::IN, attempt)).await??;
    Ok(0)
}
