//! The memory that the sentry shares with the stub of one address space.
//!
//! The guest can write all of it at any time: everything is copied with volatile accesses, never
//! referred to. Lock: `Channel::inner`, held for a few instructions or one mapping.

use std::arch::x86_64::{_MM_HINT_ET0, _MM_HINT_T0, _mm_prefetch};
use std::collections::VecDeque;
use std::mem::offset_of;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use linux_abi::Errno;
use parking_lot::Mutex;
use rustix::mm::{MapFlags, ProtFlags};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::layout::{
    Extent, FAST_OFFSET, FIRST_SLOT, Fast, PLAIN_OFFSET, Plain, SLOT_BYTES, SLOT_COUNT, change,
};
use crate::process::{Tid, ask_for};

/// Slots that are mapped together.
const CHUNK_SLOTS: u64 = 16;
const CHUNK_BYTES: usize = (CHUNK_SLOTS * SLOT_BYTES) as usize;

/// The pages of a slot that a thread uses before it runs: two blocks, and its first signal frame.
const TOUCHED: [u64; 4] = [0, FAST_OFFSET, SLOT_BYTES - 0x2000, SLOT_BYTES - 0x1000];

/// All slots of one address space.
pub(super) struct Channel {
    file: OwnedFd,
    /// Where the guest has them.
    start: u64,
    /// For whom the table of descriptors is.
    pub(super) files_owner: Mutex<Weak<()>>,
    inner: Mutex<Inner>,
}

struct Inner {
    chunks: Vec<Chunk>,
    /// How many slots have ever been used; the first ones' place belongs to the table and `Plain`.
    used: u64,
    /// Slots whose threads were told to end, oldest first.
    returned: VecDeque<(u64, Tid, Tid)>,
}

/// A mapping of [`CHUNK_SLOTS`] slots.
struct Chunk(NonNull<u8>);

// SAFETY: the mapping belongs to the chunk; it is only ever copied from and to.
unsafe impl Send for Chunk {}
// SAFETY: as above; the guest writes at the same time anyhow.
unsafe impl Sync for Chunk {}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: 1. The chunk owns the mapping. 2. Every user holds the channel.
        let _ = unsafe { rustix::mm::munmap(self.0.as_ptr().cast(), CHUNK_BYTES) };
    }
}

impl Channel {
    /// Memory for slots that the guest sees from `start` on. Errors: EMFILE, ENFILE, ENOMEM.
    pub(super) fn new(start: u64) -> Result<Arc<Channel>, Errno> {
        let file = crate::host::fs::memfd_create("channel")?;
        let inner = Inner { chunks: Vec::new(), used: FIRST_SLOT, returned: VecDeque::new() };
        let files_owner = Mutex::default();
        Ok(Arc::new(Channel { file, start, files_owner, inner: Mutex::new(inner) }))
    }

    /// The same, with the memory that the first thread will use at once.
    pub(super) fn new_touched(start: u64) -> Result<Arc<Channel>, Errno> {
        let channel = Channel::new(start)?;
        {
            let mut inner = channel.inner.lock();
            let chunk = channel.map_chunk(0)?;
            inner.chunks.push(chunk);
        }
        let slot = FIRST_SLOT * SLOT_BYTES;
        for place in TOUCHED.map(|place| slot + place).into_iter().chain([PLAIN_OFFSET]) {
            channel.with_long(place, |word| word.store(0, Ordering::Relaxed));
        }
        Ok(channel)
    }

    pub(super) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// A slot for a new thread. Errors: EAGAIN if there are too many; ENOMEM.
    pub(super) fn allocate(self: &Arc<Self>) -> Result<SlotMemory, Errno> {
        let mut inner = self.inner.lock();
        if let Some(&(index, tgid, tid)) = inner.returned.front()
            && is_gone(tgid, tid)
        {
            inner.returned.pop_front();
            return self.slot(&inner, index);
        }
        let index = inner.used;
        if index == SLOT_COUNT {
            return Err(Errno::EAGAIN);
        }
        let mapped = inner.chunks.len() as u64 * CHUNK_SLOTS;
        if index >= mapped {
            let chunk = self.map_chunk(mapped)?;
            inner.chunks.push(chunk);
        }
        inner.used += 1;
        self.slot(&inner, index)
    }

    fn slot(self: &Arc<Self>, inner: &Inner, index: u64) -> Result<SlotMemory, Errno> {
        let chunk = inner.chunks.get((index / CHUNK_SLOTS) as usize).ok_or(Errno::EAGAIN)?;
        let offset = (index % CHUNK_SLOTS * SLOT_BYTES) as usize;
        // SAFETY: the offset lies within the chunk.
        let memory = unsafe { chunk.0.add(offset) };
        Ok(SlotMemory { channel: Arc::clone(self), index, memory })
    }

