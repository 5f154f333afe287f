//! Thin wrappers of `ptrace(2)`, `wait4(2)` and signals: one host call each, no policy.

use std::ffi::c_void;

use linux_abi::Errno;

use crate::contract::Registers;
use crate::host::last_errno;

pub(super) use crate::process::{KICK, Tid, kick, kill_process};

const NT_PRSTATUS: usize = 1;
const NT_X86_XSTATE: usize = 0x202;
const PTRACE_SETSIGMASK: u32 = 0x420b;
const PTRACE_GET_RSEQ_CONFIGURATION: u32 = 0x420f;

/// How far `struct user_regs_struct` goes up to and including `ss`: what changes on every trap.
/// The segment bases and selectors behind it are written only when they changed, because the
/// host refuses some values that a guest can legally load by itself.
const CORE_REGISTERS_BYTES: usize = 21 * 8;

/// How a stopped tracee goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Go {
    /// Runs at full rights; for injected calls only.
    Host,
    /// Runs guest code: each system call stops it before it does anything.
    Guest,
    /// As `Guest`, and stops after one instruction.
    GuestStep,
}

/// What `wait4` reported about a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// A ptrace stop: signal number (with bit 7 for a syscall stop) and ptrace event.
    Stopped { signal: i32, event: i32 },
    /// It exited or was killed, and is now reaped.
    Gone,
}

/// Signal of a [`Status::Stopped`] at a system call, with `PTRACE_O_TRACESYSGOOD`.
pub(super) const SYSCALL_STOP: i32 = libc::SIGTRAP | 0x80;

impl Status {
    pub(super) fn from_raw(raw: i32) -> Status {
        if libc::WIFSTOPPED(raw) {
            Status::Stopped { signal: libc::WSTOPSIG(raw), event: raw >> 16 }
        } else {
            Status::Gone
        }
    }
}

fn check(result: i64) -> Result<i64, Errno> {
    if result < 0 { Err(last_errno()) } else { Ok(result) }
}

/// # Safety
/// `addr` and `data` must be what `request` expects.
unsafe fn ptrace(request: u32, tid: Tid, addr: usize, data: usize) -> Result<i64, Errno> {
    // SAFETY: the caller's promise.
    check(unsafe { libc::ptrace(request, tid, addr as *mut c_void, data as *mut c_void) })
}

/// Attaches without stopping; the tracee dies with the tracer.
pub(super) fn seize(tid: Tid) -> Result<(), Errno> {
    let options = libc::PTRACE_O_EXITKILL | libc::PTRACE_O_TRACESYSGOOD;
    // SAFETY: the request takes numbers only.
    unsafe { ptrace(libc::PTRACE_SEIZE, tid, 0, options as usize) }.map(drop)
}

/// Makes a running tracee stop with `PTRACE_EVENT_STOP`.
pub(super) fn interrupt(tid: Tid) -> Result<(), Errno> {
    // SAFETY: the request takes no arguments.
    unsafe { ptrace(libc::PTRACE_INTERRUPT, tid, 0, 0) }.map(drop)
}

/// Resumes a stopped tracee; whatever signal stopped it is dropped.
pub(super) fn resume(tid: Tid, go: Go) -> Result<(), Errno> {
    let request = match go {
        Go::Host => libc::PTRACE_CONT,
        Go::Guest => libc::PTRACE_SYSEMU,
        Go::GuestStep => libc::PTRACE_SYSEMU_SINGLESTEP,
    };
    // SAFETY: the requests take a signal number, here 0.
    unsafe { ptrace(request, tid, 0, 0) }.map(drop)
}

pub(super) fn registers(tid: Tid) -> Result<Registers, Errno> {
    let mut registers = Registers::default();
    // SAFETY: `Registers` has the layout of `struct user_regs_struct`, which is written.
    unsafe { ptrace(libc::PTRACE_GETREGS, tid, 0, (&raw mut registers).addr()) }?;
    Ok(registers)
}

/// Sets all registers but the segment bases and data selectors.
pub(super) fn set_core_registers(tid: Tid, registers: &Registers) -> Result<(), Errno> {
    let mut iov = libc::iovec {
        iov_base: (&raw const *registers).cast_mut().cast(),
        iov_len: CORE_REGISTERS_BYTES,
    };
    // SAFETY: `iov` describes live memory of that length, which is only read.
    unsafe { ptrace(libc::PTRACE_SETREGSET, tid, NT_PRSTATUS, (&raw mut iov).addr()) }.map(drop)
}

/// Sets all registers. Errors: EIO for segment bases that are no user addresses.
pub(super) fn set_all_registers(tid: Tid, registers: &Registers) -> Result<(), Errno> {
    // SAFETY: `Registers` has the layout of `struct user_regs_struct`, which is only read.
    unsafe { ptrace(libc::PTRACE_SETREGS, tid, 0, (&raw const *registers).addr()) }.map(drop)
}

