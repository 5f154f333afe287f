//! Families, types and options of sockets: `socket(2)`, `socket(7)`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

// Address families.
pub const AF_UNSPEC: i32 = 0;
pub const AF_UNIX: i32 = 1;
pub const AF_INET: i32 = 2;
pub const AF_AX25: i32 = 3;
pub const AF_IPX: i32 = 4;
pub const AF_APPLETALK: i32 = 5;
pub const AF_NETROM: i32 = 6;
pub const AF_BRIDGE: i32 = 7;
pub const AF_X25: i32 = 9;
pub const AF_INET6: i32 = 10;
pub const AF_KEY: i32 = 15;
pub const AF_NETLINK: i32 = 16;
pub const AF_PACKET: i32 = 17;
pub const AF_RDS: i32 = 21;
pub const AF_PPPOX: i32 = 24;
pub const AF_CAN: i32 = 29;
pub const AF_TIPC: i32 = 30;
pub const AF_BLUETOOTH: i32 = 31;
pub const AF_ALG: i32 = 38;
pub const AF_NFC: i32 = 39;
pub const AF_VSOCK: i32 = 40;
pub const AF_KCM: i32 = 41;
pub const AF_QIPCRTR: i32 = 42;
pub const AF_SMC: i32 = 43;
pub const AF_XDP: i32 = 44;
pub const AF_MAX: i32 = 46;
/// Another name of `AF_UNIX`.
pub const AF_LOCAL: i32 = AF_UNIX;

// Types of sockets.
pub const SOCK_STREAM: i32 = 1;
pub const SOCK_DGRAM: i32 = 2;
pub const SOCK_RAW: i32 = 3;
pub const SOCK_RDM: i32 = 4;
pub const SOCK_SEQPACKET: i32 = 5;
pub const SOCK_DCCP: i32 = 6;
pub const SOCK_PACKET: i32 = 10;
/// The bits of the type argument that hold the type; the others are [`SocketFlags`].
pub const SOCK_TYPE_MASK: i32 = 0xf;

bitflags::bitflags! {
    /// Flags in the type argument of `socket(2)`, and those of `accept4(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SocketFlags: u32 {
        const NONBLOCK = 0o4000;
        const CLOEXEC = 0o2000000;
    }
}

/// The longest queue of `listen(2)` unless the limit is raised.
pub const SOMAXCONN: i32 = 4096;

// How `shutdown(2)` closes.
pub const SHUT_RD: i32 = 0;
pub const SHUT_WR: i32 = 1;
pub const SHUT_RDWR: i32 = 2;

// Levels of `setsockopt(2)`.
pub const SOL_IP: i32 = 0;
pub const SOL_SOCKET: i32 = 1;
pub const SOL_TCP: i32 = 6;
pub const SOL_UDP: i32 = 17;
pub const SOL_IPV6: i32 = 41;
pub const SOL_ICMPV6: i32 = 58;
pub const SOL_RAW: i32 = 255;
pub const SOL_PACKET: i32 = 263;
pub const SOL_NETLINK: i32 = 270;
pub const SOL_ALG: i32 = 279;
pub const SOL_VSOCK: i32 = 287;

