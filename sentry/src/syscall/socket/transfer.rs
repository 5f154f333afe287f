//! `sendto`, `recvfrom`, and the sending and receiving behind all calls that do.

use linux_abi::Errno;
use linux_abi::fs::{MAX_RW_COUNT, OpenFlags};
use linux_abi::net::MsgFlags;
use linux_abi::poll::PollEvents;
use linux_abi::signal::SIGPIPE;

use super::super::blocking::raise;
use super::super::{Fd, SysResult, self_service};
use super::address::{read_address, write_address};
use super::wait::{Patience, try_until};
use crate::memory::{IoDest, IoSource, UserAddr, UserIoVec, UserPtr};
use crate::net::{Received, SendMessage, Socket, socket_of};
use crate::task::Ctx;
use crate::vfs::{FileDescription, IoContext};

/// `sendto(2)`.
pub async fn sendto(
    ctx: &mut Ctx,
    fd: Fd,
    buf: UserAddr,
    len: usize,
    flags: u32,
    addr: UserAddr,
    addr_len: i32,
) -> SysResult {
    let description = ctx.file(fd)?;
    socket_of(&description)?;
    let address = match addr.is_null() {
        true => None,
        false => Some(read_address(ctx, addr, addr_len)?),
    };
    let message = SendMessage {
        to: address.as_deref(),
        flags: MsgFlags::from_bits_retain(flags),
        ..SendMessage::default()
    };
    let memory = ctx.memory().clone();
    let range = UserIoVec { addr: buf, len: len.min(MAX_RW_COUNT) };
    let mut source = IoSource::user(&memory, vec![range]);
    let sent = send(ctx, &description, &mut source, message).await?;
    self_service::offer(ctx, fd, &description).await;
    Ok(sent)
}

/// `recvfrom(2)`.
pub async fn recvfrom(
    ctx: &mut Ctx,
    fd: Fd,
    buf: UserAddr,
    len: usize,
    flags: u32,
    addr: UserAddr,
    addr_len: UserPtr<i32>,
) -> SysResult {
    let description = ctx.file(fd)?;
    socket_of(&description)?;
    let memory = ctx.memory().clone();
    let range = UserIoVec { addr: buf, len: len.min(MAX_RW_COUNT) };
    let mut dest = IoDest::user(&memory, vec![range]);
    let flags = MsgFlags::from_bits_retain(flags);
    let received = receive(ctx, &description, &mut dest, flags).await?;
    if !addr.is_null() {
        write_address(ctx, &received.source, addr, addr_len)?;
    }
    let len = length(&**socket_of(&description)?, &received, flags);
    self_service::offer(ctx, fd, &description).await;
    Ok(len)
}

/// `read` of a socket.
pub(in crate::syscall) async fn read(
    ctx: &Ctx,
    description: &FileDescription,
    dest: &mut IoDest<'_>,
    io: &IoContext<'_>,
) -> SysResult {
    if dest.remaining() == 0 {
        return Ok(0);
    }
    Ok(receive(ctx, description, dest, patience_flags(io)).await?.count)
}

/// `write` of a socket.
pub(in crate::syscall) async fn write(
    ctx: &Ctx,
    description: &FileDescription,
    source: &mut IoSource<'_>,
    io: &IoContext<'_>,
) -> SysResult {
    let message = SendMessage { flags: patience_flags(io), ..SendMessage::default() };
    send(ctx, description, source, message).await
}

/// `RWF_NOWAIT` asks not to wait whatever the description's flags say.
fn patience_flags(io: &IoContext<'_>) -> MsgFlags {
    let mut flags = MsgFlags::empty();
    flags.set(MsgFlags::DONTWAIT, io.flags.contains(OpenFlags::NONBLOCK));
    flags
}

/// What a receiving call answers with: with `MSG_TRUNC`, the whole length of a message.
pub(super) fn length(socket: &dyn Socket, received: &Received, flags: MsgFlags) -> usize {
    let tells_full = flags.contains(MsgFlags::TRUNC) && !socket.is_stream();
    if tells_full { received.full_len } else { received.count }
}

/// Sends a message, or all bytes of `source` to a stream. What was sent before an error counts. A
/// broken stream raises SIGPIPE unless `MSG_NOSIGNAL` is given.
pub(super) async fn send(
    ctx: &Ctx,
    description: &FileDescription,
    source: &mut IoSource<'_>,
    mut message: SendMessage<'_>,
) -> SysResult {
    let socket = socket_of(description)?;
    let task = &ctx.task;
    let patience = if message.flags.contains(MsgFlags::DONTWAIT) {
        Patience::none()
    } else {
        Patience::of(ctx, description, socket.common().timeouts().send_ns)
    };
    let raises = socket.is_stream() && !message.flags.contains(MsgFlags::NOSIGNAL);
    let mut total = 0;
    loop {
        let attempt = || socket.clone().send(source, &mut message, task);
        match try_until(ctx, &**socket, PollEvents::OUT, patience, attempt).await {
            Ok(sent) => {
                total += sent;
                if !socket.is_stream() || source.remaining() == 0 || sent == 0 {
                    return Ok(total);
                }
            }
            Err(_) if total > 0 => return Ok(total),
            Err(errno) => {
                if errno == Errno::EPIPE && raises {
                    raise(ctx, SIGPIPE);
                }
                return Err(errno);
            }
        }
    }
}

/// Receives a message, or bytes: as many as there are, or all with `MSG_WAITALL`.
pub(super) async fn receive(
    ctx: &Ctx,
    description: &FileDescription,
    dest: &mut IoDest<'_>,
    flags: MsgFlags,
) -> Result<Received, Errno> {
    let socket = socket_of(description)?;
    let patience = if flags.intersects(MsgFlags::DONTWAIT | MsgFlags::ERRQUEUE) {
        Patience::none()
    } else {
        Patience::of(ctx, description, socket.common().timeouts().receive_ns)
    };
    let attempt = |dest: &mut IoDest<'_>| socket.receive(dest, flags);
    let mut total = try_until(ctx, &**socket, PollEvents::IN, patience, || attempt(dest)).await?;
    if !socket.is_stream() || flags.intersects(MsgFlags::PEEK | MsgFlags::OOB) {
        return Ok(total);
    }
    let wanted = match flags.contains(MsgFlags::WAITALL) {
        true => usize::MAX,
        false => socket.common().receive_low_water(),
    };
    while total.count > 0
        && total.count < wanted
        && dest.remaining() > 0
        && total.control.is_empty()
        && patience.may_wait()
    {
        let more = try_until(ctx, &**socket, PollEvents::IN, patience, || attempt(dest)).await;
        match more {
            Ok(more) if more.count > 0 => {
                total.count += more.count;
                total.full_len += more.full_len;
                total.flags |= more.flags;
                total.control = more.control;
            }
            // The end, a timeout or a signal: what was received counts.
            _ => break,
        }
    }
    Ok(total)
}
