//! `ptrace(2)`.

use linux_abi::Errno;
use linux_abi::task::{PTRACE_ATTACH, PTRACE_SEIZE, PTRACE_TRACEME};

use super::SysResult;
use crate::ptrace;
use crate::task::{Ctx, Pid};

/// Traces another thread, ptrace(2).
///
/// Errors: ESRCH for a thread that is not there, not the caller's tracee, or not in a stop; EPERM
/// for one that may not be traced; EIO, EINVAL and EFAULT as the requests say.
pub fn ptrace(ctx: &mut Ctx, request: i64, pid: Pid, addr: u64, data: u64) -> SysResult {
    // Linux: a number beyond 32 bits is no request.
    let request = i32::try_from(request).map_err(|_| Errno::EIO);
    if request == Ok(PTRACE_TRACEME) {
        return ptrace::trace_me(&ctx.task).map(|()| 0);
    }
    let target = ctx.task.kernel.tasks.task(pid).ok_or(Errno::ESRCH)?;
    match request? {
        request @ (PTRACE_ATTACH | PTRACE_SEIZE) => {
            ptrace::attach(&ctx.task, &target, request, addr, data)
        }
        request => ptrace::request(ctx, &target, request, addr, data),
    }
}
