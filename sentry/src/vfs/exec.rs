//! Opening programs.

use std::sync::Arc;

use linux_abi::Errno;

use super::FileDescription;
use crate::syscall::Fd;
use crate::task::Task;

/// Opens a program for `execve`.
pub fn open_for_exec(
    _task: &Arc<Task>,
    _dir: Option<Fd>,
    _path: &[u8],
    _follow: bool,
) -> Result<Arc<FileDescription>, Errno> {
    Err(Errno::ENOSYS)
}

/// Changes the working directory of `task`.
pub fn chdir(_task: &Arc<Task>, _path: &[u8]) -> Result<(), Errno> {
    Err(Errno::ENOSYS)
}
