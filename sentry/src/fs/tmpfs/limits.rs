//! How much a tmpfs may hold.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use linux_abi::Errno;

/// Bytes that are accounted as one.
pub(super) const PAGE_BYTES: u64 = 4096;

/// Most files of one tmpfs that move to a host memfd only because they are large. What is mapped
/// always gets one.
const MAX_LARGE_MEMFDS: usize = 4096;

/// Limits and what is used of them.
pub(super) struct Limits {
    max_pages: u64,
    max_inodes: u64,
    pages: AtomicU64,
    inodes: AtomicU64,
    memfds: AtomicUsize,
}

impl Limits {
    pub(super) fn new(bytes: Option<u64>, inodes: Option<u64>) -> Limits {
        Limits {
            max_pages: bytes.map_or(u64::MAX, |bytes| bytes.div_ceil(PAGE_BYTES)),
            max_inodes: inodes.unwrap_or(u64::MAX),
            pages: AtomicU64::new(0),
            inodes: AtomicU64::new(0),
            memfds: AtomicUsize::new(0),
        }
    }

    /// Whether pages are counted at all.
    pub(super) fn has_page_limit(&self) -> bool {
        self.max_pages != u64::MAX
    }

    /// Errors: ENOSPC.
    pub(super) fn take_pages(&self, count: u64) -> Result<(), Errno> {
        take(&self.pages, count, self.max_pages)
    }

    pub(super) fn give_pages(&self, count: u64) {
        self.pages.fetch_sub(count, Ordering::Relaxed);
    }

    /// Errors: ENOSPC.
    pub(super) fn take_inode(&self) -> Result<(), Errno> {
        take(&self.inodes, 1, self.max_inodes)
    }

    /// Counts an inode that exists whatever the limit: the root.
    pub(super) fn add_inode(&self) {
        self.inodes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn give_inode(&self) {
        self.inodes.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether one more large file may have a memfd; counts it then.
    pub(super) fn may_move_large(&self) -> bool {
        self.memfds
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count < MAX_LARGE_MEMFDS).then_some(count + 1)
            })
            .is_ok()
    }

    pub(super) fn add_memfd(&self) {
        self.memfds.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn give_memfd(&self) {
        self.memfds.fetch_sub(1, Ordering::Relaxed);
    }

    /// Pages in all and free, 0 without a limit.
    pub(super) fn pages(&self) -> (u64, u64) {
        totals(self.max_pages, self.pages.load(Ordering::Relaxed))
    }

    /// Inodes in all and free, 0 without a limit.
    pub(super) fn inodes(&self) -> (u64, u64) {
        totals(self.max_inodes, self.inodes.load(Ordering::Relaxed))
    }
}

fn totals(max: u64, used: u64) -> (u64, u64) {
    if max == u64::MAX { (0, 0) } else { (max, max.saturating_sub(used)) }
}

fn take(used: &AtomicU64, count: u64, max: u64) -> Result<(), Errno> {
    let add = |now: u64| now.checked_add(count).filter(|&sum| sum <= max);
    used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
        .map(drop)
        .map_err(|_| Errno::ENOSPC)
}
