//! Reads and writes that the stub serves by itself: of conduits, whose bytes lie in memory that it
//! has, and of `/dev/zero` and `/dev/null`.
//!
//! Up to the store that moves the conduit's own word ([`Head::set_read`], [`Head::set_write`])
//! nothing has happened. [`Fast`] says which conduit the thread is at, and where that word will be
//! then, so that the sentry can tell of a thread that it finds here whether its call is made; it also
//! gives back the lock, and tells others, in place of a thread that does not get to it.

use core::arch::asm;
use core::sync::atomic::Ordering;

use super::access::{copy, min};
use super::bytes::{ATOMIC_BYTES, Head, Place, state, wanted};
use super::calls::{FUTEX, doorbell, pause, syscall};
use super::layout::{
    CHANNEL_OFFSET, CONDUIT_BYTES, CONDUIT_OFFSET, FAST_OFFSET, FILES_MAX, FILES_OFFSET, Fast, KICK, at, change,
    event, section, served_file,
};
use super::{entry, hotline};

const READ: u32 = 0;
const WRITE: u32 = 1;
const READV: u32 = 19;
const WRITEV: u32 = 20;
const SENDTO: u32 = 44;
const RECVFROM: u32 = 45;
/// `MSG_DONTWAIT`, and what a call without an error does not look at: `MSG_NOSIGNAL`.
const MSG_DONTWAIT: u64 = 0x40;
const MSG_SERVED: u64 = MSG_DONTWAIT | 0x4000;

/// Most bytes that one call is served of.
const SERVED_MAX: u64 = 1 << 30;
/// Most pieces that one call may have.
const PIECES_MAX: u64 = 16;
/// Where addresses of programs end.
const USER_END: u64 = 0x7fff_ffff_f000;
const EAGAIN: u64 = 11_u64.wrapping_neg();
const DIRECTION_FLAG: u64 = 1 << 10;
const FUTEX_WAIT: u64 = 0;
const FUTEX_WAKE: u64 = 1;
const EVERYBODY: u64 = i32::MAX as u64;

/// How often the stub tries to get a lock. Somebody who has it keeps it for as long as a copy takes.
const TRIES: u32 = 200;

/// Makes a call of this kind if the thread may; answers with its result.
#[inline(always)]
pub(crate) fn call(fast: *mut Fast, number: u32) -> Option<u64> {
    let is_write = match number {
        READ | READV | RECVFROM => false,
        WRITE | WRITEV | SENDTO => true,
        _ => return None,
    };
    let fd = u64::from(load!((*fast).saved.rdi) as u32);
    let has_direction = load!((*fast).saved.flags) & DIRECTION_FLAG != 0;
    if load!((*fast).has_files) == 0 || has_direction || fd >= FILES_MAX {
        return None;
    }
    let file = load!(*((entry::channel() + FILES_OFFSET + fd * 8) as *const u64));
    let right = if is_write { served_file::WRITES } else { served_file::READS };
    if file & right == 0 {
        return None;
    }
    let mut waits = file & served_file::NONBLOCKING == 0;
    let (address, count) = (load!((*fast).saved.rsi), load!((*fast).saved.rdx));
    let buffer = match number {
        READV | WRITEV => Buffer::of_vector(address, count)?,
        SENDTO | RECVFROM => {
            let (flags, peer) = (load!((*fast).saved.r10), load!((*fast).saved.r8));
            if file & served_file::SOCKET == 0 || flags & !MSG_SERVED != 0 || peer != 0 {
                return None;
            }
            waits &= flags & MSG_DONTWAIT == 0;
            Buffer::new(address, count)?
        }
        _ => Buffer::new(address, count)?,
    };
    if buffer.len == 0 || buffer.len > SERVED_MAX {
        return None;
    }
    match file & served_file::KINDS {
        served_file::CONDUITS => {}
        served_file::NONE => return None,
        served_file::NULL if !is_write => return Some(0),
        served_file::ZERO if !is_write => return buffer.clear(),
        _ => return Some(buffer.len),
    }
    let shift = if is_write { served_file::OUTPUT_SHIFT } else { served_file::INPUT_SHIFT };
    let number = file >> shift & served_file::NUMBER;
    let generation = file >> shift >> served_file::GENERATION_SHIFT & served_file::GENERATION;
    if number == 0 {
        return None;
    }
    let which = number | if is_write { at::WRITES } else { 0 };
    let memory = memory_of(number);
    let are_packets = file & served_file::PACKETS != 0;
    let visit = Visit { fast, which, generation: generation as u32, memory, are_packets };
    let result = visit.serve(buffer, waits);
    if result.is_none() && load!((*fast).change) == change::WAITING {
        // The call has begun, so that it must not be made anew: the sentry goes on with it.
        entry::trap();
    }
    store!((*fast).conduit, 0);
    if result.is_none() {
        store!((*fast).change, change::NONE);
    }
    result
}

