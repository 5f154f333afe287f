//! Readiness: `poll(2)`, `select(2)`, `epoll(7)`, `eventfd(2)`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct pollfd`, `poll(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct PollFd {
    pub fd: i32,
    pub events: u16,
    pub revents: u16,
}

bitflags::bitflags! {
    /// Events of `poll(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct PollEvents: u16 {
        const IN = 0x1;
        const PRI = 0x2;
        const OUT = 0x4;
        const ERR = 0x8;
        const HUP = 0x10;
        const NVAL = 0x20;
        const RDNORM = 0x40;
        const RDBAND = 0x80;
        const WRNORM = 0x100;
        const WRBAND = 0x200;
        const MSG = 0x400;
        const RDHUP = 0x2000;
    }
}

/// `struct epoll_event`, `epoll_ctl(2)`; packed on x86-64.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default)]
#[repr(C, packed)]
pub struct EpollEvent {
    pub events: u32,
    pub data: u64,
}

bitflags::bitflags! {
    /// Events and options of `epoll_ctl(2)`; the low events have the values of [`PollEvents`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct EpollEvents: u32 {
        const IN = 0x1;
        const PRI = 0x2;
        const OUT = 0x4;
        const ERR = 0x8;
        const HUP = 0x10;
        const NVAL = 0x20;
        const RDNORM = 0x40;
        const RDBAND = 0x80;
        const WRNORM = 0x100;
        const WRBAND = 0x200;
        const MSG = 0x400;
        const RDHUP = 0x2000;
        const EXCLUSIVE = 0x10000000;
        const WAKEUP = 0x20000000;
        const ONESHOT = 0x40000000;
        const ET = 0x80000000;
    }
}

// Operations of `epoll_ctl(2)`.
pub const EPOLL_CTL_ADD: i32 = 1;
pub const EPOLL_CTL_DEL: i32 = 2;
pub const EPOLL_CTL_MOD: i32 = 3;
/// The flag of `epoll_create1(2)`.
pub const EPOLL_CLOEXEC: u32 = 0x80000;
/// The greatest number of events of one `epoll_wait(2)`.
pub const EP_MAX_EVENTS: i32 = i32::MAX / 12;
/// How deep epoll files may watch one another.
pub const EP_MAX_NESTS: usize = 5;

bitflags::bitflags! {
    /// Flags of `eventfd2(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct EventfdFlags: u32 {
        const SEMAPHORE = 0o1;
        const CLOEXEC = 0o2000000;
        const NONBLOCK = 0o4000;
    }
}

/// The number of descriptors in an `fd_set` of the C library; the kernel takes as many as there
/// are.
pub const FD_SETSIZE: usize = 1024;
