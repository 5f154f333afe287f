//! `name_to_handle_at`, `open_by_handle_at`.
//!
//! A handle is the file's number within its file system, as those of tmpfs. It tells whether two
//! names are the same file; there is no way back from it, as if each file had lost its last name.

use linux_abi::Errno;
use linux_abi::fs::AtFlags;
use linux_abi::task::CAP_DAC_READ_SEARCH;

use super::{Fd, SysResult};
use crate::memory::{UserAddr, UserPtr};
use crate::task::Ctx;
use crate::vfs::{LookupFlags, lookup_at, lookup_fd};

/// Longest handle (`MAX_HANDLE_SZ`).
const MAX_HANDLE_BYTES: u32 = 128;
/// What we give out: `struct file_handle` with `f_handle`: generation, number low, number high.
type Handle = [u32; 5];
const HANDLE_BYTES: u32 = 12;
/// `FILEID_INO32_GEN`.
const HANDLE_TYPE: u32 = 1;

/// `name_to_handle_at(2)`.
///
/// Errors: EINVAL (flags, size), those of the path, EFAULT; EOVERFLOW when the handle has no room,
/// which tells the size and the mount all the same.
pub fn name_to_handle_at(
    ctx: &mut Ctx,
    dir: Fd,
    path: UserAddr,
    handle: UserAddr,
    mount_id: UserPtr<i32>,
    flags: u32,
) -> SysResult {
    let flags = AtFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if !(AtFlags::SYMLINK_FOLLOW | AtFlags::EMPTY_PATH).contains(flags) {
        return Err(Errno::EINVAL);
    }
    let path = ctx.memory().read_path(path)?;
    let mut lookup = LookupFlags::empty();
    lookup.set(LookupFlags::FOLLOW, flags.contains(AtFlags::SYMLINK_FOLLOW));
    lookup.set(LookupFlags::EMPTY_PATH, flags.contains(AtFlags::EMPTY_PATH));
    let place = lookup_at(&ctx.task, dir.0, &path, lookup)?;
    let [size, kind] = ctx.memory().read_value(UserPtr::<[u32; 2]>::new(handle.0))?;
    if size > MAX_HANDLE_BYTES {
        return Err(Errno::EINVAL);
    }
    let number = place.inode().attributes()?.inode;
    ctx.memory().write_value(mount_id, &place.mount().id())?;
    if size < HANDLE_BYTES {
        ctx.memory().write_value(UserPtr::new(handle.0), &[HANDLE_BYTES, kind])?;
        return Err(Errno::EOVERFLOW);
    }
    let filled: Handle = [HANDLE_BYTES, HANDLE_TYPE, 0, number as u32, (number >> 32) as u32];
    ctx.memory().write_value(UserPtr::new(handle.0), &filled)?;
    Ok(0)
}

/// `open_by_handle_at(2)`.
///
/// Errors: EFAULT, EINVAL (the handle's size), EBADF, EPERM (no CAP_DAC_READ_SEARCH); else ESTALE:
/// nothing can be found by its handle.
pub fn open_by_handle_at(
    ctx: &mut Ctx,
    mount: Fd,
    handle: UserPtr<[u32; 2]>,
    _flags: u32,
) -> SysResult {
    let [size, _kind] = ctx.memory().read_value(handle)?;
    if !(1..=MAX_HANDLE_BYTES).contains(&size) {
        return Err(Errno::EINVAL);
    }
    lookup_fd(&ctx.task, mount.0)?;
    let may = ctx.task.credentials().has(CAP_DAC_READ_SEARCH);
    Err(if may { Errno::ESTALE } else { Errno::EPERM })
}
