//! Operations of `futex(2)`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub const FUTEX_WAIT: i32 = 0;
pub const FUTEX_WAKE: i32 = 1;
pub const FUTEX_FD: i32 = 2;
pub const FUTEX_REQUEUE: i32 = 3;
pub const FUTEX_CMP_REQUEUE: i32 = 4;
pub const FUTEX_WAKE_OP: i32 = 5;
pub const FUTEX_LOCK_PI: i32 = 6;
pub const FUTEX_UNLOCK_PI: i32 = 7;
pub const FUTEX_TRYLOCK_PI: i32 = 8;
pub const FUTEX_WAIT_BITSET: i32 = 9;
pub const FUTEX_WAKE_BITSET: i32 = 10;
pub const FUTEX_WAIT_REQUEUE_PI: i32 = 11;
pub const FUTEX_CMP_REQUEUE_PI: i32 = 12;
pub const FUTEX_LOCK_PI2: i32 = 13;
pub const FUTEX_PRIVATE_FLAG: i32 = 128;
pub const FUTEX_CLOCK_REALTIME: i32 = 256;
/// The bits of the operation without its two flags.
pub const FUTEX_CMD_MASK: i32 = !(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);

// The word of a robust or priority-inheriting futex.
pub const FUTEX_WAITERS: u32 = 0x80000000;
pub const FUTEX_OWNER_DIED: u32 = 0x40000000;
pub const FUTEX_TID_MASK: u32 = 0x3fffffff;
/// Matches every waiter of `FUTEX_WAKE_BITSET`.
pub const FUTEX_BITSET_MATCH_ANY: u32 = 0xffffffff;

// Operations and comparisons of `FUTEX_WAKE_OP`.
pub const FUTEX_OP_SET: u32 = 0;
pub const FUTEX_OP_ADD: u32 = 1;
pub const FUTEX_OP_OR: u32 = 2;
pub const FUTEX_OP_ANDN: u32 = 3;
pub const FUTEX_OP_XOR: u32 = 4;
pub const FUTEX_OP_OPARG_SHIFT: u32 = 8;
pub const FUTEX_OP_CMP_EQ: u32 = 0;
pub const FUTEX_OP_CMP_NE: u32 = 1;
pub const FUTEX_OP_CMP_LT: u32 = 2;
pub const FUTEX_OP_CMP_LE: u32 = 3;
pub const FUTEX_OP_CMP_GT: u32 = 4;
pub const FUTEX_OP_CMP_GE: u32 = 5;

/// `struct futex_waitv`, `futex_waitv(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct FutexWaitv {
    pub val: u64,
    pub uaddr: u64,
    pub flags: u32,
    pub _reserved: u32,
}

/// The greatest number of futexes of one `futex_waitv(2)`.
pub const FUTEX_WAITV_MAX: usize = 128;
/// The only size `futex_waitv(2)` takes.
pub const FUTEX_32: u32 = 2;

// Flags of `futex_wait(2)` and `futex_wake(2)` of the second interface.
pub const FUTEX2_SIZE_U8: u32 = 0;
pub const FUTEX2_SIZE_U16: u32 = 1;
pub const FUTEX2_SIZE_U32: u32 = 2;
pub const FUTEX2_SIZE_U64: u32 = 3;
pub const FUTEX2_NUMA: u32 = 4;
pub const FUTEX2_PRIVATE: u32 = 0x80;
