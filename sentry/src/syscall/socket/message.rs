//! `sendmsg`, `recvmsg`, `sendmmsg`, `recvmmsg`.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::UIO_MAXIOV;
use linux_abi::net::{MMsgHdr, MsgFlags, MsgHdr, SOCKADDR_STORAGE_SIZE};
use linux_abi::time::Timespec;

use super::super::poll::Deadline;
use super::super::{Fd, SysResult};
use super::control;
use super::transfer::{length, receive, send};
use crate::memory::{IoDest, IoSource, UserAddr, UserIoVec, UserPtr};
use crate::net::{SendMessage, socket_of};
use crate::task::Ctx;
use crate::vfs::FileDescription;

/// `sendmsg(2)`.
pub async fn sendmsg(ctx: &mut Ctx, fd: Fd, header: UserPtr<MsgHdr>, flags: u32) -> SysResult {
    let description = ctx.task.fds().get_usable(fd)?;
    socket_of(&description)?;
    send_one(ctx, &description, header, MsgFlags::from_bits_retain(flags)).await
}

/// `recvmsg(2)`.
pub async fn recvmsg(ctx: &mut Ctx, fd: Fd, header: UserPtr<MsgHdr>, flags: u32) -> SysResult {
    let description = ctx.task.fds().get_usable(fd)?;
    socket_of(&description)?;
    receive_one(ctx, &description, header, MsgFlags::from_bits_retain(flags)).await
}

/// `sendmmsg(2)`: the number of messages sent; an error only if that is none.
pub async fn sendmmsg(
    ctx: &mut Ctx,
    fd: Fd,
    messages: UserPtr<MMsgHdr>,
    count: u32,
    flags: u32,
) -> SysResult {
    let description = ctx.task.fds().get_usable(fd)?;
    socket_of(&description)?;
    let flags = MsgFlags::from_bits_retain(flags);
    let mut done = 0;
    while done < (count as usize).min(UIO_MAXIOV) {
        let slot = messages.element(done);
        let sent = match send_one(ctx, &description, slot.cast(), flags).await {
            Ok(sent) => sent,
            Err(errno) => return if done > 0 { Ok(done) } else { Err(errno) },
        };
        write_len(ctx, slot, sent)?;
        done += 1;
    }
    Ok(done)
}

/// `recvmmsg(2)`: the number of messages received. The timeout is looked at between messages only,
/// as on Linux; what is left of it is written back.
pub async fn recvmmsg(
    ctx: &mut Ctx,
    fd: Fd,
    messages: UserPtr<MMsgHdr>,
    count: u32,
    flags: u32,
    time: UserPtr<Timespec>,
) -> SysResult {
    let deadline = match time.non_null() {
        Some(time) => Deadline::in_timespec(ctx.memory().read_value(time)?)?,
        None => Deadline::Never,
    };
    let description = ctx.task.fds().get_usable(fd)?;
    let socket = socket_of(&description)?;
    // Linux: an error that an earlier call left is reported first.
    socket.common().check_error()?;
    let flags = MsgFlags::from_bits_retain(flags);
    let result =
        receive_several(ctx, &description, messages, count as usize, flags, deadline).await;
    if let (Some(time), Ok(_)) = (time.non_null(), &result) {
        ctx.memory().write_value(time, &deadline.remaining())?;
    }
    result
}

async fn receive_several(
    ctx: &Ctx,
    description: &Arc<FileDescription>,
    messages: UserPtr<MMsgHdr>,
    count: usize,
    mut flags: MsgFlags,
    deadline: Deadline,
) -> SysResult {
    let mut done = 0;
    while done < count.min(UIO_MAXIOV) {
        let slot = messages.element(done);
        let wanted = flags - MsgFlags::WAITFORONE;
        match receive_one(ctx, description, slot.cast(), wanted).await {
            Ok(received) => write_len(ctx, slot, received)?,
            Err(errno) if done == 0 => return Err(errno),
            Err(errno) => {
                if errno != Errno::EAGAIN && !errno.is_restart() && errno != Errno::EINTR {
                    socket_of(description)?.common().set_error(errno);
                }
                break;
            }
        }
        done += 1;
        if flags.contains(MsgFlags::WAITFORONE) {
            flags |= MsgFlags::DONTWAIT;
        }
        let is_over = match deadline {
            Deadline::Never => false,
            Deadline::Now => true,
            Deadline::At(_) => deadline.remaining() == Timespec::default(),
        };
        if is_over {
            break;
        }
    }
    Ok(done)
}

fn write_len(ctx: &Ctx, slot: UserPtr<MMsgHdr>, len: usize) -> Result<(), Errno> {
    let at = slot.addr().add(size_of::<MsgHdr>() as u64);
    ctx.memory().write_value(at.cast(), &(len as u32))
}

/// The buffers of a message. Errors: EMSGSIZE (too many), EINVAL, EFAULT.
fn read_ranges(ctx: &Ctx, header: &MsgHdr) -> Result<Vec<UserIoVec>, Errno> {
    if header.iovlen > UIO_MAXIOV as u64 {
        return Err(Errno::EMSGSIZE);
    }
    ctx.memory().read_iovecs(UserPtr::new(header.iov), header.iovlen as usize)
}

/// The length of a message's address. Errors: EINVAL for a negative one.
fn name_len(header: &MsgHdr) -> Result<usize, Errno> {
    if header.namelen > i32::MAX as u32 {
        return Err(Errno::EINVAL);
    }
    Ok((header.namelen as usize).min(SOCKADDR_STORAGE_SIZE))
}

async fn send_one(
    ctx: &Ctx,
    description: &Arc<FileDescription>,
    header: UserPtr<MsgHdr>,
    flags: MsgFlags,
) -> SysResult {
    let memory = ctx.memory().clone();
    let header = memory.read_value(header)?;
    let address = match header.name {
        0 => None,
        _ => Some(memory.read_bytes(UserAddr(header.name), name_len(&header)?)?),
    };
    let ranges = read_ranges(ctx, &header)?;
    let parsed = control::read(ctx, header.control, header.controllen)?;
    // Linux: an address of length 0 is none.
    let to = address.as_deref().filter(|address| !address.is_empty());
    let mut message = SendMessage { to, flags, ..SendMessage::default() };
    let domain = socket_of(description)?.common().domain();
    control::apply(ctx, domain, parsed, &mut message)?;
    send(ctx, description, &mut IoSource::user(&memory, ranges), message).await
}

async fn receive_one(
    ctx: &Ctx,
    description: &Arc<FileDescription>,
    pointer: UserPtr<MsgHdr>,
    flags: MsgFlags,
) -> SysResult {
    let memory = ctx.memory().clone();
    let mut header = memory.read_value(pointer)?;
    let room = name_len(&header)?;
    let ranges = read_ranges(ctx, &header)?;
    let mut dest = IoDest::user(&memory, ranges);
    let received = receive(ctx, description, &mut dest, flags).await?;
    let result = length(&**socket_of(description)?, &received, flags);
    if header.name != 0 {
        let source = &received.source;
        let shown = &source[..room.min(source.len())];
        memory.write_exact(UserAddr(header.name), shown)?;
        header.namelen = source.len() as u32;
    }
    let is_cloexec = flags.contains(MsgFlags::CMSG_CLOEXEC);
    let (used, cut) =
        control::write(ctx, received.control, header.control, header.controllen, is_cloexec)?;
    header.controllen = used;
    header.flags = (received.flags | cut | (flags & MsgFlags::CMSG_CLOEXEC)).bits();
    memory.write_value(pointer, &header)?;
    Ok(result)
}
