//! Mounting: `mount(2)`, `umount2(2)`, `pivot_root(2)`, `fsopen(2)`, `mount_setattr(2)`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

bitflags::bitflags! {
    /// Flags of `mount(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct MountFlags: u64 {
        const RDONLY = 0x1;
        const NOSUID = 0x2;
        const NODEV = 0x4;
        const NOEXEC = 0x8;
        const SYNCHRONOUS = 0x10;
        const REMOUNT = 0x20;
        const MANDLOCK = 0x40;
        const DIRSYNC = 0x80;
        const NOSYMFOLLOW = 0x100;
        const NOATIME = 0x400;
        const NODIRATIME = 0x800;
        const BIND = 0x1000;
        const MOVE = 0x2000;
        const REC = 0x4000;
        const SILENT = 0x8000;
        const POSIXACL = 0x10000;
        const UNBINDABLE = 0x20000;
        const PRIVATE = 0x40000;
        const SLAVE = 0x80000;
        const SHARED = 0x100000;
        const RELATIME = 0x200000;
        const KERNMOUNT = 0x400000;
        const I_VERSION = 0x800000;
        const STRICTATIME = 0x1000000;
        const LAZYTIME = 0x2000000;
    }
}

/// The magic number old programs put into the high half of the mount flags; it is ignored.
pub const MS_MGC_VAL: u64 = 0xc0ed0000;
pub const MS_MGC_MSK: u64 = 0xffff0000;

bitflags::bitflags! {
    /// Flags of `umount2(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct UmountFlags: u32 {
        const FORCE = 0x1;
        const DETACH = 0x2;
        const EXPIRE = 0x4;
        const NOFOLLOW = 0x8;
    }
}

bitflags::bitflags! {
    /// Flags of `open_tree(2)`; `AT_RECURSIVE` and `AT_EMPTY_PATH` may be added.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct OpenTreeFlags: u32 {
        const CLONE = 0x1;
        const CLOEXEC = 0x80000;
    }
}

bitflags::bitflags! {
    /// Flags of `move_mount(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct MoveMountFlags: u32 {
        const F_SYMLINKS = 0x1;
        const F_AUTOMOUNTS = 0x2;
        const F_EMPTY_PATH = 0x4;
        const T_SYMLINKS = 0x10;
        const T_AUTOMOUNTS = 0x20;
        const T_EMPTY_PATH = 0x40;
        const SET_GROUP = 0x100;
        const BENEATH = 0x200;
    }
}

bitflags::bitflags! {
    /// Attributes of `fsmount(2)` and `mount_setattr(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct MountAttrFlags: u64 {
        const RDONLY = 0x1;
        const NOSUID = 0x2;
        const NODEV = 0x4;
        const NOEXEC = 0x8;
        const NOATIME = 0x10;
        const STRICTATIME = 0x20;
        const NODIRATIME = 0x80;
        const IDMAP = 0x100000;
        const NOSYMFOLLOW = 0x200000;
    }
}

/// The field of [`MountAttrFlags`] that holds the access-time mode.
pub const MOUNT_ATTR__ATIME: u64 = 0x70;

/// `struct mount_attr`, `mount_setattr(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct MountAttr {
    pub attr_set: u64,
    pub attr_clr: u64,
    pub propagation: u64,
    pub userns_fd: u64,
}

// Flags and commands of `fsopen(2)`, `fspick(2)`, `fsconfig(2)` and `fsmount(2)`.
pub const FSOPEN_CLOEXEC: u32 = 0x1;
pub const FSPICK_CLOEXEC: u32 = 0x1;
pub const FSPICK_SYMLINK_NOFOLLOW: u32 = 0x2;
pub const FSPICK_NO_AUTOMOUNT: u32 = 0x4;
pub const FSPICK_EMPTY_PATH: u32 = 0x8;
pub const FSMOUNT_CLOEXEC: u32 = 0x1;
pub const FSCONFIG_SET_FLAG: u32 = 0;
pub const FSCONFIG_SET_STRING: u32 = 1;
pub const FSCONFIG_SET_BINARY: u32 = 2;
pub const FSCONFIG_SET_PATH: u32 = 3;
pub const FSCONFIG_SET_PATH_EMPTY: u32 = 4;
pub const FSCONFIG_SET_FD: u32 = 5;
pub const FSCONFIG_CMD_CREATE: u32 = 6;
pub const FSCONFIG_CMD_RECONFIGURE: u32 = 7;
pub const FSCONFIG_CMD_CREATE_EXCL: u32 = 8;
