//! Attributes of files and file systems: `stat(2)`, `statx(2)`, `statfs(2)`, `xattr(7)`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::time::Timespec;

/// `struct stat` of x86-64, `stat(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct Stat {
    pub dev: u64,
    pub ino: u64,
    pub nlink: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub _pad0: u32,
    pub rdev: u64,
    pub size: i64,
    pub blksize: i64,
    /// In units of 512 bytes.
    pub blocks: i64,
    pub atime: Timespec,
    pub mtime: Timespec,
    pub ctime: Timespec,
    pub _unused: [i64; 3],
}

/// A time of [`Statx`].
#[derive(
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
)]
#[repr(C)]
pub struct StatxTimestamp {
    pub sec: i64,
    pub nsec: u32,
    pub _pad: i32,
}

impl From<Timespec> for StatxTimestamp {
    fn from(time: Timespec) -> StatxTimestamp {
        StatxTimestamp { sec: time.sec, nsec: time.nsec as u32, _pad: 0 }
    }
}

/// `struct statx`, `statx(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct Statx {
    pub mask: u32,
    pub blksize: u32,
    pub attributes: u64,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    pub mode: u16,
    pub _pad0: u16,
    pub ino: u64,
    pub size: u64,
    /// In units of 512 bytes.
    pub blocks: u64,
    pub attributes_mask: u64,
    pub atime: StatxTimestamp,
    pub btime: StatxTimestamp,
    pub ctime: StatxTimestamp,
    pub mtime: StatxTimestamp,
    pub rdev_major: u32,
    pub rdev_minor: u32,
    pub dev_major: u32,
    pub dev_minor: u32,
    pub mnt_id: u64,
    pub dio_mem_align: u32,
    pub dio_offset_align: u32,
    pub _spare: [u64; 12],
}

bitflags::bitflags! {
    /// Which fields of [`Statx`] are wanted or filled in.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct StatxMask: u32 {
        const TYPE = 0x1;
        const MODE = 0x2;
        const NLINK = 0x4;
        const UID = 0x8;
        const GID = 0x10;
        const ATIME = 0x20;
        const MTIME = 0x40;
        const CTIME = 0x80;
        const INO = 0x100;
        const SIZE = 0x200;
        const BLOCKS = 0x400;
        const BTIME = 0x800;
        const MNT_ID = 0x1000;
        const DIOALIGN = 0x2000;
        const MNT_ID_UNIQUE = 0x4000;
        const SUBVOL = 0x8000;
        const RESERVED = 0x80000000;
    }
}

impl StatxMask {
    /// The fields that `stat(2)` has too.
    pub const BASIC_STATS: StatxMask = StatxMask::from_bits_truncate(0x7ff);
}

bitflags::bitflags! {
    /// The attributes of [`Statx`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct StatxAttributes: u64 {
        const COMPRESSED = 0x4;
        const IMMUTABLE = 0x10;
        const APPEND = 0x20;
        const NODUMP = 0x40;
        const ENCRYPTED = 0x800;
        const AUTOMOUNT = 0x1000;
        const MOUNT_ROOT = 0x2000;
        const VERITY = 0x100000;
        const DAX = 0x200000;
    }
}

/// `struct statfs` of x86-64, `statfs(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct StatFs {
    pub kind: i64,
    pub bsize: i64,
    pub blocks: u64,
    pub bfree: u64,
    pub bavail: u64,
    pub files: u64,
    pub ffree: u64,
    pub fsid: [i32; 2],
    pub namelen: i64,
    pub frsize: i64,
    pub flags: i64,
    pub _spare: [i64; 4],
}

bitflags::bitflags! {
    /// Mount flags as [`StatFs`] reports them.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct StatFsFlags: u32 {
        const RDONLY = 0x1;
        const NOSUID = 0x2;
        const NODEV = 0x4;
        const NOEXEC = 0x8;
        const SYNCHRONOUS = 0x10;
        const VALID = 0x20;
        const MANDLOCK = 0x40;
        const NOATIME = 0x400;
        const NODIRATIME = 0x800;
        const RELATIME = 0x1000;
    }
}

// File system magic numbers, `statfs(2)`.
pub const EXT4_SUPER_MAGIC: u64 = 0xef53;
pub const TMPFS_MAGIC: u64 = 0x1021994;
pub const PROC_SUPER_MAGIC: u64 = 0x9fa0;
pub const SYSFS_MAGIC: u64 = 0x62656572;
pub const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;
pub const CGROUP_SUPER_MAGIC: u64 = 0x27e0eb;
pub const CGROUP2_SUPER_MAGIC: u64 = 0x63677270;
pub const OVERLAYFS_SUPER_MAGIC: u64 = 0x794c7630;
pub const PIPEFS_MAGIC: u64 = 0x50495045;
pub const SOCKFS_MAGIC: u64 = 0x534f434b;
pub const ANON_INODE_FS_MAGIC: u64 = 0x9041934;
pub const RAMFS_MAGIC: u64 = 0x858458f6;
pub const HUGETLBFS_MAGIC: u64 = 0x958458f6;
pub const NSFS_MAGIC: u64 = 0x6e736673;
pub const SECURITYFS_MAGIC: u64 = 0x73636673;
pub const DEBUGFS_MAGIC: u64 = 0x64626720;
pub const TRACEFS_MAGIC: u64 = 0x74726163;
pub const BPF_FS_MAGIC: u64 = 0xcafe4a11;
pub const XFS_SUPER_MAGIC: u64 = 0x58465342;
pub const BTRFS_SUPER_MAGIC: u64 = 0x9123683e;
pub const NFS_SUPER_MAGIC: u64 = 0x6969;
pub const V9FS_MAGIC: u64 = 0x1021997;
pub const MQUEUE_MAGIC: u64 = 0x19800202;
pub const FUSE_SUPER_MAGIC: u64 = 0x65735546;
pub const EROFS_SUPER_MAGIC_V1: u64 = 0xe0f5e1e2;
pub const PID_FS_MAGIC: u64 = 0x50494446;
pub const BINFMTFS_MAGIC: u64 = 0x42494e4d;

bitflags::bitflags! {
    /// Flags of `setxattr(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct XattrFlags: u32 {
        const CREATE = 0x1;
        const REPLACE = 0x2;
    }
}

pub const XATTR_NAME_MAX: usize = 255;
pub const XATTR_SIZE_MAX: usize = 65536;
pub const XATTR_LIST_MAX: usize = 65536;

/// `struct xattr_args` of `setxattrat(2)` and `getxattrat(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct XattrArgs {
    pub value: u64,
    pub size: u32,
    pub flags: u32,
}

/// The prefixes of extended attribute names, `xattr(7)`.
pub const XATTR_USER_PREFIX: &str = "user.";
pub const XATTR_TRUSTED_PREFIX: &str = "trusted.";
pub const XATTR_SECURITY_PREFIX: &str = "security.";
pub const XATTR_SYSTEM_PREFIX: &str = "system.";
pub const XATTR_NAME_CAPS: &str = "security.capability";
