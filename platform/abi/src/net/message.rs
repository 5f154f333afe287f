//! Messages and their control data: `sendmsg(2)`, `recvmsg(2)`, `sendmmsg(2)`, `cmsg(3)`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct user_msghdr`, `sendmsg(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct MsgHdr {
    pub name: u64,
    pub namelen: u32,
    pub _pad0: u32,
    pub iov: u64,
    pub iovlen: u64,
    pub control: u64,
    pub controllen: u64,
    pub flags: u32,
    pub _pad1: u32,
}

/// `struct mmsghdr`, `sendmmsg(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct MMsgHdr {
    pub hdr: MsgHdr,
    pub len: u32,
    pub _pad0: u32,
}

/// `struct cmsghdr`, `cmsg(3)`; the data follows at once, the next header after padding to 8 bytes.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct CmsgHdr {
    /// With this header, without padding.
    pub len: u64,
    pub level: i32,
    pub kind: i32,
}

impl CmsgHdr {
    /// The room that `data_len` bytes of data need, with header and padding: `CMSG_SPACE`.
    pub const fn space(data_len: usize) -> usize {
        size_of::<CmsgHdr>() + data_len.next_multiple_of(8)
    }
}

// Kinds of control messages of the level `SOL_SOCKET`, `unix(7)`.
pub const SCM_RIGHTS: i32 = 1;
pub const SCM_CREDENTIALS: i32 = 2;
pub const SCM_SECURITY: i32 = 3;
pub const SCM_PIDFD: i32 = 4;
/// The kind of control message of each of the time stamp options.
pub const SCM_TIMESTAMP: i32 = super::SO_TIMESTAMP;
pub const SCM_TIMESTAMPNS: i32 = super::SO_TIMESTAMPNS;
pub const SCM_TIMESTAMPING: i32 = super::SO_TIMESTAMPING;
/// The greatest number of descriptors in one `SCM_RIGHTS` message.
pub const SCM_MAX_FD: usize = 253;

bitflags::bitflags! {
    /// Flags of `send(2)`, `recv(2)` and their kin.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct MsgFlags: u32 {
        const OOB = 0x1;
        const PEEK = 0x2;
        const DONTROUTE = 0x4;
        const CTRUNC = 0x8;
        const PROBE = 0x10;
        const TRUNC = 0x20;
        const DONTWAIT = 0x40;
        const EOR = 0x80;
        const WAITALL = 0x100;
        const FIN = 0x200;
        const SYN = 0x400;
        const CONFIRM = 0x800;
        const RST = 0x1000;
        const ERRQUEUE = 0x2000;
        const NOSIGNAL = 0x4000;
        const MORE = 0x8000;
        const WAITFORONE = 0x10000;
        const BATCH = 0x40000;
        const ZEROCOPY = 0x4000000;
        const FASTOPEN = 0x20000000;
        const CMSG_CLOEXEC = 0x40000000;
    }
}

/// `struct sock_extended_err`, `MSG_ERRQUEUE` of `ip(7)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct SockExtendedErr {
    pub errno: u32,
    pub origin: u8,
    pub kind: u8,
    pub code: u8,
    pub _pad: u8,
    pub info: u32,
    pub data: u32,
}

pub const SO_EE_ORIGIN_NONE: u8 = 0;
pub const SO_EE_ORIGIN_LOCAL: u8 = 1;
pub const SO_EE_ORIGIN_ICMP: u8 = 2;
pub const SO_EE_ORIGIN_ICMP6: u8 = 3;
pub const SO_EE_ORIGIN_ZEROCOPY: u8 = 5;
