//! Opening programs, execve(2).

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{AT_FDCWD, FileKind, OpenFlags};

use crate::syscall::Fd;
use crate::task::Task;
use crate::vfs::permission::{Want, check_inode};
use crate::vfs::{Access, FileDescription, IoContext, LookupFlags, lookup_at};

/// Opens a program to run. While the description lives nobody can open the file for writing.
/// With `dirfd` the path is relative to it and may be empty (`AT_EMPTY_PATH`).
///
/// # Errors
/// EACCES (no execute permission, no regular file, a `noexec` mount), ELOOP (a symlink that is not
/// to be followed), ETXTBSY (open for writing), and those of the walk.
pub fn open_for_exec(
    task: &Arc<Task>,
    dirfd: Option<Fd>,
    path: &[u8],
    follow: bool,
) -> Result<Arc<FileDescription>, Errno> {
    let mut how = LookupFlags::TO_OPEN;
    how.set(LookupFlags::FOLLOW, follow);
    if dirfd.is_some() {
        how |= LookupFlags::EMPTY_PATH;
    }
    let place = lookup_at(task, dirfd.map_or(AT_FDCWD, i32::from), path, how)?;
    match place.kind() {
        FileKind::Symlink => return Err(Errno::ELOOP),
        FileKind::Regular => {}
        _ => return Err(Errno::EACCES),
    }
    if place.is_noexec() {
        return Err(Errno::EACCES);
    }
    let inode = place.inode();
    check_inode(&*inode, &task.credentials(), Want::EXEC)?;
    let flags = OpenFlags::empty();
    let io = IoContext { task: Some(task), flags };
    inode.common().deny_write()?;
    match inode.clone().open(flags, &io) {
        Ok(file) => Ok(FileDescription::with_access(file, place, flags, Access::DeniesWrites)),
        Err(errno) => {
            inode.common().allow_write();
            Err(errno)
        }
    }
}
