//! The file that a process has mapped last.
//!
//! A program's start maps each library in several pieces, and for each the stub would need a
//! descriptor of the host, which takes more switches between threads than the rest of the call. So a
//! stub keeps the one that it got last, until it gets another. The guest learns nothing of it: it
//! makes no calls of the host by itself. Should it lead the stub to make one, it gets to what it could
//! map when the descriptor was given: none is kept that could be written to.
//!
//! Some files a process may have from the beginning, see [`stock`](super::stock).
//!
//! Only a process that has never had more than one thread does so: the number must not come to mean
//! another file while somebody is on the way with it. And only files that are mapped private are
//! kept, so that others that are removed give back their room when the guest closes them.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use linux_abi::Errno;
use parking_lot::Mutex;

use super::hand::close;
use super::layout::{Call, DESCRIPTOR};
use crate::host::fs;
use crate::host::time::{Clock, now};
use crate::process::ops;

/// After so long a file counts as one that is there to stay, and many will map.
const LASTING_AFTER: Duration = Duration::from_secs(60);

/// Which file it is, and the number of its descriptor in the stub's process.
#[derive(Default)]
pub(super) struct Kept(Mutex<Files>);

#[derive(Default)]
struct Files {
    last: Option<(Key, u64)>,
    /// What it has had from the beginning, see [`stock`](super::stock).
    early: Vec<(Key, u64)>,
}

/// What descriptors have in common that do the same for a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    device: u64,
    inode: u64,
    flags: i32,
    /// It has a name, all users may read it, and it has not changed for a while.
    is_lasting: bool,
}

/// How a stub gets at a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// By the descriptor that it has.
    Kept(u64),
    /// By one that it has had from the beginning.
    Early { key: Key, number: u64 },
    /// By one that it gets, and keeps in place of the old.
    New { key: Key, old: Option<u64> },
    /// By one that it gets for this time.
    Once,
}

impl Key {
    /// Errors: those of `fstat(2)` and `fcntl(2)`.
    pub(super) fn of(file: BorrowedFd<'_>) -> Result<Key, Errno> {
        let stat = fs::stat(file)?;
        let is_public = stat.nlink > 0 && stat.mode & libc::S_IROTH != 0;
        let changed = Duration::from_secs(stat.ctime.sec.max(0) as u64);
        let is_lasting = is_public && now(Clock::Realtime) > changed + LASTING_AFTER;
        let flags = fs::status_flags(file)?;
        Ok(Key { device: stat.dev, inode: stat.ino, flags, is_lasting })
    }

    /// Whether others than who opened it may get at the file.
    pub(super) fn may_be_held(self) -> bool {
        self.is_lasting && !self.is_writable()
    }

    fn is_writable(self) -> bool {
        self.flags & libc::O_ACCMODE != libc::O_RDONLY
    }
}

impl Kept {
    /// How a private mapping of `file` can be made.
    ///
    /// Errors: those of `fstat(2)` and `fcntl(2)`.
    pub(super) fn access(&self, file: BorrowedFd<'_>) -> Result<Access, Errno> {
        let key = Key::of(file)?;
        if key.is_writable() {
            return Ok(Access::Once);
        }
        let files = self.0.lock();
        Ok(match files.last {
            Some((kept, number)) if kept == key => Access::Kept(number),
            last => match files.early.iter().find(|(early, _)| *early == key) {
                Some(&(_, number)) => Access::Early { key, number },
                None => Access::New { key, old: last.map(|(_, number)| number) },
            },
        })
    }

    /// Notes that the stub has a new descriptor. (It closes the old one.)
    pub(super) fn keep(&self, key: Key, number: u64) {
        self.0.lock().last = Some((key, number));
    }

    /// Notes what the stub has when a program begins.
    pub(super) fn begin_with(&self, early: Vec<(Key, u64)>) {
        self.0.lock().early = early;
    }
}

impl Access {
    /// The stub's calls for a mapping.
    pub(super) fn calls(self, call: &ops::Call) -> Vec<Call> {
        let [a, b, c, d, _, f] = call.args;
        let (number, closed) = match self {
            Access::Kept(number) | Access::Early { number, .. } => (number, None),
            Access::New { old, .. } => (DESCRIPTOR, old),
            Access::Once => (DESCRIPTOR, Some(DESCRIPTOR)),
        };
        let map = Call { number: call.number as u64, args: [a, b, c, d, number, f] };
        [map].into_iter().chain(closed.map(close)).collect()
    }
}