// Options of the level `SOL_SOCKET`.
pub const SO_DEBUG: i32 = 1;
pub const SO_REUSEADDR: i32 = 2;
pub const SO_TYPE: i32 = 3;
pub const SO_ERROR: i32 = 4;
pub const SO_DONTROUTE: i32 = 5;
pub const SO_BROADCAST: i32 = 6;
pub const SO_SNDBUF: i32 = 7;
pub const SO_RCVBUF: i32 = 8;
pub const SO_KEEPALIVE: i32 = 9;
pub const SO_OOBINLINE: i32 = 10;
pub const SO_NO_CHECK: i32 = 11;
pub const SO_PRIORITY: i32 = 12;
pub const SO_LINGER: i32 = 13;
pub const SO_BSDCOMPAT: i32 = 14;
pub const SO_REUSEPORT: i32 = 15;
pub const SO_PASSCRED: i32 = 16;
pub const SO_PEERCRED: i32 = 17;
pub const SO_RCVLOWAT: i32 = 18;
pub const SO_SNDLOWAT: i32 = 19;
pub const SO_RCVTIMEO_OLD: i32 = 20;
pub const SO_SNDTIMEO_OLD: i32 = 21;
pub const SO_BINDTODEVICE: i32 = 25;
pub const SO_ATTACH_FILTER: i32 = 26;
pub const SO_DETACH_FILTER: i32 = 27;
pub const SO_PEERNAME: i32 = 28;
pub const SO_TIMESTAMP_OLD: i32 = 29;
pub const SO_ACCEPTCONN: i32 = 30;
pub const SO_PEERSEC: i32 = 31;
pub const SO_SNDBUFFORCE: i32 = 32;
pub const SO_RCVBUFFORCE: i32 = 33;
pub const SO_PASSSEC: i32 = 34;
pub const SO_TIMESTAMPNS_OLD: i32 = 35;
pub const SO_MARK: i32 = 36;
pub const SO_TIMESTAMPING_OLD: i32 = 37;
pub const SO_PROTOCOL: i32 = 38;
pub const SO_DOMAIN: i32 = 39;
pub const SO_RXQ_OVFL: i32 = 40;
pub const SO_WIFI_STATUS: i32 = 41;
pub const SO_PEEK_OFF: i32 = 42;
pub const SO_NOFCS: i32 = 43;
pub const SO_LOCK_FILTER: i32 = 44;
pub const SO_SELECT_ERR_QUEUE: i32 = 45;
pub const SO_BUSY_POLL: i32 = 46;
pub const SO_MAX_PACING_RATE: i32 = 47;
pub const SO_BPF_EXTENSIONS: i32 = 48;
pub const SO_INCOMING_CPU: i32 = 49;
pub const SO_ATTACH_BPF: i32 = 50;
pub const SO_ATTACH_REUSEPORT_CBPF: i32 = 51;
pub const SO_ATTACH_REUSEPORT_EBPF: i32 = 52;
pub const SO_CNX_ADVICE: i32 = 53;
pub const SO_MEMINFO: i32 = 55;
pub const SO_INCOMING_NAPI_ID: i32 = 56;
pub const SO_COOKIE: i32 = 57;
pub const SO_PEERGROUPS: i32 = 59;
pub const SO_ZEROCOPY: i32 = 60;
pub const SO_TXTIME: i32 = 61;
pub const SO_BINDTOIFINDEX: i32 = 62;
pub const SO_TIMESTAMP_NEW: i32 = 63;
pub const SO_TIMESTAMPNS_NEW: i32 = 64;
pub const SO_TIMESTAMPING_NEW: i32 = 65;
pub const SO_RCVTIMEO_NEW: i32 = 66;
pub const SO_SNDTIMEO_NEW: i32 = 67;
pub const SO_DETACH_REUSEPORT_BPF: i32 = 68;
pub const SO_PREFER_BUSY_POLL: i32 = 69;
pub const SO_BUSY_POLL_BUDGET: i32 = 70;
pub const SO_NETNS_COOKIE: i32 = 71;
pub const SO_BUF_LOCK: i32 = 72;
pub const SO_RESERVE_MEM: i32 = 73;
pub const SO_TXREHASH: i32 = 74;
pub const SO_RCVMARK: i32 = 75;
pub const SO_PASSPIDFD: i32 = 76;
pub const SO_PEERPIDFD: i32 = 77;
/// The options as x86-64 programs name them: the old numbers already carry 64-bit times.
pub const SO_RCVTIMEO: i32 = SO_RCVTIMEO_OLD;
pub const SO_SNDTIMEO: i32 = SO_SNDTIMEO_OLD;
pub const SO_TIMESTAMP: i32 = SO_TIMESTAMP_OLD;
pub const SO_TIMESTAMPNS: i32 = SO_TIMESTAMPNS_OLD;
pub const SO_TIMESTAMPING: i32 = SO_TIMESTAMPING_OLD;

/// `struct linger`, `SO_LINGER` of `socket(7)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct Linger {
    pub onoff: i32,
    /// In seconds.
    pub linger: i32,
}

/// `struct ucred`, `SO_PEERCRED` and `SCM_CREDENTIALS` of `unix(7)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct Ucred {
    pub pid: i32,
    pub uid: u32,
    pub gid: u32,
}

// Protocols of `AF_PACKET` in host byte order.
pub const ETH_P_ALL: u16 = 0x3;
pub const ETH_P_IP: u16 = 0x800;
pub const ETH_P_ARP: u16 = 0x806;
pub const ETH_P_IPV6: u16 = 0x86dd;
pub const ETH_P_8021Q: u16 = 0x8100;
pub const ETH_P_LOOP: u16 = 0x60;
/// The length of an Ethernet address.
pub const ETH_ALEN: usize = 6;
