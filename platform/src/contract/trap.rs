//! Why guest code stops, and what the kernel sees then.

use std::any::Any;
use std::sync::Arc;

/// General registers of a guest thread, in the layout of `struct user_regs_struct` (x86-64).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Registers {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    /// Number of the system call at a syscall trap; `u64::MAX` otherwise.
    pub orig_rax: u64,
    pub rip: u64,
    pub cs: u64,
    pub eflags: u64,
    pub rsp: u64,
    pub ss: u64,
    pub fs_base: u64,
    pub gs_base: u64,
    pub ds: u64,
    pub es: u64,
    pub fs: u64,
    pub gs: u64,
}

/// Why a guest thread stopped running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// A 64-bit `syscall` instruction. Number in `orig_rax`, arguments in `rdi rsi rdx r10 r8 r9`,
    /// `rip` just behind the instruction. The other registers may be unknown until
    /// [`Thread::complete`](super::Thread::complete).
    Syscall,
    /// The same, of a call that the thread has begun by itself and that waits now for a file: the kernel
    /// goes on with it as it has begun ([`Thread::begun`](super::Thread::begun)).
    Waiting,
    /// A system call by another entry (`int 0x80`, x32): answered with ENOSYS by the kernel.
    /// Registers may be unknown as for [`Trap::Syscall`], even the number and the arguments.
    ForeignSyscall,
    /// A synchronous fault or trap raised by the guest's own instruction.
    Fault(Fault),
    /// [`Interrupter::interrupt`](super::Interrupter::interrupt) was called; registers are those of the interrupted guest code.
    Interrupted,
    /// The operation of [`Thread::resume_unless_failed`](super::Thread::resume_unless_failed) has failed, with the error that is in `rax`.
    Failed,
    /// The host thread is gone (killed by the host, for instance by its OOM killer).
    Dead,
}

/// What a call has begun with that others have changed meanwhile ([`Trap::Waiting`]).
#[derive(Clone, Default)]
pub struct Begun {
    /// The file that its descriptor was, from [`Descriptors::keep`](crate::systrap::Descriptors::keep).
    pub file: Option<Arc<dyn Any + Send + Sync>>,
    /// Filters have judged it, from [`Interrupter::keep_judgement`](super::Interrupter::keep_judgement).
    pub is_judged: bool,
}

/// A hardware exception, in the terms of a signal frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// SIGSEGV, SIGBUS, SIGFPE, SIGILL or SIGTRAP.
    pub signo: i32,
    /// `si_code` as the host reported it.
    pub code: i32,
    /// `si_addr`.
    pub addr: u64,
    /// Processor exception number (`REG_TRAPNO`), 0 if unknown.
    pub trapno: u64,
    /// Processor error code (`REG_ERR`), 0 if unknown.
    pub error_code: u64,
}
