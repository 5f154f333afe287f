//! Requests about network interfaces that every socket takes, netdevice(7).

use linux_abi::Errno;

use crate::vfs::IoContext;

/// Errors: ENOTTY for what is no such request.
pub(crate) fn interface_ioctl(
    _command: u32,
    _argument: u64,
    _io: &IoContext<'_>,
) -> Result<usize, Errno> {
    Err(Errno::ENOTTY)
}
