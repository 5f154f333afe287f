//! What a system call handler answers with.

use linux_abi::Errno;

use platform::HostOp;

use crate::task::ExitReason;

/// The value for `rax`, or an error.
pub type SysResult = Result<usize, Errno>;

/// How the run loop goes on after a system call.
#[derive(Clone, Copy, Debug)]
pub enum Flow {
    /// Put this into `rax` and go on.
    Return(SysResult),
    /// Have the caller's own thread do this, put the result into `rax` and go on: for operations
    /// whose result the kernel need not know.
    Finish(HostOp<'static>),
    /// The thread runs already ([`Ctx::finish`](crate::task::Ctx::finish)).
    Runs,
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
