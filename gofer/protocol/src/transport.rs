//! Packets with a few descriptors over a `SOCK_SEQPACKET` Unix socket.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use linux_abi::Errno;
use rustix::io::retry_on_intr;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

/// Most descriptors that come with one packet.
pub const MAX_DESCRIPTORS: usize = 16;

/// Makes a connection: the gofer's end and the client's.
///
/// # Errors
/// Those of `socketpair(2)`.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(errno)
}

/// Sends one packet with at most [`MAX_DESCRIPTORS`] descriptors.
///
/// # Errors
/// Those of `sendmsg(2)`: EPIPE when the peer is gone, EMSGSIZE for a packet that is too long, or
/// for too many descriptors.
pub fn send(socket: BorrowedFd<'_>, packet: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    if fds.is_empty() {
        return retry_on_intr(|| rustix::net::send(socket, packet, SendFlags::NOSIGNAL))
            .map(drop)
            .map_err(errno);
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::EMSGSIZE);
    }
    let parts = [IoSlice::new(packet)];
    retry_on_intr(|| rustix::net::sendmsg(socket, &parts, &mut ancillary, SendFlags::NOSIGNAL))
        .map(drop)
        .map_err(errno)
}

/// Receives one packet and no descriptors (any that come along are closed by the kernel).
/// Returns its length; zero means that the peer is gone, or has sent an empty packet.
///
/// # Errors
/// Those of `recv(2)`; EMSGSIZE for a packet longer than `buffer`.
pub fn receive_plain(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    let (_, length) = retry_on_intr(|| rustix::net::recv(socket, &mut *buffer, RecvFlags::TRUNC))
        .map_err(errno)?;
    if length > buffer.len() { Err(Errno::EMSGSIZE) } else { Ok(length) }
}

/// Receives one packet and the descriptors that came with it, in their order.
///
/// # Errors
/// Those of `recvmsg(2)`; EMSGSIZE for a packet longer than `buffer`; EMFILE when a descriptor was
/// lost for want of a free number.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), Errno> {
    receive_with(socket, buffer, RecvFlags::empty())
}

/// Receives as [`receive`] does, but looks only `looks` times whether there is a packet.
///
/// # Errors
/// EAGAIN if there was none, and those of [`receive`].
pub fn receive_soon(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    looks: u32,
) -> Result<(usize, Vec<OwnedFd>), Errno> {
    for _ in 0..looks {
        match receive_with(socket, buffer, RecvFlags::DONTWAIT) {
            Err(Errno::EAGAIN) => std::hint::spin_loop(),
            received => return received,
        }
    }
    Err(Errno::EAGAIN)
}

fn receive_with(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: RecvFlags,
) -> Result<(usize, Vec<OwnedFd>), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = retry_on_intr(|| {
        let mut parts = [IoSliceMut::new(buffer)];
        rustix::net::recvmsg(socket, &mut parts, &mut ancillary, flags | RecvFlags::CMSG_CLOEXEC)
    })
    .map_err(errno)?;
    let mut fds = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Err(Errno::EMSGSIZE);
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(Errno::EMFILE);
    }
    Ok((received.bytes, fds))
}

/// The same error as a number of ours.
pub fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}

/// Whether the descriptor is a connected `SOCK_SEQPACKET` socket. ENOTSOCK or EPROTOTYPE if not.
pub fn check_socket(socket: impl AsFd) -> Result<(), Errno> {
    match rustix::net::sockopt::socket_type(socket).map_err(errno)? {
        SocketType::SEQPACKET => Ok(()),
        _ => Err(Errno::EPROTOTYPE),
    }
}