/// Where a conduit is, by its number and one.
#[inline(always)]
fn memory_of(number: u64) -> u64 {
    let start = entry::channel() - CHANNEL_OFFSET + CONDUIT_OFFSET;
    start + number.wrapping_sub(1) * CONDUIT_BYTES
}

/// Memory of the guest's that a call reads or writes, a piece after the other.
#[derive(Clone, Copy)]
struct Buffer {
    /// All of it, as it was said at first.
    len: u64,
    /// The piece at hand.
    address: u64,
    left: u64,
    /// `struct iovec`s that come behind it.
    vector: u64,
    count: u64,
}

impl Buffer {
    /// `None` for more than [`SERVED_MAX`], or memory that no program can have.
    #[inline(always)]
    fn new(address: u64, len: u64) -> Option<Buffer> {
        let is_served = Buffer::is_served(address, len);
        is_served.then_some(Buffer { len, address, left: len, vector: 0, count: 0 })
    }

    #[inline(always)]
    fn is_served(address: u64, len: u64) -> bool {
        len <= SERVED_MAX && address <= USER_END - len
    }

    /// The same, and `None` for more pieces than are served.
    #[inline(always)]
    fn of_vector(vector: u64, count: u64) -> Option<Buffer> {
        if count > PIECES_MAX || vector % 8 != 0 {
            return None;
        }
        let (mut len, mut index) = (0, 0);
        while index < count {
            let address = load!(*((vector + index * 16) as *const u64));
            let piece = load!(*((vector + index * 16 + 8) as *const u64));
            if !Buffer::is_served(address, piece) {
                return None;
            }
            len += piece;
            index += 1;
        }
        Some(Buffer { len, address: 0, left: 0, vector, count })
    }

    /// The next bytes that lie together, `most` at most: where, and how many; 0 at the end.
    #[inline(always)]
    fn take(&mut self, most: u64) -> (u64, u64) {
        while self.left == 0 && self.count > 0 {
            self.address = load!(*(self.vector as *const u64));
            self.left = load!(*((self.vector + 8) as *const u64));
            self.vector += 16;
            self.count -= 1;
        }
        let len = min(self.left, most);
        let address = self.address;
        self.address = address.wrapping_add(len);
        self.left -= len;
        (address, len)
    }

    /// Fills it with zeros.
    #[inline(always)]
    fn clear(mut self) -> Option<u64> {
        let mut left = self.len;
        while left > 0 {
            let (address, len) = self.take(left);
            if len == 0 {
                return None;
            }
            clear(address, len);
            left -= len;
        }
        Some(self.len)
    }
}

/// A thread at a conduit.
#[derive(Clone, Copy)]
struct Visit {
    fast: *mut Fast,
    /// As in [`Fast::conduit`].
    which: u64,
    generation: u32,
    memory: u64,
    are_packets: bool,
}

impl Visit {
    #[inline(always)]
    fn head(&self) -> &Head {
        // SAFETY: the sentry has mapped it, or else this faults, which takes the slow way. It has only
        // atomic fields.
        unsafe { &*(self.memory as *const Head) }
    }

    #[inline(always)]
    fn is_write(&self) -> bool {
        self.which & at::WRITES != 0
    }

    #[inline(always)]
    fn serve(&self, buffer: Buffer, waits: bool) -> Option<u64> {
        let fast = self.fast;
        loop {
            store!((*fast).goal, u64::MAX);
            store!((*fast).conduit, self.which);
            if !self.lock() {
                return None;
            }
            let state = self.head().state.load(Ordering::Relaxed);
            // The sentry knows why there is no such end, or this one is no longer open.
            let ends = match self.is_write() {
                true => state::NO_READERS | state::NO_WRITERS,
                false => state::NO_READERS,
            };
            let is_other = self.head().generation.load(Ordering::Relaxed) != self.generation;
            if is_other || state & (state::REVOKED | ends) != 0 {
                self.unlock();
                return None;
            }
            let moved = match self.is_write() {
                true => self.write(buffer),
                false => self.read(buffer),
            };
            match moved {
                Moved::All(result) => {
                    self.tell();
                    return Some(result);
                }
                Moved::Some => {
                    self.unlock();
                    return None;
                }
                Moved::Nothing if !self.is_write() && state & state::NO_WRITERS != 0 => {
                    self.unlock();
                    store!((*self.fast).result, 0);
                    store!((*self.fast).change, change::DONE);
                    return Some(0);
                }
                Moved::Nothing if !waits => {
                    self.unlock();
                    return Some(EAGAIN);
                }
                Moved::Nothing => self.wait(),
            }
        }
    }

