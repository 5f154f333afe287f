//! What calls read and write of the guest's memory, as far as it goes along by the hotline. The stub's
//! own crate compiles this file too.

use super::{Extent, ROOM_MAX, SENT_MAX};

/// Numbers of arguments, where no other meaning is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    None,
    Bytes {
        address: u8,
        len: u8,
    },
    /// `len` bytes, if there is an address.
    Fixed {
        address: u8,
        len: u64,
    },
    /// Up to a NUL.
    Text {
        address: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    None,
    Bytes {
        address: u8,
        len: u8,
    },
    /// `len` bytes.
    Fixed {
        address: u8,
        len: u64,
    },
    /// So many times `size` bytes as an `int` says.
    Records {
        address: u8,
        count: u8,
        size: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub input: Input,
    pub output: Output,
}

impl Shape {
    /// The bytes that a call with these arguments reads and that go along, text excepted.
    #[inline(always)]
    pub const fn sent(&self, args: &[u64; 6]) -> Extent {
        match self.input {
            Input::Bytes { address, len } if argument(args, len) <= SENT_MAX => {
                Extent { address: argument(args, address), len: argument(args, len) }
            }
            Input::Fixed { address, len } if argument(args, address) != 0 => {
                Extent { address: argument(args, address), len }
            }
            _ => Extent { address: 0, len: 0 },
        }
    }

    /// Where a call with these arguments writes bytes that come back.
    #[inline(always)]
    pub const fn room(&self, args: &[u64; 6]) -> Extent {
        let (address, len) = match self.output {
            Output::None => (0, 0),
            Output::Bytes { address, len } => (argument(args, address), argument(args, len)),
            Output::Fixed { address, len } => (argument(args, address), len),
            Output::Records { address, count, size } => {
                let count = argument(args, count) as u32;
                let is_number = count <= i32::MAX as u32;
                (argument(args, address), if is_number { count as u64 * size } else { 0 })
            }
        };
        if address == 0 || address.checked_add(len).is_none() {
            return Extent { address: 0, len: 0 };
        }
        Extent { address, len: if len < ROOM_MAX { len } else { ROOM_MAX } }
    }
}

/// An argument, without the code for an index that is out of bounds.
#[inline(always)]
pub const fn argument(args: &[u64; 6], index: u8) -> u64 {
    match index {
        0 => args[0],
        1 => args[1],
        2 => args[2],
        3 => args[3],
        4 => args[4],
        _ => args[5],
    }
}

const PLAIN: Shape = Shape { input: Input::None, output: Output::None };

const fn reads(address: u8, len: u8) -> Shape {
    Shape { input: Input::Bytes { address, len }, ..PLAIN }
}

const fn writes(address: u8, len: u8) -> Shape {
    Shape { output: Output::Bytes { address, len }, ..PLAIN }
}

const fn text(address: u8) -> Shape {
    Shape { input: Input::Text { address }, ..PLAIN }
}

/// One argument tells of so many bytes that are read, if it is an address, and another of those that
/// are written.
const fn both(read: (u8, u64), written: (u8, u64)) -> Shape {
    Shape {
        input: Input::Fixed { address: read.0, len: read.1 },
        output: Output::Fixed { address: written.0, len: written.1 },
    }
}

/// Length of the kernel's `struct sigaction`, of its `sigset_t` and of `struct rlimit64` in bytes.
const SIGACTION: u64 = 32;
const SIGSET: u64 = 8;
const RLIMIT: u64 = 16;
/// Length of `struct stat` and of `struct statx` in bytes.
const STAT: u64 = 144;
const STATX: u64 = 256;
/// Of an `off_t`,
const OFFSET: u64 = 8;
/// and of `struct epoll_event`.
const EPOLL_EVENT: u64 = 12;

/// The shape of a call, `None` for one that does not go by the hotline: it needs all registers
/// or the guest's own hands, ends the thread, or is there to wait.
#[inline(always)]
pub const fn of(number: u32) -> Option<Shape> {
    Some(match number {
        // read, pread64, recvfrom, getdents, getdents64
        0 | 17 | 45 | 78 | 217 => writes(1, 2),
        // write, pwrite64, sendto
        1 | 18 | 44 => reads(1, 2),
        // open, access, chdir, mkdir, rmdir, creat, unlink, chmod, chown, lchown
        2 | 21 | 80 | 83 | 84 | 85 | 87 | 90 | 92 | 94 => text(0),
        // openat, mkdirat, unlinkat, fchmodat, faccessat, fchownat, faccessat2
        257 | 258 | 263 | 268 | 269 | 260 | 439 => text(1),
        // fstat
        5 => Shape { output: Output::Fixed { address: 1, len: STAT }, ..PLAIN },
        // stat, lstat
        4 | 6 => Shape { output: Output::Fixed { address: 1, len: STAT }, ..text(0) },
        // newfstatat
        262 => Shape { output: Output::Fixed { address: 2, len: STAT }, ..text(1) },
        // statx
        332 => Shape { output: Output::Fixed { address: 4, len: STATX }, ..text(1) },
        // readlink, readlinkat
        89 => Shape { output: Output::Bytes { address: 1, len: 2 }, ..text(0) },
        267 => Shape { output: Output::Bytes { address: 2, len: 3 }, ..text(1) },
        // close, poll, lseek, ioctl, readv, writev
        3 | 7 | 8 | 16 | 19 | 20 => PLAIN,
        // rt_sigaction, rt_sigprocmask, prlimit64
        13 => both((1, SIGACTION), (2, SIGACTION)),
        14 => both((1, SIGSET), (2, SIGSET)),
        302 => both((2, RLIMIT), (3, RLIMIT)),
        // pipe, pipe2
        22 | 293 => Shape { output: Output::Fixed { address: 0, len: 8 }, ..PLAIN },
        // getcwd, getrandom
        79 | 318 => writes(0, 1),
        // dup, dup2, sendmsg, recvmsg, getsockname, getpeername, setsockopt, getsockopt
        32 | 33 | 46 | 47 | 51 | 52 | 54 | 55 => PLAIN,
        // uname, fcntl, fsync, fdatasync, truncate, ftruncate, fchdir, rename, link,
        // symlink, fchmod, fchown, umask
        63 | 72 | 74 | 75 | 76 | 77 | 81 | 82 | 86 | 88 | 91 | 93 | 95 => PLAIN,
        // getrlimit, getrusage, sysinfo, times, getpgrp, getppid, getgroups, getpgid, getsid
        97 | 98 | 99 | 100 | 110 | 111 | 115 | 121 | 124 => PLAIN,
        // utime, statfs, fstatfs, getpriority, getxattr to flistxattr, utimes
        132 | 137 | 138 | 140 | 191..=196 | 235 => PLAIN,
        // epoll_wait, epoll_pwait
        232 | 281 => {
            Shape { output: Output::Records { address: 1, count: 2, size: EPOLL_EVENT }, ..PLAIN }
        }
        // epoll_ctl
        233 => Shape { input: Input::Fixed { address: 3, len: EPOLL_EVENT }, ..PLAIN },
        // fadvise64, utimensat, eventfd2, dup3
        221 | 280 | 290 | 292 => PLAIN,
        // sendfile
        40 => Shape {
            input: Input::Fixed { address: 2, len: OFFSET },
            output: Output::Fixed { address: 2, len: OFFSET },
        },
        // select, socket, connect, accept, shutdown, bind, listen, socketpair
        23 | 41 | 42 | 43 | 48 | 49 | 50 | 53 => PLAIN,
        // pselect6, ppoll, splice, timerfd_create, timerfd_settime, timerfd_gettime, fallocate
        270 | 271 | 275 | 283 | 285 | 286 | 287 => PLAIN,
        // accept4, epoll_create1, copy_file_range, preadv2, pwritev2
        288 | 291 | 326 | 327 | 328 => PLAIN,
        // renameat, linkat, symlinkat, preadv, pwritev, renameat2
        264 | 265 | 266 | 295 | 296 | 316 => PLAIN,
        _ => return None,
    })
}
