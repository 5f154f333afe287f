//! `getsockopt`, `setsockopt`.

use linux_abi::Errno;
use linux_abi::net::SOL_SOCKET;

use super::super::{Fd, SysResult};
use crate::memory::{UserAddr, UserPtr};
use crate::net::socket_of;
use crate::task::Ctx;

/// Most bytes of a value that are looked at.
const MAX_VALUE: usize = 64 << 10;

/// `getsockopt(2)`. Errors: EBADF, ENOTSOCK, EFAULT, EINVAL, ENOPROTOOPT, EOPNOTSUPP.
pub fn getsockopt(
    ctx: &mut Ctx,
    fd: Fd,
    level: i32,
    name: i32,
    value: UserAddr,
    len: UserPtr<i32>,
) -> SysResult {
    let description = ctx.task.fds().get_usable(fd)?;
    let socket = socket_of(&description)?;
    let room = usize::try_from(ctx.memory().read_value(len)?).map_err(|_| Errno::EINVAL)?;
    let common = match level {
        SOL_SOCKET => socket.common().option(name),
        _ => None,
    };
    let found = match common {
        Some(found) => found,
        None => socket.option(level, name)?,
    };
    let bytes = found.to_bytes();
    let shown = &bytes[..room.min(bytes.len())];
    ctx.memory().write_exact(value, shown)?;
    ctx.memory().write_value(len, &(shown.len() as i32))?;
    Ok(0)
}

/// `setsockopt(2)`. Errors: as [`getsockopt`]; EPERM, EDOM and what the option says.
pub fn setsockopt(
    ctx: &mut Ctx,
    fd: Fd,
    level: i32,
    name: i32,
    value: UserAddr,
    len: i32,
) -> SysResult {
    let description = ctx.task.fds().get_usable(fd)?;
    let socket = socket_of(&description)?;
    let len = usize::try_from(len).map_err(|_| Errno::EINVAL)?;
    let bytes = ctx.memory().read_bytes(value, len.min(MAX_VALUE))?;
    if level == SOL_SOCKET {
        let credentials = ctx.task.credentials();
        if let Some(result) = socket.common().set_option(name, &bytes, &credentials) {
            socket.take_back();
            return result.map(|()| 0);
        }
    }
    socket.set_option(level, name, &bytes, &ctx.task)?;
    Ok(0)
}
