//! Dispositions, masks and alternate stacks: `sigaction(2)`, `sigprocmask(2)`, `sigaltstack(2)`,
//! `sigevent(7)`, `signalfd(2)`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::sigset::SigSet;

/// The kernel's `struct sigaction` of x86-64, `rt_sigaction(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct SigAction {
    /// [`SIG_DFL`], [`SIG_IGN`] or the address of the handler.
    pub handler: u64,
    /// Bits of [`SaFlags`].
    pub flags: u64,
    /// The address the handler returns to.
    pub restorer: u64,
    pub mask: SigSet,
}

impl SigAction {
    /// The flags; bits Linux does not define are kept.
    pub const fn sa_flags(&self) -> SaFlags {
        SaFlags::from_bits_retain(self.flags)
    }
}

/// The handler value of the default action.
pub const SIG_DFL: u64 = 0;
/// The handler value that ignores the signal.
pub const SIG_IGN: u64 = 1;

bitflags::bitflags! {
    /// Flags of `sigaction(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SaFlags: u64 {
        const NOCLDSTOP = 0x1;
        const NOCLDWAIT = 0x2;
        const SIGINFO = 0x4;
        const UNSUPPORTED = 0x400;
        const EXPOSE_TAGBITS = 0x800;
        const RESTORER = 0x4000000;
        const ONSTACK = 0x8000000;
        const RESTART = 0x10000000;
        const NODEFER = 0x40000000;
        const RESETHAND = 0x80000000;
    }
}

// How `sigprocmask(2)` changes the mask.
pub const SIG_BLOCK: i32 = 0;
pub const SIG_UNBLOCK: i32 = 1;
pub const SIG_SETMASK: i32 = 2;

/// The only size of a signal set the `rt_` calls accept.
pub const SIGSET_SIZE: usize = 8;

/// The argument of `sigaltstack(2)`, `stack_t`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct SigAltStack {
    pub sp: u64,
    pub flags: u32,
    pub _pad0: u32,
    pub size: u64,
}

pub const SS_ONSTACK: u32 = 0x1;
pub const SS_DISABLE: u32 = 0x2;
pub const SS_AUTODISARM: u32 = 0x80000000;
/// The least size of an alternate stack.
pub const MINSIGSTKSZ: u64 = 2048;

/// The pair that `pselect6(2)` takes in place of a signal mask.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct SigSetArg {
    pub sigset: u64,
    pub size: u64,
}

/// `struct sigevent`, `sigevent(7)`: 64 bytes.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct SigEvent {
    /// The value handed to the handler (`sigev_value`).
    pub value: u64,
    pub signo: i32,
    pub notify: i32,
    /// The thread to signal with `SIGEV_THREAD_ID`.
    pub tid: i32,
    pub _pad0: [i32; 11],
}

pub const SIGEV_SIGNAL: i32 = 0;
pub const SIGEV_NONE: i32 = 1;
pub const SIGEV_THREAD: i32 = 2;
pub const SIGEV_THREAD_ID: i32 = 4;

bitflags::bitflags! {
    /// Flags of `signalfd4(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SignalfdFlags: u32 {
        const CLOEXEC = 0o2000000;
        const NONBLOCK = 0o4000;
    }
}

/// What a `signalfd(2)` reads: 128 bytes a signal.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct SignalfdSiginfo {
    pub signo: u32,
    pub errno: i32,
    pub code: i32,
    pub pid: u32,
    pub uid: u32,
    pub fd: i32,
    pub tid: u32,
    pub band: u32,
    pub overrun: u32,
    pub trapno: u32,
    pub status: i32,
    pub int: i32,
    pub ptr: u64,
    pub utime: u64,
    pub stime: u64,
    pub addr: u64,
    pub addr_lsb: u16,
    pub _pad2: u16,
    pub syscall: i32,
    pub call_addr: u64,
    pub arch: u32,
    pub _pad: [u8; 28],
}
