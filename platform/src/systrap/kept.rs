//! The file that a process has mapped last.
//!
//! A program's start maps each library in several pieces, and for each the stub would need a
//! descriptor of the host, which takes more switches between threads than the rest of the call. So a
//! stub keeps the one that it got last, until it gets another. The guest learns nothing of it: it
//! makes no calls of the host by itself. Should it lead the stub to make one, it gets to what it could
//! map when the descriptor was given: none is kept that could be written to.
//!
//! Only a process that has never had more than one thread does so: the number must not come to mean
//! another file while somebody is on the way with it. And only files that are mapped private are
//! kept, so that others that are removed give back their room when the guest closes them.

use std::os::fd::BorrowedFd;

use linux_abi::Errno;
use parking_lot::Mutex;

use super::layout::{Call, DESCRIPTOR};
use crate::host::fs;
use crate::process::ops;

/// Which file it is, and the number of its descriptor in the stub's process.
#[derive(Default)]
pub(super) struct Kept(Mutex<Option<(Key, u64)>>);

/// What descriptors have in common that do the same for a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    device: u64,
    inode: u64,
    flags: i32,
}

/// How a stub gets at a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// By the descriptor that it has.
    Kept(u64),
    /// By one that it gets, and keeps in place of the old.
    New { key: Key, old: Option<u64> },
    /// By one that it gets for this time.
    Once,
}

impl Kept {
    /// How a private mapping of `file` can be made.
    ///
    /// Errors: those of `fstat(2)` and `fcntl(2)`.
    pub(super) fn access(&self, file: BorrowedFd<'_>) -> Result<Access, Errno> {
        let stat = fs::stat(file)?;
        let flags = fs::status_flags(file)?;
        if flags & libc::O_ACCMODE != libc::O_RDONLY {
            return Ok(Access::Once);
        }
        let key = Key { device: stat.dev, inode: stat.ino, flags };
        Ok(match *self.0.lock() {
            Some((kept, number)) if kept == key => Access::Kept(number),
            other => Access::New { key, old: other.map(|(_, number)| number) },
        })
    }

    /// Notes that the stub has a new descriptor. (It closes the old one.)
    pub(super) fn keep(&self, key: Key, number: u64) {
        *self.0.lock() = Some((key, number));
    }
}

impl Access {
    /// The stub's calls for a mapping.
    pub(super) fn calls(self, call: &ops::Call) -> Vec<Call> {
        let [a, b, c, d, _, f] = call.args;
        let close = |number| Call { number: libc::SYS_close as u64, args: [number, 0, 0, 0, 0, 0] };
        let (number, closed) = match self {
            Access::Kept(number) => (number, None),
            Access::New { old, .. } => (DESCRIPTOR, old),
            Access::Once => (DESCRIPTOR, Some(DESCRIPTOR)),
        };
        let map = Call { number: call.number as u64, args: [a, b, c, d, number, f] };
        [map].into_iter().chain(closed.map(close)).collect()
    }
}