/// Reads the XSAVE image into `buf`; returns its size.
pub(super) fn xstate(tid: Tid, buf: &mut [u8]) -> Result<usize, Errno> {
    let mut iov = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    // SAFETY: `iov` describes live memory of that length.
    unsafe { ptrace(libc::PTRACE_GETREGSET, tid, NT_X86_XSTATE, (&raw mut iov).addr()) }?;
    Ok(iov.iov_len)
}

/// Loads an XSAVE image. Errors: EINVAL, EFAULT or EIO for one that the host refuses.
pub(super) fn set_xstate(tid: Tid, image: &[u8]) -> Result<(), Errno> {
    let mut iov = libc::iovec { iov_base: image.as_ptr().cast_mut().cast(), iov_len: image.len() };
    // SAFETY: `iov` describes live memory of that length, which is only read.
    unsafe { ptrace(libc::PTRACE_SETREGSET, tid, NT_X86_XSTATE, (&raw mut iov).addr()) }.map(drop)
}

/// Why a stopped tracee got its signal.
#[derive(Clone, Copy, Debug)]
pub(super) struct SignalInfo {
    pub(super) code: i32,
    pub(super) addr: u64,
}

pub(super) fn signal_info(tid: Tid) -> Result<SignalInfo, Errno> {
    // siginfo_t: si_signo, si_errno, si_code, padding, then si_addr for faults; 128 bytes.
    let mut info = [0_u64; 16];
    // SAFETY: the request writes a `siginfo_t`, 128 bytes.
    unsafe { ptrace(libc::PTRACE_GETSIGINFO, tid, 0, info.as_mut_ptr().addr()) }?;
    Ok(SignalInfo { code: info[1] as u32 as i32, addr: info[2] })
}

/// Whether the system call at which the tracee stands came through the 64-bit entry.
pub(super) fn is_native_syscall(tid: Tid) -> Result<bool, Errno> {
    const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
    // struct ptrace_syscall_info starts with op (u8), padding, arch (u32).
    let mut info = [0_u32; 22];
    let request = libc::PTRACE_GET_SYSCALL_INFO;
    // SAFETY: at most `size_of_val(&info)` bytes are written.
    unsafe { ptrace(request, tid, size_of_val(&info), info.as_mut_ptr().addr()) }?;
    Ok(info[1] == AUDIT_ARCH_X86_64)
}

/// Sets the signals that the tracee blocks.
pub(super) fn set_signal_mask(tid: Tid, mask: u64) -> Result<(), Errno> {
    // SAFETY: the kernel reads 8 bytes.
    unsafe { ptrace(PTRACE_SETSIGMASK, tid, 8, (&raw const mask).addr()) }.map(drop)
}

/// Address, size and signature of the tracee's registered `struct rseq`; address 0 if none.
///
/// Errors: EIO before Linux 5.13.
pub(super) fn rseq(tid: Tid) -> Result<(u64, u32, u32), Errno> {
    // struct ptrace_rseq_configuration: u64 pointer, u32 size, u32 signature, u32 flags, u32 pad.
    let mut configuration = [0_u64; 3];
    let size = size_of_val(&configuration);
    // SAFETY: at most `size` bytes are written.
    unsafe { ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, size, configuration.as_mut_ptr().addr()) }?;
    Ok((configuration[0], configuration[1] as u32, (configuration[1] >> 32) as u32))
}

/// Waits for one thread. Errors: ECHILD if it is no child or tracee (any more).
pub(super) fn wait_for(tid: Tid) -> Result<Status, Errno> {
    loop {
        let mut raw = 0;
        // SAFETY: `raw` is live; no resource usage is asked for.
        match check(i64::from(unsafe { libc::waitpid(tid, &raw mut raw, libc::__WALL) })) {
            Ok(_) => return Ok(Status::from_raw(raw)),
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error),
        }
    }
}

/// Waits for the next report about any thread. Errors: ECHILD if there are none.
pub(super) fn wait_any() -> Result<(Tid, Status), Errno> {
    loop {
        let mut raw = 0;
        // SAFETY: `raw` is live; no resource usage is asked for.
        match check(i64::from(unsafe { libc::waitpid(-1, &raw mut raw, libc::__WALL) })) {
            Ok(tid) => return Ok((tid as Tid, Status::from_raw(raw))),
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error),
        }
    }
}

/// The next report about any thread, without waiting.
pub(super) fn try_wait_any() -> Option<(Tid, Status)> {
    let mut raw = 0;
    // SAFETY: `raw` is live; no resource usage is asked for.
    match unsafe { libc::waitpid(-1, &raw mut raw, libc::__WALL | libc::WNOHANG) } {
        tid if tid > 0 => Some((tid, Status::from_raw(raw))),
        _ => None,
    }
}