    /// Takes the lock, unless somebody has it for long. A thread that has it reports no kick: the
    /// sentry might wait for the lock before it hears of that.
    #[inline(always)]
    fn lock(&self) -> bool {
        let fast = self.fast;
        let token = load!((*fast).token) as u32;
        let mut tries = TRIES;
        store!((*fast).section, section::ENTERING);
        while !self.head().try_lock(token) {
            if tries == 0 {
                self.leave_section();
                return false;
            }
            tries -= 1;
            pause();
        }
        store!((*fast).section, section::LOCKED);
        true
    }

    /// Gives the lock back.
    #[inline(always)]
    fn unlock(&self) {
        let fast = self.fast;
        store!((*fast).section, section::ENTERING);
        self.head().unlock();
        self.leave_section();
    }

    /// From here on kicks are reported; also one that was not.
    #[inline(always)]
    fn leave_section(&self) {
        let fast = self.fast;
        store!((*fast).section, section::NONE);
        if load!((*fast).is_kicked) != 0 {
            store!((*fast).is_kicked, 0);
            doorbell(event::KICKED, [0; 5]);
        }
    }

    /// Copies what is there, and takes it away.
    #[inline(always)]
    fn read(&self, mut buffer: Buffer) -> Moved {
        let head = self.head();
        let mut place = head.read_place();
        let mut done = 0;
        while done < buffer.len {
            let piece = head.piece(place);
            if piece.len == 0 {
                break;
            }
            let count = min(piece.len, buffer.len - done);
            let (address, count) = buffer.take(count);
            if count == 0 {
                break;
            }
            copy(address, self.memory + piece.offset, count);
            done += count;
            if piece.is_packet {
                if count < piece.len && buffer.len > done {
                    // The rest may have room in the next piece: for the sentry.
                    return Moved::Some;
                }
                place = place.next_page();
                break;
            }
            place = head.behind(place, count);
        }
        if done == 0 {
            return Moved::Nothing;
        }
        self.make(place, done);
        Moved::All(done)
    }

    /// Copies all of it there if there is room.
    #[inline(always)]
    fn write(&self, mut buffer: Buffer) -> Moved {
        let (head, len) = (self.head(), buffer.len);
        let room = head.room(len);
        if room.bytes < len {
            let is_full = room.bytes == 0 || len <= ATOMIC_BYTES;
            return if is_full { Moved::Nothing } else { Moved::Some };
        }
        let (mut place, mut merged, mut done) = (head.write_place(), room.merged, 0);
        while done < len {
            let (piece, next) = head.next(place, merged, len - done, self.are_packets);
            let mut filled = 0;
            while filled < piece.len {
                let (address, count) = buffer.take(piece.len - filled);
                if count == 0 {
                    // The guest says something else now.
                    return Moved::Some;
                }
                copy(self.memory + piece.offset + filled, address, count);
                filled += count;
            }
            if filled == 0 {
                return Moved::Some;
            }
            merged = merged.saturating_sub(filled);
            place = next;
            done += filled;
        }
        self.make(place, done);
        Moved::All(done)
    }

    /// Makes the call, whose result is known.
    #[inline(always)]
    fn make(&self, place: Place, result: u64) {
        let fast = self.fast;
        store!((*fast).result, result);
        store!((*fast).goal, place.0);
        match self.is_write() {
            true => self.head().set_write(place),
            false => self.head().set_read(place),
        }
        store!((*fast).change, change::DONE);
    }

