//! Calls by the hotline: put where a worker of the sentry looks, instead of being made.
//!
//! Bytes that the call reads go along, and memory that it will write is tried out before, so that
//! the sentry need not reach into the guest's memory for either. Up to the point where the worker
//! takes the call nothing has happened, and all of it may be done again; from then on until the
//! thread has left the stub, the line's state says that it must not be.

use core::arch::asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::access::{copy, min, put};
use super::calls::{self, FUTEX, SCHED_YIELD, pause, syscall};
use super::fast::arguments;
use super::layout::line as state;
use super::layout::{
    Extent, FAST_OFFSET, Fast, HOTLINE_OFFSET, Hotline, REPORTS_OFFSET, ROOM_MAX, ROOM_OFFSET, SENT_OFFSET, TEXT_MAX,
    is_short, shape,
};
use super::line::{
    self, FORETOLD_OFFSET, Foretold, KNOWN_OFFSET, Known, POSTS_OFFSET, Posts, Reports, foretold, known, post as posted,
};

/// How often the stub looks whether a worker has taken the call, and then whether it is done: for
/// about 100 µs. A worker that tells others of a change, or serves another thread's call, comes back
/// by then; to make the call in the host instead takes a worker that has to be woken. ...
const LOOKS: u32 = 2000;
/// ... And so often, letting others run in between, before it waits for a call that was taken in the
/// host: for about 100 µs. To be woken from there takes longer than what the gofer does for most calls.
/// (Where others want the processor, one of them takes a time slice, and then the call is done.)
const YIELDS: u32 = 400;
const FUTEX_WAIT: u64 = 0;
/// Pauses before the first look.
const EARLY: u32 = 4;

const CLOSE: u32 = calls::CLOSE as u32;
const FCNTL: u32 = 72;
const FADVISE64: u32 = 221;
const F_SETFD: u32 = 2;
const F_GETFL: u32 = 3;
const FD_CLOEXEC: u64 = 1;
const LSEEK: u32 = 8;
const SEEK_CUR: u32 = 1;
const IOCTL: u32 = 16;
const FICLONE: u32 = 0x4004_9409;
const TCGETS: u32 = 0x5401;
const ENOTTY: u64 = -25_i64 as u64;
const EOPNOTSUPP: u64 = -95_i64 as u64;
const NEWFSTATAT: u32 = 262;
const AT_EMPTY_PATH: u32 = 0x1000;
/// Length of `struct stat`.
const STAT_WORDS: usize = 18;
/// Where the guest's addresses end.
const USER_END: u64 = (1 << 47) - 4096;
/// `POSIX_FADV_NOREUSE`, the last one.
const ADVICE_MAX: u32 = 5;

/// Where short answers are, behind result, offset and length.
const SHORT: u64 = offset_of!(Hotline, words) as u64 + 24;
const DIRECTION_FLAG: u64 = 1 << 10;
const PAGE_BYTES: u64 = 4096;

/// Gives the call to the worker that watches the line, if one does; answers with the result.
#[inline(always)]
pub(crate) fn call(fast: *mut Fast, number: u32) -> Option<u64> {
    forget_foretold(fast);
    if load!((*fast).is_open) == 0 || load!((*fast).saved.flags) & DIRECTION_FLAG != 0 {
        return None;
    }
    let shape = shape::of(number)?;
    let slot = fast as u64 - FAST_OFFSET;
    let hotline = (slot + HOTLINE_OFFSET) as *mut Hotline;
    let args = arguments(fast);
    send(slot, shape, &args);
    let room = shape.room(&args);
    make_room(room);
    store!((*fast).room, room);
    store!((*hotline).number, number);
    store!((*hotline).info, load!((*fast).info));
    store!((*hotline).words, args);
    // SAFETY: the slot is mapped.
    let word = unsafe { AtomicU32::from_ptr(&raw mut (*hotline).state) };
    let turn = load!((*fast).turn) & !state::KINDS;
    line::put(word, turn);
    // To look before anybody can have answered would only keep him from it.
    (0..EARLY).for_each(|_| pause());
    let let_run = || {
        syscall(SCHED_YIELD, [0; 6]);
    };
    let sleep = || {
        let place = word.as_ptr() as u64;
        syscall(FUTEX, [place, FUTEX_WAIT, (turn | state::WAITED).into(), 0, 0, 0]);
    };
    if !line::wait(word, turn, (LOOKS, YIELDS), pause, let_run, sleep) {
        return None;
    }
    let [result, from, len, ..] = load!((*hotline).words);
    learn(slot, result, load!((*hotline).info));
    let len = min(len, ROOM_MAX);
    if len == 0 {
        return Some(result);
    }
    let from = min(from, ROOM_MAX - len);
    let there = if is_short(from, len) {
        slot + HOTLINE_OFFSET + SHORT
    } else {
        slot + ROOM_OFFSET + from
    };
    copy(room.address.wrapping_add(from), there, len);
    Some(result)
}

