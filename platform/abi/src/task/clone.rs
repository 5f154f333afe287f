//! Making tasks: `clone(2)`, `clone3(2)`, `unshare(2)`, futex lists, restartable sequences.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

bitflags::bitflags! {
    /// Flags of `clone(2)`, `clone3(2)`, `unshare(2)` and `setns(2)`.
    ///
    /// The low byte of the flags of `clone(2)` is the exit signal, see [`CSIGNAL`]. `NEWTIME` lies
    /// in that byte and is for `unshare` and `clone3` only.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct CloneFlags: u64 {
        const NEWTIME = 0x80;
        const VM = 0x100;
        const FS = 0x200;
        const FILES = 0x400;
        const SIGHAND = 0x800;
        const PIDFD = 0x1000;
        const PTRACE = 0x2000;
        const VFORK = 0x4000;
        const PARENT = 0x8000;
        const THREAD = 0x10000;
        const NEWNS = 0x20000;
        const SYSVSEM = 0x40000;
        const SETTLS = 0x80000;
        const PARENT_SETTID = 0x100000;
        const CHILD_CLEARTID = 0x200000;
        const DETACHED = 0x400000;
        const UNTRACED = 0x800000;
        const CHILD_SETTID = 0x1000000;
        const NEWCGROUP = 0x2000000;
        const NEWUTS = 0x4000000;
        const NEWIPC = 0x8000000;
        const NEWUSER = 0x10000000;
        const NEWPID = 0x20000000;
        const NEWNET = 0x40000000;
        const IO = 0x80000000;
        const CLEAR_SIGHAND = 0x100000000;
        const INTO_CGROUP = 0x200000000;
    }
}

/// The bits of the flags of `clone(2)` that hold the exit signal.
pub const CSIGNAL: u64 = 0xff;

/// The argument of `clone3(2)`, `struct clone_args`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct CloneArgs {
    pub flags: u64,
    pub pidfd: u64,
    pub child_tid: u64,
    pub parent_tid: u64,
    pub exit_signal: u64,
    pub stack: u64,
    pub stack_size: u64,
    pub tls: u64,
    pub set_tid: u64,
    pub set_tid_size: u64,
    pub cgroup: u64,
}

// The sizes of the versions of `CloneArgs`.
pub const CLONE_ARGS_SIZE_VER0: usize = 64;
pub const CLONE_ARGS_SIZE_VER1: usize = 80;
pub const CLONE_ARGS_SIZE_VER2: usize = 88;

bitflags::bitflags! {
    /// Flags of `pidfd_open(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct PidfdFlags: u32 {
        const NONBLOCK = 0o4000;
        const THREAD = 0o200;
    }
}

/// `struct robust_list`: a link of the list of robust futexes, `get_robust_list(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct RobustList {
    pub next: u64,
}

/// `struct robust_list_head`, `set_robust_list(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct RobustListHead {
    pub list: RobustList,
    /// From the link to the futex word.
    pub futex_offset: i64,
    pub list_op_pending: u64,
}

/// How many links the kernel follows before it gives up on a list.
pub const ROBUST_LIST_LIMIT: usize = 2048;

/// `struct rseq` in its first version, `rseq(2)`: 32 bytes, aligned to 32.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C, align(32))]
pub struct Rseq {
    pub cpu_id_start: u32,
    pub cpu_id: u32,
    pub rseq_cs: u64,
    pub flags: u32,
    pub node_id: u32,
    pub mm_cid: u32,
    pub _pad0: u32,
}

/// `struct rseq_cs`: a critical section.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C, align(32))]
pub struct RseqCs {
    pub version: u32,
    pub flags: u32,
    pub start_ip: u64,
    pub post_commit_offset: u64,
    pub abort_ip: u64,
}

/// The flag of `rseq(2)` that ends the registration.
pub const RSEQ_FLAG_UNREGISTER: u32 = 1;

// Commands and flags of `membarrier(2)`.
pub const MEMBARRIER_CMD_QUERY: i32 = 0x0;
pub const MEMBARRIER_CMD_GLOBAL: i32 = 0x1;
pub const MEMBARRIER_CMD_GLOBAL_EXPEDITED: i32 = 0x2;
pub const MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED: i32 = 0x4;
pub const MEMBARRIER_CMD_PRIVATE_EXPEDITED: i32 = 0x8;
pub const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED: i32 = 0x10;
pub const MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE: i32 = 0x20;
pub const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE: i32 = 0x40;
pub const MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ: i32 = 0x80;
pub const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ: i32 = 0x100;
pub const MEMBARRIER_CMD_GET_REGISTRATIONS: i32 = 0x200;
pub const MEMBARRIER_CMD_FLAG_CPU: u32 = 0x1;

// What `kcmp(2)` compares.
pub const KCMP_FILE: i32 = 0;
pub const KCMP_VM: i32 = 1;
pub const KCMP_FILES: i32 = 2;
pub const KCMP_FS: i32 = 3;
pub const KCMP_SIGHAND: i32 = 4;
pub const KCMP_IO: i32 = 5;
pub const KCMP_SYSVSEM: i32 = 6;
pub const KCMP_EPOLL_TFD: i32 = 7;
