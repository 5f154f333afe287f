//! `epoll_create`, `epoll_create1`, `epoll_ctl`, `epoll_wait`, `epoll_pwait`, `epoll_pwait2`.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::OpenFlags;
use linux_abi::poll::{
    EP_MAX_EVENTS, EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EpollEvent,
};
use linux_abi::signal::SigSet;
use linux_abi::time::Timespec;

use super::poll::{Deadline, apply_mask};
use super::{Fd, SysResult, anonymous};
use crate::fs::epoll::{Epoll, EpollFile};
use crate::memory::UserPtr;
use crate::signal::restore_mask;
use crate::task::Ctx;

/// `epoll_create(2)`: the size is checked and not used. Errors: EINVAL, EMFILE.
pub fn epoll_create(ctx: &mut Ctx, size: i32) -> SysResult {
    if size <= 0 {
        return Err(Errno::EINVAL);
    }
    epoll_create1(ctx, 0)
}

/// `epoll_create1(2)`. Errors: EINVAL for unknown flags, EMFILE.
pub fn epoll_create1(ctx: &mut Ctx, flags: u32) -> SysResult {
    if flags & !EPOLL_CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    let mut open = OpenFlags::RDWR;
    open.set(OpenFlags::CLOEXEC, flags & EPOLL_CLOEXEC != 0);
    anonymous::install(ctx, EpollFile::new(), "[eventpoll]", open)
}

/// `epoll_ctl(2)`.
///
/// Errors: EFAULT; EBADF; EPERM (a file that is always ready); EINVAL (not an epoll, itself, an
/// unknown operation); EEXIST, ENOENT, ELOOP.
pub fn epoll_ctl(
    ctx: &mut Ctx,
    epfd: Fd,
    op: i32,
    fd: Fd,
    event: UserPtr<EpollEvent>,
) -> SysResult {
    let event = match op {
        EPOLL_CTL_DEL => EpollEvent::default(),
        _ => ctx.memory().read_value(event)?,
    };
    let fds = ctx.task.fds();
    let own = fds.get_usable(epfd)?;
    let target = fds.get_usable(fd)?;
    target.file().wait_queue().ok_or(Errno::EPERM)?;
    let epoll = own.downcast::<EpollFile>().ok_or(Errno::EINVAL)?.epoll();
    if Arc::ptr_eq(&own, &target) {
        return Err(Errno::EINVAL);
    }
    match op {
        EPOLL_CTL_ADD => {
            epoll.add(&ctx.task.kernel.epoll_topology, fd.0, &target, event)?;
        }
        EPOLL_CTL_MOD => epoll.modify(fd.0, &target, event)?,
        EPOLL_CTL_DEL => epoll.delete(fd.0, &target)?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// `epoll_wait(2)`. Errors: EBADF, EINVAL, EFAULT, EINTR.
pub async fn epoll_wait(
    ctx: &mut Ctx,
    epfd: Fd,
    events: UserPtr<EpollEvent>,
    max: i32,
    timeout_ms: i32,
) -> SysResult {
    wait(ctx, epfd, events, max, Deadline::in_milliseconds(timeout_ms)).await
}

/// `epoll_pwait(2)`. Errors: as [`epoll_wait`].
pub async fn epoll_pwait(
    ctx: &mut Ctx,
    epfd: Fd,
    events: UserPtr<EpollEvent>,
    max: i32,
    timeout_ms: i32,
    mask: UserPtr<SigSet>,
    mask_size: usize,
) -> SysResult {
    let deadline = Deadline::in_milliseconds(timeout_ms);
    apply_mask(ctx, mask, mask_size)?;
    let result = wait(ctx, epfd, events, max, deadline).await;
    if result != Err(Errno::EINTR) {
        restore_mask(&ctx.task);
    }
    result
}

/// `epoll_pwait2(2)`: the timeout is a `struct timespec`. Errors: as [`epoll_wait`].
pub async fn epoll_pwait2(
    ctx: &mut Ctx,
    epfd: Fd,
    events: UserPtr<EpollEvent>,
    max: i32,
    timeout: UserPtr<Timespec>,
    mask: UserPtr<SigSet>,
    mask_size: usize,
) -> SysResult {
    let deadline = match timeout.non_null() {
        Some(timeout) => Deadline::in_timespec(ctx.memory().read_value(timeout)?)?,
        None => Deadline::Never,
    };
    apply_mask(ctx, mask, mask_size)?;
    let result = wait(ctx, epfd, events, max, deadline).await;
    if result != Err(Errno::EINTR) {
        restore_mask(&ctx.task);
    }
    result
}

async fn wait(
    ctx: &mut Ctx,
    epfd: Fd,
    events: UserPtr<EpollEvent>,
    max: i32,
    deadline: Deadline,
) -> SysResult {
    if max <= 0 || max > EP_MAX_EVENTS {
        return Err(Errno::EINVAL);
    }
    let description = ctx.task.fds().get_usable(epfd)?;
    let epoll = description.downcast::<EpollFile>().ok_or(Errno::EINVAL)?.epoll().clone();
    let found = match deadline {
        Deadline::Now => epoll.collect(max as usize),
        _ => wait_for_events(ctx, &epoll, max as usize, deadline).await?,
    };
    ctx.memory().write_array(events, &found)?;
    Ok(found.len())
}

async fn wait_for_events(
    ctx: &Ctx,
    epoll: &Epoll,
    max: usize,
    deadline: Deadline,
) -> Result<Vec<EpollEvent>, Errno> {
    let waited = ctx.block(deadline.limit(&ctx.task.kernel.timers, epoll.wait(max)));
    match waited.await {
        Ok(found) => Ok(found.unwrap_or_default()),
        // Linux: never restarted, whatever SA_RESTART says (signal(7)).
        Err(_) => Err(Errno::EINTR),
    }
}
