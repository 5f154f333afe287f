//! `unshare` and `setns`, namespaces(7).
//!
//! There is one namespace of each kind, and copies of the mount namespace: a kernel built without
//! the other kinds answers EINVAL for a new one. To enter the one namespace changes nothing.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::task::{CAP_SYS_ADMIN, CAP_SYS_CHROOT, CloneFlags};

use super::{Fd, SysResult};
use crate::fs::nsfs::{MOUNT, NamespaceInode, USER};
use crate::fs::pidfd::PidFd;
use crate::task::{Ctx, NAMESPACES};
use crate::vfs::{FsContext, MountNamespace};

/// What `unshare` knows beside namespaces.
const RESOURCES: CloneFlags = CloneFlags::THREAD
    .union(CloneFlags::FS)
    .union(CloneFlags::SIGHAND)
    .union(CloneFlags::VM)
    .union(CloneFlags::FILES)
    .union(CloneFlags::SYSVSEM);

/// `unshare(2)`.
///
/// Errors: EINVAL (flags, other threads, a kind of namespace that there is only one of), EPERM.
pub fn unshare(ctx: &mut Ctx, flags: u64) -> SysResult {
    let flags = CloneFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    let known = RESOURCES | NAMESPACES | CloneFlags::NEWUSER | CloneFlags::NEWTIME;
    if !known.contains(flags) {
        return Err(Errno::EINVAL);
    }
    let task = &ctx.task;
    let wants_alone = flags.intersects(
        CloneFlags::THREAD | CloneFlags::SIGHAND | CloneFlags::VM | CloneFlags::NEWUSER,
    );
    if wants_alone && task.group.threads().len() > 1 {
        return Err(Errno::EINVAL);
    }
    let namespaces = flags & (NAMESPACES | CloneFlags::NEWTIME);
    if !namespaces.is_empty() && !task.credentials().has(CAP_SYS_ADMIN) {
        return Err(Errno::EPERM);
    }
    if (flags - RESOURCES).intersects(!CloneFlags::NEWNS) {
        return Err(Errno::EINVAL);
    }
    if flags.contains(CloneFlags::NEWNS) {
        task.set_fs(task.fs().copy_with_new_namespace());
        ctx.thread.set_domain(None);
    } else if flags.contains(CloneFlags::FS) {
        task.set_fs(task.fs().copy());
    }
    if flags.contains(CloneFlags::FILES) {
        task.set_fds(task.fds().copy());
        ctx.thread.use_descriptors(false);
    }
    Ok(0)
}

/// `setns(2)`.
///
/// Errors: EBADF; EINVAL (no namespace, another kind, one's own user namespace, a shared root
/// directory); EPERM; ESRCH for a pidfd of a process that is gone.
pub fn setns(ctx: &mut Ctx, fd: Fd, kinds: u64) -> SysResult {
    let kinds = CloneFlags::from_bits(kinds).ok_or(Errno::EINVAL)?;
    let description = ctx.task.fds().get(fd)?;
    if let Some(pidfd) = description.downcast::<PidFd>() {
        let all = NAMESPACES | CloneFlags::NEWUSER | CloneFlags::NEWTIME;
        if kinds.is_empty() || !all.contains(kinds) {
            return Err(Errno::EINVAL);
        }
        let target = pidfd.group().leader().ok_or(Errno::ESRCH)?;
        let namespace = target.fs().namespace();
        return enter(ctx, kinds, Some(namespace));
    }
    let inode = description.inode();
    let file = inode.as_any().downcast_ref::<NamespaceInode>().ok_or(Errno::EINVAL)?;
    if !kinds.is_empty() && kinds != file.kind.flag {
        return Err(Errno::EINVAL);
    }
    enter(ctx, file.kind.flag, file.mounts.clone())
}

fn enter(ctx: &mut Ctx, kinds: CloneFlags, mounts: Option<Arc<MountNamespace>>) -> SysResult {
    let task = &ctx.task;
    let own = task.credentials();
    // Linux: one's own user namespace cannot be entered again.
    if kinds.contains(USER.flag) {
        return Err(Errno::EINVAL);
    }
    if !own.has(CAP_SYS_ADMIN) {
        return Err(Errno::EPERM);
    }
    let Some(namespace) = mounts.filter(|_| kinds.contains(MOUNT.flag)) else { return Ok(0) };
    if !own.has(CAP_SYS_CHROOT) {
        return Err(Errno::EPERM);
    }
    let old = task.fs();
    let is_shared = task
        .group
        .threads()
        .iter()
        .any(|other| !Arc::ptr_eq(other, task) && Arc::ptr_eq(&other.fs(), &old));
    if is_shared {
        return Err(Errno::EINVAL);
    }
    let fs = FsContext::new(namespace);
    fs.set_umask(old.umask());
    task.set_fs(fs);
    ctx.thread.set_domain(None);
    Ok(0)
}
