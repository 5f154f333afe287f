//! Host sockets: messages with descriptors over Unix sockets.
//!
//! For the gofer connection, the control socket and descriptors given to stubs.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use linux_abi::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use super::retry;

/// Most descriptors that one message may carry.
pub const MAX_FDS: usize = 64;

/// What kind of connection [`socketpair`] makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Stream,
    SeqPacket,
    Datagram,
}

/// Two connected Unix sockets, close-on-exec.
pub fn socketpair(kind: Kind) -> Result<(OwnedFd, OwnedFd), Errno> {
    let kind = match kind {
        Kind::Stream => SocketType::STREAM,
        Kind::SeqPacket => SocketType::SEQPACKET,
        Kind::Datagram => SocketType::DGRAM,
    };
    retry(|| rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None))
}

/// Sends `data` with `fds`; no SIGPIPE. Returns the bytes sent.
///
/// Errors: those of `sendmsg(2)`; EINVAL for more than [`MAX_FDS`] descriptors.
pub fn send(
    socket: impl AsFd,
    data: &[IoSlice<'_>],
    fds: &[BorrowedFd<'_>],
    nonblocking: bool,
) -> Result<usize, Errno> {
    if fds.len() > MAX_FDS {
        return Err(Errno::EINVAL);
    }
    let mut flags = SendFlags::NOSIGNAL;
    flags.set(SendFlags::DONTWAIT, nonblocking);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(fds));
    }
    retry(|| rustix::net::sendmsg(&socket, data, &mut ancillary, flags))
}

/// What [`receive`] got.
#[derive(Debug, Default)]
pub struct Received {
    /// Bytes of data; 0 when the peer closed a stream.
    pub bytes: usize,
    /// Descriptors, close-on-exec.
    pub fds: Vec<OwnedFd>,
    /// The message did not fit (`MSG_TRUNC`) or some of its descriptors did not (`MSG_CTRUNC`).
    pub truncated: bool,
}

/// Receives data and descriptors.
///
/// Errors: those of `recvmsg(2)`; EAGAIN if nothing is there and `nonblocking`.
pub fn receive(
    socket: impl AsFd,
    data: &mut [IoSliceMut<'_>],
    nonblocking: bool,
) -> Result<Received, Errno> {
    let mut flags = RecvFlags::CMSG_CLOEXEC;
    flags.set(RecvFlags::DONTWAIT, nonblocking);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message = retry(|| rustix::net::recvmsg(&socket, data, &mut ancillary, flags))?;
    let mut fds = Vec::new();
    for item in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = item {
            fds.extend(received);
        }
    }
    use rustix::net::ReturnFlags;
    let truncated = message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    Ok(Received { bytes: message.bytes, fds, truncated })
}

/// Shuts down both directions, so that whoever waits on the socket wakes up.
pub fn shutdown(socket: impl AsFd) -> Result<(), Errno> {
    retry(|| rustix::net::shutdown(&socket, rustix::net::Shutdown::Both))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fs;

    #[test]
    fn descriptors_travel_with_their_message() {
        let (left, right) = socketpair(Kind::SeqPacket).expect("socketpair");
        let file = fs::memfd_create("m").expect("memfd");
        fs::write(&file, b"content").expect("write");
        assert_eq!(send(&left, &[IoSlice::new(b"hi")], &[file.as_fd()], false), Ok(2));
        let mut buf = [0; 8];
        let message = receive(&right, &mut [IoSliceMut::new(&mut buf)], false).expect("receive");
        assert_eq!((message.bytes, message.fds.len(), message.truncated), (2, 1, false));
        let mut text = [0; 7];
        assert_eq!(fs::pread(&message.fds[0], &mut text, 0), Ok(7));
        assert_eq!(&text, b"content");
    }

    #[test]
    fn empty_socket_says_eagain_and_closed_peer_zero() {
        let (left, right) = socketpair(Kind::Stream).expect("socketpair");
        let mut buf = [0; 8];
        let empty = receive(&right, &mut [IoSliceMut::new(&mut buf)], true);
        assert_eq!(empty.map(|m| m.bytes), Err(Errno::EAGAIN));
        drop(left);
        let closed = receive(&right, &mut [IoSliceMut::new(&mut buf)], true);
        assert_eq!(closed.map(|m| m.bytes), Ok(0));
        assert_eq!(send(&right, &[IoSlice::new(b"x")], &[], true), Err(Errno::EPIPE));
    }
}
