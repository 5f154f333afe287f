//! Paths as system calls give them: relative to a descriptor of a task.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{AT_FDCWD, OpenFlags, ResolveFlags};

use super::{Parent, PathContext};
use crate::task::Task;
use crate::vfs::permission::check_search;
use crate::vfs::{IoContext, Location};

bitflags::bitflags! {
    /// How [`lookup_at`] resolves.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct LookupFlags: u32 {
        /// Follow a symlink at the end.
        const FOLLOW = 1;
        /// The result must be a directory.
        const DIRECTORY = 2;
        /// An empty path is the descriptor itself (`AT_EMPTY_PATH`).
        const EMPTY_PATH = 4;
        /// The result is about to be opened for reading.
        const TO_OPEN = 8;
    }
}

/// The context to resolve `path` relative to `dirfd`.
///
/// # Errors
/// EBADF; ENOTDIR when `dirfd` is needed and no directory.
pub fn path_context<'a>(
    task: &'a Arc<Task>,
    dirfd: i32,
    path: &[u8],
    resolve: ResolveFlags,
) -> Result<PathContext<'a>, Errno> {
    let fs = task.fs();
    let is_absolute = path.first() == Some(&b'/');
    let is_scoped = resolve.intersects(ResolveFlags::BENEATH | ResolveFlags::IN_ROOT);
    let start = if dirfd == AT_FDCWD || (is_absolute && !is_scoped) {
        fs.cwd()
    } else {
        let place = task.fds().get(dirfd)?.location().clone();
        if !place.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        place
    };
    Ok(PathContext {
        root: fs.root(),
        start,
        credentials: task.credentials(),
        io: IoContext { task: Some(task), flags: OpenFlags::empty() },
        resolve,
    })
}

/// Resolves `path` relative to `dirfd`.
///
/// # Errors
/// EBADF and those of [`PathContext::lookup`].
pub fn lookup_at(
    task: &Arc<Task>,
    dirfd: i32,
    path: &[u8],
    flags: LookupFlags,
) -> Result<Location, Errno> {
    if path.is_empty() && flags.contains(LookupFlags::EMPTY_PATH) {
        return lookup_fd(task, dirfd);
    }
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    let context = path_context(task, dirfd, path, ResolveFlags::empty())?;
    let follow = flags.contains(LookupFlags::FOLLOW);
    if flags.contains(LookupFlags::TO_OPEN) {
        return context.lookup_to_open(path, follow);
    }
    context.lookup(path, follow, flags.contains(LookupFlags::DIRECTORY))
}

/// The place that `dirfd` stands for, whatever it is.
///
/// # Errors
/// EBADF.
pub fn lookup_fd(task: &Arc<Task>, dirfd: i32) -> Result<Location, Errno> {
    if dirfd == AT_FDCWD {
        return Ok(task.fs().cwd());
    }
    Ok(task.fds().get(dirfd)?.location().clone())
}

/// Resolves `path` relative to `dirfd` up to its last component.
///
/// # Errors
/// EBADF and those of [`PathContext::parent`].
pub fn parent_at(task: &Arc<Task>, dirfd: i32, path: &[u8]) -> Result<Parent, Errno> {
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    path_context(task, dirfd, path, ResolveFlags::empty())?.parent(path)
}

/// Changes the working directory of `task`.
///
/// # Errors
/// Those of [`lookup_at`]; ENOTDIR; EACCES when it may not be searched.
pub fn chdir(task: &Arc<Task>, path: &[u8]) -> Result<(), Errno> {
    let place = lookup_at(task, AT_FDCWD, path, LookupFlags::FOLLOW | LookupFlags::DIRECTORY)?;
    check_search(place.dentry(), &task.credentials())?;
    task.fs().set_cwd(place);
    Ok(())
}
