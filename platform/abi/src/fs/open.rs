//! Flags of `open(2)`, `openat2(2)`, the `*at` calls, `memfd_create(2)` and `close_range(2)`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The current directory in place of a directory descriptor, `openat(2)`.
pub const AT_FDCWD: i32 = -100;

/// The two low bits of the open flags that hold the access mode.
pub const O_ACCMODE: u32 = 3;
pub const O_RDONLY: u32 = 0;
pub const O_WRONLY: u32 = 1;
pub const O_RDWR: u32 = 2;

bitflags::bitflags! {
    /// Flags of `open(2)`; the access mode is read with [`OpenFlags::access_mode`].
    ///
    /// `SYNC` contains `DSYNC` and `TMPFILE` contains `DIRECTORY`, as in Linux.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct OpenFlags: u32 {
        const WRONLY = 0o1;
        const RDWR = 0o2;
        const CREAT = 0o100;
        const EXCL = 0o200;
        const NOCTTY = 0o400;
        const TRUNC = 0o1000;
        const APPEND = 0o2000;
        const NONBLOCK = 0o4000;
        const DSYNC = 0o10000;
        const FASYNC = 0o20000;
        const DIRECT = 0o40000;
        const LARGEFILE = 0o100000;
        const DIRECTORY = 0o200000;
        const NOFOLLOW = 0o400000;
        const NOATIME = 0o1000000;
        const CLOEXEC = 0o2000000;
        const SYNC = 0o4010000;
        const PATH = 0o10000000;
        const TMPFILE = 0o20200000;
    }
}

impl OpenFlags {
    /// The access mode: `O_RDONLY`, `O_WRONLY`, `O_RDWR` or 3 (neither, for `ioctl` only).
    pub const fn access_mode(self) -> u32 {
        self.bits() & O_ACCMODE
    }

    /// Whether the access mode allows to read.
    pub const fn is_readable(self) -> bool {
        matches!(self.access_mode(), O_RDONLY | O_RDWR)
    }

    /// Whether the access mode allows to write.
    pub const fn is_writable(self) -> bool {
        matches!(self.access_mode(), O_WRONLY | O_RDWR)
    }
}

bitflags::bitflags! {
    /// Flags of the `*at` family, `openat(2)`, `statx(2)`, `unlinkat(2)`, `faccessat2(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct AtFlags: u32 {
        const SYMLINK_NOFOLLOW = 0x100;
        const REMOVEDIR = 0x200;
        const EACCESS = 0x200;
        const SYMLINK_FOLLOW = 0x400;
        const NO_AUTOMOUNT = 0x800;
        const EMPTY_PATH = 0x1000;
        const STATX_FORCE_SYNC = 0x2000;
        const STATX_DONT_SYNC = 0x4000;
        const RECURSIVE = 0x8000;
    }
}

/// The argument of `openat2(2)`, `struct open_how`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct OpenHow {
    pub flags: u64,
    pub mode: u64,
    pub resolve: u64,
}

/// The size of the first version of [`OpenHow`].
pub const OPEN_HOW_SIZE_VER0: usize = 24;

bitflags::bitflags! {
    /// How `openat2(2)` walks the path.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ResolveFlags: u64 {
        const NO_XDEV = 0x1;
        const NO_MAGICLINKS = 0x2;
        const NO_SYMLINKS = 0x4;
        const BENEATH = 0x8;
        const IN_ROOT = 0x10;
        const CACHED = 0x20;
    }
}

bitflags::bitflags! {
    /// Flags of `memfd_create(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct MemfdFlags: u32 {
        const CLOEXEC = 0x1;
        const ALLOW_SEALING = 0x2;
        const HUGETLB = 0x4;
        const NOEXEC_SEAL = 0x8;
        const EXEC = 0x10;
    }
}

/// The longest name `memfd_create(2)` takes, without its terminating zero byte.
pub const MFD_NAME_MAX: usize = 249;

bitflags::bitflags! {
    /// File seals, `F_ADD_SEALS` of `fcntl(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SealFlags: u32 {
        const SEAL = 0x1;
        const SHRINK = 0x2;
        const GROW = 0x4;
        const WRITE = 0x8;
        const FUTURE_WRITE = 0x10;
        const EXEC = 0x20;
    }
}

bitflags::bitflags! {
    /// Flags of `close_range(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct CloseRangeFlags: u32 {
        const UNSHARE = 0x2;
        const CLOEXEC = 0x4;
    }
}

/// Flags of `dup3(2)` and `pipe2(2)` share the values of the open flags; these are the allowed
/// ones.
pub const PIPE2_FLAGS: OpenFlags =
    OpenFlags::CLOEXEC.union(OpenFlags::NONBLOCK).union(OpenFlags::DIRECT);

/// What `access(2)` asks for.
pub const F_OK: u32 = 0;
pub const X_OK: u32 = 1;
pub const W_OK: u32 = 2;
pub const R_OK: u32 = 4;
