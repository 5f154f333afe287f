//! Requests on Unix sockets, unix(7).

use linux_abi::Errno;
use linux_abi::net::{SIOCINQ, SIOCOUTQ};

use crate::fs::ioctl;
use crate::vfs::IoContext;

/// Answers `SIOCINQ` and `SIOCOUTQ`. `unread` is none for a listening socket.
///
/// Errors: EINVAL (listening), ENOTTY.
pub(super) fn answer(
    command: u32,
    argument: u64,
    io: &IoContext<'_>,
    unread: Option<usize>,
    unsent: usize,
) -> Result<usize, Errno> {
    let bytes = match command {
        SIOCINQ => unread.ok_or(Errno::EINVAL)?,
        SIOCOUTQ => unsent,
        _ => return crate::net::interface_ioctl(command, argument, io),
    };
    ioctl::put(io, argument, &(bytes as i32))
}
