//! A conduit's memory as the sentry has it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;

use linux_abi::Errno;
use rustix::mm::{MapFlags, ProtFlags};

use super::bytes::{Head, MEMORY_BYTES};
use crate::host::fs;

/// How long somebody waits for a word at a time.
const WAIT_NS: libc::c_long = 200_000;

/// A memory file, mapped.
pub(super) struct Memory {
    file: OwnedFd,
    address: NonNull<u8>,
}

// SAFETY: the mapping belongs to the object; it is only accessed atomically or copied.
unsafe impl Send for Memory {}
// SAFETY: as above; guests write at the same time anyhow.
unsafe impl Sync for Memory {}

impl Memory {
    /// Errors: EMFILE, ENFILE, ENOMEM.
    pub(super) fn new() -> Result<Memory, Errno> {
        let file = fs::memfd_create("conduit")?;
        fs::ftruncate(&file, MEMORY_BYTES)?;
        // SAFETY: a new mapping at a place of the kernel's choice.
        let address = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                MEMORY_BYTES as usize,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                &file,
                0,
            )
        };
        let address = address.map_err(|_| Errno::ENOMEM)?;
        let address = NonNull::new(address.cast()).ok_or(Errno::ENOMEM)?;
        Ok(Memory { file, address })
    }

    pub(super) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    pub(super) fn head(&self) -> &Head {
        // SAFETY: 1. The mapping is large enough, aligned to a page and lives as long as `self`. 2. It
        // has only atomic fields, for which any bits are valid.
        unsafe { self.address.cast().as_ref() }
    }

    /// Appends a copy of what lies at `offset`.
    pub(super) fn read(&self, offset: u64, len: u64, to: &mut Vec<u8>) {
        let len = within(offset, len as usize);
        let start = to.len();
        to.resize(start + len, 0);
        // SAFETY: `len` bytes from `offset` on lie in the mapping.
        let from = unsafe { self.address.add(offset as usize) };
        // SAFETY: 1. Both are valid for `len` bytes. 2. They do not overlap. 3. A write of the
        // guest meanwhile gives some bytes or others, all of which are valid.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to[start..].as_mut_ptr(), len) };
    }

    pub(super) fn write(&self, offset: u64, bytes: &[u8]) {
        let len = within(offset, bytes.len());
        // SAFETY: `len` bytes from `offset` on lie in the mapping.
        let to = unsafe { self.address.add(offset as usize) };
        // SAFETY: 1. Both are valid for `len` bytes. 2. They do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.as_ptr(), len) };
    }

    /// Gives the memory back to the host, whoever has it.
    pub(super) fn empty(&self) {
        let _ = fs::ftruncate(&self.file, 0);
    }

    /// Wakes all who sleep at a word of the head, `FUTEX_WAKE`; answers with how many.
    pub(super) fn wake(&self, word: &AtomicU32) -> u64 {
        // SAFETY: the word is live.
        let woken =
            unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
        u64::try_from(woken).unwrap_or(0)
    }

    /// Waits a moment for a word of the head to change, `FUTEX_WAIT`. (Nobody may wake.)
    pub(super) fn wait(&self, word: &AtomicU32) {
        let value = word.load(std::sync::atomic::Ordering::Relaxed);
        let timeout = libc::timespec { tv_sec: 0, tv_nsec: WAIT_NS };
        // SAFETY: the word and the timeout are live.
        unsafe {
            let timeout = &raw const timeout;
            libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, timeout)
        };
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: 1. The mapping is the object's own. 2. Nobody refers to it any more.
        let _ = unsafe { rustix::mm::munmap(self.address.as_ptr().cast(), MEMORY_BYTES as usize) };
    }
}

/// How many of `len` bytes at `offset` lie in the mapping.
fn within(offset: u64, len: usize) -> usize {
    MEMORY_BYTES.saturating_sub(offset).min(len as u64) as usize
}
