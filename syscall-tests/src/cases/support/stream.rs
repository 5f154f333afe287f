//! Streams of bytes of all kinds, for cases that hold for each of them, and streams in much use: a
//! kernel may find a shorter way for those, which must not show.

use super::asleep::await_sleep;
use super::check::{Must, check, check_eq};
use super::errno::{EAGAIN, EINTR, Errno};
use super::files::pipe;
use super::net::{inet, port_of, set_option, socket, socketpair};
use super::process::gettid;
use super::sys::sys;
use std::thread::JoinHandle;

/// What a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Pipe,
    /// A pair of Unix stream sockets.
    Unix,
    /// A TCP connection over the loopback interface.
    Tcp,
}

/// One direction of a stream: where it is read and where it is written.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    pub r: i32,
    pub w: i32,
}

/// Calls that make a stream one in much use.
const MANY: usize = 48;

impl Kind {
    /// A new stream.
    #[track_caller]
    pub fn stream(self) -> Stream {
        let (r, w) = match self {
            Kind::Pipe => pipe(),
            Kind::Unix => socketpair(libc::SOCK_STREAM),
            Kind::Tcp => connection(),
        };
        Stream { r, w }
    }

    /// A stream in much use.
    #[track_caller]
    pub fn warm(self) -> Stream {
        let stream = self.stream();
        stream.warm_up();
        stream
    }

    /// Two parties that can talk: what each reads and writes.
    #[track_caller]
    pub fn parties(self) -> [Stream; 2] {
        match self {
            Kind::Pipe => {
                let ((r, peer_w), (peer_r, w)) = (pipe(), pipe());
                [Stream { r, w }, Stream { r: peer_r, w: peer_w }]
            }
            _ => {
                let Stream { r, w } = self.stream();
                [Stream { r, w: r }, Stream { r: w, w }]
            }
        }
    }

    pub fn is_pipe(self) -> bool {
        self == Kind::Pipe
    }
}

#[track_caller]
fn connection() -> (i32, i32) {
    let server = socket(libc::AF_INET, libc::SOCK_STREAM);
    sys!(bind, server, &inet(0), 16).must();
    sys!(listen, server, 1).must();
    let client = socket(libc::AF_INET, libc::SOCK_STREAM);
    sys!(connect, client, &inet(port_of(server)), 16).must();
    let peer = sys!(accept, server, 0, 0).must() as i32;
    sys!(close, server).must();
    for fd in [client, peer] {
        set_option(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1).must();
    }
    (peer, client)
}

impl Stream {
    /// Writes and reads so much that the stream is one in much use. It must be empty.
    #[track_caller]
    pub fn warm_up(self) {
        for number in 0..MANY as u8 {
            let mut got = [!number];
            check_eq!(sys!(write, self.w, &[number], 1), Ok(1));
            check_eq!(sys!(read, self.r, &mut got, 1), Ok(1));
            check_eq!(got, [number]);
        }
    }

    /// Writes until there is no room, without waiting; returns how many bytes.
    #[track_caller]
    pub fn fill(self, block: usize) -> usize {
        let data = vec![0xa5_u8; block];
        let mut total = 0;
        loop {
            match sys!(write, self.w, &data[..], block) {
                Ok(count) => total += count as usize,
                Err(errno) => {
                    check_eq!(errno, EAGAIN);
                    return total;
                }
            }
        }
    }

    /// Closes both ends.
    #[track_caller]
    pub fn close(self) {
        sys!(close, self.r).must();
        sys!(close, self.w).must();
    }
}

/// Byte number `at` of a stream that tells whether it is in order.
pub fn byte_at(at: usize) -> u8 {
    (at ^ at >> 8 ^ at >> 16) as u8
}

/// Bytes of such a stream, from `at` on.
pub fn bytes_at(at: usize, len: usize) -> Vec<u8> {
    (at..at + len).map(byte_at).collect()
}

/// Reads so many bytes, however many calls that takes; an interruption does not end it.
#[track_caller]
pub fn read_exactly(fd: i32, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut done = 0;
    while done < len {
        match sys!(read, fd, &mut bytes[done..], len - done) {
            Err(EINTR) => {}
            count => {
                let count = count.must() as usize;
                check!(count > 0, "the end after {done} of {len} bytes");
                done += count;
            }
        }
    }
    bytes
}

/// Writes all of the bytes, however many calls that takes.
#[track_caller]
pub fn write_all(fd: i32, bytes: &[u8]) {
    let mut done = 0;
    while done < bytes.len() {
        match sys!(write, fd, &bytes[done..], bytes.len() - done) {
            Err(EINTR) => {}
            count => done += count.must() as usize,
        }
    }
}

/// Sets or clears `O_NONBLOCK`.
#[track_caller]
pub fn set_nonblocking(fd: i32, is_set: bool) {
    let flags = sys!(fcntl, fd, libc::F_GETFL).must() as i32 & !libc::O_NONBLOCK;
    let flags = if is_set { flags | libc::O_NONBLOCK } else { flags };
    sys!(fcntl, fd, libc::F_SETFL, flags).must();
}

/// The result of a read of one byte.
pub fn read_byte(fd: i32) -> OneByte {
    let mut byte = [0];
    sys!(read, fd, &mut byte, 1).map(|count| (count == 1).then_some(byte[0]))
}

/// What a read of one byte gives.
pub type OneByte = Result<Option<u8>, Errno>;

/// A thread that waits for a byte, which must be this, and perhaps reads another one.
#[track_caller]
pub fn waiting_reader(fd: i32, first: OneByte, second: Option<OneByte>) -> JoinHandle<()> {
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        tell.send(gettid()).ok().must();
        check_eq!(read_byte(fd), first);
        if let Some(second) = second {
            check_eq!(read_byte(fd), second);
        }
    });
    await_sleep(told.recv().ok().must());
    thread
}

/// Registers a case for each kind of stream, as [`case!`](super::registry::case) does one:
/// `each_stream!(name, [syscalls], |kind| { body })`. Their names tell the kind.
macro_rules! each_stream {
    ($name:ident, [$($syscall:ident),* $(,)?], |$kind:ident| $body:block) => {
        each_stream!($name, [$($syscall),*], $crate::support::registry::LIMIT_S, |$kind| $body);
    };
    ($name:ident, [$($syscall:ident),* $(,)?], $limit_s:expr, |$kind:ident| $body:block) => {
        fn $name($kind: $crate::support::stream::Kind) $body

        const _: () = {
            use $crate::support::stream::Kind;

            const fn of(name: &'static str, run: fn()) -> $crate::support::registry::Case {
                // Only names of real syscalls.
                let _: &[i64] = &[$($crate::support::numbers::$syscall),*];
                let syscalls = &[$(stringify!($syscall)),*];
                let module = module_path!();
                $crate::support::registry::Case { module, name, syscalls, limit_s: $limit_s, run }
            }

            $crate::support::registry::register!(3, [
                of(concat!(stringify!($name), "_pipe"), || $name(Kind::Pipe)),
                of(concat!(stringify!($name), "_unix"), || $name(Kind::Unix)),
                of(concat!(stringify!($name), "_tcp"), || $name(Kind::Tcp)),
            ]);
        };
    };
}

pub(crate) use each_stream;
