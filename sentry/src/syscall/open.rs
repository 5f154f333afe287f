//! `open`, `creat`, `openat`, `openat2`, `close`, `close_range`.

use linux_abi::Errno;
use linux_abi::fs::{AT_FDCWD, CloseRangeFlags, OpenFlags, OpenHow};
use linux_abi::task::RLIMIT_NOFILE;
use zerocopy::{FromZeros, IntoBytes};

use super::{Fd, SysResult};
use crate::memory::UserAddr;
use crate::task::Ctx;
use crate::vfs::{OpenRequest, open_at};

/// Smallest `struct open_how` (`OPEN_HOW_SIZE_VER0`).
const OPEN_HOW_MIN_BYTES: usize = 24;

/// `open(2)`.
pub async fn open(ctx: &mut Ctx, path: UserAddr, flags: u32, mode: u32) -> SysResult {
    let request = OpenRequest::from_open(flags, mode)?;
    open_request(ctx, AT_FDCWD, path, request).await
}

/// `openat(2)`.
pub async fn openat(ctx: &mut Ctx, dir: Fd, path: UserAddr, flags: u32, mode: u32) -> SysResult {
    let request = OpenRequest::from_open(flags, mode)?;
    open_request(ctx, dir.0, path, request).await
}

/// `creat(2)`.
pub async fn creat(ctx: &mut Ctx, path: UserAddr, mode: u32) -> SysResult {
    let flags = OpenFlags::CREAT | OpenFlags::WRONLY | OpenFlags::TRUNC;
    open(ctx, path, flags.bits(), mode).await
}

/// `openat2(2)`.
///
/// Errors: EINVAL, E2BIG (fields we do not know), and those of `openat`.
pub async fn openat2(
    ctx: &mut Ctx,
    dir: Fd,
    path: UserAddr,
    how: UserAddr,
    size: usize,
) -> SysResult {
    if size < OPEN_HOW_MIN_BYTES {
        return Err(Errno::EINVAL);
    }
    if size > 4096 {
        return Err(Errno::E2BIG);
    }
    let bytes = ctx.memory().read_bytes(how, size)?;
    let known = size.min(size_of::<OpenHow>());
    if bytes[known..].iter().any(|&byte| byte != 0) {
        return Err(Errno::E2BIG);
    }
    let mut value = OpenHow::new_zeroed();
    value.as_mut_bytes()[..known].copy_from_slice(&bytes[..known]);
    let request = OpenRequest::from_how(&value)?;
    open_request(ctx, dir.0, path, request).await
}

async fn open_request(ctx: &mut Ctx, dir: i32, path: UserAddr, request: OpenRequest) -> SysResult {
    let path = ctx.memory().read_path(path)?;
    let mut request = request;
    if !request.flags.contains(OpenFlags::PATH) {
        // Linux force_o_largefile: F_GETFL shows it on every file that was opened.
        request.flags |= OpenFlags::LARGEFILE;
    }
    // Linux: the descriptor is reserved first; without one nothing is opened or made.
    let limit = ctx.task.group.soft_limit(RLIMIT_NOFILE as usize);
    let slot = ctx.task.fds().reserve(limit)?;
    let file = open_at(ctx, dir, &path, &request).await?;
    Ok(slot.fill(file, request.flags.contains(OpenFlags::CLOEXEC)) as usize)
}

/// `close(2)`.
pub fn close(ctx: &mut Ctx, fd: Fd) -> SysResult {
    ctx.task.fds().close(fd.0).map(|()| 0)
}

/// `close_range(2)`.
pub fn close_range(ctx: &mut Ctx, first: u32, last: u32, flags: u32) -> SysResult {
    let flags = CloseRangeFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if first > last {
        return Err(Errno::EINVAL);
    }
    let cloexec = flags.contains(CloseRangeFlags::CLOEXEC);
    if flags.contains(CloseRangeFlags::UNSHARE) {
        let fds = ctx.task.fds();
        let own = if cloexec { fds.copy() } else { fds.copy_without(first, last) };
        ctx.task.set_fds(own);
        ctx.thread.use_descriptors(false);
    }
    let fds = ctx.task.fds();
    if cloexec {
        fds.set_cloexec_range(first, last);
    } else {
        fds.close_range(first, last);
    }
    Ok(0)
}
