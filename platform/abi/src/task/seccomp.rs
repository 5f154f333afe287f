//! `seccomp(2)` and classic BPF.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

// Modes of `PR_SET_SECCOMP`.
pub const SECCOMP_MODE_DISABLED: u32 = 0;
pub const SECCOMP_MODE_STRICT: u32 = 1;
pub const SECCOMP_MODE_FILTER: u32 = 2;

// Operations.
pub const SECCOMP_SET_MODE_STRICT: u32 = 0;
pub const SECCOMP_SET_MODE_FILTER: u32 = 1;
pub const SECCOMP_GET_ACTION_AVAIL: u32 = 2;
pub const SECCOMP_GET_NOTIF_SIZES: u32 = 3;

bitflags::bitflags! {
    /// Flags of `SECCOMP_SET_MODE_FILTER`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SeccompFilterFlags: u32 {
        const TSYNC = 0x1;
        const LOG = 0x2;
        const SPEC_ALLOW = 0x4;
        const NEW_LISTENER = 0x8;
        const TSYNC_ESRCH = 0x10;
        const WAIT_KILLABLE_RECV = 0x20;
    }
}

// Actions of a filter, from the most to the least severe.
pub const SECCOMP_RET_KILL_PROCESS: u32 = 0x80000000;
pub const SECCOMP_RET_KILL_THREAD: u32 = 0x0;
pub const SECCOMP_RET_TRAP: u32 = 0x30000;
pub const SECCOMP_RET_ERRNO: u32 = 0x50000;
pub const SECCOMP_RET_USER_NOTIF: u32 = 0x7fc00000;
pub const SECCOMP_RET_TRACE: u32 = 0x7ff00000;
pub const SECCOMP_RET_LOG: u32 = 0x7ffc0000;
pub const SECCOMP_RET_ALLOW: u32 = 0x7fff0000;
pub const SECCOMP_RET_ACTION_FULL: u32 = 0xffff0000;
pub const SECCOMP_RET_DATA: u32 = 0xffff;

/// `struct seccomp_data`: what a filter looks at.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct SeccompData {
    pub nr: i32,
    pub arch: u32,
    pub instruction_pointer: u64,
    pub args: [u64; 6],
}

/// `struct seccomp_notif_sizes`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct SeccompNotifSizes {
    pub notif: u16,
    pub resp: u16,
    pub data: u16,
}

/// `struct seccomp_notif`, `seccomp_unotify(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct SeccompNotif {
    pub id: u64,
    pub pid: u32,
    pub flags: u32,
    pub data: SeccompData,
}

/// `struct seccomp_notif_resp`, `seccomp_unotify(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct SeccompNotifResp {
    pub id: u64,
    pub val: i64,
    pub error: i32,
    pub flags: u32,
}

/// `struct seccomp_notif_addfd`, `seccomp_unotify(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct SeccompNotifAddFd {
    pub id: u64,
    pub flags: u32,
    pub srcfd: u32,
    pub newfd: u32,
    pub newfd_flags: u32,
}

pub const SECCOMP_USER_NOTIF_FLAG_CONTINUE: u32 = 1;
pub const SECCOMP_ADDFD_FLAG_SETFD: u32 = 1;
pub const SECCOMP_ADDFD_FLAG_SEND: u32 = 2;
/// The flag of `SECCOMP_IOCTL_NOTIF_SET_FLAGS`: wake the supervisor on the notifier's processor.
pub const SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP: u64 = 1;
pub const SECCOMP_IOCTL_NOTIF_RECV: u32 = 0xc0502100;
pub const SECCOMP_IOCTL_NOTIF_SEND: u32 = 0xc0182101;
pub const SECCOMP_IOCTL_NOTIF_ID_VALID: u32 = 0x40082102;
pub const SECCOMP_IOCTL_NOTIF_ADDFD: u32 = 0x40182103;
pub const SECCOMP_IOCTL_NOTIF_SET_FLAGS: u32 = 0x4008_2104;

// Architectures of a system call.
pub const AUDIT_ARCH_X86_64: u32 = 0xc000003e;
pub const AUDIT_ARCH_I386: u32 = 0x40000003;
/// The bit that an x32 system call number has.
pub const X32_SYSCALL_BIT: u32 = 0x4000_0000;

/// `struct sock_filter`: one instruction of classic BPF, `bpf(4)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct SockFilter {
    pub code: u16,
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

/// `struct sock_fprog`: a classic BPF program in memory.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct SockFprog {
    pub len: u16,
    pub _pad0: [u16; 3],
    pub filter: u64,
}

/// The greatest number of instructions of one program.
pub const BPF_MAXINSNS: usize = 4096;
/// The number of words of scratch memory.
pub const BPF_MEMWORDS: usize = 16;

// Fields of an instruction's code.
pub const BPF_LD: u16 = 0x0;
pub const BPF_LDX: u16 = 0x1;
pub const BPF_ST: u16 = 0x2;
pub const BPF_STX: u16 = 0x3;
pub const BPF_ALU: u16 = 0x4;
pub const BPF_JMP: u16 = 0x5;
pub const BPF_RET: u16 = 0x6;
pub const BPF_MISC: u16 = 0x7;
pub const BPF_W: u16 = 0x0;
pub const BPF_H: u16 = 0x8;
pub const BPF_B: u16 = 0x10;
pub const BPF_IMM: u16 = 0x0;
pub const BPF_ABS: u16 = 0x20;
pub const BPF_IND: u16 = 0x40;
pub const BPF_MEM: u16 = 0x60;
pub const BPF_LEN: u16 = 0x80;
pub const BPF_MSH: u16 = 0xa0;
pub const BPF_ADD: u16 = 0x0;
pub const BPF_SUB: u16 = 0x10;
pub const BPF_MUL: u16 = 0x20;
pub const BPF_DIV: u16 = 0x30;
pub const BPF_OR: u16 = 0x40;
pub const BPF_AND: u16 = 0x50;
pub const BPF_LSH: u16 = 0x60;
pub const BPF_RSH: u16 = 0x70;
pub const BPF_NEG: u16 = 0x80;
pub const BPF_MOD: u16 = 0x90;
pub const BPF_XOR: u16 = 0xa0;
pub const BPF_JA: u16 = 0x0;
pub const BPF_JEQ: u16 = 0x10;
pub const BPF_JGT: u16 = 0x20;
pub const BPF_JGE: u16 = 0x30;
pub const BPF_JSET: u16 = 0x40;
pub const BPF_K: u16 = 0x0;
pub const BPF_X: u16 = 0x8;
pub const BPF_A: u16 = 0x10;
pub const BPF_TAX: u16 = 0x0;
pub const BPF_TXA: u16 = 0x80;