    /// Gives the lock back and tells those who wait for what has been done.
    #[inline(always)]
    fn tell(&self) {
        let (head, fast) = (self.head(), self.fast);
        let (sleeper, watcher, word) = match self.is_write() {
            true => (wanted::READER, wanted::IN, &head.readable),
            false => (wanted::WRITER, wanted::OUT, &head.writable),
        };
        let cpu = if self.is_write() { &head.writer_cpu } else { &head.reader_cpu };
        cpu.store(processor(), Ordering::Relaxed);
        let told = head.wanted.load(Ordering::Relaxed) & (sleeper | watcher);
        if told == 0 {
            self.unlock();
            return;
        }
        head.wanted.fetch_and(!told, Ordering::Relaxed);
        if told & sleeper != 0 {
            word.fetch_add(1, Ordering::Relaxed);
        }
        self.unlock();
        if told & sleeper != 0 {
            syscall(FUTEX, [word.as_ptr() as u64, FUTEX_WAKE, EVERYBODY, 0, 0, 0]);
        }
        if told & watcher != 0 && !hotline::report(fast, self.which) {
            doorbell(event::READY, [self.which, 0, 0, 0, 0]);
        }
    }

    /// Gives the lock back and waits until there may be something to do. From now on the call has begun:
    /// the sentry goes on with it if it wants the thread before it is made.
    #[inline(always)]
    fn wait(&self) {
        let head = self.head();
        let fast = self.fast;
        let (sleeper, word, cpu) = match self.is_write() {
            true => (wanted::WRITER, &head.writable, &head.reader_cpu),
            false => (wanted::READER, &head.readable, &head.writer_cpu),
        };
        let seen = self.seen();
        store!((*fast).change, change::WAITING);
        self.unlock();
        if cpu.load(Ordering::Relaxed) != processor() {
            let is_enough = self.look(seen, head.looks());
            head.note_looks(is_enough);
            if is_enough {
                return;
            }
        }
        if self.lock() {
            let value = word.load(Ordering::Relaxed);
            let is_over = self.seen() != seen || head.state.load(Ordering::Relaxed) != 0;
            if !is_over {
                head.wanted.fetch_or(sleeper, Ordering::Relaxed);
            }
            self.unlock();
            if !is_over {
                let place = word.as_ptr() as u64;
                syscall(FUTEX, [place, FUTEX_WAIT, value.into(), 0, 0, 0]);
            }
        }
    }

    /// The word that the other end moves.
    #[inline(always)]
    fn seen(&self) -> Place {
        match self.is_write() {
            true => self.head().read_place(),
            false => self.head().write_place(),
        }
    }

    /// Looks so often whether something has happened.
    #[inline(always)]
    fn look(&self, seen: Place, mut looks: u32) -> bool {
        while looks > 0 {
            if self.seen() != seen || self.head().state.load(Ordering::Relaxed) != 0 {
                return true;
            }
            pause();
            looks -= 1;
        }
        false
    }
}

/// Looks at a signal that has come while a thread may have a conduit's lock; `true` if the thread shall
/// go on, which is for a kick: it reports that later. At a fault the lock is given back, as nothing is
/// done yet.
#[inline(always)]
pub(crate) fn defers(slot: u64, signo: u64) -> bool {
    let fast = (slot + FAST_OFFSET) as *mut Fast;
    let section = load!((*fast).section);
    if section == section::NONE {
        return false;
    }
    if signo == KICK {
        store!((*fast).is_kicked, 1);
        return true;
    }
    store!((*fast).section, section::NONE);
    if section == section::LOCKED {
        let memory = memory_of(load!((*fast).conduit) & at::NUMBER);
        // SAFETY: the thread has taken the lock there. (What the guest says else harms itself.)
        unsafe { &*(memory as *const Head) }.unlock();
    }
    false
}

enum Moved {
    All(u64),
    /// There is room for a part: for the sentry.
    Some,
    Nothing,
}

/// A number for the processor that executes this.
#[inline(always)]
fn processor() -> u32 {
    /// The segment in whose limit Linux keeps it.
    const CPU_SEGMENT: u32 = 0x7b;
    let limit: u32;
    // SAFETY: reads a segment's limit, or leaves it alone.
    unsafe {
        asm!("xor {0:e}, {0:e}", "lsl {0:e}, {1:e}", out(reg) limit, in(reg) CPU_SEGMENT, options(nomem, nostack));
    }
    limit
}

/// Puts zeros into the guest's memory; the direction flag is clear.
#[inline(always)]
fn clear(to: u64, len: u64) {
    // SAFETY: it is what the guest has named.
    unsafe {
        asm!(
            "rep stosb",
            inout("rdi") to => _,
            inout("rcx") len => _,
            in("al") 0_u8,
            options(nostack, preserves_flags),
        );
    }
}
