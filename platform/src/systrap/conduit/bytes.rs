//! What lies in a conduit's memory, and how it changes: the part that stubs and the sentry have in
//! common. The stub's own crate compiles this file too.
//!
//! The bytes lie in pages, as those of a pipe on Linux: when it is full, and which small writes
//! share a page, a program can tell. Both ends are told by one word each, a count of pages and a
//! number of bytes: so a read or write is done with one store, and whoever holds the lock can tell
//! for somebody else, who was stopped, whether it was.
//!
//! Whoever has the memory can write all of it: no number here leads out of it.

use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

pub const PAGE_BYTES: u64 = 4096;
/// Pages of bytes (`PIPE_DEF_BUFFERS`).
pub const PAGES: u64 = 16;
/// Where they begin, behind the [`Head`].
pub const PAGES_OFFSET: u64 = PAGE_BYTES;
/// All of a conduit's memory.
pub const MEMORY_BYTES: u64 = PAGES_OFFSET + PAGES * PAGE_BYTES;

/// Longest write that goes in whole or not at all (`PIPE_BUF`).
pub const ATOMIC_BYTES: u64 = PAGE_BYTES;

/// How often somebody looks before sleeping whose looks pay, each for about 50 ns: for longer than it
/// takes to wake somebody up, ...
pub const PATIENT: u32 = 1000;
/// ... and whose last ones did not. So many times after that it is tried again.
pub const IMPATIENT: u32 = 16;

/// Bits of [`Head::state`].
pub mod state {
    /// Nobody can write any more.
    pub const NO_WRITERS: u32 = 1;
    /// Nobody can read any more.
    pub const NO_READERS: u32 = 2;
    /// It is one no longer: calls go to the sentry.
    pub const REVOKED: u32 = 4;
}

/// Bits of [`Head::wanted`].
pub mod wanted {
    /// A thread sleeps until there is something to read, in [`Head::readable`](super::Head), ...
    pub const READER: u32 = 1;
    /// ... or until there is room, in [`Head::writable`](super::Head).
    pub const WRITER: u32 = 2;
    /// The sentry wants to hear when there is something to read, ...
    pub const IN: u32 = 4;
    /// ... and when there is room.
    pub const OUT: u32 = 8;
}

/// The first page.
#[repr(C, align(64))]
pub struct Head {
    /// Whose turn it is: 0, or the token of a thread.
    lock: AtomicU32,
    pub state: AtomicU32,
    /// Where the next byte is read, and behind the last one that was written: see [`Place`].
    read: AtomicU64,
    write: AtomicU64,
    pub wanted: AtomicU32,
    /// Futex words of those who sleep; each change wakes them.
    pub readable: AtomicU32,
    pub writable: AtomicU32,
    /// The processors from which it was read and written last.
    pub reader_cpu: AtomicU32,
    pub writer_cpu: AtomicU32,
    /// Tells it from others that had its number.
    pub generation: AtomicU32,
    /// [`PATIENT`], or how often nobody shall look for long.
    pub patience: AtomicU32,
    /// Where the bytes end in each page but the last one.
    ends: [AtomicU16; PAGES as usize],
}

const _: () = assert!(size_of::<Head>() <= 128);

/// A count of pages, and bytes in the page at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(pub u64);

impl Place {
    const BITS: u32 = 16;
    /// The page at hand is a packet.
    const PACKET: u64 = 1 << (Place::BITS - 1);

    #[inline(always)]
    const fn new(page: u64, byte: u64) -> Place {
        Place(page << Place::BITS | byte)
    }

    #[inline(always)]
    pub const fn page(self) -> u64 {
        self.0 >> Place::BITS
    }

    #[inline(always)]
    const fn byte(self) -> u64 {
        min(self.0 & (Place::PACKET - 1), PAGE_BYTES)
    }

    #[inline(always)]
    const fn is_packet(self) -> bool {
        self.0 & Place::PACKET != 0
    }

    #[inline(always)]
    pub const fn next_page(self) -> Place {
        Place::new(self.page().wrapping_add(1), 0)
    }
}

/// Bytes that lie together: from where on in the conduit's memory, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    pub offset: u64,
    pub len: u64,
    /// They are all that one read gets, who loses what it has no room for.
    pub is_packet: bool,
}

/// What a write of some length does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that go behind those of the last page.
    pub merged: u64,
    /// Most bytes that can be written now, those included.
    pub bytes: u64,
}

impl Head {
    /// Takes the lock, if nobody has it.
    #[inline(always)]
    pub fn try_lock(&self, token: u32) -> bool {
        self.lock.compare_exchange(0, token, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline(always)]
    pub fn unlock(&self) {
        self.lock.store(0, Ordering::Release);
    }

    /// Who has the lock.
    #[inline(always)]
    pub fn holder(&self) -> u32 {
        self.lock.load(Ordering::Acquire)
    }

    /// The word of the lock, for waiting.
    pub fn lock_word(&self) -> &AtomicU32 {
        &self.lock
    }

    #[inline(always)]
    pub fn read_place(&self) -> Place {
        Place(self.read.load(Ordering::Acquire))
    }

    #[inline(always)]
    pub fn write_place(&self) -> Place {
        Place(self.write.load(Ordering::Acquire))
    }

    /// All bytes before `place` are read. What is wanted has to be looked at afterwards: the sentry
    /// does it the other way round, without the lock, and one of both must see the other.
    #[inline(always)]
    pub fn set_read(&self, place: Place) {
        self.read.swap(place.0, Ordering::SeqCst);
    }

    /// All bytes before `place` are written; as for [`Head::set_read`].
    #[inline(always)]
    pub fn set_write(&self, place: Place) {
        self.write.swap(place.0, Ordering::SeqCst);
    }

    /// Pages with something in them, as far as the words are believed.
    #[inline(always)]
    pub fn pages(&self) -> u64 {
        let pages = self.write_place().page().wrapping_sub(self.read_place().page());
        if pages <= PAGES { pages } else { PAGES }
    }

    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.write_place().page() == self.read_place().page()
    }