    fn map_chunk(&self, first: u64) -> Result<Chunk, Errno> {
        let offset = first * SLOT_BYTES;
        crate::host::fs::ftruncate(&self.file, offset + CHUNK_BYTES as u64)?;
        // SAFETY: a new mapping at a place of the kernel's choice.
        let address = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                CHUNK_BYTES,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::NORESERVE,
                &self.file,
                offset,
            )
        };
        let address = address.map_err(|_| Errno::ENOMEM)?;
        NonNull::new(address.cast()).map(Chunk).ok_or(Errno::ENOMEM)
    }

    /// Sets an entry of the table.
    pub(super) fn set_entry(&self, index: u16, value: u64) {
        self.with_long(u64::from(index) * 8, |entry| entry.store(value, Ordering::SeqCst));
    }

    #[cfg(test)]
    pub(super) fn entry(&self, index: u16) -> u64 {
        let load = |entry: &AtomicU64| entry.load(Ordering::SeqCst);
        self.with_long(u64::from(index) * 8, load).unwrap_or(0)
    }

    /// Says where threads change memory by themselves. Those that are about to may still go by what
    /// was said before.
    pub(super) fn set_plain(&self, range: &Range<u64>) {
        let high = if range.is_empty() { 0 } else { range.end };
        let words = [
            (offset_of!(Plain, high), 0),
            (offset_of!(Plain, low), range.start),
            (offset_of!(Plain, high), high),
        ];
        for (field, value) in words {
            let place = PLAIN_OFFSET + field as u64;
            self.with_long(place, |word| word.store(value, Ordering::SeqCst));
        }
    }

    /// Tells threads how to read clocks.
    pub(super) fn set_clock(&self, function: u64) {
        let place = PLAIN_OFFSET + offset_of!(Plain, clock_gettime) as u64;
        self.with_long(place, |word| word.store(function, Ordering::SeqCst));
    }

    /// Says where `cpuid` is another instruction.
    pub(super) fn set_prepared(&self, range: &Range<u64>) {
        let prepared = PLAIN_OFFSET + offset_of!(Plain, prepared) as u64;
        let len = range.end - range.start;
        for (field, value) in
            [(offset_of!(Extent, address), range.start), (offset_of!(Extent, len), len)]
        {
            self.with_long(prepared + field as u64, |word| word.store(value, Ordering::SeqCst));
        }
    }

    /// Whether some descriptors may be served.
    pub(super) fn serves_files(&self) -> bool {
        self.files_owner.lock().strong_count() > 0
    }

    /// Says how a descriptor is served, at the place of its word.
    pub(super) fn set_file(&self, place: u64, word: u64) {
        self.with_long(place, |file| file.store(word, Ordering::SeqCst));
    }

    /// Whether the thread with a slot changes memory by itself just now.
    pub(super) fn is_changing(&self, slot: u64) -> bool {
        let place = slot * SLOT_BYTES + FAST_OFFSET + offset_of!(Fast, change) as u64;
        let state = self.with_long(place, |word| word.load(Ordering::SeqCst));
        state == Some(change::BUSY)
    }

    /// A long word at a multiple of 8 bytes behind the start of all slots; `None` where no slot was
    /// ever used.
    fn with_long<T>(&self, offset: u64, access: impl FnOnce(&AtomicU64) -> T) -> Option<T> {
        let inner = self.inner.lock();
        let chunk = inner.chunks.get((offset / CHUNK_BYTES as u64) as usize)?;
        // SAFETY: the rest lies in the chunk.
        let place = unsafe { chunk.0.add((offset % CHUNK_BYTES as u64) as usize & !7) };
        // SAFETY: 1. The place is mapped and aligned. 2. The guest reads and writes it atomically.
        let word = unsafe { AtomicU64::from_ptr(place.as_ptr().cast()) };
        Some(access(word))
    }

    /// Takes a slot back; it is used again once the thread is gone.
    pub(super) fn give_back(&self, index: u64, tgid: Tid, tid: Tid) {
        self.inner.lock().returned.push_back((index, tgid, tid));
    }
}

const _: () = assert!(FIRST_SLOT < CHUNK_SLOTS);

/// Whether the host knows no such thread.
fn is_gone(tgid: Tid, tid: Tid) -> bool {
    ask_for(tgid, tid) == Err(Errno::ESRCH)
}

