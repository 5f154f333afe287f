//! Where the bytes of a file are: on the heap, or in a host memfd.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::FallocateFlags;
use platform::host;
use platform::host::fs::Seek;

use super::heap::Heap;
use super::limits::PAGE_BYTES;
use crate::memory::{IoDest, IoSource};

/// The bytes of a file, without its size: reads beyond what was written give zeros.
pub(super) enum Storage {
    Heap(Heap),
    Memfd(Arc<OwnedFd>),
}

impl Storage {
    /// Pages in use.
    pub(super) fn pages(&self) -> u64 {
        match self {
            Storage::Heap(heap) => heap.pages(),
            Storage::Memfd(fd) => {
                let blocks = host::fs::stat(fd).map_or(0, |stat| stat.blocks);
                (blocks.max(0) as u64 * 512).div_ceil(PAGE_BYTES)
            }
        }
    }

    /// Puts bytes from `offset` to `end` (at most the file's size) into `dest`.
    ///
    /// Errors: EFAULT, EIO.
    pub(super) fn read(
        &self,
        dest: &mut IoDest<'_>,
        offset: u64,
        end: u64,
    ) -> Result<usize, Errno> {
        let max = usize::try_from(end - offset).unwrap_or(usize::MAX);
        match self {
            Storage::Heap(heap) => heap.read(dest, offset, max),
            Storage::Memfd(fd) => {
                dest.fill(max, |done, buf| host::fs::pread(fd, buf, offset + done as u64))
            }
        }
    }

    /// Pages that a write of `start..end` may add.
    pub(super) fn pages_to_add(&self, start: u64, end: u64) -> u64 {
        match self {
            Storage::Heap(heap) => heap.pages_to_add(start, end),
            Storage::Memfd(fd) => match host::fs::seek(fd, Seek::Hole(start)) {
                Ok(hole) if hole >= end => 0,
                _ => end.div_ceil(PAGE_BYTES) - start / PAGE_BYTES,
            },
        }
    }

    /// Takes at most `max` bytes out of `source` to `offset`.
    ///
    /// Errors: EFAULT, ENOSPC, EPERM (sealed).
    pub(super) fn write(
        &mut self,
        source: &mut IoSource<'_>,
        offset: u64,
        max: usize,
    ) -> Result<usize, Errno> {
        match self {
            Storage::Heap(heap) => heap.write(source, offset, max),
            Storage::Memfd(fd) => {
                source.drain(max, |done, piece| host::fs::pwrite(&*fd, piece, offset + done as u64))
            }
        }
    }

    /// Drops what lies beyond `size`. A memfd gets that size: mappings fault beyond it.
    ///
    /// Errors: those of the host.
    pub(super) fn resize(&mut self, size: u64) -> Result<(), Errno> {
        match self {
            Storage::Heap(heap) => {
                heap.cut(size);
                Ok(())
            }
            Storage::Memfd(fd) => host::fs::ftruncate(&*fd, size),
        }
    }

    /// Makes `start..end` read as zeros and frees what it can.
    ///
    /// Errors: those of the host.
    pub(super) fn punch(&mut self, start: u64, end: u64) -> Result<(), Errno> {
        match self {
            Storage::Heap(heap) => {
                heap.punch(start, end);
                Ok(())
            }
            Storage::Memfd(fd) => {
                let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                host::fs::fallocate(&*fd, mode.bits(), start, end - start)
            }
        }
    }

    /// Gives `start..end` its memory now, without a change of size. Errors: ENOSPC.
    pub(super) fn reserve(&mut self, start: u64, end: u64) -> Result<(), Errno> {
        match self {
            Storage::Heap(heap) => {
                heap.reserve(start, end);
                Ok(())
            }
            Storage::Memfd(fd) => {
                let mode = FallocateFlags::KEEP_SIZE.bits();
                host::fs::fallocate(&*fd, mode, start, end - start)
            }
        }
    }

    /// The first data (or, with `wants_hole`, the first hole) at or after `offset`, which is below
    /// `size`; `size` itself counts as a hole. None when there is no more data.
    pub(super) fn seek(&self, offset: u64, size: u64, wants_hole: bool) -> Option<u64> {
        match self {
            Storage::Heap(heap) => heap.seek(offset, size, wants_hole),
            Storage::Memfd(fd) => {
                let to = if wants_hole { Seek::Hole(offset) } else { Seek::Data(offset) };
                match host::fs::seek(fd, to) {
                    Ok(found) if found < size => Some(found),
                    _ => wants_hole.then_some(size),
                }
            }
        }
    }

    /// Moves the bytes of a file of `size` bytes into a new memfd, if they are not in one yet.
    /// True when they moved.
    ///
    /// Errors: ENOMEM, ENFILE, EMFILE.
    pub(super) fn move_to_memfd(&mut self, size: u64) -> Result<bool, Errno> {
        let Storage::Heap(heap) = self else { return Ok(false) };
        let fd = host::fs::memfd_create("tmpfs")?;
        host::fs::ftruncate(&fd, size)?;
        for (start, block) in heap.blocks() {
            let mut done = 0;
            while done < block.len() {
                done += host::fs::pwrite(&fd, &block[done..], start + done as u64)?;
            }
        }
        // Reserved blocks may lie beyond the end.
        host::fs::ftruncate(&fd, size)?;
        *self = Storage::Memfd(Arc::new(fd));
        Ok(true)
    }
}
