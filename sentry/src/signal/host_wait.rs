//! Futex waits in the host that an interrupt has ended.
//!
//! Where futexes are native the host ends a wait when a thread is interrupted, before anybody knows
//! whether a handler will run. Without a timeout it has gone back to the call, to make it again;
//! that is right if no handler runs, or one with `SA_RESTART`. With a timeout the call has failed
//! with EINTR; that is right if any handler runs. In the other cases the registers have to
//! change ([`SyscallRestart`]), for which the call must be found in them.
//!
//! Divergence: a wait with a relative timeout that no handler has interrupted (the process was
//! stopped, or another thread took the signal) starts over; Linux would wait for what is left. An
//! absolute timeout, which C libraries use, ends when it should.

use linux_abi::Errno;
use linux_abi::futex::{FUTEX_CMD_MASK, FUTEX_WAIT, FUTEX_WAIT_BITSET};
use platform::Registers;

use super::SyscallRestart;
use crate::memory::UserPtr;
use crate::task::Ctx;

const SYS_FUTEX: u64 = 202;
const SYS_FUTEX_WAITV: u64 = 449;

/// The `syscall` instruction.
const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// Registers of a thread that goes on with EINTR as a result: it may be found at just that
/// place again, having executed nothing.
///
/// Divergence: one that comes back by a wait with all the same arguments is taken for it, and sees
/// EINTR even if it was only stopped.
pub struct Answered([u64; 7]);

impl Answered {
    /// `None` unless the thread is about to go on with EINTR.
    pub fn of(ctx: &Ctx) -> Option<Answered> {
        let registers = ctx.thread.registers();
        let is_interrupted = registers.rax == Errno::EINTR.to_return_value();
        (is_interrupted && has_native_futexes(ctx)).then(|| Answered(place(registers)))
    }
}

/// What is known of a thread after any call.
fn place(registers: &Registers) -> [u64; 7] {
    let Registers { rip, rdi, rsi, rdx, r10, r8, r9, .. } = *registers;
    [rip, rdi, rsi, rdx, r10, r8, r9]
}

fn has_native_futexes(ctx: &Ctx) -> bool {
    ctx.task.kernel.platform.has_native_futexes()
}

/// Finds the wait that the interrupt of a thread has ended, if it has; its registers become those
/// of a thread behind its call, for which the answer tells how it goes on.
pub fn interrupted_wait(ctx: &mut Ctx, answered: Option<&Answered>) -> Option<SyscallRestart> {
    if !has_native_futexes(ctx) {
        return None;
    }
    let registers = *ctx.thread.registers();
    let call = find(&registers, answered)?;
    let code: [u8; 2] = ctx.memory().read_value(UserPtr::new(call.instruction)).ok()?;
    if code != SYSCALL {
        return None;
    }
    let own = ctx.thread.registers_mut();
    own.orig_rax = call.number;
    own.rax = Errno::EINTR.to_return_value();
    own.rip = call.instruction + SYSCALL.len() as u64;
    Some(call.restart)
}

/// A wait that was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wait {
    number: u64,
    /// Address of its instruction.
    instruction: u64,
    restart: SyscallRestart,
}

/// What registers say about a wait. The host leaves the address behind the instruction in rcx, so
/// most of those that have not made the call yet are told from those that have. (To give EINTR to
/// one that has not is right as well: the signal might have come a little later.)
fn find(registers: &Registers, answered: Option<&Answered>) -> Option<Wait> {
    let Registers { rip, rax, rcx, rsi, r10, .. } = *registers;
    let is_wait = matches!(rsi as i32 & FUTEX_CMD_MASK, FUTEX_WAIT | FUTEX_WAIT_BITSET);
    let has_timeout = r10 != 0;
    // Only the lower half of the number counts.
    let number = u64::from(rax as u32);
    let instruction = rcx.wrapping_sub(SYSCALL.len() as u64);
    let is_repeated = match number {
        SYS_FUTEX => is_wait && !has_timeout,
        SYS_FUTEX_WAITV => true,
        _ => false,
    };
    if rip == instruction && is_repeated {
        return Some(Wait { number, instruction, restart: SyscallRestart::Restart });
    }
    let is_over = rax == Errno::EINTR.to_return_value() && is_wait && has_timeout;
    let is_new = answered.is_none_or(|answered| answered.0 != place(registers));
    (rip == rcx && is_over && is_new).then_some(Wait {
        number: SYS_FUTEX,
        instruction,
        restart: SyscallRestart::WithoutHandler,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: u64 = 128;
    const ABSOLUTE: u64 = 9;

    fn registers(rip: u64, rax: u64, operation: u64, timeout: u64) -> Registers {
        Registers { rip, rax, rcx: 0x1002, rsi: operation, r10: timeout, ..Registers::default() }
    }

    fn eintr() -> u64 {
        Errno::EINTR.to_return_value()
    }

    #[test]
    fn waits_without_timeout_are_found_at_the_call() {
        let wait =
            |number| Some(Wait { number, instruction: 0x1000, restart: SyscallRestart::Restart });
        for operation in [0, PRIVATE, ABSOLUTE, ABSOLUTE | PRIVATE | 256] {
            assert_eq!(find(&registers(0x1000, 202, operation, 0), None), wait(202));
            assert_eq!(find(&registers(0x1000, 202, operation, 1), None), None);
        }
        assert_eq!(find(&registers(0x1000, 449, 3, 1), None), wait(449));
        for operation in [1, 3, 4, 5, 6, 10] {
            assert_eq!(find(&registers(0x1000, 202, operation, 0), None), None);
        }
        assert_eq!(find(&registers(0x1000, 39, 0, 0), None), None);
        assert_eq!(find(&registers(0x2000, 202, 0, 0), None), None);
    }

    #[test]
    fn waits_with_timeout_are_found_behind_it() {
        let restart = SyscallRestart::WithoutHandler;
        let wait = Some(Wait { number: 202, instruction: 0x1000, restart });
        for operation in [0, PRIVATE, ABSOLUTE] {
            assert_eq!(find(&registers(0x1002, eintr(), operation, 1), None), wait);
            assert_eq!(find(&registers(0x1002, eintr(), operation, 0), None), None);
            assert_eq!(find(&registers(0x1002, 0, operation, 1), None), None);
        }
        assert_eq!(find(&registers(0x1002, eintr(), 1, 1), None), None);
    }

    #[test]
    fn an_answer_of_ours_is_none() {
        let ours = registers(0x1002, eintr(), 0, 1);
        let answered = Answered(place(&ours));
        assert_eq!(find(&ours, Some(&answered)), None);
        assert!(find(&Registers { rdi: 1, ..ours }, Some(&answered)).is_some());
    }
}
