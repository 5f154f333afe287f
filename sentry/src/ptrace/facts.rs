//! Facts of signals and of system calls.

use linux_abi::Errno;
use linux_abi::signal::{SIGTRAP, SigInfo};
use linux_abi::task::{
    PTRACE_EVENT_SECCOMP, PTRACE_EVENTMSG_SYSCALL_ENTRY, PTRACE_EVENTMSG_SYSCALL_EXIT,
    PTRACE_PEEKSIGINFO_SHARED, PTRACE_SYSCALL_INFO_ENTRY, PTRACE_SYSCALL_INFO_EXIT,
    PTRACE_SYSCALL_INFO_NONE, PTRACE_SYSCALL_INFO_SECCOMP, PtracePeekSigInfoArgs,
    PtraceSyscallInfo,
};
use zerocopy::IntoBytes;

use super::events::CALL_MARK;
use super::requests::Request;
use crate::memory::{UserAddr, UserPtr};
use crate::signal;
use crate::syscall::SysResult;

/// `AUDIT_ARCH_X86_64`.
const ARCH: u32 = 0xc000_003e;

/// `PTRACE_GETSIGINFO`. Errors: EINVAL at a group stop of a tracee that was not seized.
pub(super) fn get_info(request: &Request<'_>) -> SysResult {
    let info = request.with_stop(|stop| stop.info)?;
    request.put(&info.ok_or(Errno::EINVAL)?)
}

/// `PTRACE_SETSIGINFO`. Errors: as for [`get_info`].
pub(super) fn set_info(request: &Request<'_>) -> SysResult {
    let info = request.ctx.memory().read_value(UserPtr::<SigInfo>::new(request.data))?;
    request.with_stop(|stop| {
        stop.info = Some(stop.info.and(Some(info)).ok_or(Errno::EINVAL)?);
        Ok(0)
    })?
}

/// `PTRACE_PEEKSIGINFO`: pending signals; answers with how many there were.
///
/// Errors: EINVAL for unknown flags and negative counts.
///
/// Divergence: they come in the order of their numbers, and among those in that of their arrival.
pub(super) fn peek_infos(request: &Request<'_>) -> SysResult {
    let memory = request.ctx.memory();
    let args = memory.read_value(UserPtr::<PtracePeekSigInfoArgs>::new(request.addr))?;
    let count = usize::try_from(args.nr).map_err(|_| Errno::EINVAL)?;
    if args.flags & !PTRACE_PEEKSIGINFO_SHARED != 0 {
        return Err(Errno::EINVAL);
    }
    let is_shared = args.flags & PTRACE_PEEKSIGINFO_SHARED != 0;
    let Ok(offset) = usize::try_from(args.off) else { return Ok(0) };
    let infos = signal::peek(&request.tracee, is_shared, offset, count);
    for (index, info) in infos.iter().enumerate() {
        let place = UserPtr::<SigInfo>::new(request.data).element(index);
        match memory.write_value(place, info) {
            Ok(()) => {}
            Err(errno) if index == 0 => return Err(errno),
            Err(_) => return Ok(index),
        }
    }
    Ok(infos.len())
}

/// `PTRACE_GET_SYSCALL_INFO`: as much as `addr` has room for; answers with the size there is.
pub(super) fn call_info(request: &Request<'_>) -> SysResult {
    /// Sizes of the parts that are meant.
    const BASE: usize = 24;
    const ENTRY: usize = BASE + 7 * 8;
    const EXIT: usize = BASE + 9;
    const SECCOMP: usize = ENTRY + 4;
    let message = request.message()?;
    let (info, size) = request.with_stop(|stop| {
        let registers = stop.registers;
        let mut info = PtraceSyscallInfo {
            op: PTRACE_SYSCALL_INFO_NONE,
            arch: ARCH,
            instruction_pointer: registers.rip,
            stack_pointer: registers.rsp,
            ..PtraceSyscallInfo::default()
        };
        let code = stop.info.map_or(0, |info| info.code);
        let platform::Registers { orig_rax, rdi, rsi, rdx, r10, r8, r9, .. } = registers;
        if code == SIGTRAP | PTRACE_EVENT_SECCOMP << 8 {
            info.op = PTRACE_SYSCALL_INFO_SECCOMP;
            info.words = [orig_rax, rdi, rsi, rdx, r10, r8, r9, message];
            return (info, SECCOMP);
        }
        let is_call = code == SIGTRAP | CALL_MARK;
        match message {
            PTRACE_EVENTMSG_SYSCALL_ENTRY if is_call => {
                info.op = PTRACE_SYSCALL_INFO_ENTRY;
                info.words = [orig_rax, rdi, rsi, rdx, r10, r8, r9, 0];
                (info, ENTRY)
            }
            PTRACE_EVENTMSG_SYSCALL_EXIT if is_call => {
                let is_error = (-4095..0).contains(&(registers.rax as i64));
                info.op = PTRACE_SYSCALL_INFO_EXIT;
                info.words = [registers.rax, u64::from(is_error), 0, 0, 0, 0, 0, 0];
                (info, EXIT)
            }
            _ => (info, BASE),
        }
    })?;
    let len = size.min(usize::try_from(request.addr).unwrap_or(usize::MAX));
    request.ctx.memory().write_exact(UserAddr(request.data), &info.as_bytes()[..len])?;
    Ok(size)
}
