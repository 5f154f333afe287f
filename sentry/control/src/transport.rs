//! Length-prefixed JSON with file descriptors over a Unix stream socket.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest accepted message body in bytes.
pub const MAX_MESSAGE_BYTES: usize = 8 << 20;
/// Most descriptors in one message.
pub const MAX_MESSAGE_FDS: usize = 64;

/// Sends `message` with `fds`.
///
/// # Errors
/// Those of `sendmsg(2)`; `InvalidInput` when the message or the list of descriptors is too long.
pub fn send<T: Serialize>(
    mut stream: &UnixStream,
    message: &T,
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    if body.len() > MAX_MESSAGE_BYTES || fds.len() > MAX_MESSAGE_FDS {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "control message too long"));
    }
    let header = (body.len() as u32).to_le_bytes();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_MESSAGE_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(fds));
    }
    let sent = rustix::net::sendmsg(
        stream,
        &[IoSlice::new(&header)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    if sent < header.len() {
        stream.write_all(&header[sent..])?;
    }
    stream.write_all(&body)
}

/// Receives one message and its descriptors; `None` when the peer closed the connection.
///
/// # Errors
/// Those of `recvmsg(2)`; `InvalidData` for a message that is too long or not understood.
pub fn receive<T: DeserializeOwned>(
    mut stream: &UnixStream,
) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut header = [0_u8; 4];
    let mut fds = Vec::new();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_MESSAGE_FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match rustix::net::recvmsg(
            stream,
            &mut [IoSliceMut::new(&mut header)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        ) {
            Err(rustix::io::Errno::INTR) => continue,
            result => break result?.bytes,
        }
    };
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received_fds) = message {
            fds.extend(received_fds);
        }
    }
    if received == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut header[received..])?;
    let length = u32::from_le_bytes(header) as usize;
    if length > MAX_MESSAGE_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "control message too long"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some((serde_json::from_slice(&body)?, fds)))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::{Request, Response};

    #[test]
    fn message_and_descriptor_arrive() {
        let (left, right) = UnixStream::pair().expect("socketpair");
        let file = tempfile_like();
        send(&left, &Request::Wait { pid: 7 }, &[file.as_fd()]).expect("send");
        let (request, fds) = receive::<Request>(&right).expect("receive").expect("open");
        assert!(matches!(request, Request::Wait { pid: 7 }));
        assert_eq!(fds.len(), 1);
    }

    #[test]
    fn closed_peer_is_none() {
        let (left, right) = UnixStream::pair().expect("socketpair");
        drop(left);
        assert!(receive::<Response>(&right).expect("receive").is_none());
    }

    #[test]
    fn oversized_length_is_refused() {
        let (mut left, right) = UnixStream::pair().expect("socketpair");
        left.write_all(&u32::MAX.to_le_bytes()).expect("write");
        assert!(receive::<Response>(&right).is_err());
    }

    fn tempfile_like() -> UnixStream {
        UnixStream::pair().expect("socketpair").0
    }
}
