//! Conduits: bytes on their way between threads, in memory that the guest processes which have
//! them open share with each other and with the sentry. Their stubs read and write them without a
//! word to anybody, and sleep and wake each other by the host's futexes (`stub/conduit.rs`).
//!
//! A conduit is what a pipe's bytes lie in, or those of one direction of a connection. Which
//! descriptors are served so is for the kernel above to say ([`Descriptors`]), and it can read and
//! write too. Only processes that have an end open get the memory ([`SystrapThread::map_conduit`]):
//! they could read and write the bytes anyway. A guest that scribbles over it harms those with whom
//! it shares the conduit, and nobody else: whatever lies there, no number leads out of it
//! ([`bytes`]), and who waits for its lock does not wait for ever.
//!
//! [`SystrapThread::map_conduit`]: super::thread::SystrapThread::map_conduit

#[allow(dead_code, reason = "the stub uses the rest")]
pub(super) mod bytes;
mod files;
mod held;
mod memory;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use linux_abi::Errno;
use parking_lot::Mutex;
use slab::Slab;

use self::bytes::{ATOMIC_BYTES, Head, Place, state, wanted};
use self::memory::Memory;
use super::layout::{CONDUIT_COUNT, at, served_file};
use crate::host::process::limit;
use crate::process::Tid;

pub use self::files::{Descriptors, Owner, ServedFile, ServedHow};
pub(super) use self::held::Conduits;

/// How the sentry is known to conduits.
const SENTRY: u32 = u32::MAX;

/// How long somebody else may have the lock. (They copy some pages, but may be kept from their
/// processor meanwhile.)
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
const LOCK_TRIES: u32 = 200;

/// Numbers for conduits.
pub(super) struct Numbers {
    taken: Mutex<Slab<()>>,
    /// How many there may be at the same time.
    most: u64,
    /// How many there were.
    count: AtomicU64,
    /// How many threads the sentry has woken at conduits.
    woken: AtomicU64,
    /// How many changes were told without a ring.
    reported: AtomicU64,
}

impl Numbers {
    pub(super) fn reported(&self) -> u64 {
        self.reported.load(Ordering::Relaxed)
    }

    pub(super) fn woken(&self) -> u64 {
        self.woken.load(Ordering::Relaxed)
    }
}

impl Default for Numbers {
    /// Each takes a descriptor of the sentry's, which needs most of them for other things.
    fn default() -> Numbers {
        let descriptors = limit(libc::RLIMIT_NOFILE as i32).map_or(0, |(soft, _)| soft);
        let most = CONDUIT_COUNT.min(descriptors / 4);
        let (taken, count) = (Mutex::default(), AtomicU64::new(0));
        let (woken, reported) = (AtomicU64::new(0), AtomicU64::new(0));
        Numbers { taken, most, count, woken, reported }
    }
}

/// See the [module](self).
pub struct Conduit {
    number: u64,
    /// Neither 0 nor that of the last ones with this number.
    generation: u64,
    numbers: Arc<Numbers>,
    memory: Memory,
    is_over: AtomicBool,
    /// Somebody has kept the lock for too long.
    is_stuck: AtomicBool,
    listener: Mutex<Option<Weak<dyn Listener>>>,
}

/// Whoever wants to know when a conduit becomes readable or writable.
pub trait Listener: Send + Sync {
    /// There may be bytes to read, or else room, that there was not before. Called with no lock held;
    /// must not block.
    fn changed(&self, is_readable: bool);
}

/// What can be done with a conduit now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    pub is_readable: bool,
    /// Whether a page is free.
    pub is_writable: bool,
}

/// An end of a conduit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Reading,
    Writing,
}

impl End {
    /// The bit that says that the sentry watches it.
    fn watched(self) -> u32 {
        match self {
            End::Reading => wanted::IN,
            End::Writing => wanted::OUT,
        }
    }

    /// The one that a stub's thread is at, as it says.
    pub(super) fn of(which: u64) -> End {
        if which & at::WRITES != 0 { End::Writing } else { End::Reading }
    }
}

