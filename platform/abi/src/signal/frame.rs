//! The frame on the stack of a signal handler: `ucontext_t`, the x86-64 register set and the
//! extended state.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::action::SigAltStack;
use super::sigset::SigSet;

/// The registers at the interruption, `struct sigcontext` of x86-64.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct SigContext {
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub rdx: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rsp: u64,
    pub rip: u64,
    pub eflags: u64,
    pub cs: u16,
    pub gs: u16,
    pub fs: u16,
    pub ss: u16,
    pub err: u64,
    pub trapno: u64,
    pub oldmask: u64,
    pub cr2: u64,
    /// The address of the floating-point state, or 0.
    pub fpstate: u64,
    pub _reserved: [u64; 8],
}

/// `struct ucontext`, the third argument of a handler with `SA_SIGINFO`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct UContext {
    pub flags: u64,
    pub link: u64,
    pub stack: SigAltStack,
    pub mcontext: SigContext,
    pub sigmask: SigSet,
}

// Flags of `UContext`.
pub const UC_FP_XSTATE: u64 = 0x1;
pub const UC_SIGCONTEXT_SS: u64 = 0x2;
pub const UC_STRICT_RESTORE_SS: u64 = 0x4;

/// The fixed head of a signal frame, `struct rt_sigframe`, with the address of the restorer first;
/// the info follows the context.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct RtSigFrame {
    pub restorer: u64,
    pub ucontext: UContext,
    pub info: super::info::SigInfo,
}

/// The software-defined bytes at offset 464 of the 512-byte FXSAVE area, `struct _fpx_sw_bytes`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct FpxSwBytes {
    /// [`FP_XSTATE_MAGIC1`] if extended state follows.
    pub magic1: u32,
    /// The size of the whole state with [`FP_XSTATE_MAGIC2`] at its end.
    pub extended_size: u32,
    pub xfeatures: u64,
    /// The size of the state without the end magic.
    pub xstate_size: u32,
    pub _padding: [u32; 7],
}

pub const FP_XSTATE_MAGIC1: u32 = 0x46505853;
pub const FP_XSTATE_MAGIC2: u32 = 0x46505845;
/// The size of the end magic.
pub const FP_XSTATE_MAGIC2_SIZE: usize = 4;
/// The offset of [`FpxSwBytes`] in the FXSAVE area.
pub const FPX_SW_BYTES_OFFSET: usize = 464;
/// The size of the FXSAVE area.
pub const FXSAVE_SIZE: usize = 512;
/// The size of the red zone below the stack pointer that a frame must skip (System V ABI).
pub const RED_ZONE: u64 = 128;
