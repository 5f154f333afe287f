//! Capabilities: `capabilities(7)`, `capget(2)`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The header of `capget(2)` and `capset(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct CapHeader {
    pub version: u32,
    pub pid: i32,
}

/// One half of the sets; versions 2 and 3 take two of these, the low words first.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct CapData {
    pub effective: u32,
    pub permitted: u32,
    pub inheritable: u32,
}

// Versions of the header.
pub const _LINUX_CAPABILITY_VERSION_1: u32 = 0x19980330;
pub const _LINUX_CAPABILITY_VERSION_2: u32 = 0x20071026;
pub const _LINUX_CAPABILITY_VERSION_3: u32 = 0x20080522;

pub const CAP_CHOWN: u32 = 0;
pub const CAP_DAC_OVERRIDE: u32 = 1;
pub const CAP_DAC_READ_SEARCH: u32 = 2;
pub const CAP_FOWNER: u32 = 3;
pub const CAP_FSETID: u32 = 4;
pub const CAP_KILL: u32 = 5;
pub const CAP_SETGID: u32 = 6;
pub const CAP_SETUID: u32 = 7;
pub const CAP_SETPCAP: u32 = 8;
pub const CAP_LINUX_IMMUTABLE: u32 = 9;
pub const CAP_NET_BIND_SERVICE: u32 = 10;
pub const CAP_NET_BROADCAST: u32 = 11;
pub const CAP_NET_ADMIN: u32 = 12;
pub const CAP_NET_RAW: u32 = 13;
pub const CAP_IPC_LOCK: u32 = 14;
pub const CAP_IPC_OWNER: u32 = 15;
pub const CAP_SYS_MODULE: u32 = 16;
pub const CAP_SYS_RAWIO: u32 = 17;
pub const CAP_SYS_CHROOT: u32 = 18;
pub const CAP_SYS_PTRACE: u32 = 19;
pub const CAP_SYS_PACCT: u32 = 20;
pub const CAP_SYS_ADMIN: u32 = 21;
pub const CAP_SYS_BOOT: u32 = 22;
pub const CAP_SYS_NICE: u32 = 23;
pub const CAP_SYS_RESOURCE: u32 = 24;
pub const CAP_SYS_TIME: u32 = 25;
pub const CAP_SYS_TTY_CONFIG: u32 = 26;
pub const CAP_MKNOD: u32 = 27;
pub const CAP_LEASE: u32 = 28;
pub const CAP_AUDIT_WRITE: u32 = 29;
pub const CAP_AUDIT_CONTROL: u32 = 30;
pub const CAP_SETFCAP: u32 = 31;
pub const CAP_MAC_OVERRIDE: u32 = 32;
pub const CAP_MAC_ADMIN: u32 = 33;
pub const CAP_SYSLOG: u32 = 34;
pub const CAP_WAKE_ALARM: u32 = 35;
pub const CAP_BLOCK_SUSPEND: u32 = 36;
pub const CAP_AUDIT_READ: u32 = 37;
pub const CAP_PERFMON: u32 = 38;
pub const CAP_BPF: u32 = 39;
pub const CAP_CHECKPOINT_RESTORE: u32 = 40;
pub const CAP_LAST_CAP: u32 = 40;

/// The set of all capabilities as a bit mask.
pub const CAP_FULL_SET: u64 = (1 << (CAP_LAST_CAP + 1)) - 1;

bitflags::bitflags! {
    /// Secure bits, `PR_SET_SECUREBITS` of `prctl(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SecureBits: u32 {
        const NOROOT = 0x1;
        const NOROOT_LOCKED = 0x2;
        const NO_SETUID_FIXUP = 0x4;
        const NO_SETUID_FIXUP_LOCKED = 0x8;
        const KEEP_CAPS = 0x10;
        const KEEP_CAPS_LOCKED = 0x20;
        const NO_CAP_AMBIENT_RAISE = 0x40;
        const NO_CAP_AMBIENT_RAISE_LOCKED = 0x80;
    }
}

/// `struct vfs_ns_cap_data`: the value of `security.capability`; versions 1 and 2 are shorter.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct VfsNsCapData {
    pub magic_etc: u32,
    pub low: VfsCapSet,
    pub high: VfsCapSet,
    pub rootid: u32,
}

/// The permitted and inheritable words of [`VfsNsCapData`].
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct VfsCapSet {
    pub permitted: u32,
    pub inheritable: u32,
}

pub const VFS_CAP_REVISION_MASK: u32 = 0xff000000;
pub const VFS_CAP_REVISION_1: u32 = 0x1000000;
pub const VFS_CAP_REVISION_2: u32 = 0x2000000;
pub const VFS_CAP_REVISION_3: u32 = 0x3000000;
pub const VFS_CAP_FLAGS_EFFECTIVE: u32 = 0x1;