impl Conduit {
    /// An empty one. Errors: EMFILE or ENOMEM when there are too many, or the host has no memory.
    pub(super) fn new(numbers: &Arc<Numbers>) -> Result<Arc<Conduit>, Errno> {
        let memory = Memory::new()?;
        let number = {
            let mut taken = numbers.taken.lock();
            if taken.len() as u64 >= numbers.most {
                return Err(Errno::EMFILE);
            }
            taken.insert(()) as u64
        };
        let count = numbers.count.fetch_add(1, Ordering::Relaxed);
        let generation = count % served_file::GENERATION + 1;
        let (numbers, listener) = (Arc::clone(numbers), Mutex::new(None));
        let (is_over, is_stuck) = (AtomicBool::new(false), AtomicBool::new(false));
        let conduit = Conduit { number, generation, numbers, memory, is_over, is_stuck, listener };
        conduit.head().reset(generation as u32);
        Ok(Arc::new(conduit))
    }

    /// Sets who is told of what [`Conduit::watch`] asks for.
    pub fn set_listener(&self, listener: Weak<dyn Listener>) {
        *self.listener.lock() = Some(listener);
    }

    fn head(&self) -> &Head {
        self.memory.head()
    }

    /// Bytes that can be read, as far as the guest is believed.
    pub fn len(&self) -> usize {
        let head = self.head();
        let (mut place, mut len) = (head.read_place(), 0);
        for _ in 0..=bytes::PAGES {
            let piece = head.piece(place);
            if piece.len == 0 {
                break;
            }
            place = head.behind(place, piece.len);
            len += piece.len;
        }
        len as usize
    }

    pub fn is_empty(&self) -> bool {
        self.head().is_empty()
    }

    pub fn readiness(&self) -> Readiness {
        let head = self.head();
        Readiness { is_readable: !head.is_empty(), is_writable: head.pages() < bytes::PAGES }
    }

    /// Has the listener told as soon as what is not ready now becomes so, on the given end; answers
    /// with what is ready.
    pub fn watch(&self, end: End) -> Readiness {
        let ready = self.readiness();
        let is_ready = match end {
            End::Reading => ready.is_readable,
            End::Writing => ready.is_writable,
        };
        // Somebody may have been there before the bit was.
        if is_ready { ready } else { self.watch_next(end) }
    }

    /// The same as [`Conduit::watch`], but has the listener told of the next bytes or room even if
    /// there is some already.
    pub fn watch_next(&self, end: End) -> Readiness {
        self.head().wanted.fetch_or(end.watched(), Ordering::SeqCst);
        self.readiness()
    }

    /// Nobody wants to hear of it any more.
    pub fn unwatch(&self, end: End) {
        let wanted = &self.head().wanted;
        if wanted.load(Ordering::Relaxed) & end.watched() != 0 {
            wanted.fetch_and(!end.watched(), Ordering::SeqCst);
        }
    }

    /// A number that is another one after bytes were written.
    pub fn written(&self) -> u64 {
        self.head().write_place().0
    }

    /// Whether [`Conduit::revoke`] was called.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// A copy of the next bytes, up to `max`.
    pub fn peek(&self, max: usize) -> Vec<u8> {
        let held = self.lock();
        let bytes = held.peek(max);
        held.end(End::Writing, false);
        bytes
    }

    /// Takes up to `max` bytes away.
    pub fn read(&self, max: usize) -> Vec<u8> {
        let held = self.lock();
        let read = held.peek(max);
        held.skip(read.len());
        held.end(End::Writing, !read.is_empty());
        read
    }

    /// Gives what one read of `max` bytes gets to `sink`, which says how many it has taken.
    ///
    /// Errors: those of the sink, and nothing is taken then.
    pub fn read_with(
        &self,
        max: usize,
        sink: impl FnOnce(&[u8]) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let held = self.lock();
        let bytes = held.peek(max);
        let taken = if bytes.is_empty() { Ok(0) } else { sink(&bytes) };
        let count = taken.map_or(0, |taken| taken.min(bytes.len()));
        held.skip(count);
        held.end(End::Writing, count > 0);
        taken
    }