/// Notes what the sentry says about a descriptor that it has answered with.
#[inline(always)]
fn learn(slot: u64, fd: u64, word: u64) {
    let known = (slot + KNOWN_OFFSET) as *mut Known;
    store!((*known).made, word >> known::MADE_SHIFT & known::MADE);
    store!((*known).is_foretold, word & known::FORETOLD);
    if word & known::IS == 0 || fd >= known::MAX {
        return;
    }
    let flags = (known as u64 + offset_of!(Known, flags) as u64) as *mut u32;
    store!(*flags.wrapping_add(fd as usize), (word >> known::FLAGS_SHIFT) as u32);
    store!((*known).descriptors, load!((*known).descriptors) | 1 << fd);
}

/// A call goes to the sentry: what it has said before does not hold behind that.
#[inline(always)]
fn forget_foretold(fast: *mut Fast) {
    let known = (fast as u64 - FAST_OFFSET + KNOWN_OFFSET) as *mut Known;
    store!((*known).is_foretold, 0);
}

/// Answers a call as the sentry has foretold.
#[inline(always)]
pub(crate) fn foretold_call(fast: *mut Fast, number: u32) -> Option<u64> {
    let slot = fast as u64 - FAST_OFFSET;
    let known = (slot + KNOWN_OFFSET) as *mut Known;
    if load!((*known).is_foretold) == 0 {
        return None;
    }
    let args = arguments(fast);
    let (what, place) = match number {
        foretold::FSTAT => (foretold::FSTAT, args[1]),
        NEWFSTATAT if args[3] as u32 == AT_EMPTY_PATH && args[1] != 0 => (foretold::FSTAT, args[2]),
        IOCTL if matches!(args[1] as u32, FICLONE | TCGETS) => (foretold::FSTAT, 0),
        LSEEK if args[1] == 0 && args[2] as u32 == SEEK_CUR => (foretold::FSTAT, 0),
        foretold::READ | foretold::GETDENTS64 | foretold::COPY_FILE_RANGE => (number, 0),
        _ => return None,
    };
    let told = (slot + FORETOLD_OFFSET) as *mut Foretold;
    // SAFETY: the slot is mapped.
    let head = unsafe { AtomicU64::from_ptr(&raw mut (*told).head) };
    let is_told = head.load(Ordering::Acquire);
    // Only the lower half of a descriptor counts, as on the host.
    if is_told & !(foretold::USED | foretold::SOURCE) != foretold::head(what, args[0] as u32) {
        return None;
    }
    let words = (told as u64 + offset_of!(Foretold, words) as u64) as *const u64;
    match number {
        IOCTL if args[1] as u32 == TCGETS => return Some(ENOTTY),
        IOCTL => {
            let source = foretold::source(Some(args[2] as u32));
            return (source != 0 && is_told & foretold::SOURCE == source).then_some(EOPNOTSUPP);
        }
        LSEEK => return Some(0),
        NEWFSTATAT if load_byte(args[1]) != 0 => return None,
        foretold::FSTAT | NEWFSTATAT => {
            let mut index = 0;
            while index < STAT_WORDS {
                let word = if index < foretold::WORDS { load!(*words.wrapping_add(index)) } else { 0 };
                put(place.wrapping_add(8 * index as u64), word);
                index += 1;
            }
        }
        foretold::READ if args[2] > USER_END || args[1] > USER_END - args[2] => return None,
        foretold::COPY_FILE_RANGE => {
            let is_plain = args[1] == 0 && args[3] == 0 && args[5] as u32 == 0;
            let (to, len) = (load!(*words), load!(*words.wrapping_add(1)));
            if !is_plain || args[2] as u32 as u64 != to || args[4] > len {
                return None;
            }
        }
        _ => {}
    }
    if what != foretold::FSTAT {
        // Once is enough, and who asks again and again waits for something.
        store!((*known).is_foretold, 0);
    }
    if is_told & foretold::USED == 0 {
        head.fetch_or(foretold::USED, Ordering::Relaxed);
    }
    Some(0)
}

