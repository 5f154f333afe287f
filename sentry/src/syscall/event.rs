//! `eventfd`, `eventfd2`.

use linux_abi::Errno;
use linux_abi::fs::OpenFlags;
use linux_abi::poll::EventfdFlags;

use super::{SysResult, anonymous};
use crate::fs::eventfd::EventFd;
use crate::task::Ctx;

/// `eventfd(2)` without flags.
pub fn eventfd(ctx: &mut Ctx, initial: u32) -> SysResult {
    eventfd2(ctx, initial, 0)
}

/// `eventfd2(2)`. Errors: EINVAL for unknown flags, EMFILE.
pub fn eventfd2(ctx: &mut Ctx, initial: u32, flags: u32) -> SysResult {
    let flags = EventfdFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    let mut open = OpenFlags::RDWR;
    open.set(OpenFlags::NONBLOCK, flags.contains(EventfdFlags::NONBLOCK));
    open.set(OpenFlags::CLOEXEC, flags.contains(EventfdFlags::CLOEXEC));
    let file = EventFd::new(initial, flags.contains(EventfdFlags::SEMAPHORE));
    anonymous::install(ctx, file, "[eventfd]", open)
}
