//! File modes, file kinds and directory entries: `inode(7)`, `getdents64(2)`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub const S_IFMT: u32 = 0o170000;
pub const S_IFSOCK: u32 = 0o140000;
pub const S_IFLNK: u32 = 0o120000;
pub const S_IFREG: u32 = 0o100000;
pub const S_IFBLK: u32 = 0o60000;
pub const S_IFDIR: u32 = 0o40000;
pub const S_IFCHR: u32 = 0o20000;
pub const S_IFIFO: u32 = 0o10000;
pub const S_ISUID: u32 = 0o4000;
pub const S_ISGID: u32 = 0o2000;
pub const S_ISVTX: u32 = 0o1000;
pub const S_IRWXU: u32 = 0o700;
pub const S_IRUSR: u32 = 0o400;
pub const S_IWUSR: u32 = 0o200;
pub const S_IXUSR: u32 = 0o100;
pub const S_IRWXG: u32 = 0o70;
pub const S_IRGRP: u32 = 0o40;
pub const S_IWGRP: u32 = 0o20;
pub const S_IXGRP: u32 = 0o10;
pub const S_IRWXO: u32 = 0o7;
pub const S_IROTH: u32 = 0o4;
pub const S_IWOTH: u32 = 0o2;
pub const S_IXOTH: u32 = 0o1;
/// The mode bits a program may choose: permissions, set-id bits and the sticky bit.
pub const S_IALLUGO: u32 = 0o7777;
/// The permission bits.
pub const S_IRWXUGO: u32 = 0o777;
/// All execute bits.
pub const S_IXUGO: u32 = 0o111;

pub const DT_UNKNOWN: u8 = 0;
pub const DT_FIFO: u8 = 1;
pub const DT_CHR: u8 = 2;
pub const DT_DIR: u8 = 4;
pub const DT_BLK: u8 = 6;
pub const DT_REG: u8 = 8;
pub const DT_LNK: u8 = 10;
pub const DT_SOCK: u8 = 12;
pub const DT_WHT: u8 = 14;

/// What a file is, the `S_IFMT` part of its mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    Regular,
    Directory,
    Symlink,
    CharDevice,
    BlockDevice,
    Fifo,
    Socket,
}

impl FileKind {
    /// Reads the kind from a mode; `None` if the `S_IFMT` bits name no kind.
    pub const fn from_mode(mode: u32) -> Option<FileKind> {
        Some(match mode & S_IFMT {
            S_IFREG => FileKind::Regular,
            S_IFDIR => FileKind::Directory,
            S_IFLNK => FileKind::Symlink,
            S_IFCHR => FileKind::CharDevice,
            S_IFBLK => FileKind::BlockDevice,
            S_IFIFO => FileKind::Fifo,
            S_IFSOCK => FileKind::Socket,
            _ => return None,
        })
    }

    /// The `S_IFMT` bits of this kind.
    pub const fn mode_bits(self) -> u32 {
        match self {
            FileKind::Regular => S_IFREG,
            FileKind::Directory => S_IFDIR,
            FileKind::Symlink => S_IFLNK,
            FileKind::CharDevice => S_IFCHR,
            FileKind::BlockDevice => S_IFBLK,
            FileKind::Fifo => S_IFIFO,
            FileKind::Socket => S_IFSOCK,
        }
    }

    /// Reads the kind from the type byte of a directory entry; `None` for `DT_UNKNOWN` and others.
    pub const fn from_dirent_type(value: u8) -> Option<FileKind> {
        match value {
            0..16 => FileKind::from_mode((value as u32) << 12),
            _ => None,
        }
    }

    /// The type byte of a directory entry, `DT_*`.
    pub const fn dirent_type(self) -> u8 {
        (self.mode_bits() >> 12) as u8
    }
}

/// The fixed part of `struct linux_dirent64`; the zero-terminated name follows at once.
///
/// Nineteen bytes: the kernel structure is padded behind the name, not before it.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C, packed)]
pub struct Dirent64 {
    pub ino: u64,
    pub off: i64,
    pub reclen: u16,
    pub kind: u8,
}

/// The fixed part of the old `struct linux_dirent` of `getdents(2)`; the name follows, the type is
/// the last byte.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C, packed)]
pub struct Dirent {
    pub ino: u64,
    pub off: i64,
    pub reclen: u16,
}

impl Dirent64 {
    /// The length of an entry with a name of `name_len` bytes, with its zero byte and padding.
    pub const fn record_len(name_len: usize) -> usize {
        (size_of::<Dirent64>() + name_len + 1).next_multiple_of(8)
    }
}

impl Dirent {
    /// The length of an entry with a name of `name_len` bytes, with its zero byte, type and
    /// padding.
    pub const fn record_len(name_len: usize) -> usize {
        (size_of::<Dirent>() + name_len + 2).next_multiple_of(8)
    }
}

/// Makes a device number in the user-visible encoding of `makedev(3)`.
pub const fn makedev(major: u32, minor: u32) -> u64 {
    let (major, minor) = (major as u64, minor as u64);
    (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & !0xff) << 12) | ((major & !0xfff) << 32)
}

/// The major number of a device.
pub const fn major(dev: u64) -> u32 {
    (((dev >> 8) & 0xfff) | ((dev >> 32) & !0xfff)) as u32
}

/// The minor number of a device.
pub const fn minor(dev: u64) -> u32 {
    ((dev & 0xff) | ((dev >> 12) & !0xff)) as u32
}
