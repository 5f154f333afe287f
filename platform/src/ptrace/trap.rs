//! What a stop of a guest thread means.

use linux_abi::Errno;

use super::inject::USER_CS;
use super::sys::{self, KICK, SYSCALL_STOP, SignalInfo, Tid};
use crate::contract::{Fault, Registers, Trap};

/// Bit of a system call number that selects the x32 ABI.
const X32_BIT: u64 = 0x4000_0000;

/// `si_code` of a completed single step.
pub(super) const TRAP_TRACE: i32 = 2;

/// A stop, decoded.
#[derive(Clone, Copy, Debug)]
pub(super) enum Decoded {
    Trap(Trap),
    /// Somebody wanted the thread to stop (or did so before it stopped for another reason).
    Kicked,
    /// A signal from outside the sandbox, a stray stop: nothing that a guest may see.
    Nothing,
}

/// Decodes a stop and reads the registers at it.
///
/// Errors: ESRCH when the thread was killed meanwhile.
pub(super) fn decode(tid: Tid, signal: i32, event: i32) -> Result<(Decoded, Registers), Errno> {
    let mut registers = sys::registers(tid)?;
    if signal == SYSCALL_STOP {
        // The host, too, looks at the lower half only.
        registers.orig_rax = registers.orig_rax as i32 as u64;
        return Ok((Decoded::Trap(decode_syscall(tid, &registers)?), registers));
    }
    registers.orig_rax = u64::MAX;
    let decoded = match signal {
        _ if event != 0 => Decoded::Nothing,
        KICK => Decoded::Kicked,
        libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL | libc::SIGTRAP => {
            let info = sys::signal_info(tid)?;
            match info.code > 0 {
                true => Decoded::Trap(Trap::Fault(fault(tid, signal, info, &registers))),
                false => Decoded::Nothing,
            }
        }
        _ => Decoded::Nothing,
    };
    Ok((decoded, registers))
}

fn decode_syscall(tid: Tid, registers: &Registers) -> Result<Trap, Errno> {
    // `syscall` leaves the return address in rcx, other entries do not touch it (nor does
    // `syscall` on processors with FRED, hence the second question). A guest that forges it has
    // its own `int 0x80` served as a 64-bit call.
    let is_native =
        registers.cs == USER_CS && (registers.rcx == registers.rip || sys::is_native_syscall(tid)?);
    let is_x32 = registers.orig_rax & X32_BIT != 0 && (registers.orig_rax as i32) >= 0;
    Ok(if is_native && !is_x32 { Trap::Syscall } else { Trap::ForeignSyscall })
}

/// Fills in what the host tells only in a signal frame: processor exception and error code.
fn fault(tid: Tid, signal: i32, info: SignalInfo, registers: &Registers) -> Fault {
    const SI_KERNEL: i32 = 0x80;
    const DIVIDE: u64 = 0;
    const DEBUG: u64 = 1;
    const BREAKPOINT: u64 = 3;
    const INVALID_OPCODE: u64 = 6;
    const PROTECTION: u64 = 13;
    const PAGE: u64 = 14;
    const X87: u64 = 16;
    const ALIGNMENT: u64 = 17;
    const SIMD: u64 = 19;
    const FPE_INTDIV: i32 = 1;
    const BUS_ADRALN: i32 = 1;
    let trapno = match (signal, info.code) {
        (libc::SIGSEGV, SI_KERNEL) => PROTECTION,
        (libc::SIGSEGV, _) => PAGE,
        (libc::SIGBUS, BUS_ADRALN) => ALIGNMENT,
        (libc::SIGBUS, _) => PAGE,
        (libc::SIGFPE, FPE_INTDIV) => DIVIDE,
        // Both report FPE_FLT*; the mnemonic tells them apart, and SSE is what compilers emit.
        (libc::SIGFPE, _) if is_x87(tid, registers.rip) => X87,
        (libc::SIGFPE, _) => SIMD,
        (libc::SIGILL, _) => INVALID_OPCODE,
        (_, SI_KERNEL) => BREAKPOINT,
        _ => DEBUG,
    };
    let error_code = if trapno == PAGE { page_fault_code(tid, info, registers) } else { 0 };
    let addr = match (signal, info.code) {
        (libc::SIGTRAP, SI_KERNEL) | (libc::SIGSEGV, SI_KERNEL) => 0,
        _ => info.addr,
    };
    Fault { signo: signal, code: info.code, addr, trapno, error_code }
}

/// Rebuilds the error code of a page fault (Intel SDM volume 3, 4.7) from what can be observed:
/// an address that can be read must have been written or executed.
///
/// Divergence: a write to a place that cannot be read either, is reported as a read.
fn page_fault_code(tid: Tid, info: SignalInfo, registers: &Registers) -> u64 {
    const PRESENT: u64 = 1;
    const WRITE: u64 = 2;
    const USER: u64 = 4;
    const FETCH: u64 = 16;
    const PKEY: u64 = 32;
    const SEGV_MAPERR: i32 = 1;
    const SEGV_PKUERR: i32 = 4;
    let mut code = USER;
    if info.code != SEGV_MAPERR {
        code |= PRESENT;
    }
    if info.code == SEGV_PKUERR {
        code |= PKEY;
    }
    if info.addr == registers.rip {
        code |= FETCH;
    } else if code & PRESENT != 0 && crate::process::copy::read(tid, info.addr, &mut [0]).is_ok() {
        code |= WRITE;
    }
    code
}

/// Whether the instruction is one of the x87 escape opcodes.
fn is_x87(tid: Tid, rip: u64) -> bool {
    let mut bytes = [0; 2];
    crate::process::copy::read(tid, rip, &mut bytes).is_ok()
        && (matches!(bytes[0], 0x9b | 0xd8..=0xdf) || matches!(bytes, [0x40..=0x4f, 0xd8..=0xdf]))
}
