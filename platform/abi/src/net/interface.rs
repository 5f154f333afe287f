//! Network interfaces through `ioctl(2)`: `netdevice(7)`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The longest name of an interface, with its zero byte.
pub const IFNAMSIZ: usize = 16;

/// `struct ifreq`, `netdevice(7)`: a name and a union of 24 bytes.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct Ifreq {
    pub name: [u8; IFNAMSIZ],
    /// An address (`struct sockaddr`), flags (`i16`), an index or number (`i32`) or a pointer.
    pub data: [u8; 24],
}

/// `struct ifconf`, `SIOCGIFCONF`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct Ifconf {
    pub len: i32,
    pub _pad0: u32,
    pub buf: u64,
}

/// `struct arpreq`, `arp(7)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct Arpreq {
    pub pa: [u8; 16],
    pub ha: [u8; 16],
    pub flags: i32,
    pub netmask: [u8; 16],
    pub dev: [u8; IFNAMSIZ],
}

bitflags::bitflags! {
    /// Flags of an interface.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct InterfaceFlags: u32 {
        const UP = 0x1;
        const BROADCAST = 0x2;
        const DEBUG = 0x4;
        const LOOPBACK = 0x8;
        const POINTOPOINT = 0x10;
        const NOTRAILERS = 0x20;
        const RUNNING = 0x40;
        const NOARP = 0x80;
        const PROMISC = 0x100;
        const ALLMULTI = 0x200;
        const MASTER = 0x400;
        const SLAVE = 0x800;
        const MULTICAST = 0x1000;
        const PORTSEL = 0x2000;
        const AUTOMEDIA = 0x4000;
        const DYNAMIC = 0x8000;
        const LOWER_UP = 0x10000;
        const DORMANT = 0x20000;
        const ECHO = 0x40000;
    }
}

// Hardware types, `ARPHRD_*`.
pub const ARPHRD_ETHER: u16 = 1;
pub const ARPHRD_LOOPBACK: u16 = 772;
pub const ARPHRD_NONE: u16 = 65534;
pub const ARPHRD_TUNNEL: u16 = 768;
pub const ARPHRD_VOID: u16 = 65535;

// Requests on any socket.
pub const FIOSETOWN: u32 = 0x8901;
pub const SIOCSPGRP: u32 = 0x8902;
pub const FIOGETOWN: u32 = 0x8903;
pub const SIOCGPGRP: u32 = 0x8904;
pub const SIOCATMARK: u32 = 0x8905;
pub const SIOCGSTAMP_OLD: u32 = 0x8906;
pub const SIOCGSTAMPNS_OLD: u32 = 0x8907;
pub const SIOCADDRT: u32 = 0x890b;
pub const SIOCDELRT: u32 = 0x890c;
pub const SIOCGIFNAME: u32 = 0x8910;
pub const SIOCGIFCONF: u32 = 0x8912;
pub const SIOCGIFFLAGS: u32 = 0x8913;
pub const SIOCSIFFLAGS: u32 = 0x8914;
pub const SIOCGIFADDR: u32 = 0x8915;
pub const SIOCSIFADDR: u32 = 0x8916;
pub const SIOCGIFDSTADDR: u32 = 0x8917;
pub const SIOCSIFDSTADDR: u32 = 0x8918;
pub const SIOCGIFBRDADDR: u32 = 0x8919;
pub const SIOCSIFBRDADDR: u32 = 0x891a;
pub const SIOCGIFNETMASK: u32 = 0x891b;
pub const SIOCSIFNETMASK: u32 = 0x891c;
pub const SIOCGIFMETRIC: u32 = 0x891d;
pub const SIOCSIFMETRIC: u32 = 0x891e;
pub const SIOCGIFMEM: u32 = 0x891f;
pub const SIOCGIFMTU: u32 = 0x8921;
pub const SIOCSIFMTU: u32 = 0x8922;
pub const SIOCSIFNAME: u32 = 0x8923;
pub const SIOCSIFHWADDR: u32 = 0x8924;
pub const SIOCGIFENCAP: u32 = 0x8925;
pub const SIOCGIFHWADDR: u32 = 0x8927;
pub const SIOCGIFSLAVE: u32 = 0x8929;
pub const SIOCADDMULTI: u32 = 0x8931;
pub const SIOCDELMULTI: u32 = 0x8932;
pub const SIOCGIFINDEX: u32 = 0x8933;
pub const SIOCGIFPFLAGS: u32 = 0x8935;
pub const SIOCGIFCOUNT: u32 = 0x8938;
pub const SIOCGIFTXQLEN: u32 = 0x8942;
pub const SIOCSIFTXQLEN: u32 = 0x8943;
pub const SIOCETHTOOL: u32 = 0x8946;
pub const SIOCGARP: u32 = 0x8954;
pub const SIOCDARP: u32 = 0x8953;
pub const SIOCSARP: u32 = 0x8955;
pub const SIOCGIFMAP: u32 = 0x8970;
pub const SIOCINQ: u32 = 0x541b;
pub const SIOCOUTQ: u32 = 0x5411;

// Requests of TUN and TAP devices.
pub const TUNSETIFF: u32 = 0x400454ca;
pub const TUNGETIFF: u32 = 0x800454d2;
pub const TUNSETPERSIST: u32 = 0x400454cb;
pub const TUNSETOWNER: u32 = 0x400454cc;
pub const TUNGETFEATURES: u32 = 0x800454cf;
pub const TUNSETOFFLOAD: u32 = 0x400454d0;
pub const TUNSETVNETHDRSZ: u32 = 0x400454d8;
pub const TUNGETVNETHDRSZ: u32 = 0x800454d7;
pub const IFF_TUN: u16 = 0x1;
pub const IFF_TAP: u16 = 0x2;
pub const IFF_NO_PI: u16 = 0x1000;
pub const IFF_VNET_HDR: u16 = 0x4000;
pub const IFF_MULTI_QUEUE: u16 = 0x100;
