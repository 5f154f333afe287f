//! File descriptions in flight: `SCM_RIGHTS`, unix(7).
//!
//! A description in a message is kept open by it. Sockets that are sent into each other's queues
//! and then closed keep each other alive.
//!
//! Divergence: such cycles are not collected. Linux has a garbage collector for them; here the
//! limit on descriptors in flight (`RLIMIT_NOFILE` for each user, as on Linux: ETOOMANYREFS)
//! bounds what a program can lose.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use linux_abi::Errno;

use crate::sync::{Mutex, Rank};
use crate::vfs::FileDescription;

/// How many descriptions each user has in flight.
pub struct InFlight {
    counts: Mutex<BTreeMap<u32, u64>>,
}

impl Default for InFlight {
    fn default() -> InFlight {
        InFlight { counts: Mutex::new(Rank::Leaf, BTreeMap::new()) }
    }
}

/// Descriptions that a message carries.
pub struct Rights {
    files: Vec<Arc<FileDescription>>,
    accounting: Arc<InFlight>,
    uid: u32,
}

impl Rights {
    /// Puts `files` in flight for user `uid`. `limit` is the number that may be in flight.
    ///
    /// Errors: ETOOMANYREFS when the user already has more than `limit` in flight.
    pub fn new(
        files: Vec<Arc<FileDescription>>,
        accounting: &Arc<InFlight>,
        uid: u32,
        limit: u64,
    ) -> Result<Rights, Errno> {
        let mut counts = accounting.counts.lock();
        let count = counts.entry(uid).or_default();
        if *count > limit {
            return Err(Errno::ETOOMANYREFS);
        }
        *count += files.len() as u64;
        drop(counts);
        Ok(Rights { files, accounting: accounting.clone(), uid })
    }

    /// References to the descriptions, which stay in flight (`MSG_PEEK`).
    pub fn peek(&self) -> Vec<Arc<FileDescription>> {
        self.files.clone()
    }

    /// The descriptions, now the receiver's.
    pub fn take(mut self) -> Vec<Arc<FileDescription>> {
        let files = std::mem::take(&mut self.files);
        self.land(files.len());
        files
    }

    fn land(&self, number: usize) {
        let mut counts = self.accounting.counts.lock();
        if let Some(count) = counts.get_mut(&self.uid) {
            *count = count.saturating_sub(number as u64);
            if *count == 0 {
                counts.remove(&self.uid);
            }
        }
    }
}

impl Drop for Rights {
    fn drop(&mut self) {
        let files = std::mem::take(&mut self.files);
        if !files.is_empty() {
            self.land(files.len());
            close_in_turn(files);
        }
    }
}

thread_local! {
    /// Descriptions to close once the close that is going on has ended.
    static CLOSING: RefCell<Option<Vec<Arc<FileDescription>>>> = const { RefCell::new(None) };
}

/// Drops descriptions one after the other. Closing one may drop a socket with descriptions in its
/// queue, and so on: a chain that a guest makes as long as it likes must not become recursion.
fn close_in_turn(files: Vec<Arc<FileDescription>>) {
    let is_outermost = CLOSING.with_borrow_mut(|closing| match closing {
        Some(waiting) => {
            waiting.extend(files);
            false
        }
        None => {
            *closing = Some(files);
            true
        }
    });
    if !is_outermost {
        return;
    }
    while let Some(file) = CLOSING.with_borrow_mut(|closing| closing.as_mut()?.pop()) {
        drop(file);
    }
    CLOSING.set(None);
}
