//! Reading, writing and moving data: `readv(2)`, `lseek(2)`, `splice(2)`, `fallocate(2)`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct iovec`, `readv(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct IoVec {
    pub base: u64,
    pub len: u64,
}

/// The greatest number of [`IoVec`] in one call.
pub const UIO_MAXIOV: usize = 1024;
/// The greatest number of bytes one call transfers: `INT_MAX` rounded down to a page.
pub const MAX_RW_COUNT: usize = 0x7fff_f000;
/// The greatest atomic write to a pipe, `pipe(7)`.
pub const PIPE_BUF: usize = 4096;

// Bases of `lseek(2)`.
pub const SEEK_SET: i32 = 0;
pub const SEEK_CUR: i32 = 1;
pub const SEEK_END: i32 = 2;
pub const SEEK_DATA: i32 = 3;
pub const SEEK_HOLE: i32 = 4;

bitflags::bitflags! {
    /// Flags of `preadv2(2)` and `pwritev2(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct RwFlags: u32 {
        const HIPRI = 0x1;
        const DSYNC = 0x2;
        const SYNC = 0x4;
        const NOWAIT = 0x8;
        const APPEND = 0x10;
        const NOAPPEND = 0x20;
        const ATOMIC = 0x40;
        const DONTCACHE = 0x80;
    }
}

bitflags::bitflags! {
    /// Flags of `splice(2)`, `tee(2)` and `vmsplice(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SpliceFlags: u32 {
        const MOVE = 0x1;
        const NONBLOCK = 0x2;
        const MORE = 0x4;
        const GIFT = 0x8;
    }
}

bitflags::bitflags! {
    /// Modes of `fallocate(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct FallocateFlags: u32 {
        const KEEP_SIZE = 0x1;
        const PUNCH_HOLE = 0x2;
        const NO_HIDE_STALE = 0x4;
        const COLLAPSE_RANGE = 0x8;
        const ZERO_RANGE = 0x10;
        const INSERT_RANGE = 0x20;
        const UNSHARE_RANGE = 0x40;
        const WRITE_ZEROES = 0x80;
    }
}

bitflags::bitflags! {
    /// Flags of `renameat2(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct RenameFlags: u32 {
        const NOREPLACE = 0x1;
        const EXCHANGE = 0x2;
        const WHITEOUT = 0x4;
    }
}

// Advice of `posix_fadvise(2)`.
pub const POSIX_FADV_NORMAL: i32 = 0;
pub const POSIX_FADV_RANDOM: i32 = 1;
pub const POSIX_FADV_SEQUENTIAL: i32 = 2;
pub const POSIX_FADV_WILLNEED: i32 = 3;
pub const POSIX_FADV_DONTNEED: i32 = 4;
pub const POSIX_FADV_NOREUSE: i32 = 5;

bitflags::bitflags! {
    /// Flags of `sync_file_range(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SyncFileRangeFlags: u32 {
        const WAIT_BEFORE = 0x1;
        const WRITE = 0x2;
        const WAIT_AFTER = 0x4;
    }
}
