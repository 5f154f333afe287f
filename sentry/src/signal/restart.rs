//! Restarting interrupted system calls, `signal(7)`. The only place where restart codes end.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::sysno::SYS_RESTART_SYSCALL;
use platform::Registers;

use crate::task::Task;

/// Length of the `syscall` instruction.
const SYSCALL_BYTES: u64 = 2;

/// How a system call that was interrupted wants to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyscallRestart {
    /// ERESTARTSYS: again, if the handler has `SA_RESTART` or there is none; else EINTR.
    Restart,
    /// ERESTARTNOINTR: again in any case.
    Always,
    /// ERESTARTNOHAND: again if no handler runs; else EINTR.
    WithoutHandler,
    /// ERESTART_RESTARTBLOCK: by `restart_syscall` if no handler runs; else EINTR.
    Block,
}

impl SyscallRestart {
    /// The meaning of a restart code; `None` for an error that a program may see.
    pub fn from_errno(errno: Errno) -> Option<SyscallRestart> {
        match errno {
            Errno::ERESTARTSYS => Some(SyscallRestart::Restart),
            Errno::ERESTARTNOINTR => Some(SyscallRestart::Always),
            Errno::ERESTARTNOHAND => Some(SyscallRestart::WithoutHandler),
            Errno::ERESTART_RESTARTBLOCK => Some(SyscallRestart::Block),
            _ => None,
        }
    }

    /// The meaning of the result of a call, if it is a restart code.
    pub fn of_result(rax: u64) -> Option<SyscallRestart> {
        let code = i32::try_from((rax as i64).checked_neg()?).ok().filter(|code| *code > 0)?;
        SyscallRestart::from_errno(Errno::from_raw(code))
    }

    /// The restart code.
    pub fn to_errno(self) -> Errno {
        match self {
            SyscallRestart::Restart => Errno::ERESTARTSYS,
            SyscallRestart::Always => Errno::ERESTARTNOINTR,
            SyscallRestart::WithoutHandler => Errno::ERESTARTNOHAND,
            SyscallRestart::Block => Errno::ERESTART_RESTARTBLOCK,
        }
    }

    /// Prepares registers for going on without a handler: the call is made once more.
    pub(super) fn without_handler(self, registers: &mut Registers) {
        let number = match self {
            SyscallRestart::Block => SYS_RESTART_SYSCALL,
            _ => registers.orig_rax,
        };
        repeat(registers, number);
    }

    /// Prepares registers before a handler's frame is made: what the handler returns to.
    pub(super) fn with_handler(self, registers: &mut Registers, restarts: bool) {
        let is_repeated = match self {
            SyscallRestart::Always => true,
            SyscallRestart::Restart => restarts,
            SyscallRestart::WithoutHandler | SyscallRestart::Block => false,
        };
        if is_repeated {
            repeat(registers, registers.orig_rax);
        } else {
            registers.rax = Errno::EINTR.to_return_value();
            registers.orig_rax = u64::MAX;
        }
    }
}

/// Moves back to the `syscall` instruction. Without its number the interruption is dealt with.
fn repeat(registers: &mut Registers, number: u64) {
    registers.rax = number;
    registers.rip = registers.rip.wrapping_sub(SYSCALL_BYTES);
    registers.orig_rax = u64::MAX;
}

/// What `restart_syscall(2)` has to go on with: calls whose timeout must not start over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartBlock {
    Nanosleep {
        /// `CLOCK_*`.
        clock: i32,
        /// Reading of the clock, in nanoseconds.
        deadline_ns: i64,
        /// Guest address for the remaining time, or 0.
        remaining: u64,
    },
    Poll {
        /// Guest address and number of the `struct pollfd`s.
        fds: u64,
        count: u32,
        /// Monotonic time in nanoseconds.
        deadline_ns: i64,
    },
    Futex {
        addr: u64,
        value: u32,
        bitset: u32,
        is_private: bool,
        /// Whether the deadline is on the realtime clock, not the monotonic one.
        is_realtime: bool,
        deadline_ns: i64,
    },
}

/// Remembers how to go on; the call answers with ERESTART_RESTARTBLOCK, which this returns.
pub fn set_restart(task: &Arc<Task>, block: RestartBlock) -> Errno {
    task.signals.lock().restart = Some(block);
    Errno::ERESTART_RESTARTBLOCK
}

/// Takes what [`set_restart`] remembered.
pub fn take_restart(task: &Arc<Task>) -> Option<RestartBlock> {
    task.signals.lock().restart.take()
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: u64 = 0;
    const CLOCK_NANOSLEEP: u64 = 230;

    fn at_syscall(number: u64) -> Registers {
        Registers { orig_rax: number, rip: 0x1002, ..Registers::default() }
    }

    #[test]
    fn without_handler_the_call_is_repeated() {
        let mut registers = at_syscall(READ);
        SyscallRestart::Restart.without_handler(&mut registers);
        assert_eq!((registers.rax, registers.rip), (READ, 0x1000));
        assert_eq!(registers.orig_rax, u64::MAX);
    }

    #[test]
    fn a_timed_call_goes_on_by_restart_syscall() {
        let mut registers = at_syscall(CLOCK_NANOSLEEP);
        SyscallRestart::Block.without_handler(&mut registers);
        assert_eq!((registers.rax, registers.rip), (219, 0x1000));
    }

    #[test]
    fn a_handler_sees_eintr_unless_restarting() {
        let interrupted = Errno::EINTR.to_return_value();
        let cases = [
            (SyscallRestart::Restart, false, interrupted, 0x1002),
            (SyscallRestart::Restart, true, READ, 0x1000),
            (SyscallRestart::Always, false, READ, 0x1000),
            (SyscallRestart::WithoutHandler, true, interrupted, 0x1002),
            (SyscallRestart::Block, true, interrupted, 0x1002),
        ];
        for (restart, restarts, rax, rip) in cases {
            let mut registers = at_syscall(READ);
            restart.with_handler(&mut registers, restarts);
            assert_eq!((registers.rax, registers.rip), (rax, rip), "{restart:?} {restarts}");
        }
    }

    #[test]
    fn a_tracer_sees_restart_codes() {
        for code in [512, 513, 514, 516] {
            let rax = Errno::from_raw(code).to_return_value();
            let restart = SyscallRestart::of_result(rax).unwrap();
            assert_eq!(restart.to_errno().raw(), code);
        }
        for rax in [0, 512, u64::MAX, i64::MIN as u64, Errno::EINTR.to_return_value()] {
            assert_eq!(SyscallRestart::of_result(rax), None);
        }
    }

    #[test]
    fn only_restart_codes_are_restarts() {
        assert_eq!(SyscallRestart::from_errno(Errno::EINTR), None);
        let code = SyscallRestart::from_errno(Errno::ERESTARTNOHAND);
        assert_eq!(code, Some(SyscallRestart::WithoutHandler));
    }
}
