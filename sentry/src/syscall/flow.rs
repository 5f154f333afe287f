//! What a system call handler answers with.

use linux_abi::Errno;

use crate::task::ExitReason;

/// The value for `rax`, or an error.
pub type SysResult = Result<usize, Errno>;

/// How the run loop goes on after a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Put this into `rax` and go on.
    Return(SysResult),
    /// Registers are already as they shall be (`execve`, `rt_sigreturn`).
    Resume,
    /// The task ends.
    Exit(ExitReason),
}

impl From<SysResult> for Flow {
    fn from(result: SysResult) -> Flow {
        Flow::Return(result)
    }
}
