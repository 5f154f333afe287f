//! The content of a regular file: bytes, size, seals, and what it costs.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FallocateFlags, SealFlags};

use super::heap::Heap;
use super::limits::{Limits, PAGE_BYTES};
use super::storage::Storage;
use crate::memory::{IoDest, IoSource};

/// Largest file (`MAX_LFS_FILESIZE`).
pub(super) const MAX_BYTES: u64 = i64::MAX as u64;

/// Files that grow beyond this move to a memfd.
const LARGE_BYTES: u64 = 1 << 20;

/// Content with its accounting.
pub(super) struct Content {
    size: u64,
    storage: Storage,
    /// Pages taken from the limits.
    charged: u64,
    /// Whether its memfd is counted by the limits.
    counts_memfd: bool,
    pub(super) seals: SealFlags,
}

impl Content {
    /// Empty; `seals` are in force from the start (`SEAL` for what cannot be sealed).
    pub(super) fn new(seals: SealFlags) -> Content {
        Content {
            size: 0,
            storage: Storage::Heap(Heap::default()),
            charged: 0,
            counts_memfd: false,
            seals,
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Pages in use, as `st_blocks` shows them.
    pub(super) fn pages(&self) -> u64 {
        self.storage.pages()
    }

    /// Gives back what it has taken from `limits`.
    pub(super) fn release(&mut self, limits: &Limits) {
        limits.give_pages(std::mem::take(&mut self.charged));
        if std::mem::take(&mut self.counts_memfd) {
            limits.give_memfd();
        }
    }

    /// Errors: EFAULT.
    pub(super) fn read(&self, dest: &mut IoDest<'_>, offset: u64) -> Result<usize, Errno> {
        if offset >= self.size {
            return Ok(0);
        }
        self.storage.read(dest, offset, self.size)
    }

    /// Writes at `offset`, at the end if that is none. Answers with the count and the offset behind it.
    ///
    /// Errors: EFBIG, ENOSPC, EPERM (sealed), EFAULT.
    pub(super) fn write(
        &mut self,
        source: &mut IoSource<'_>,
        offset: Option<u64>,
        limits: &Limits,
    ) -> Result<(usize, u64), Errno> {
        let offset = offset.unwrap_or(self.size);
        if source.remaining() == 0 {
            return Ok((0, offset));
        }
        if self.seals.intersects(SealFlags::WRITE | SealFlags::FUTURE_WRITE) {
            return Err(Errno::EPERM);
        }
        let mut room = MAX_BYTES.saturating_sub(offset);
        if self.seals.contains(SealFlags::GROW) {
            // Linux: a write that would grow a sealed file fails as a whole.
            if offset + source.remaining() as u64 > self.size {
                return Err(Errno::EPERM);
            }
            room = room.min(self.size.saturating_sub(offset));
        }
        if room == 0 {
            return Err(Errno::EFBIG);
        }
        let want = (source.remaining() as u64).min(room);
        let want = self.charge_write(offset, want, limits)?;
        if offset + want > LARGE_BYTES {
            self.move_if_allowed(limits);
        }
        let result = self.storage.write(source, offset, want as usize);
        if let Ok(count) = result {
            self.size = self.size.max(offset + count as u64);
        }
        self.settle(limits);
        result.map(|count| (count, offset + count as u64))
    }

    /// Takes pages for a write of `len` bytes; answers with how many bytes the limit leaves.
    ///
    /// Errors: ENOSPC when that is none.
    fn charge_write(&mut self, offset: u64, len: u64, limits: &Limits) -> Result<u64, Errno> {
        if !limits.has_page_limit() {
            return Ok(len);
        }
        let mut len = len;
        loop {
            let pages = self.storage.pages_to_add(offset, offset + len);
            if limits.take_pages(pages).is_ok() {
                self.charged += pages;
                return Ok(len);
            }
            // Half of it, and so on, down to the page where the write begins.
            let first = PAGE_BYTES - offset % PAGE_BYTES;
            if len <= first {
                return Err(Errno::ENOSPC);
            }
            len = (len / 2).max(first);
        }
    }

    /// Makes the charge what is really used. Pages that came by a mapping are there, whatever the
    /// limit says; they are charged as far as it allows.
    fn settle(&mut self, limits: &Limits) {
        if !limits.has_page_limit() {
            return;
        }
        let used = self.storage.pages();
        if used < self.charged {
            limits.give_pages(self.charged - used);
            self.charged = used;
        } else if limits.take_pages(used - self.charged).is_ok() {
            self.charged = used;
        }
    }

    /// Sets the size.
    ///
    /// Errors: EFBIG, EPERM (sealed).
    pub(super) fn truncate(&mut self, size: u64, limits: &Limits) -> Result<(), Errno> {
        if size > MAX_BYTES {
            return Err(Errno::EFBIG);
        }
        let shrinks = size < self.size && self.seals.contains(SealFlags::SHRINK);
        let grows = size > self.size && self.seals.contains(SealFlags::GROW);
        if shrinks || grows {
            return Err(Errno::EPERM);
        }
        if size != self.size {
            self.storage.resize(size)?;
            self.size = size;
            self.settle(limits);
        }
        Ok(())
    }

    /// `fallocate(2)`; `len` is not 0.
    ///
    /// Errors: EOPNOTSUPP, EFBIG, ENOSPC, EPERM (sealed).
    pub(super) fn allocate(
        &mut self,
        mode: FallocateFlags,
        offset: u64,
        len: u64,
        limits: &Limits,
    ) -> Result<(), Errno> {
        let known = FallocateFlags::KEEP_SIZE | FallocateFlags::PUNCH_HOLE;
        let is_complete =
            !mode.contains(FallocateFlags::PUNCH_HOLE) || mode.contains(FallocateFlags::KEEP_SIZE);
        if !known.contains(mode) || !is_complete {
            return Err(Errno::EOPNOTSUPP);
        }
        let end = offset.checked_add(len).filter(|&end| end <= MAX_BYTES).ok_or(Errno::EFBIG)?;
        if mode.contains(FallocateFlags::PUNCH_HOLE) {
            if self.seals.intersects(SealFlags::WRITE | SealFlags::FUTURE_WRITE) {
                return Err(Errno::EPERM);
            }
            if offset < self.size {
                self.storage.punch(offset, end.min(self.size))?;
                self.settle(limits);
            }
            return Ok(());
        }
        let grows = !mode.contains(FallocateFlags::KEEP_SIZE) && end > self.size;
        if grows && self.seals.contains(SealFlags::GROW) {
            return Err(Errno::EPERM);
        }
        if limits.has_page_limit() {
            let pages = self.storage.pages_to_add(offset, end);
            limits.take_pages(pages)?;
            self.charged += pages;
        }
        if end > LARGE_BYTES {
            self.move_if_allowed(limits);
        }
        let reserved = self.storage.reserve(offset, end);
        if reserved.is_ok() && grows {
            self.storage.resize(end)?;
            self.size = end;
        }
        self.settle(limits);
        reserved
    }

    /// As [`Storage::seek`].
    pub(super) fn seek(&self, offset: u64, wants_hole: bool) -> Option<u64> {
        self.storage.seek(offset, self.size, wants_hole)
    }

    /// The host file to map.
    ///
    /// Errors: ENOMEM.
    pub(super) fn host_file(&mut self, limits: &Limits) -> Result<Arc<OwnedFd>, Errno> {
        let moved = self.storage.move_to_memfd(self.size).map_err(|_| Errno::ENOMEM)?;
        if moved {
            limits.add_memfd();
            self.counts_memfd = true;
            self.settle(limits);
        }
        match &self.storage {
            Storage::Memfd(fd) => Ok(fd.clone()),
            Storage::Heap(_) => Err(Errno::ENOMEM),
        }
    }

    /// A large file moves to a memfd, unless there are too many of these already.
    fn move_if_allowed(&mut self, limits: &Limits) {
        if !matches!(self.storage, Storage::Heap(_)) || !limits.may_move_large() {
            return;
        }
        match self.storage.move_to_memfd(self.size) {
            Ok(_) => self.counts_memfd = true,
            // The heap will do.
            Err(_) => limits.give_memfd(),
        }
    }
}