    /// Writes what fits of `len` bytes that `source` gives: up to [`ATOMIC_BYTES`] go in whole or not
    /// at all. With `is_packet` they are packets, of a page at most. Answers with how many; 0 if there
    /// is no room.
    ///
    /// Errors: those of the source, and nothing is written then.
    pub fn write_with(
        &self,
        len: usize,
        is_packet: bool,
        source: impl FnOnce(&mut [u8]) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let held = self.lock();
        let room = held.room(len).bytes;
        let fits = (len as u64).min(room);
        if fits == 0 || (fits < len as u64 && len as u64 <= ATOMIC_BYTES) {
            held.end(End::Reading, false);
            return Ok(0);
        }
        let mut data = vec![0; fits as usize];
        let got = source(&mut data);
        let count = got.map_or(0, |got| got.min(data.len()));
        held.push(&data[..count], is_packet);
        held.end(End::Reading, count > 0);
        got
    }

    /// Says that an end is open nowhere any more.
    pub fn close(&self, end: End) {
        let bit = match end {
            End::Reading => state::NO_READERS,
            End::Writing => state::NO_WRITERS,
        };
        self.change(bit);
    }

    /// Has all calls go to the sentry from now on; answers with the bytes, as reads would get them, and
    /// whether they are packets.
    pub fn revoke(&self) -> Vec<(Vec<u8>, bool)> {
        self.is_over.store(true, Ordering::SeqCst);
        self.change(state::REVOKED);
        let held = self.lock();
        let mut all = Vec::new();
        // Whatever the guest says, not more than there can be.
        let mut most = (bytes::PAGES * bytes::PAGE_BYTES) as usize;
        for _ in 0..=bytes::PAGES {
            let is_packet = self.head().piece(self.head().read_place()).is_packet;
            let bytes = held.peek(most);
            if bytes.is_empty() {
                break;
            }
            held.skip(bytes.len());
            most -= bytes.len();
            all.push((bytes, is_packet));
        }
        held.end(End::Writing, false);
        all
    }

    /// Sets bits of the state and wakes everybody.
    fn change(&self, bits: u32) {
        let held = self.lock();
        self.head().state.fetch_or(bits, Ordering::SeqCst);
        held.end(End::Reading, true);
        self.settle();
    }

    fn wake(&self, word: &AtomicU32) {
        self.numbers.woken.fetch_add(self.memory.wake(word), Ordering::Relaxed);
    }

    /// Wakes all who sleep at it.
    fn settle(&self) {
        let head = self.head();
        let all = wanted::READER | wanted::WRITER;
        head.wanted.fetch_and(!all, Ordering::SeqCst);
        for word in [&head.readable, &head.writable] {
            word.fetch_add(1, Ordering::SeqCst);
            self.wake(word);
        }
    }

    /// A change is told that a stub has not rung for.
    pub(super) fn note_report(&self) {
        self.numbers.reported.fetch_add(1, Ordering::Relaxed);
    }

    /// Somebody at an end has changed what [`Conduit::watch`] was about.
    pub(super) fn tell(&self, by: End) {
        let listener = self.listener.lock().as_ref().and_then(Weak::upgrade);
        if let Some(listener) = listener {
            listener.changed(by == End::Writing);
        }
    }

    /// A thread is no longer in its stub: gives back the lock if it has it, and tells others what it
    /// may not have told. Answers with whether its end was at `goal` when it had the lock.
    pub(super) fn leave(&self, tid: Tid, end: End, goal: u64) -> bool {
        let head = self.head();
        let is_made = head.holder() == tid as u32 && {
            let place = match end {
                End::Reading => head.read_place(),
                End::Writing => head.write_place(),
            };
            head.unlock();
            place == Place(goal)
        };
        self.settle();
        self.tell(end);
        is_made
    }

