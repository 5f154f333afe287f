//! Requests about network interfaces that every socket takes, netdevice(7). There is one
//! interface: loopback.

use linux_abi::Errno;
use linux_abi::net::*;
use linux_abi::task::CAP_NET_ADMIN;
use zerocopy::IntoBytes;

use crate::fs::ioctl::{get, memory, put};
use crate::memory::UserAddr;
use crate::vfs::IoContext;

/// Name and index of the loopback interface.
pub(super) const LOOPBACK: &[u8] = b"lo";
pub(super) const LOOPBACK_INDEX: i32 = 1;
pub(super) const LOOPBACK_MTU: i32 = 65536;
pub(super) const LOOPBACK_QUEUE: i32 = 1000;

/// Checks the value of `SO_BINDTODEVICE`. Errors: ENODEV.
pub(crate) fn check_device(value: &[u8]) -> Result<(), Errno> {
    match text(value) {
        b"" | LOOPBACK => Ok(()),
        _ => Err(Errno::ENODEV),
    }
}

/// The bytes before the first zero.
fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Errors: ENODEV (no such interface), EPERM (changes), EADDRNOTAVAIL, EFAULT; ENOTTY for what is
/// no such request.
pub(crate) fn interface_ioctl(
    command: u32,
    argument: u64,
    io: &IoContext<'_>,
) -> Result<usize, Errno> {
    match command {
        SIOCGIFCONF => list(argument, io),
        SIOCGIFNAME => {
            let mut request: Ifreq = get(io, argument)?;
            if number(&request) != LOOPBACK_INDEX {
                return Err(Errno::ENODEV);
            }
            request.name = name();
            put(io, argument, &request)
        }
        SIOCGIFFLAGS | SIOCGIFADDR | SIOCGIFDSTADDR | SIOCGIFBRDADDR | SIOCGIFNETMASK
        | SIOCGIFMETRIC | SIOCGIFMTU | SIOCGIFHWADDR | SIOCGIFINDEX | SIOCGIFTXQLEN
        | SIOCGIFMAP => {
            let mut request: Ifreq = get(io, argument)?;
            if text(&request.name) != LOOPBACK {
                return Err(Errno::ENODEV);
            }
            request.data = value_of(command);
            put(io, argument, &request)
        }
        SIOCSIFFLAGS | SIOCSIFADDR | SIOCSIFDSTADDR | SIOCSIFBRDADDR | SIOCSIFNETMASK
        | SIOCSIFMETRIC | SIOCSIFMTU | SIOCSIFNAME | SIOCSIFHWADDR | SIOCSIFTXQLEN | SIOCADDRT
        | SIOCDELRT => change(command, argument, io),
        SIOCETHTOOL => Err(Errno::EOPNOTSUPP),
        _ => Err(Errno::ENOTTY),
    }
}

fn name() -> [u8; IFNAMSIZ] {
    let mut name = [0; IFNAMSIZ];
    name[..LOOPBACK.len()].copy_from_slice(LOOPBACK);
    name
}

fn number(request: &Ifreq) -> i32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&request.data[..4]);
    i32::from_ne_bytes(bytes)
}

/// The answer to a question about loopback.
fn value_of(command: u32) -> [u8; 24] {
    let mut data = [0; 24];
    let address = |addr| {
        SockaddrIn { family: AF_INET as u16, port: [0; 2], addr, _zero: [0; 8] }.as_bytes().to_vec()
    };
    let up = InterfaceFlags::UP | InterfaceFlags::LOOPBACK | InterfaceFlags::RUNNING;
    let bytes = match command {
        SIOCGIFFLAGS => (up.bits() as u16).to_ne_bytes().to_vec(),
        SIOCGIFADDR | SIOCGIFDSTADDR => address([127, 0, 0, 1]),
        SIOCGIFNETMASK => address([255, 0, 0, 0]),
        SIOCGIFBRDADDR => address([0; 4]),
        SIOCGIFMTU => LOOPBACK_MTU.to_ne_bytes().to_vec(),
        SIOCGIFINDEX => LOOPBACK_INDEX.to_ne_bytes().to_vec(),
        SIOCGIFTXQLEN => LOOPBACK_QUEUE.to_ne_bytes().to_vec(),
        SIOCGIFHWADDR => ARPHRD_LOOPBACK.to_ne_bytes().to_vec(),
        _ => Vec::new(),
    };
    data[..bytes.len()].copy_from_slice(&bytes);
    data
}

/// `SIOCGIFCONF`: the interfaces with an IPv4 address. Without a buffer, the size of the list.
fn list(argument: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
    let mut request: Ifconf = get(io, argument)?;
    let entry = Ifreq { name: name(), data: value_of(SIOCGIFADDR) };
    let size = size_of::<Ifreq>() as i32;
    if request.buf == 0 {
        request.len = size;
    } else if request.len >= size {
        memory(io)?.write_exact(UserAddr(request.buf), entry.as_bytes())?;
        request.len = size;
    } else {
        request.len = 0;
    }
    put(io, argument, &request)
}

/// Nothing can be changed but to what is: bringing loopback up succeeds.
fn change(command: u32, argument: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
    let is_admin = io.task.is_some_and(|task| task.credentials().has(CAP_NET_ADMIN));
    if !is_admin {
        return Err(Errno::EPERM);
    }
    if matches!(command, SIOCADDRT | SIOCDELRT) {
        return Err(Errno::ENETUNREACH);
    }
    let request: Ifreq = get(io, argument)?;
    if text(&request.name) != LOOPBACK {
        return Err(Errno::ENODEV);
    }
    let brings_up = number(&request) as u32 & InterfaceFlags::UP.bits() != 0;
    if command == SIOCSIFFLAGS && brings_up { Ok(0) } else { Err(Errno::EOPNOTSUPP) }
}
