//! Running the stub's code in a stopped thread: how the sentry makes a guest process call the host.

use linux_abi::Errno;

use super::stub::{Code, Entry};
use super::sys::{self, Go, Status, Tid};
use crate::contract::Registers;

/// The thread died meanwhile; its end has been reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

/// Code segment of 64-bit user code.
pub(super) const USER_CS: u64 = 0x33;
/// Code segment of 32-bit user code.
pub(super) const COMPAT_CS: u64 = 0x23;
/// Stack segment of user code.
pub(super) const USER_SS: u64 = 0x2b;
/// Interrupts on, and the bit that is always one.
pub(super) const USER_EFLAGS: u64 = 0x202;

/// Registers of a thread that has run nothing yet.
pub(super) fn blank_registers() -> Registers {
    Registers {
        cs: USER_CS,
        ss: USER_SS,
        eflags: USER_EFLAGS,
        orig_rax: u64::MAX,
        ..Registers::default()
    }
}

/// Registers for one system call.
pub(super) fn call_registers(number: i64, args: [u64; 6]) -> Registers {
    let [rdi, rsi, rdx, r10, r8, r9] = args;
    Registers { rax: number as u64, rdi, rsi, rdx, r10, r8, r9, ..blank_registers() }
}

/// Runs the stub's code from `entry` to its end and answers with the registers it left. `wait`
/// waits for the next report about the thread.
///
/// The general registers that the thread had are lost: the caller knows them.
pub(super) fn run(
    tid: Tid,
    code: Code,
    entry: Entry,
    registers: &Registers,
    wait: &mut dyn FnMut() -> Status,
) -> Result<Registers, Gone> {
    let start = Registers { rip: code.entry(entry), ..*registers };
    if sys::set_core_registers(tid, &start).is_err() {
        return Err(wait_gone(wait));
    }
    loop {
        if sys::resume(tid, Go::Host).is_err() {
            return Err(wait_gone(wait));
        }
        match wait() {
            Status::Gone => return Err(Gone),
            Status::Stopped { signal: libc::SIGTRAP, event: 0 } => {
                let Ok(end) = sys::registers(tid) else { return Err(wait_gone(wait)) };
                if code.is_end(entry, end.rip) {
                    return Ok(end);
                }
            }
            Status::Stopped { signal: libc::SIGSEGV | libc::SIGBUS, .. }
                if sys::signal_info(tid).is_ok_and(|info| info.code > 0)
                    && let Ok(end) = sys::registers(tid)
                    && code.may_fault(entry, end.rip) =>
            {
                return Ok(Registers { rax: Errno::EFAULT.to_return_value(), ..end });
            }
            // The stub's own code cannot fail unless its pages are gone, and then nothing works.
            Status::Stopped { signal: libc::SIGSEGV | libc::SIGBUS | libc::SIGILL, .. }
                if sys::signal_info(tid).is_ok_and(|info| info.code > 0) =>
            {
                sys::kill_process(tid);
                return Err(wait_gone(wait));
            }
            // A signal from outside, or a kick: dropped. The host restarts the call.
            Status::Stopped { .. } => {}
        }
    }
}

/// Runs one system call in the thread.
pub(super) fn call(
    tid: Tid,
    code: Code,
    number: i64,
    args: [u64; 6],
    wait: &mut dyn FnMut() -> Status,
) -> Result<Result<u64, Errno>, Gone> {
    let end = run(tid, code, Entry::Call, &call_registers(number, args), wait)?;
    Ok(to_result(end.rax))
}

/// Changes a futex word in the thread's name; `args` are those of [`Entry::ChangeWord`].
pub(super) fn change_word(
    tid: Tid,
    code: Code,
    args: [u64; 6],
    wait: &mut dyn FnMut() -> Status,
) -> Result<Result<u64, Errno>, Gone> {
    let end = run(tid, code, Entry::ChangeWord, &call_registers(0, args), wait)?;
    Ok(to_result(end.rax))
}

/// What a system call returned in a register.
pub(super) fn to_result(rax: u64) -> Result<u64, Errno> {
    match rax as i64 {
        error @ -4095..=-1 => Err(Errno::from_raw(-error as i32)),
        _ => Ok(rax),
    }
}

/// A request on a stopped thread failed: it was killed. Waits for its end.
fn wait_gone(wait: &mut dyn FnMut() -> Status) -> Gone {
    while wait() != Status::Gone {}
    Gone
}
