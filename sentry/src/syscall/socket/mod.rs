//! Socket calls, socket(7): making, naming, connecting. `transfer` sends and receives, `options`
//! reads and sets options.

mod address;
mod control;
mod message;
mod options;
mod transfer;
mod wait;

use linux_abi::Errno;
use linux_abi::fs::OpenFlags;
use linux_abi::net::{AF_UNIX, SOCK_TYPE_MASK, SocketFlags};
use linux_abi::poll::PollEvents;

use super::{Fd, SysResult, anonymous};
use crate::memory::{UserAddr, UserPtr};
use crate::net::{Shutdown, SocketFile, socket_of, unix};
use crate::task::Ctx;

use address::{read_address, write_address};
pub use message::{recvmmsg, recvmsg, sendmmsg, sendmsg};
pub use options::{getsockopt, setsockopt};
pub(super) use transfer::{read, write};
pub use transfer::{recvfrom, sendto};
use wait::{Patience, try_until};

/// Splits the type argument into type and flags. Errors: EINVAL for unknown flags.
fn split_type(kind: i32) -> Result<(i32, OpenFlags), Errno> {
    let flags = SocketFlags::from_bits((kind & !SOCK_TYPE_MASK) as u32).ok_or(Errno::EINVAL)?;
    Ok((kind & SOCK_TYPE_MASK, open_flags(flags)))
}

fn open_flags(flags: SocketFlags) -> OpenFlags {
    let mut open = OpenFlags::empty();
    open.set(OpenFlags::NONBLOCK, flags.contains(SocketFlags::NONBLOCK));
    open.set(OpenFlags::CLOEXEC, flags.contains(SocketFlags::CLOEXEC));
    open
}

/// `socket(2)`. Errors: EINVAL, EAFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT, EPERM, EMFILE.
pub fn socket(ctx: &mut Ctx, domain: i32, kind: i32, protocol: i32) -> SysResult {
    let (kind, flags) = split_type(kind)?;
    let socket = crate::net::create(domain, kind, protocol, &ctx.task)?;
    let reservation = anonymous::reserve(&ctx.task)?;
    let description = anonymous::socket_description(&ctx.task, SocketFile::new(socket), flags);
    Ok(reservation.fill(description, flags.contains(OpenFlags::CLOEXEC)) as usize)
}

/// `socketpair(2)`. Errors: as [`socket`]; EFAULT; EOPNOTSUPP for families without pairs.
pub fn socketpair(
    ctx: &mut Ctx,
    domain: i32,
    kind: i32,
    protocol: i32,
    fds: UserPtr<[i32; 2]>,
) -> SysResult {
    let (kind, flags) = split_type(kind)?;
    let first = anonymous::reserve(&ctx.task)?;
    let second = anonymous::reserve(&ctx.task)?;
    ctx.memory().write_value(fds, &[first.fd(), second.fd()])?;
    if domain != AF_UNIX {
        crate::net::create(domain, kind, protocol, &ctx.task)?;
        return Err(Errno::EOPNOTSUPP);
    }
    let (one, other) = unix::pair(kind, protocol, &ctx.task)?;
    let is_cloexec = flags.contains(OpenFlags::CLOEXEC);
    for (reservation, socket) in [(first, one), (second, other)] {
        let description = anonymous::socket_description(&ctx.task, SocketFile::new(socket), flags);
        reservation.fill(description, is_cloexec);
    }
    Ok(0)
}

/// `bind(2)`. Errors: EBADF, ENOTSOCK, EFAULT, and those of the family.
pub fn bind(ctx: &mut Ctx, fd: Fd, addr: UserAddr, len: i32) -> SysResult {
    let description = ctx.task.fds().get_usable(fd)?;
    let socket = socket_of(&description)?;
    let address = read_address(ctx, addr, len)?;
    socket.clone().bind(&address, &ctx.task)?;
    Ok(0)
}