/// One thread's part of a [`Channel`].
pub(super) struct SlotMemory {
    channel: Arc<Channel>,
    pub(super) index: u64,
    memory: NonNull<u8>,
}

// SAFETY: the memory lives as long as the channel, and is only copied from and to.
unsafe impl Send for SlotMemory {}
// SAFETY: as above; the guest writes at the same time anyhow.
unsafe impl Sync for SlotMemory {}

impl SlotMemory {
    /// Where the guest has the slot.
    pub(super) fn address(&self) -> u64 {
        self.channel.start + self.index * SLOT_BYTES
    }

    pub(super) fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    fn place(&self, offset: u64) -> NonNull<u8> {
        // SAFETY: the result lies in the slot.
        unsafe { self.memory.add((offset % SLOT_BYTES) as usize) }
    }

    /// Copies from the slot; what lies beyond its end is left alone.
    pub(super) fn read_bytes(&self, offset: u64, buf: &mut [u8]) {
        let len = in_slot(offset, buf.len());
        let from = self.place(offset);
        // SAFETY: 1. Both are valid for `len` bytes, which lie in the slot. 2. They do not overlap. 3. A write of the
        // guest meanwhile gives some bytes or others, all of which are valid.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), buf.as_mut_ptr(), len) };
    }

    /// Copies to the slot; what lies beyond its end is left out.
    pub(super) fn write_bytes(&self, offset: u64, buf: &[u8]) {
        let len = in_slot(offset, buf.len());
        let to = self.place(offset);
        // SAFETY: 1. Both are valid for `len` bytes, which lie in the slot. 2. They do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(buf.as_ptr(), to.as_ptr(), len) };
    }

    /// Asks the processor for the bytes at `offset`, which will be read soon.
    pub(super) fn fetch_to_read(&self, offset: u64) {
        // SAFETY: changes nothing, wherever that is.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(self.place(offset).as_ptr().cast()) };
    }

    /// The same for bytes that will be written.
    pub(super) fn fetch_to_write(&self, offset: u64) {
        // SAFETY: changes nothing, wherever that is.
        unsafe { _mm_prefetch::<_MM_HINT_ET0>(self.place(offset).as_ptr().cast()) };
    }

    /// A copy of what lies at `offset`.
    pub(super) fn read<T: FromBytes + IntoBytes + Default>(&self, offset: u64) -> T {
        let mut value = T::default();
        self.read_bytes(offset, value.as_mut_bytes());
        value
    }

    pub(super) fn write<T: IntoBytes + Immutable>(&self, offset: u64, value: &T) {
        self.write_bytes(offset, value.as_bytes());
    }
}

impl SlotMemory {
    /// Waits a while for a word to be no longer `value`, `FUTEX_WAIT`.
    pub(super) fn wait_word(&self, offset: u64, value: u32) {
        let timeout = libc::timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        let word = self.word(offset);
        // SAFETY: the word lies in the slot; the timeout is live.
        unsafe {
            libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAIT, value, &raw const timeout)
        };
    }

    /// Wakes who waits for a word, `FUTEX_WAKE`.
    pub(super) fn wake_word(&self, offset: u64) {
        // SAFETY: the word lies in the slot.
        unsafe { libc::syscall(libc::SYS_futex, self.word(offset), libc::FUTEX_WAKE, 1) };
    }

    /// A word that both sides change atomically.
    pub(super) fn atomic(&self, offset: u64) -> &AtomicU32 {
        // SAFETY: 1. The word lies in the slot, which lives as long as `self`, and is aligned. 2. It
        // is only accessed atomically or by volatile copies; the guest may write what it likes.
        unsafe { AtomicU32::from_ptr(self.word(offset).cast()) }
    }

    /// The same for a long word; `offset` is a multiple of 8.
    pub(super) fn atomic_long(&self, offset: u64) -> &AtomicU64 {
        // SAFETY: the result lies in the slot.
        let place = unsafe { self.memory.add((offset % SLOT_BYTES) as usize & !7) };
        // SAFETY: as for `atomic`.
        unsafe { AtomicU64::from_ptr(place.as_ptr().cast()) }
    }

    fn word(&self, offset: u64) -> *mut u8 {
        // SAFETY: the result lies in the slot.
        unsafe { self.memory.add((offset % SLOT_BYTES) as usize & !3) }.as_ptr()
    }
}

/// How many of `len` bytes at `offset` lie in the slot.
fn in_slot(offset: u64, len: usize) -> usize {
    SLOT_BYTES.saturating_sub(offset).min(len as u64) as usize
}
