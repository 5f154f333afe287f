//! Scheduling: `sched(7)`, `sched_setscheduler(2)`, `sched_setattr(2)`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

// Policies.
pub const SCHED_NORMAL: i32 = 0;
pub const SCHED_FIFO: i32 = 1;
pub const SCHED_RR: i32 = 2;
pub const SCHED_BATCH: i32 = 3;
pub const SCHED_IDLE: i32 = 5;
pub const SCHED_DEADLINE: i32 = 6;
/// The C library's name of `SCHED_NORMAL`.
pub const SCHED_OTHER: i32 = SCHED_NORMAL;
/// Added to a policy: children start with the default policy.
pub const SCHED_RESET_ON_FORK: i32 = 0x40000000;

/// `struct sched_param`, `sched_setparam(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct SchedParam {
    pub priority: i32,
}

/// `struct sched_attr`, `sched_setattr(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct SchedAttr {
    pub size: u32,
    pub policy: u32,
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
    pub util_min: u32,
    pub util_max: u32,
}

/// The size of the first version of [`SchedAttr`].
pub const SCHED_ATTR_SIZE_VER0: u32 = 48;

bitflags::bitflags! {
    /// Flags of [`SchedAttr`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SchedFlags: u64 {
        const RESET_ON_FORK = 0x1;
        const RECLAIM = 0x2;
        const DL_OVERRUN = 0x4;
        const KEEP_POLICY = 0x8;
        const KEEP_PARAMS = 0x10;
        const UTIL_CLAMP_MIN = 0x20;
        const UTIL_CLAMP_MAX = 0x40;
    }
}
