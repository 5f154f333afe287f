//! Facts about the system: `uname(2)`, `sysinfo(2)`, `reboot(2)`, `syslog(2)`, `personality(2)`.

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// `struct new_utsname`, `uname(2)`; each field is a zero-terminated string.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Utsname {
    pub sysname: [u8; 65],
    pub nodename: [u8; 65],
    pub release: [u8; 65],
    pub version: [u8; 65],
    pub machine: [u8; 65],
    pub domainname: [u8; 65],
}

impl Default for Utsname {
    fn default() -> Utsname {
        Utsname::new_zeroed()
    }
}

/// The longest host or domain name, `sethostname(2)`.
pub const NEW_UTS_LEN: usize = 64;

/// `struct sysinfo` of x86-64, `sysinfo(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct SysInfo {
    /// In seconds.
    pub uptime: i64,
    /// In units of 1/65536.
    pub loads: [u64; 3],
    pub totalram: u64,
    pub freeram: u64,
    pub sharedram: u64,
    pub bufferram: u64,
    pub totalswap: u64,
    pub freeswap: u64,
    pub procs: u16,
    pub _pad: u16,
    pub _pad0: u32,
    pub totalhigh: u64,
    pub freehigh: u64,
    /// The unit of the memory sizes, in bytes.
    pub mem_unit: u32,
    pub _pad1: u32,
}

// Magic numbers and commands of `reboot(2)`.
pub const LINUX_REBOOT_MAGIC1: u32 = 0xfee1dead;
pub const LINUX_REBOOT_MAGIC2: u32 = 0x28121969;
pub const LINUX_REBOOT_MAGIC2A: u32 = 0x5121996;
pub const LINUX_REBOOT_MAGIC2B: u32 = 0x16041998;
pub const LINUX_REBOOT_MAGIC2C: u32 = 0x20112000;
pub const LINUX_REBOOT_CMD_RESTART: u32 = 0x1234567;
pub const LINUX_REBOOT_CMD_HALT: u32 = 0xcdef0123;
pub const LINUX_REBOOT_CMD_CAD_ON: u32 = 0x89abcdef;
pub const LINUX_REBOOT_CMD_CAD_OFF: u32 = 0x0;
pub const LINUX_REBOOT_CMD_POWER_OFF: u32 = 0x4321fedc;
pub const LINUX_REBOOT_CMD_RESTART2: u32 = 0xa1b2c3d4;
pub const LINUX_REBOOT_CMD_SW_SUSPEND: u32 = 0xd000fce2;
pub const LINUX_REBOOT_CMD_KEXEC: u32 = 0x45584543;

// Actions of `syslog(2)`.
pub const SYSLOG_ACTION_CLOSE: i32 = 0;
pub const SYSLOG_ACTION_OPEN: i32 = 1;
pub const SYSLOG_ACTION_READ: i32 = 2;
pub const SYSLOG_ACTION_READ_ALL: i32 = 3;
pub const SYSLOG_ACTION_READ_CLEAR: i32 = 4;
pub const SYSLOG_ACTION_CLEAR: i32 = 5;
pub const SYSLOG_ACTION_CONSOLE_OFF: i32 = 6;
pub const SYSLOG_ACTION_CONSOLE_ON: i32 = 7;
pub const SYSLOG_ACTION_CONSOLE_LEVEL: i32 = 8;
pub const SYSLOG_ACTION_SIZE_UNREAD: i32 = 9;
pub const SYSLOG_ACTION_SIZE_BUFFER: i32 = 10;

// Personalities, `personality(2)`.
pub const PER_LINUX: u32 = 0x0;
pub const PER_LINUX32: u32 = 0x8;
pub const PER_MASK: u32 = 0xff;
pub const ADDR_NO_RANDOMIZE: u32 = 0x40000;
pub const ADDR_COMPAT_LAYOUT: u32 = 0x200000;
pub const READ_IMPLIES_EXEC: u32 = 0x400000;
pub const ADDR_LIMIT_3GB: u32 = 0x8000000;
pub const UNAME26: u32 = 0x20000;
pub const MMAP_PAGE_ZERO: u32 = 0x100000;
pub const STICKY_TIMEOUTS: u32 = 0x4000000;
pub const SHORT_INODE: u32 = 0x1000000;
pub const WHOLE_SECONDS: u32 = 0x2000000;
