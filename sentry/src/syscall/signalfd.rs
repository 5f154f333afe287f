//! `signalfd(2)`.

use linux_abi::Errno;
use linux_abi::fs::OpenFlags;
use linux_abi::signal::{SIGSET_SIZE, SigSet, SignalfdFlags};

use super::{Fd, SysResult, anonymous};
use crate::fs::signalfd::SignalFd;
use crate::memory::UserPtr;
use crate::task::Ctx;

/// Without flags.
pub fn signalfd(ctx: &mut Ctx, fd: Fd, mask: UserPtr<SigSet>, size: usize) -> SysResult {
    signalfd4(ctx, fd, mask, size, 0)
}

/// Makes a signalfd (`fd` -1) or changes its set.
///
/// Errors: EINVAL (size, flags, no signalfd), EFAULT, EBADF, EMFILE.
pub fn signalfd4(
    ctx: &mut Ctx,
    fd: Fd,
    mask: UserPtr<SigSet>,
    size: usize,
    flags: u32,
) -> SysResult {
    if size != SIGSET_SIZE {
        return Err(Errno::EINVAL);
    }
    let mask = ctx.memory().read_value(mask)?;
    let flags = SignalfdFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if fd.0 == -1 {
        let mut open = OpenFlags::RDWR;
        open.set(OpenFlags::NONBLOCK, flags.contains(SignalfdFlags::NONBLOCK));
        open.set(OpenFlags::CLOEXEC, flags.contains(SignalfdFlags::CLOEXEC));
        return anonymous::install(ctx, SignalFd::new(&ctx.task, mask), "[signalfd]", open);
    }
    let description = ctx.task.fds().get_usable(fd.0)?;
    description.downcast::<SignalFd>().ok_or(Errno::EINVAL)?.set_mask(mask);
    Ok(fd.0 as usize)
}
