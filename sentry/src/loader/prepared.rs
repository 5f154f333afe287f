//! Code of programs that are started again and again, prepared by the platform.
//!
//! A program's start is the dynamic linker's, or its own if it has none: that code is looked at when
//! the same file is executed for the second time, and mapped from the prepared copy from then on. A
//! file that changes is another one; one that was changed a moment ago is left alone, as its times
//! might not tell of the next change.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use linux_abi::Errno;
use linux_abi::fs::Stat;
use linux_abi::time::Timespec;
use platform::host::time::Clock;
use platform::{Platform, PreparedCode, host};

use crate::sync::{Mutex, Rank};

/// So many files are remembered, ...
const FILES_MAX: usize = 16;
/// ... and no code that is longer is prepared.
const CODE_MAX: u64 = 2 << 20;
/// After so long a changed file counts as one that keeps still: the times of host files tick.
const STILL_AFTER: Duration = Duration::from_millis(100);

/// The code that was seen, the last first.
pub struct PreparedFiles(Mutex<Vec<Seen>>);

struct Seen {
    key: Key,
    /// `None` before it was looked at, and in it if there is nothing to prepare.
    code: Option<Option<Arc<PreparedCode>>>,
}

/// Part of a file in one state.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    file: (u64, u64),
    size: i64,
    changed: [(i64, i64); 2],
    part: Part,
}

/// Whole pages of a file, of which the first `used` bytes are code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub offset: u64,
    pub len: u64,
    pub used: u64,
}

impl Default for PreparedFiles {
    fn default() -> PreparedFiles {
        PreparedFiles(Mutex::new(Rank::Leaf, Vec::new()))
    }
}

impl PreparedFiles {
    /// The prepared copy of a part, if there is one or it is worth making one.
    pub(super) fn get(
        &self,
        platform: &dyn Platform,
        file: BorrowedFd<'_>,
        part: Part,
    ) -> Option<Arc<PreparedCode>> {
        let stat = host::fs::stat(file).ok()?;
        let key = Key::new(&stat, part)?;
        match self.note(key) {
            Some(code) => code,
            None => {
                let code = read(file, part).ok()?;
                let code = platform.prepare_code(&code, part.used as usize).map(Arc::new);
                self.set(key, code.clone());
                code
            }
        }
    }

    /// Notes that code is executed; `None` if it should be looked at now.
    fn note(&self, key: Key) -> Option<Option<Arc<PreparedCode>>> {
        let mut all = self.0.lock();
        let Some(place) = all.iter().position(|seen| seen.key == key) else {
            // What it was before is gone.
            all.retain(|seen| seen.key.file != key.file || seen.key.part.offset != key.part.offset);
            all.truncate(FILES_MAX - 1);
            all.insert(0, Seen { key, code: None });
            return Some(None);
        };
        all[..=place].rotate_right(1);
        all[0].code.clone()
    }

    fn set(&self, key: Key, code: Option<Arc<PreparedCode>>) {
        let mut all = self.0.lock();
        if let Some(seen) = all.iter_mut().find(|seen| seen.key == key) {
            seen.code = Some(code);
        }
    }
}

impl Key {
    /// `None` for what is not to be prepared.
    fn new(stat: &Stat, part: Part) -> Option<Key> {
        let Part { offset, len, .. } = part;
        let now = host::time::now(Clock::Realtime);
        let is_still = |time: &Timespec| {
            let then = Duration::new(time.sec.max(0) as u64, time.nsec as u32);
            now.checked_sub(then).is_some_and(|age| age > STILL_AFTER)
        };
        let is_whole =
            offset.checked_add(len - len.min(crate::mm::PAGE_SIZE - 1))? <= stat.size as u64;
        let fits = len <= CODE_MAX && is_whole && is_still(&stat.mtime) && is_still(&stat.ctime);
        let changed = [&stat.mtime, &stat.ctime].map(|time| (time.sec, time.nsec));
        fits.then_some(Key { file: (stat.dev, stat.ino), size: stat.size, changed, part })
    }
}

/// Reads what a mapping of whole pages shows: zeros behind the file's end.
fn read(file: BorrowedFd<'_>, part: Part) -> Result<Vec<u8>, Errno> {
    let Part { offset, len, .. } = part;
    let mut bytes = vec![0; len as usize];
    let mut done = 0;
    while done < bytes.len() {
        match host::fs::pread(file.as_fd(), &mut bytes[done..], offset + done as u64)? {
            0 => break,
            count => done += count,
        }
    }
    Ok(bytes)
}
