//! Options of `prctl(2)` and `arch_prctl(2)`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub const PR_SET_PDEATHSIG: i32 = 1;
pub const PR_GET_PDEATHSIG: i32 = 2;
pub const PR_GET_DUMPABLE: i32 = 3;
pub const PR_SET_DUMPABLE: i32 = 4;
pub const PR_GET_UNALIGN: i32 = 5;
pub const PR_SET_UNALIGN: i32 = 6;
pub const PR_GET_KEEPCAPS: i32 = 7;
pub const PR_SET_KEEPCAPS: i32 = 8;
pub const PR_GET_TIMING: i32 = 13;
pub const PR_SET_TIMING: i32 = 14;
pub const PR_SET_NAME: i32 = 15;
pub const PR_GET_NAME: i32 = 16;
pub const PR_GET_ENDIAN: i32 = 19;
pub const PR_SET_ENDIAN: i32 = 20;
pub const PR_GET_SECCOMP: i32 = 21;
pub const PR_SET_SECCOMP: i32 = 22;
pub const PR_CAPBSET_READ: i32 = 23;
pub const PR_CAPBSET_DROP: i32 = 24;
pub const PR_GET_TSC: i32 = 25;
pub const PR_SET_TSC: i32 = 26;
pub const PR_GET_SECUREBITS: i32 = 27;
pub const PR_SET_SECUREBITS: i32 = 28;
pub const PR_SET_TIMERSLACK: i32 = 29;
pub const PR_GET_TIMERSLACK: i32 = 30;
pub const PR_TASK_PERF_EVENTS_DISABLE: i32 = 31;
pub const PR_TASK_PERF_EVENTS_ENABLE: i32 = 32;
pub const PR_MCE_KILL: i32 = 33;
pub const PR_MCE_KILL_GET: i32 = 34;
pub const PR_SET_MM: i32 = 35;
pub const PR_SET_CHILD_SUBREAPER: i32 = 36;
pub const PR_GET_CHILD_SUBREAPER: i32 = 37;
pub const PR_SET_NO_NEW_PRIVS: i32 = 38;
pub const PR_GET_NO_NEW_PRIVS: i32 = 39;
pub const PR_GET_TID_ADDRESS: i32 = 40;
pub const PR_SET_THP_DISABLE: i32 = 41;
pub const PR_GET_THP_DISABLE: i32 = 42;
pub const PR_CAP_AMBIENT: i32 = 47;
pub const PR_GET_SPECULATION_CTRL: i32 = 52;
pub const PR_SET_SPECULATION_CTRL: i32 = 53;
pub const PR_SET_IO_FLUSHER: i32 = 57;
pub const PR_GET_IO_FLUSHER: i32 = 58;
pub const PR_SET_SYSCALL_USER_DISPATCH: i32 = 59;
pub const PR_SCHED_CORE: i32 = 62;
pub const PR_SET_MDWE: i32 = 65;
pub const PR_GET_MDWE: i32 = 66;
pub const PR_SET_VMA: i32 = 1398164801;
pub const PR_GET_AUXV: i32 = 0x41555856;
pub const PR_SET_PTRACER: i32 = 1499557217;
/// The argument of `PR_SET_PTRACER` that lets any process trace.
pub const PR_SET_PTRACER_ANY: u64 = u64::MAX;

// The second argument of `PR_CAP_AMBIENT`.
pub const PR_CAP_AMBIENT_IS_SET: i32 = 1;
pub const PR_CAP_AMBIENT_RAISE: i32 = 2;
pub const PR_CAP_AMBIENT_LOWER: i32 = 3;
pub const PR_CAP_AMBIENT_CLEAR_ALL: i32 = 4;

// The second argument of `PR_SET_MM`.
pub const PR_SET_MM_START_CODE: i32 = 1;
pub const PR_SET_MM_END_CODE: i32 = 2;
pub const PR_SET_MM_START_DATA: i32 = 3;
pub const PR_SET_MM_END_DATA: i32 = 4;
pub const PR_SET_MM_START_STACK: i32 = 5;
pub const PR_SET_MM_START_BRK: i32 = 6;
pub const PR_SET_MM_BRK: i32 = 7;
pub const PR_SET_MM_ARG_START: i32 = 8;
pub const PR_SET_MM_ARG_END: i32 = 9;
pub const PR_SET_MM_ENV_START: i32 = 10;
pub const PR_SET_MM_ENV_END: i32 = 11;
pub const PR_SET_MM_AUXV: i32 = 12;
pub const PR_SET_MM_EXE_FILE: i32 = 13;
pub const PR_SET_MM_MAP: i32 = 14;
pub const PR_SET_MM_MAP_SIZE: i32 = 15;

/// The second argument of `PR_SET_VMA`.
pub const PR_SET_VMA_ANON_NAME: i32 = 0;

// Values of `PR_SET_TSC` and of the speculation controls.
pub const PR_TSC_ENABLE: i32 = 1;
pub const PR_TSC_SIGSEGV: i32 = 2;
pub const PR_SPEC_STORE_BYPASS: i32 = 0;
pub const PR_SPEC_INDIRECT_BRANCH: i32 = 1;
pub const PR_SPEC_L1D_FLUSH: i32 = 2;
pub const PR_SPEC_NOT_AFFECTED: u32 = 0x0;
pub const PR_SPEC_PRCTL: u32 = 0x1;
pub const PR_SPEC_ENABLE: u32 = 0x2;
pub const PR_SPEC_DISABLE: u32 = 0x4;
pub const PR_SPEC_FORCE_DISABLE: u32 = 0x8;
pub const PR_SPEC_DISABLE_NOEXEC: u32 = 0x10;
pub const PR_SYS_DISPATCH_OFF: i32 = 0;
pub const PR_SYS_DISPATCH_ON: i32 = 1;

/// The length of a task's name with its zero byte, `PR_SET_NAME`.
pub const TASK_COMM_LEN: usize = 16;

// Codes of `arch_prctl(2)`.
pub const ARCH_SET_GS: i32 = 0x1001;
pub const ARCH_SET_FS: i32 = 0x1002;
pub const ARCH_GET_FS: i32 = 0x1003;
pub const ARCH_GET_GS: i32 = 0x1004;
pub const ARCH_GET_CPUID: i32 = 0x1011;
pub const ARCH_SET_CPUID: i32 = 0x1012;
pub const ARCH_GET_XCOMP_SUPP: i32 = 0x1021;
pub const ARCH_GET_XCOMP_PERM: i32 = 0x1022;
pub const ARCH_REQ_XCOMP_PERM: i32 = 0x1023;
pub const ARCH_MAP_VDSO_X32: i32 = 0x2001;
pub const ARCH_MAP_VDSO_32: i32 = 0x2002;
pub const ARCH_MAP_VDSO_64: i32 = 0x2003;
pub const ARCH_SHSTK_STATUS: i32 = 0x5005;

/// The argument of `PR_SET_MM_MAP`, `struct prctl_mm_map`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct PrctlMmMap {
    pub start_code: u64,
    pub end_code: u64,
    pub start_data: u64,
    pub end_data: u64,
    pub start_brk: u64,
    pub brk: u64,
    pub start_stack: u64,
    pub arg_start: u64,
    pub arg_end: u64,
    pub env_start: u64,
    pub env_end: u64,
    pub auxv: u64,
    pub auxv_size: u32,
    pub exe_fd: u32,
}
