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

/// Numbers the capabilities from 0 on, and lists their names.
macro_rules! capabilities {
    ($($constant:ident $number:literal $name:literal,)*) => {
        $(pub const $constant: u32 = $number;)*

        /// The names by number, without `CAP_`.
        pub const CAP_NAMES: [&str; CAP_LAST_CAP as usize + 1] = [$($name),*];
    };
}

capabilities! {
    CAP_CHOWN 0 "CHOWN",
    CAP_DAC_OVERRIDE 1 "DAC_OVERRIDE",
    CAP_DAC_READ_SEARCH 2 "DAC_READ_SEARCH",
    CAP_FOWNER 3 "FOWNER",
    CAP_FSETID 4 "FSETID",
    CAP_KILL 5 "KILL",
    CAP_SETGID 6 "SETGID",
    CAP_SETUID 7 "SETUID",
    CAP_SETPCAP 8 "SETPCAP",
    CAP_LINUX_IMMUTABLE 9 "LINUX_IMMUTABLE",
    CAP_NET_BIND_SERVICE 10 "NET_BIND_SERVICE",
    CAP_NET_BROADCAST 11 "NET_BROADCAST",
    CAP_NET_ADMIN 12 "NET_ADMIN",
    CAP_NET_RAW 13 "NET_RAW",
    CAP_IPC_LOCK 14 "IPC_LOCK",
    CAP_IPC_OWNER 15 "IPC_OWNER",
    CAP_SYS_MODULE 16 "SYS_MODULE",
    CAP_SYS_RAWIO 17 "SYS_RAWIO",
    CAP_SYS_CHROOT 18 "SYS_CHROOT",
    CAP_SYS_PTRACE 19 "SYS_PTRACE",
    CAP_SYS_PACCT 20 "SYS_PACCT",
    CAP_SYS_ADMIN 21 "SYS_ADMIN",
    CAP_SYS_BOOT 22 "SYS_BOOT",
    CAP_SYS_NICE 23 "SYS_NICE",
    CAP_SYS_RESOURCE 24 "SYS_RESOURCE",
    CAP_SYS_TIME 25 "SYS_TIME",
    CAP_SYS_TTY_CONFIG 26 "SYS_TTY_CONFIG",
    CAP_MKNOD 27 "MKNOD",
    CAP_LEASE 28 "LEASE",
    CAP_AUDIT_WRITE 29 "AUDIT_WRITE",
    CAP_AUDIT_CONTROL 30 "AUDIT_CONTROL",
    CAP_SETFCAP 31 "SETFCAP",
    CAP_MAC_OVERRIDE 32 "MAC_OVERRIDE",
    CAP_MAC_ADMIN 33 "MAC_ADMIN",
    CAP_SYSLOG 34 "SYSLOG",
    CAP_WAKE_ALARM 35 "WAKE_ALARM",
    CAP_BLOCK_SUSPEND 36 "BLOCK_SUSPEND",
    CAP_AUDIT_READ 37 "AUDIT_READ",
    CAP_PERFMON 38 "PERFMON",
    CAP_BPF 39 "BPF",
    CAP_CHECKPOINT_RESTORE 40 "CHECKPOINT_RESTORE",
}

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
