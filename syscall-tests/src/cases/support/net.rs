//! Sockets: addresses and messages.

use super::check::Must;
use super::errno::Errno;
use super::sys::{sys, zeroed};

/// A Unix socket address: the structure and its length.
#[derive(Clone, Copy)]
pub struct Unix {
    /// Family and path.
    pub bytes: [u8; 110],
    /// Length of what counts.
    pub len: usize,
}

/// Makes the address of a path, or of an abstract name if it starts with a zero byte.
pub fn unix(path: &[u8]) -> Unix {
    let mut bytes = [0u8; 110];
    bytes[0] = libc::AF_UNIX as u8;
    bytes[2..2 + path.len()].copy_from_slice(path);
    let is_path = path.first().is_some_and(|b| *b != 0);
    Unix { bytes, len: 2 + path.len() + usize::from(is_path) }
}

/// Makes a socket.
#[track_caller]
pub fn socket(family: i32, kind: i32) -> i32 {
    sys!(socket, family, kind, 0).must() as i32
}

/// Makes a connected pair of Unix sockets.
#[track_caller]
pub fn socketpair(kind: i32) -> (i32, i32) {
    let mut ends = [0i32; 2];
    sys!(socketpair, libc::AF_UNIX, kind, 0, &mut ends).must();
    (ends[0], ends[1])
}

/// Makes an IPv4 loopback address.
pub fn inet(port: u16) -> [u8; 16] {
    let mut bytes = [0u8; 16];
    bytes[0] = libc::AF_INET as u8;
    bytes[2..4].copy_from_slice(&port.to_be_bytes());
    bytes[4..8].copy_from_slice(&[127, 0, 0, 1]);
    bytes
}

/// Makes an IPv6 loopback address.
pub fn inet6(port: u16) -> [u8; 28] {
    let mut bytes = [0u8; 28];
    bytes[0] = libc::AF_INET6 as u8;
    bytes[2..4].copy_from_slice(&port.to_be_bytes());
    bytes[23] = 1;
    bytes
}

/// Returns the port that a socket is bound to.
#[track_caller]
pub fn port_of(fd: i32) -> u16 {
    let mut bytes = [0u8; 28];
    let mut len = 28u32;
    sys!(getsockname, fd, &mut bytes, &mut len).must();
    u16::from_be_bytes([bytes[2], bytes[3]])
}

/// Returns an integer option.
pub fn option(fd: i32, level: i32, name: i32) -> Result<i32, Errno> {
    let mut value = -1i32;
    let mut len = 4u32;
    sys!(getsockopt, fd, level, name, &mut value, &mut len).map(|_| value)
}

/// Sets an integer option.
pub fn set_option(fd: i32, level: i32, name: i32, value: i32) -> Result<i64, Errno> {
    sys!(setsockopt, fd, level, name, &value, 4)
}

/// What `recv_message` received.
#[derive(Debug)]
pub struct Message {
    /// The data.
    pub data: Vec<u8>,
    /// Control messages: level, type, payload.
    pub control: Vec<(i32, i32, Vec<u8>)>,
    /// `msg_flags`.
    pub flags: i32,
}

/// Sends data with control messages of the socket level.
pub fn send_message(fd: i32, data: &[u8], control: &[(i32, &[u8])]) -> Result<i64, Errno> {
    let mut bytes: Vec<u64> = Vec::new();
    for (kind, payload) in control {
        bytes.push(16 + payload.len() as u64);
        bytes.push(libc::SOL_SOCKET as u64 | (*kind as u64) << 32);
        for chunk in payload.chunks(8) {
            let mut word = [0u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            bytes.push(u64::from_ne_bytes(word));
        }
    }
    let list = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    let mut header: libc::msghdr = zeroed();
    header.msg_iov = (&raw const list).cast_mut();
    header.msg_iovlen = 1;
    header.msg_control = bytes.as_mut_ptr().cast();
    header.msg_controllen = bytes.len() * 8;
    sys!(sendmsg, fd, &header, 0)
}

/// Receives data and control messages, with room for so many bytes of each.
pub fn recv_message(
    fd: i32,
    room: usize,
    control_room: usize,
    flags: i32,
) -> Result<Message, Errno> {
    let mut data = vec![0u8; room];
    let mut bytes = vec![0u64; control_room.div_ceil(8)];
    let list = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: room };
    let mut header: libc::msghdr = zeroed();
    header.msg_iov = (&raw const list).cast_mut();
    header.msg_iovlen = 1;
    header.msg_control = bytes.as_mut_ptr().cast();
    header.msg_controllen = control_room;
    let count = sys!(recvmsg, fd, &mut header, flags)? as usize;
    data.truncate(count.min(room));
    let raw: Vec<u8> = bytes.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let mut control = Vec::new();
    let mut at = 0;
    while at + 16 <= header.msg_controllen {
        let word = u64::from_ne_bytes(raw[at..at + 8].try_into().ok().must()) as usize;
        let number = |i: usize| i32::from_ne_bytes(raw[i..i + 4].try_into().unwrap_or([0; 4]));
        control.push((number(at + 8), number(at + 12), raw[at + 16..at + word].to_vec()));
        at += word.next_multiple_of(8);
    }
    Ok(Message { data, control, flags: header.msg_flags })
}
