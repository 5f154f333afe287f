//! `pipe`, `pipe2`, `splice`, `tee`, `vmsplice`.

use linux_abi::Errno;
use linux_abi::fs::{OpenFlags, PIPE2_FLAGS};

use super::{SysResult, anonymous};
use crate::fs::pipe::PipeFile;
use crate::memory::UserPtr;
use crate::task::Ctx;
use crate::vfs::FileDescription;

pub use super::splice::{splice, tee, vmsplice};

/// `pipe(2)`. Errors: EMFILE, EFAULT.
pub fn pipe(ctx: &mut Ctx, fds: UserPtr<[i32; 2]>) -> SysResult {
    pipe2(ctx, fds, 0)
}

/// `pipe2(2)`. Errors: EINVAL for unknown flags; ENOPKG (`O_NOTIFICATION_PIPE`); EMFILE; EFAULT.
pub fn pipe2(ctx: &mut Ctx, fds: UserPtr<[i32; 2]>, flags: u32) -> SysResult {
    let flags = OpenFlags::from_bits_retain(flags);
    if !(PIPE2_FLAGS | OpenFlags::EXCL).contains(flags) {
        return Err(Errno::EINVAL);
    }
    if flags.contains(OpenFlags::EXCL) {
        // Linux: as a kernel without watch queues.
        return Err(Errno::ENOPKG);
    }
    let first = anonymous::reserve(&ctx.task)?;
    let second = anonymous::reserve(&ctx.task)?;
    ctx.memory().write_value(fds, &[first.fd(), second.fd()])?;
    let (reader, writer) = PipeFile::pair();
    let location = anonymous::pipe_location(&ctx.task);
    // `/proc/[pid]/fd/N` leads back to the pipe.
    location.dentry().inode().common().fifo().set(reader.pipe());
    let status = flags & (OpenFlags::NONBLOCK | OpenFlags::DIRECT);
    let is_cloexec = flags.contains(OpenFlags::CLOEXEC);
    let reader = FileDescription::new(Box::new(reader), location.clone(), status);
    let writer = FileDescription::new(Box::new(writer), location, status | OpenFlags::WRONLY);
    first.fill(reader, is_cloexec);
    second.fill(writer, is_cloexec);
    Ok(0)
}
