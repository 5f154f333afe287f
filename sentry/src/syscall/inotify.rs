//! `inotify_init`, `inotify_add_watch`, `inotify_rm_watch`.

use linux_abi::Errno;
use linux_abi::fs::{AT_FDCWD, InotifyInitFlags, InotifyMask, OpenFlags};

use super::{Fd, SysResult, anonymous};
use crate::fs::inotify::InotifyFile;
use crate::memory::UserAddr;
use crate::task::Ctx;
use crate::vfs::permission::{Want, check_inode};
use crate::vfs::{LookupFlags, lookup_at};

/// `inotify_init(2)`.
pub fn inotify_init(ctx: &mut Ctx) -> SysResult {
    inotify_init1(ctx, 0)
}

/// `inotify_init1(2)`. Errors: EINVAL for unknown flags, EMFILE.
pub fn inotify_init1(ctx: &mut Ctx, flags: u32) -> SysResult {
    let flags = InotifyInitFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    let mut open = OpenFlags::empty();
    open.set(OpenFlags::NONBLOCK, flags.contains(InotifyInitFlags::NONBLOCK));
    open.set(OpenFlags::CLOEXEC, flags.contains(InotifyInitFlags::CLOEXEC));
    anonymous::install(ctx, InotifyFile::new(), "inotify", open)
}

/// `inotify_add_watch(2)`.
///
/// Errors: EINVAL (no event, `MASK_ADD` with `MASK_CREATE`, no inotify descriptor), EBADF, EFAULT,
/// EACCES (the file cannot be read), EEXIST, ENOSPC, and those of the path.
pub fn inotify_add_watch(ctx: &mut Ctx, fd: Fd, path: UserAddr, mask: u32) -> SysResult {
    let mask = InotifyMask::from_bits_truncate(mask);
    if mask.is_empty() {
        return Err(Errno::EINVAL);
    }
    let file = ctx.task.fds().get_usable(fd)?;
    if mask.contains(InotifyMask::MASK_ADD | InotifyMask::MASK_CREATE) {
        return Err(Errno::EINVAL);
    }
    let inotify = file.downcast::<InotifyFile>().ok_or(Errno::EINVAL)?;
    let path = ctx.memory().read_path(path)?;
    let mut lookup = LookupFlags::empty();
    lookup.set(LookupFlags::FOLLOW, !mask.contains(InotifyMask::DONT_FOLLOW));
    lookup.set(LookupFlags::DIRECTORY, mask.contains(InotifyMask::ONLYDIR));
    let place = lookup_at(&ctx.task, AT_FDCWD, &path, lookup)?;
    check_inode(&*place.inode(), &ctx.task.credentials(), Want::READ)?;
    inotify.instance().watch(place.inode(), mask).map(|descriptor| descriptor as usize)
}

/// `inotify_rm_watch(2)`. Errors: EBADF, EINVAL (no inotify descriptor, no such watch).
pub fn inotify_rm_watch(ctx: &mut Ctx, fd: Fd, descriptor: i32) -> SysResult {
    let file = ctx.task.fds().get_usable(fd)?;
    let inotify = file.downcast::<InotifyFile>().ok_or(Errno::EINVAL)?;
    inotify.instance().remove(descriptor).map(|()| 0)
}
