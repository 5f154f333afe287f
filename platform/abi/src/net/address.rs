//! Socket addresses: `unix(7)`, `ip(7)`, `ipv6(7)`, `packet(7)`, `netlink(7)`, `vsock(7)`.

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// The length of the path of [`SockaddrUn`].
pub const UNIX_PATH_MAX: usize = 108;

/// `struct sockaddr_un`, `unix(7)`.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct SockaddrUn {
    pub family: u16,
    pub path: [u8; UNIX_PATH_MAX],
}

impl Default for SockaddrUn {
    fn default() -> SockaddrUn {
        SockaddrUn::new_zeroed()
    }
}

/// `struct sockaddr_in`, `ip(7)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct SockaddrIn {
    pub family: u16,
    /// In network byte order.
    pub port: [u8; 2],
    pub addr: [u8; 4],
    pub _zero: [u8; 8],
}

/// `struct sockaddr_in6`, `ipv6(7)`; programs may leave out the scope (24 bytes).
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct SockaddrIn6 {
    pub family: u16,
    /// In network byte order.
    pub port: [u8; 2],
    /// In network byte order.
    pub flowinfo: [u8; 4],
    pub addr: [u8; 16],
    pub scope_id: u32,
}

/// The least length of a [`SockaddrIn6`] (RFC 2133).
pub const SIN6_LEN_RFC2133: usize = 24;

/// `struct sockaddr_ll`, `packet(7)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct SockaddrLl {
    pub family: u16,
    /// In network byte order.
    pub protocol: [u8; 2],
    pub ifindex: i32,
    pub hatype: u16,
    pub pkttype: u8,
    pub halen: u8,
    pub addr: [u8; 8],
}

/// `struct sockaddr_nl`, `netlink(7)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct SockaddrNl {
    pub family: u16,
    pub _pad: u16,
    pub pid: u32,
    pub groups: u32,
}

/// `struct sockaddr_vm`, `vsock(7)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct SockaddrVm {
    pub family: u16,
    pub _reserved: u16,
    pub port: u32,
    pub cid: u32,
    pub flags: u8,
    pub _zero: [u8; 3],
}

/// `struct sockaddr_storage`: room for any address.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct SockaddrStorage {
    pub family: u16,
    pub data: [u8; 126],
}

impl Default for SockaddrStorage {
    fn default() -> SockaddrStorage {
        SockaddrStorage::new_zeroed()
    }
}

/// The size of [`SockaddrStorage`], the longest address a call takes.
pub const SOCKADDR_STORAGE_SIZE: usize = 128;
