//! POSIX message queues: `mq_overview(7)`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct mq_attr`, `mq_getattr(3)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct MqAttr {
    pub flags: i64,
    pub maxmsg: i64,
    pub msgsize: i64,
    pub curmsgs: i64,
    pub _reserved: [i64; 4],
}

/// One past the greatest priority of a message.
pub const MQ_PRIO_MAX: u32 = 32768;
