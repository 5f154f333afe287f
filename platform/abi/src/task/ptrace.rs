//! Requests, options and events of `ptrace(2)`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

// Requests.
pub const PTRACE_TRACEME: i32 = 0x0;
pub const PTRACE_PEEKTEXT: i32 = 0x1;
pub const PTRACE_PEEKDATA: i32 = 0x2;
pub const PTRACE_PEEKUSR: i32 = 0x3;
pub const PTRACE_POKETEXT: i32 = 0x4;
pub const PTRACE_POKEDATA: i32 = 0x5;
pub const PTRACE_POKEUSR: i32 = 0x6;
pub const PTRACE_CONT: i32 = 0x7;
pub const PTRACE_KILL: i32 = 0x8;
pub const PTRACE_SINGLESTEP: i32 = 0x9;
pub const PTRACE_GETREGS: i32 = 0xc;
pub const PTRACE_SETREGS: i32 = 0xd;
pub const PTRACE_GETFPREGS: i32 = 0xe;
pub const PTRACE_SETFPREGS: i32 = 0xf;
pub const PTRACE_ATTACH: i32 = 0x10;
pub const PTRACE_DETACH: i32 = 0x11;
pub const PTRACE_SYSCALL: i32 = 0x18;
pub const PTRACE_ARCH_PRCTL: i32 = 0x1e;
pub const PTRACE_SYSEMU: i32 = 0x1f;
pub const PTRACE_SYSEMU_SINGLESTEP: i32 = 0x20;
pub const PTRACE_SINGLEBLOCK: i32 = 0x21;
pub const PTRACE_SETOPTIONS: i32 = 0x4200;
pub const PTRACE_GETEVENTMSG: i32 = 0x4201;
pub const PTRACE_GETSIGINFO: i32 = 0x4202;
pub const PTRACE_SETSIGINFO: i32 = 0x4203;
pub const PTRACE_GETREGSET: i32 = 0x4204;
pub const PTRACE_SETREGSET: i32 = 0x4205;
pub const PTRACE_SEIZE: i32 = 0x4206;
pub const PTRACE_INTERRUPT: i32 = 0x4207;
pub const PTRACE_LISTEN: i32 = 0x4208;
pub const PTRACE_PEEKSIGINFO: i32 = 0x4209;
pub const PTRACE_GETSIGMASK: i32 = 0x420a;
pub const PTRACE_SETSIGMASK: i32 = 0x420b;
pub const PTRACE_SECCOMP_GET_FILTER: i32 = 0x420c;
pub const PTRACE_SECCOMP_GET_METADATA: i32 = 0x420d;
pub const PTRACE_GET_SYSCALL_INFO: i32 = 0x420e;
pub const PTRACE_GET_RSEQ_CONFIGURATION: i32 = 0x420f;

bitflags::bitflags! {
    /// Options of `PTRACE_SETOPTIONS` and `PTRACE_SEIZE`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct PtraceOptions: u32 {
        const TRACESYSGOOD = 0x1;
        const TRACEFORK = 0x2;
        const TRACEVFORK = 0x4;
        const TRACECLONE = 0x8;
        const TRACEEXEC = 0x10;
        const TRACEVFORKDONE = 0x20;
        const TRACEEXIT = 0x40;
        const TRACESECCOMP = 0x80;
        const EXITKILL = 0x100000;
        const SUSPEND_SECCOMP = 0x200000;
    }
}

// Events, in the third byte of the wait status.
pub const PTRACE_EVENT_FORK: i32 = 1;
pub const PTRACE_EVENT_VFORK: i32 = 2;
pub const PTRACE_EVENT_CLONE: i32 = 3;
pub const PTRACE_EVENT_EXEC: i32 = 4;
pub const PTRACE_EVENT_VFORK_DONE: i32 = 5;
pub const PTRACE_EVENT_EXIT: i32 = 6;
pub const PTRACE_EVENT_SECCOMP: i32 = 7;
pub const PTRACE_EVENT_STOP: i32 = 128;

// Values of `PTRACE_GETEVENTMSG` at a system call stop, and the kinds of stops of
// `PTRACE_GET_SYSCALL_INFO`.
pub const PTRACE_EVENTMSG_SYSCALL_ENTRY: u64 = 1;
pub const PTRACE_EVENTMSG_SYSCALL_EXIT: u64 = 2;
pub const PTRACE_SYSCALL_INFO_NONE: u8 = 0;
pub const PTRACE_SYSCALL_INFO_ENTRY: u8 = 1;
pub const PTRACE_SYSCALL_INFO_EXIT: u8 = 2;
pub const PTRACE_SYSCALL_INFO_SECCOMP: u8 = 3;

// Register sets of `PTRACE_GETREGSET`.
pub const NT_PRSTATUS: u32 = 0x1;
pub const NT_PRFPREG: u32 = 0x2;
pub const NT_X86_XSTATE: u32 = 0x202;

/// `struct user_regs_struct` of x86-64, `PTRACE_GETREGS`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct UserRegs {
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

/// The size of `struct user` of x86-64, which `PTRACE_PEEKUSR` addresses; the registers come first.
pub const USER_SIZE: u64 = 928;
/// The offset of the debug registers in `struct user`.
pub const USER_DEBUGREG_OFFSET: u64 = 848;

/// `struct ptrace_syscall_info`, `PTRACE_GET_SYSCALL_INFO`.
///
/// The words hold the union: number and arguments at entry, result and error flag at exit, the
/// filter's data after six arguments.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct PtraceSyscallInfo {
    pub op: u8,
    pub _reserved: u8,
    pub flags: u16,
    pub arch: u32,
    pub instruction_pointer: u64,
    pub stack_pointer: u64,
    pub words: [u64; 8],
}

/// `struct ptrace_peeksiginfo_args`, `PTRACE_PEEKSIGINFO`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct PtracePeekSigInfoArgs {
    pub off: u64,
    pub flags: u32,
    pub nr: i32,
}

/// Reads the queue of the thread group, not that of the thread.
pub const PTRACE_PEEKSIGINFO_SHARED: u32 = 1;