/// `listen(2)`. Errors: EBADF, ENOTSOCK, EOPNOTSUPP, EINVAL, EADDRINUSE.
pub fn listen(ctx: &mut Ctx, fd: Fd, backlog: i32) -> SysResult {
    let description = ctx.task.fds().get_usable(fd)?;
    socket_of(&description)?.clone().listen(backlog, &ctx.task)?;
    Ok(0)
}

/// `accept(2)`. Errors: as [`accept4`].
pub async fn accept(ctx: &mut Ctx, fd: Fd, addr: UserAddr, addr_len: UserPtr<i32>) -> SysResult {
    accept4(ctx, fd, addr, addr_len, 0).await
}

/// `accept4(2)`. Errors: EINVAL, EBADF, ENOTSOCK, EOPNOTSUPP, EMFILE, EAGAIN, EINTR, EFAULT.
pub async fn accept4(
    ctx: &mut Ctx,
    fd: Fd,
    addr: UserAddr,
    addr_len: UserPtr<i32>,
    flags: u32,
) -> SysResult {
    let flags = SocketFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    let description = ctx.task.fds().get_usable(fd)?;
    let socket = socket_of(&description)?;
    let reservation = anonymous::reserve(&ctx.task)?;
    let patience = Patience::of(ctx, &description, socket.common().timeouts().receive_ns);
    let attempt = || socket.accept();
    let accepted = try_until(ctx, &**socket, PollEvents::IN, patience, attempt).await?;
    let flags = open_flags(flags);
    let peer = accepted.peer_address();
    let description = anonymous::socket_description(&ctx.task, SocketFile::new(accepted), flags);
    if !addr.is_null() {
        // Linux: the peer may have gone again.
        let peer = peer.map_err(|_| Errno::ECONNABORTED)?;
        write_address(ctx, &peer, addr, addr_len)?;
    }
    Ok(reservation.fill(description, flags.contains(OpenFlags::CLOEXEC)) as usize)
}

/// `connect(2)`. Errors: EBADF, ENOTSOCK, EFAULT, EINPROGRESS, EINTR, and those of the family.
pub async fn connect(ctx: &mut Ctx, fd: Fd, addr: UserAddr, len: i32) -> SysResult {
    let description = ctx.task.fds().get_usable(fd)?;
    let socket = socket_of(&description)?;
    let address = read_address(ctx, addr, len)?;
    let task = ctx.task.clone();
    let patience = Patience::of(ctx, &description, socket.common().timeouts().send_ns);
    let attempt = || socket.clone().connect(&address, &task);
    match try_until(ctx, &**socket, PollEvents::OUT, patience, attempt).await {
        Ok(()) => Ok(0),
        Err(Errno::EAGAIN) => Err(socket.connect_in_progress()),
        Err(errno) => Err(errno),
    }
}

/// `getsockname(2)`. Errors: EBADF, ENOTSOCK, EINVAL, EFAULT.
pub fn getsockname(ctx: &mut Ctx, fd: Fd, addr: UserAddr, len: UserPtr<i32>) -> SysResult {
    let description = ctx.task.fds().get_usable(fd)?;
    let address = socket_of(&description)?.local_address()?;
    write_address(ctx, &address, addr, len)?;
    Ok(0)
}

/// `getpeername(2)`. Errors: as [`getsockname`]; ENOTCONN.
pub fn getpeername(ctx: &mut Ctx, fd: Fd, addr: UserAddr, len: UserPtr<i32>) -> SysResult {
    let description = ctx.task.fds().get_usable(fd)?;
    let address = socket_of(&description)?.peer_address()?;
    write_address(ctx, &address, addr, len)?;
    Ok(0)
}

/// `shutdown(2)`. Errors: EBADF, ENOTSOCK, EINVAL, ENOTCONN.
pub fn shutdown(ctx: &mut Ctx, fd: Fd, how: i32) -> SysResult {
    let description = ctx.task.fds().get_usable(fd)?;
    let socket = socket_of(&description)?;
    socket.shutdown(Shutdown::from_how(how)?)?;
    Ok(0)
}