/// Makes a call of which the stub knows the result.
#[inline(always)]
pub(crate) fn known(fast: *mut Fast, number: u32) -> Option<u64> {
    if !matches!(number, CLOSE | FCNTL | FADVISE64) {
        return None;
    }
    // Only the lower halves count, as on the host.
    let fd = u64::from(load!((*fast).saved.rdi) as u32);
    let known = (fast as u64 - FAST_OFFSET + KNOWN_OFFSET) as *mut Known;
    let descriptors = load!((*known).descriptors);
    if fd >= known::MAX || descriptors >> fd & 1 == 0 {
        return None;
    }
    let what = match number {
        CLOSE => {
            // Whatever becomes of it, this is not known any more.
            store!((*known).descriptors, descriptors & !(1 << fd));
            store!((*known).is_foretold, 0);
            posted::CLOSE
        }
        FCNTL => match load!((*fast).saved.rsi) as u32 {
            F_SETFD if load!((*fast).saved.rdx) & FD_CLOEXEC != 0 => posted::SET_CLOEXEC,
            F_SETFD => posted::CLEAR_CLOEXEC,
            F_GETFL => {
                let flags = (known as u64 + offset_of!(Known, flags) as u64) as *const u32;
                let flags = load!(*flags.wrapping_add(fd as usize));
                return (flags != known::NO_FLAGS).then_some(flags.into());
            }
            _ => return None,
        },
        _ => {
            let is_advice = load!((*fast).saved.r10) as u32 <= ADVICE_MAX;
            return (is_advice && load!((*fast).saved.rdx) as i64 >= 0).then_some(0);
        }
    };
    let turn = u64::from(load!((*fast).turn) & !state::KINDS);
    let word = turn << posted::TURN_SHIFT | fd << posted::DESCRIPTOR_SHIFT | what;
    post(fast, load!((*known).made), word).then_some(0)
}

/// Leaves a call for whoever next hears of the thread; `false` if there are too many, or nobody watches
/// the line, who would look here soon.
#[inline(always)]
fn post(fast: *mut Fast, made: u64, word: u64) -> bool {
    let posts = (fast as u64 - FAST_OFFSET + POSTS_OFFSET) as *mut Posts;
    let count = load!((*posts).count);
    let waiting = count.wrapping_sub(made) & known::MADE;
    if load!((*fast).is_open) == 0 || waiting >= Posts::PLACES {
        return false;
    }
    let places = (posts as u64 + offset_of!(Posts, places) as u64) as *mut u64;
    store!(*places.wrapping_add((count % Posts::PLACES) as usize), word);
    // SAFETY: the slot is mapped.
    let place = unsafe { AtomicU64::from_ptr(&raw mut (*posts).count) };
    place.store(count + 1, Ordering::Release);
    true
}

/// Tells the worker that watches the line of a change in a conduit, named as in [`Fast::conduit`];
/// `false` if nobody watches.
#[inline(always)]
pub(crate) fn report(fast: *mut Fast, which: u64) -> bool {
    if load!((*fast).is_open) == 0 {
        return false;
    }
    let reports = (fast as u64 - FAST_OFFSET + REPORTS_OFFSET) as *mut Reports;
    let places = (reports as u64 + offset_of!(Reports, places) as u64) as *mut u64;
    let mut index = 0;
    while index < Reports::PLACES {
        // SAFETY: the place is in the slot, which is mapped.
        let place = unsafe { AtomicU64::from_ptr(places.wrapping_add(index)) };
        index += 1;
        if place.load(Ordering::Relaxed) != 0 {
            continue;
        }
        place.store(which, Ordering::Relaxed);
        // SAFETY: the slot is mapped.
        let count = unsafe { AtomicU64::from_ptr(&raw mut (*reports).count) };
        // Whoever closes the line looks here afterwards; so here it is the other way round.
        count.fetch_add(1, Ordering::SeqCst);
        if load!((*fast).is_open) != 0 {
            return true;
        }
        return place.compare_exchange(which, 0, Ordering::SeqCst, Ordering::Relaxed).is_err();
    }
    false
}

/// Puts the bytes that a call reads into the slot; of text as much as has room.
#[inline(always)]
fn send(slot: u64, shape: shape::Shape, args: &[u64; 6]) {
    let to = slot + SENT_OFFSET;
    if let shape::Input::Text { address } = shape.input {
        let address = shape::argument(args, address);
        let mut len = 0;
        while len < TEXT_MAX {
            let byte = load_byte(address.wrapping_add(len));
            store_byte(to + len, byte);
            len += 1;
            if byte == 0 {
                break;
            }
        }
        return;
    }
    let Extent { address, len } = shape.sent(args);
    if len > 0 {
        copy(to, address, len);
    }
}

/// Makes sure that the memory a call writes can be written.
#[inline(always)]
fn make_room(room: Extent) {
    let Extent { address, len } = room;
    if len == 0 {
        return;
    }
    let mut place = address;
    let last = address.wrapping_add(len - 1);
    loop {
        touch(place);
        // The beginning of the next page.
        place = (place | (PAGE_BYTES - 1)).wrapping_add(1);
        if place > last || place == 0 {
            break;
        }
    }
}

/// Writes to a byte what it holds.
#[inline(always)]
fn touch(place: u64) {
    // SAFETY: it changes nothing; a fault takes the slow way.
    unsafe { asm!("lock or byte ptr [{}], 0", in(reg) place, options(nostack)) };
}

#[inline(always)]
fn load_byte(place: u64) -> u8 {
    load!(*(place as *const u8))
}

#[inline(always)]
fn store_byte(place: u64, byte: u8) {
    store!(*(place as *mut u8), byte);
}
