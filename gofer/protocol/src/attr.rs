//! Attributes of a file and of a file system, as `statx(2)` and `statfs(2)` tell them.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

const S_IFMT: u32 = 0o170_000;

/// A point in time: seconds and nanoseconds since the epoch.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct Time {
    pub sec: i64,
    pub nsec: u64,
}

/// Attributes of a file: what `statx(2)` returns.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Attr {
    pub ino: u64,
    pub size: u64,
    /// In units of 512 bytes.
    pub blocks: u64,
    /// `STATX_ATTR_*` bits.
    pub attributes: u64,
    pub atime: Time,
    pub mtime: Time,
    pub ctime: Time,
    /// Zero unless `mask` has `STATX_BTIME`.
    pub btime: Time,
    /// `STATX_*` bits: the fields that the host's file system filled in.
    pub mask: u32,
    /// Type and permission bits.
    pub mode: u32,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    pub blksize: u32,
    /// Device of the file system: differs from the directory's where the host has a mount.
    pub dev_major: u32,
    pub dev_minor: u32,
    pub rdev_major: u32,
    pub rdev_minor: u32,
}

impl Attr {
    /// The type bits of the mode (`S_IFREG`, `S_IFDIR`, …).
    pub fn file_type(&self) -> u32 {
        self.mode & S_IFMT
    }

    pub fn is_regular(&self) -> bool {
        self.file_type() == 0o100_000
    }

    pub fn is_directory(&self) -> bool {
        self.file_type() == 0o040_000
    }

    pub fn is_symlink(&self) -> bool {
        self.file_type() == 0o120_000
    }

    /// The device as `(major, minor)`; with `ino` it identifies the file.
    pub fn dev(&self) -> (u32, u32) {
        (self.dev_major, self.dev_minor)
    }
}

/// Figures of a file system: what `statfs(2)` returns.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct FsStats {
    /// Magic number (`*_SUPER_MAGIC`).
    pub fs_type: u64,
    pub block_size: u64,
    pub fragment_size: u64,
    pub blocks: u64,
    pub blocks_free: u64,
    pub blocks_available: u64,
    pub files: u64,
    pub files_free: u64,
    pub fsid: [u32; 2],
    pub name_max: u64,
    /// `ST_*` mount flags.
    pub flags: u64,
}

/// What to do with a time stamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetTime {
    #[default]
    Omit,
    /// The host's current time.
    Now,
    At(Time),
}

/// The attributes to change; a field left at its default stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttr {
    /// Permission bits, with set-user-id, set-group-id and sticky; type bits are ignored.
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub size: Option<u64>,
    pub atime: SetTime,
    pub mtime: SetTime,
}
