//! Descriptors for objects without a path: what `pipe`, `socket`, `eventfd2` and their kin share.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags};
use linux_abi::task::RLIMIT_NOFILE;

use super::SysResult;
use crate::task::{Ctx, Task};
use crate::vfs::{
    File, FileDescription, Location, Reservation, anonymous_location, anonymous_location_of,
};

/// Permissions of anonymous inodes.
const ANONYMOUS_PERMISSIONS: u32 = 0o600;
/// Permissions of a socket's inode.
const SOCKET_PERMISSIONS: u32 = 0o777;

/// Holds the lowest free descriptor of `task`. Errors: EMFILE.
pub(super) fn reserve(task: &Arc<Task>) -> Result<Reservation, Errno> {
    task.fds().reserve(task.group.soft_limit(RLIMIT_NOFILE as usize))
}

/// Gives `file` a descriptor. `label` is what `/proc/[pid]/fd` shows after `anon_inode:`. Of
/// `flags`, `CLOEXEC` is the descriptor's and the rest the description's.
///
/// Errors: EMFILE.
pub(super) fn install(ctx: &Ctx, file: impl File, label: &str, flags: OpenFlags) -> SysResult {
    let reservation = reserve(&ctx.task)?;
    let description = describe(ctx, file, label, flags);
    Ok(reservation.fill(description, flags.contains(OpenFlags::CLOEXEC)) as usize)
}

/// An open description of `file`, as for [`install`].
pub(super) fn describe(
    ctx: &Ctx,
    file: impl File,
    label: &str,
    flags: OpenFlags,
) -> Arc<FileDescription> {
    // Linux: anonymous inodes have no kind; programs see mode 0600 alone.
    let location =
        anonymous_location(&ctx.task.kernel, label, FileKind::Regular, ANONYMOUS_PERMISSIONS);
    FileDescription::new(Box::new(file), location, flags)
}

/// The inode of a new pipe, owned by the caller.
pub(super) fn pipe_location(task: &Arc<Task>) -> Location {
    let credentials = task.credentials();
    let kind = FileKind::Fifo;
    anonymous_location_of(&task.kernel, "pipe", kind, ANONYMOUS_PERMISSIONS, &credentials)
}

/// A description of a new socket, owned by the caller.
pub(super) fn socket_description(
    task: &Arc<Task>,
    file: impl File,
    flags: OpenFlags,
) -> Arc<FileDescription> {
    let credentials = task.credentials();
    let kind = FileKind::Socket;
    let location =
        anonymous_location_of(&task.kernel, "socket", kind, SOCKET_PERMISSIONS, &credentials);
    FileDescription::new(Box::new(file), location, flags | OpenFlags::RDWR)
}