    /// Waits for the lock; for somebody who never gives it back not for ever, and only once. Nobody
    /// else can have it after that.
    fn lock(&self) -> Held<'_> {
        let head = self.head();
        for _ in 0..LOCK_TRIES {
            if head.try_lock(SENTRY) {
                return Held { conduit: self, is_own: true };
            }
            std::hint::spin_loop();
        }
        let end = Instant::now() + LOCK_TIMEOUT;
        loop {
            if head.try_lock(SENTRY) {
                return Held { conduit: self, is_own: true };
            }
            if self.is_stuck.load(Ordering::SeqCst) || Instant::now() >= end {
                self.is_stuck.store(true, Ordering::SeqCst);
                head.state.fetch_or(state::REVOKED, Ordering::SeqCst);
                return Held { conduit: self, is_own: false };
            }
            self.memory.wait(head.lock_word());
        }
    }
}

impl Drop for Conduit {
    /// Guests may still have its memory, which is given back here, and go by its number: they find
    /// another generation there, or nothing.
    fn drop(&mut self) {
        self.change(state::REVOKED);
        self.memory.empty();
        self.numbers.taken.lock().try_remove(self.number as usize);
    }
}

/// The lock of a conduit.
struct Held<'a> {
    conduit: &'a Conduit,
    /// Whether somebody else has it really.
    is_own: bool,
}

impl Held<'_> {
    /// A copy of what one read of `max` bytes gets.
    fn peek(&self, max: usize) -> Vec<u8> {
        let (head, memory) = (self.conduit.head(), &self.conduit.memory);
        let (mut place, mut bytes) = (head.read_place(), Vec::new());
        for _ in 0..=bytes::PAGES {
            let piece = head.piece(place);
            let count = piece.len.min((max - bytes.len()) as u64);
            if count == 0 {
                break;
            }
            memory.read(piece.offset, count, &mut bytes);
            if piece.is_packet {
                break;
            }
            place = head.behind(place, count);
        }
        bytes
    }

    /// Takes the next bytes away, which one read has got, and the rest of a packet.
    fn skip(&self, mut count: usize) {
        let head = self.conduit.head();
        let mut place = head.read_place();
        while count > 0 {
            let piece = head.piece(place);
            let len = piece.len.min(count as u64);
            if len == 0 {
                break;
            }
            if piece.is_packet {
                place = place.next_page();
                break;
            }
            place = head.behind(place, len);
            count -= len as usize;
        }
        head.set_read(place);
    }

    fn room(&self, len: usize) -> bytes::Room {
        let room = self.conduit.head().room(len as u64);
        // Whatever the guest says, a write is not more than all there is.
        bytes::Room { bytes: room.bytes.min(bytes::PAGES * bytes::PAGE_BYTES), ..room }
    }

    /// Appends bytes for which there is room.
    fn push(&self, bytes: &[u8], is_packet: bool) {
        if bytes.is_empty() {
            return;
        }
        let (head, memory) = (self.conduit.head(), &self.conduit.memory);
        let (mut place, mut merged) = (head.write_place(), self.room(bytes.len()).merged);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, next) = head.next(place, merged, rest.len() as u64, is_packet);
            let count = (piece.len as usize).min(rest.len());
            if count == 0 {
                break;
            }
            let (now, later) = rest.split_at(count);
            memory.write(piece.offset, now);
            merged = merged.saturating_sub(piece.len);
            (rest, place) = (later, next);
        }
        head.set_write(place);
    }

    /// Gives the lock back; if something has changed, for those who sleep at an end, wakes them.
    fn end(self, end: End, has_changed: bool) {
        let head = self.conduit.head();
        let (bit, word) = match end {
            End::Reading => (wanted::READER, &head.readable),
            End::Writing => (wanted::WRITER, &head.writable),
        };
        let before = match has_changed {
            true => head.wanted.fetch_and(!bit, Ordering::SeqCst),
            false => 0,
        };
        let sleeps = before & bit != 0;
        if sleeps {
            word.fetch_add(1, Ordering::SeqCst);
        }
        if self.is_own {
            head.unlock();
        }
        if sleeps {
            self.conduit.wake(word);
        }
    }
}

#[cfg(test)]
mod tests;
