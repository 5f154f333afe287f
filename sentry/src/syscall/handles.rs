//! `name_to_handle_at`, `open_by_handle_at`: no file system here has handles.

use linux_abi::Errno;
use linux_abi::fs::AtFlags;
use linux_abi::task::CAP_DAC_READ_SEARCH;

use super::{Fd, SysResult};
use crate::memory::{UserAddr, UserPtr};
use crate::task::Ctx;
use crate::vfs::{LookupFlags, lookup_at, lookup_fd};

/// Longest handle (`MAX_HANDLE_SZ`).
const MAX_HANDLE_BYTES: u32 = 128;

/// `name_to_handle_at(2)`.
///
/// Errors: EINVAL (flags), those of the path, EFAULT; else EOPNOTSUPP, as of a file system that
/// cannot be exported by NFS.
pub fn name_to_handle_at(
    ctx: &mut Ctx,
    dir: Fd,
    path: UserAddr,
    handle: UserPtr<[u32; 2]>,
    _mount_id: UserAddr,
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
    lookup_at(&ctx.task, dir.0, &path, lookup)?;
    let [size, _kind] = ctx.memory().read_value(handle)?;
    Err(if size > MAX_HANDLE_BYTES { Errno::EINVAL } else { Errno::EOPNOTSUPP })
}

/// `open_by_handle_at(2)`.
///
/// Errors: EFAULT, EINVAL (the handle's size), EBADF, EPERM (no CAP_DAC_READ_SEARCH); else ESTALE:
/// a handle that we never gave out.
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
