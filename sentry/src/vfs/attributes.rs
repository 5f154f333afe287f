//! Attributes of an inode, as `stat(2)` shows them.

use linux_abi::fs::FileKind;
use linux_abi::time::Timespec;

/// A device number (major, minor).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId {
    pub major: u32,
    pub minor: u32,
}

/// What `stat` and `statx` tell.
#[derive(Clone, Copy, Debug)]
pub struct Attributes {
    pub device: DeviceId,
    pub inode: u64,
    pub kind: FileKind,
    /// Permission bits with setuid, setgid and sticky (07777).
    pub permissions: u32,
    pub links: u64,
    pub uid: u32,
    pub gid: u32,
    /// The device that a device node stands for.
    pub rdev: DeviceId,
    /// Bytes.
    pub size: u64,
    /// Preferred block size in bytes.
    pub block_size: u32,
    /// 512-byte blocks in use.
    pub blocks: u64,
    pub accessed: Timespec,
    pub modified: Timespec,
    pub changed: Timespec,
    pub created: Option<Timespec>,
}

/// A time to set.
#[derive(Clone, Copy, Debug)]
pub enum TimeChange {
    Now,
    To(Timespec),
}

/// Attributes to change; permission checks and setuid-bit clearing are done by the caller.
/// The file system updates the change time itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttributeChange {
    pub permissions: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub size: Option<u64>,
    pub accessed: Option<TimeChange>,
    pub modified: Option<TimeChange>,
}
