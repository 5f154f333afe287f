//! `unshare`: ending what threads and processes share, and new mount namespaces.

use linux_abi::Errno;
use linux_abi::task::{CAP_SYS_ADMIN, CloneFlags};

use super::SysResult;
use crate::task::Ctx;

/// What a thread alone in its process shares with nobody: giving it up is nothing to do.
const ALONE: CloneFlags = CloneFlags::THREAD.union(CloneFlags::SIGHAND).union(CloneFlags::VM);

/// What `unshare` takes here. Other namespaces are EINVAL, as from a kernel built without them.
const SERVED: CloneFlags = ALONE
    .union(CloneFlags::FILES)
    .union(CloneFlags::FS)
    .union(CloneFlags::NEWNS)
    .union(CloneFlags::SYSVSEM);

/// `unshare(2)`.
///
/// Errors: EINVAL (unknown or unserved flags, memory or handlers of a process with several
/// threads), EPERM (a mount namespace without CAP_SYS_ADMIN).
pub fn unshare(ctx: &mut Ctx, flags: u64) -> SysResult {
    let flags = CloneFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if !SERVED.contains(flags) {
        return Err(Errno::EINVAL);
    }
    if flags.intersects(ALONE) && ctx.task.group.threads().len() > 1 {
        return Err(Errno::EINVAL);
    }
    let new_mounts = flags.contains(CloneFlags::NEWNS);
    if new_mounts && !ctx.task.credentials().has(CAP_SYS_ADMIN) {
        return Err(Errno::EPERM);
    }
    if new_mounts {
        let own = ctx.task.fs().copy_with_new_namespace();
        ctx.task.set_fs(own);
    } else if flags.contains(CloneFlags::FS) {
        let own = ctx.task.fs().copy();
        ctx.task.set_fs(own);
    }
    if flags.contains(CloneFlags::FILES) {
        let own = ctx.task.fds().copy();
        ctx.task.set_fds(own);
    }
    Ok(0)
}
