//! File events: `inotify(7)`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

bitflags::bitflags! {
    /// Events and options of an inotify watch.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct InotifyMask: u32 {
        const ACCESS = 0x1;
        const MODIFY = 0x2;
        const ATTRIB = 0x4;
        const CLOSE_WRITE = 0x8;
        const CLOSE_NOWRITE = 0x10;
        const OPEN = 0x20;
        const MOVED_FROM = 0x40;
        const MOVED_TO = 0x80;
        const CREATE = 0x100;
        const DELETE = 0x200;
        const DELETE_SELF = 0x400;
        const MOVE_SELF = 0x800;
        const UNMOUNT = 0x2000;
        const Q_OVERFLOW = 0x4000;
        const IGNORED = 0x8000;
        const ONLYDIR = 0x1000000;
        const DONT_FOLLOW = 0x2000000;
        const EXCL_UNLINK = 0x4000000;
        const MASK_CREATE = 0x10000000;
        const MASK_ADD = 0x20000000;
        const ISDIR = 0x40000000;
        const ONESHOT = 0x80000000;
    }
}

impl InotifyMask {
    /// Every event a watch can ask for, `IN_ALL_EVENTS`.
    pub const ALL_EVENTS: InotifyMask = InotifyMask::from_bits_truncate(0xfff);
}

bitflags::bitflags! {
    /// Flags of `inotify_init1(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct InotifyInitFlags: u32 {
        const CLOEXEC = 0o2000000;
        const NONBLOCK = 0o4000;
    }
}

/// `struct inotify_event`; `len` bytes of a zero-padded name follow.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct InotifyEvent {
    pub wd: i32,
    pub mask: u32,
    pub cookie: u32,
    pub len: u32,
}