    /// Where the bytes of a page end, as a place of which the page does not count.
    #[inline(always)]
    fn end(&self, page: u64, write: Place) -> Place {
        match page.wrapping_add(1) == write.page() {
            true => write,
            false => Place(load_end(&self.ends, page).into()),
        }
    }

    /// What lies together from `place` on; nothing if that is the end.
    #[inline(always)]
    pub fn piece(&self, place: Place) -> Piece {
        let (write, page, byte) = (self.write_place(), place.page(), place.byte());
        let offset = offset(page) + byte;
        if page == write.page() {
            return Piece { offset, len: 0, is_packet: false };
        }
        let end = self.end(page, write);
        Piece { offset, len: end.byte().saturating_sub(byte), is_packet: end.is_packet() }
    }

    /// The place behind `len` bytes of the piece at `place`, which is no packet.
    #[inline(always)]
    pub fn behind(&self, place: Place, len: u64) -> Place {
        let (page, byte) = (place.page(), place.byte() + len);
        match byte >= self.end(page, self.write_place()).byte() {
            true => place.next_page(),
            false => Place::new(page, byte),
        }
    }

    /// What a write of `len` bytes finds. Linux: behind the last page's bytes go only the odd ones
    /// beyond whole pages, and only if all of them fit; and nothing goes behind a packet.
    #[inline(always)]
    pub fn room(&self, len: u64) -> Room {
        let odd = len % PAGE_BYTES;
        let write = self.write_place();
        let has_bytes = !self.is_empty() && !write.is_packet();
        let fits = has_bytes && write.byte() + odd <= PAGE_BYTES;
        let merged = if fits { odd } else { 0 };
        Room { merged, bytes: merged + (PAGES - self.pages()) * PAGE_BYTES }
    }

    /// Where the next of `len` bytes are written, `place` being behind the last; `merged` of them
    /// have to go to the present page. Others go to a new one, which is a packet if `is_packet`.
    #[inline(always)]
    pub fn next(&self, place: Place, merged: u64, len: u64, is_packet: bool) -> (Piece, Place) {
        if merged > 0 {
            // The last page's number is one less than their count.
            let (page, byte) = (place.page().wrapping_sub(1), place.byte());
            let len = min(merged, PAGE_BYTES - byte);
            let piece = Piece { offset: offset(page) + byte, len, is_packet };
            return (piece, Place::new(place.page(), byte + len));
        }
        let len = min(len, PAGE_BYTES);
        store_end(&self.ends, place.page().wrapping_sub(1), place.0 as u16);
        let piece = Piece { offset: offset(place.page()), len, is_packet };
        let end = if is_packet { len | Place::PACKET } else { len };
        (piece, Place::new(place.page().wrapping_add(1), end))
    }

    /// How often to look before sleeping.
    #[inline(always)]
    pub fn looks(&self) -> u32 {
        let patience = self.patience.load(Ordering::Relaxed);
        if patience > IMPATIENT { PATIENT } else { IMPATIENT }
    }

    /// Notes whether looking was enough.
    #[inline(always)]
    pub fn note_looks(&self, were_enough: bool) {
        let patience = self.patience.load(Ordering::Relaxed);
        let next = match were_enough {
            true => PATIENT,
            false if patience > IMPATIENT => IMPATIENT,
            false if patience == 0 => PATIENT,
            false => patience - 1,
        };
        if next != patience {
            self.patience.store(next, Ordering::Relaxed);
        }
    }

    /// Makes it an empty one.
    pub fn reset(&self, generation: u32) {
        for word in [&self.state, &self.wanted, &self.reader_cpu, &self.writer_cpu] {
            word.store(0, Ordering::Relaxed);
        }
        self.generation.store(generation, Ordering::Relaxed);
        self.patience.store(PATIENT, Ordering::Relaxed);
        self.read.store(0, Ordering::Relaxed);
        self.write.store(0, Ordering::Relaxed);
        self.unlock();
    }
}

/// Where a page's bytes begin in the conduit's memory.
#[inline(always)]
const fn offset(page: u64) -> u64 {
    PAGES_OFFSET + page % PAGES * PAGE_BYTES
}

#[inline(always)]
const fn min(a: u64, b: u64) -> u64 {
    if a < b { a } else { b }
}

/// An element, without the code for an index that is out of bounds.
#[inline(always)]
fn end_of(ends: &[AtomicU16; PAGES as usize], page: u64) -> &AtomicU16 {
    // SAFETY: the index is less than the length.
    unsafe { ends.get_unchecked((page % PAGES) as usize) }
}

#[inline(always)]
fn load_end(ends: &[AtomicU16; PAGES as usize], page: u64) -> u16 {
    end_of(ends, page).load(Ordering::Relaxed)
}

#[inline(always)]
fn store_end(ends: &[AtomicU16; PAGES as usize], page: u64, end: u16) {
    end_of(ends, page).store(end, Ordering::Relaxed);
}
