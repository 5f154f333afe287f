//! Addresses between a program and a socket.

use linux_abi::Errno;
use linux_abi::net::SOCKADDR_STORAGE_SIZE;

use crate::memory::{UserAddr, UserPtr};
use crate::task::Ctx;

/// Reads an address of `len` bytes. Errors: EINVAL for a negative or too large length; EFAULT.
pub(super) fn read_address(ctx: &Ctx, addr: UserAddr, len: i32) -> Result<Vec<u8>, Errno> {
    let len = usize::try_from(len).map_err(|_| Errno::EINVAL)?;
    if len > SOCKADDR_STORAGE_SIZE {
        return Err(Errno::EINVAL);
    }
    ctx.memory().read_bytes(addr, len)
}

/// Writes as much of `address` as the room that `len` points to holds, and its whole length there.
///
/// Errors: EFAULT; EINVAL for negative room.
pub(super) fn write_address(
    ctx: &Ctx,
    address: &[u8],
    addr: UserAddr,
    len: UserPtr<i32>,
) -> Result<(), Errno> {
    let room = usize::try_from(ctx.memory().read_value(len)?).map_err(|_| Errno::EINVAL)?;
    ctx.memory().write_exact(addr, &address[..room.min(address.len())])?;
    ctx.memory().write_value(len, &(address.len() as i32))
}
