//! Calls that a worker watches out for, instead of being woken by them.
//!
//! A wake-up costs two context switches, which is more than most calls take. So while one thread
//! makes call after call and nothing else happens, a worker looks at the thread's line
//! ([`Hotline`]) on another processor, and the stub puts the calls there. [`Watch`] decides when:
//! the thread must have made [`STREAK`] such calls in a row and in quick succession; a pause, any other
//! event, or a processor that others want ends it. Then nobody looks any more, and a worker sleeps
//! as ever. To begin and to end costs a few wake-ups, so a watch that did not pay makes the next
//! one come later.
//!
//! What lies on the line is the guest's word, like all of its slot. Whether a call is being served is
//! for [`Calling`] to say, in the sentry's own memory.
//!
//! Locks, in this order: `Watch::state`, `Slot::calling`.
//!
//! [`Hotline`]: super::layout::Hotline

use std::cell::Cell;
use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use linux_abi::Errno;
use parking_lot::Mutex;

use super::channel::SlotMemory;
use super::layout;
use super::layout::{
    Extent, FAST_OFFSET, Fast, HOTLINE_OFFSET, Hotline, ROOM_MAX, ROOM_OFFSET, SENT_MAX,
    SENT_OFFSET, TEXT_MAX, WINDOW_BYTES, shape,
};
use super::line;
use super::listener::Listener;
use super::slot::{Event, Slot};
use super::workers::{Parked, Workers};
use crate::host::process::{self, Processors};
use crate::process::{Tid, copy};

/// So many calls in a row make a watch worth while, at first, ...
const STREAK: u32 = 64;
/// ... at most, when it never was, ...
const STREAK_MAX: u32 = 1 << 11;
/// ... and so long from one to the next, on average.
const PACE: Duration = Duration::from_micros(25);
/// A watch that has seen so many calls was worth it, ...
const WORTH: u32 = 128;
/// One event of the thread that comes another way is made up for by so many calls, ...
const OWN_SHARE: u32 = 16;
/// ... and one of another thread by so many.
const OTHER_SHARE: u32 = 2;
/// How long a worker looks without seeing a call.
const IDLE: Duration = Duration::from_micros(100);
/// A worker that did not run for so long has lost its processor to others.
const LOST: Duration = Duration::from_micros(200);
/// Looks between two glances at the clock.
const LOOKS: u32 = 100;
/// Calls between two glances at the listener.
const CALLS: u32 = 64;

// `take_call` reads the first line as words.
const _: () = assert!(offset_of!(Hotline, state) == 0 && offset_of!(Hotline, number) == 4);
const _: () = assert!(offset_of!(Hotline, info) == 8 && offset_of!(Hotline, words) == 16);

/// Whether a call can go by the line.
pub(super) fn is_eligible(number: u64) -> bool {
    u32::try_from(number).is_ok_and(|number| shape::of(number).is_some())
}

/// The call by the line that the sentry serves for a thread.
#[derive(Default)]
pub(super) struct Calling {
    is_serving: bool,
    /// The notification by which the stub waits for its end.
    waiting: Option<u64>,
    sent: Extent,
    room: Extent,
    /// What was put into `room`: offset and length.
    put: (u64, u64),
}

impl Calling {
    pub(super) fn is_serving(&self) -> bool {
        self.is_serving
    }
}

/// What a finished call has left to be done for the guest.
struct Rest {
    address: u64,
    offset: u64,
    len: u64,
}

impl Slot {
    fn line_word(&self, field: usize) -> u64 {
        HOTLINE_OFFSET + field as u64
    }

    fn line_state(&self) -> &AtomicU32 {
        self.memory.atomic(self.line_word(offset_of!(Hotline, state)))
    }

    /// Takes the call on the line, if there is one and the thread may be served.
    fn take_call(&self) -> Option<Event> {
        let state = self.line_state();
        if state.load(Ordering::Acquire) != layout::line::CALL {
            return None;
        }
        let mut calling = self.calling.lock();
        if calling.is_serving || !self.stop_running() {
            return None;
        }
        let is_taken = line::take(state);
        let [number_word, info, args @ ..] = self.memory.read::<[u64; 8]>(HOTLINE_OFFSET);
        let number = (number_word >> 32) as u32;
        if !is_taken || !is_eligible(number.into()) {
            // The stub has withdrawn it, or this is none of its calls.
            self.go_on_running();
            return None;
        }
        let extents = self.line_word(offset_of!(Hotline, sent));
        let [sent_address, sent_len, room_address, room_len] =
            self.memory.read::<[u64; 4]>(extents);
        *calling = Calling {
            is_serving: true,
            sent: Extent { address: sent_address, len: sent_len },
            room: Extent { address: room_address, len: room_len.min(ROOM_MAX) },
            ..Calling::default()
        };
        self.is_along.store(true, Ordering::Relaxed);
        Some(Event::Hotline { number: number as i32, info, args })
    }

    /// Whether the sentry serves a call by the line.
    pub(super) fn is_serving(&self) -> bool {
        self.calling.lock().is_serving
    }

    /// The stub waits in the host; `false` if that is over already.
    pub(super) fn keep_waiting(&self, id: u64) -> bool {
        let mut calling = self.calling.lock();
        let must_wait = calling.is_serving && !self.is_leaving();
        if must_wait {
            calling.waiting = Some(id);
        }
        must_wait
    }

    /// Lets the stub go on with the result of its call.
    pub(super) fn finish_call(&self, listener: &Listener, result: u64) {
        let mut calling = self.calling.lock();
        let Calling { waiting, put: (offset, len), .. } = std::mem::take(&mut *calling);
        self.is_along.store(false, Ordering::Relaxed);
        let words = self.line_word(offset_of!(Hotline, words));
        self.memory.write(words, &[result, offset, len]);
        line::finish(self.line_state());
        drop(calling);
        if let Some(id) = waiting {
            // A failure means that it was killed.
            let _ = listener.answer(id, 0);
        }
    }

    /// The call is no longer one by the line: what it has written goes into the guest's memory, and
    /// the stub, if it waits, is let out, to be met by a kick.
    pub(super) fn end_call(&self, listener: &Listener) {
        let Calling { waiting, room, put: (offset, len), .. } = {
            let mut calling = self.calling.lock();
            self.is_along.store(false, Ordering::Relaxed);
            std::mem::take(&mut *calling)
        };
        self.put_back(&Rest { address: room.address, offset, len });
        if let Some(id) = waiting {
            let _ = listener.answer(id, 0);
        }
    }

    /// Writes what was put into the room where it belongs.
    fn put_back(&self, rest: &Rest) {
        let Rest { address, offset, len } = *rest;
        if len == 0 || offset > ROOM_MAX || len > ROOM_MAX - offset {
            return;
        }
        // No access may reach the stub's own window.
        let window = self.memory.address() / WINDOW_BYTES * WINDOW_BYTES;
        let address = address.wrapping_add(offset);
        if address < window + WINDOW_BYTES && address.saturating_add(len) > window {
            return;
        }
        let mut bytes = vec![0; len as usize];
        self.memory.read_bytes(ROOM_OFFSET + offset, &mut bytes);
        // It could be written when the call was made. If not any more, that is the guest's doing.
        let _ = copy::write(self.tid, address, &bytes);
    }

    /// Takes back a call that nobody has taken, of a thread that has left the line.
    pub(super) fn withdraw_call(&self) {
        line::withdraw(self.line_state());
    }

    /// The result of a finished call that the thread, found in the stub, has not yet left with; what
    /// it should have copied is written.
    pub(super) fn finished_call(&self) -> Option<u64> {
        if self.line_state().load(Ordering::Acquire) != layout::line::DONE {
            return None;
        }
        let words = self.line_word(offset_of!(Hotline, words));
        let [result, offset, len] = self.memory.read::<[u64; 3]>(words);
        let room = self.line_word(offset_of!(Hotline, room));
        let address = self.memory.read::<u64>(room);
        self.put_back(&Rest { address, offset, len });
        Some(result)
    }

    /// Reads the guest's bytes that came along with the present call; `None` if these did not.
    pub(super) fn read_along(&self, address: u64, buf: &mut [u8]) -> Option<usize> {
        let calling = self.calling.lock();
        if !calling.is_serving {
            return None;
        }
        let Extent { address: start, len } = calling.sent;
        let is_text = len & Extent::TEXT != 0;
        let len = (len & !Extent::TEXT).min(if is_text { TEXT_MAX } else { SENT_MAX });
        let offset = address.checked_sub(start).filter(|&offset| offset < len)?;
        let there = usize::try_from(len - offset).ok()?;
        if buf.len() > there && !is_text {
            return None;
        }
        let wanted = buf.len().min(there);
        self.memory.read_bytes(SENT_OFFSET + offset, &mut buf[..wanted]);
        Some(wanted)
    }

    /// Writes bytes that go back with the result of the present call; `None` if they cannot.
    pub(super) fn write_along(&self, address: u64, bytes: &[u8]) -> Option<usize> {
        let mut calling = self.calling.lock();
        if !calling.is_serving {
            return None;
        }
        let offset = address.checked_sub(calling.room.address)?;
        let end = offset.checked_add(bytes.len() as u64)?;
        if end > calling.room.len {
            return None;
        }
        let (start, len) = calling.put;
        calling.put = match len {
            0 => (offset, bytes.len() as u64),
            _ if start + len == offset => (start, len + bytes.len() as u64),
            _ => return None,
        };
        self.memory.write_bytes(ROOM_OFFSET + offset, bytes);
        Some(bytes.len())
    }

    /// Writes what would go back with the present call now, for somebody who looks there.
    pub(super) fn flush_along(&self) {
        let rest = {
            let mut calling = self.calling.lock();
            let (offset, len) = std::mem::take(&mut calling.put);
            Rest { address: calling.room.address, offset, len }
        };
        self.put_back(&rest);
    }

    fn set_open(&self, is_open: bool) {
        let place = FAST_OFFSET + offset_of!(Fast, is_open) as u64;
        self.memory.atomic_long(place).store(is_open.into(), Ordering::Release);
    }
}

/// Makes the line of a slot that gets a new thread a closed one.
pub(super) fn reset(memory: &SlotMemory) {
    memory.write(FAST_OFFSET + offset_of!(Fast, is_open) as u64, &0_u64);
    memory.write(HOTLINE_OFFSET, &[0_u64; size_of::<Hotline>() / 8]);
}

/// Which thread is watched, if any, and whether one deserves it.
pub(super) struct Watch {
    /// Those of the sentry.
    processors: Processors,
    /// Somebody is watched, or may be soon: other events are of interest.
    is_busy: AtomicBool,
    /// Whatever it costs.
    is_eager: AtomicBool,
    opened: AtomicU64,
    /// Calls that have come by the line, in watches that are over.
    served: AtomicU64,
    state: Mutex<State>,
}

struct State {
    /// Who has made the last calls, how many, and since when.
    candidate: Tid,
    streak: u32,
    since: Instant,
    /// How many it takes.
    enough: u32,
    watched: Option<Arc<Watched>>,
}

/// A thread that is watched.
struct Watched {
    slot: Arc<Slot>,
    /// The worker that looks.
    worker: Tid,
    calls: AtomicU32,
    /// What came another way meanwhile, from the thread and from others.
    own_events: AtomicU32,
    other_events: AtomicU32,
    /// The worker's.
    progress: Mutex<Progress>,
}

struct Progress {
    /// The last call.
    last: Instant,
    /// Calls since the last glance at the listener.
    unlooked: u32,
    /// There was a notification then.
    is_wanted: bool,
}

/// What a worker has seen.
pub(super) enum Seen {
    /// A call, which its thread was told of.
    Call,
    /// Somebody wants the worker elsewhere.
    Notified,
    /// Nothing for long enough, or there is something else to be done.
    Nothing,
}

thread_local! {
    /// Whether the calling worker is bound to a processor, for the sake of a thread that it watches.
    static IS_BOUND: Cell<bool> = const { Cell::new(false) };
}

impl Watched {
    /// Whether so much comes another way that it is better to wait for notifications.
    fn is_distracted(&self) -> bool {
        let calls = self.calls.load(Ordering::Relaxed);
        let own = self.own_events.load(Ordering::Relaxed);
        let other = self.other_events.load(Ordering::Relaxed);
        own.saturating_mul(OWN_SHARE) > calls + 2 * OWN_SHARE
            || other.saturating_mul(OTHER_SHARE) > calls + 8 * OTHER_SHARE
    }
}

impl Watch {
    pub(super) fn new() -> Watch {
        let state =
            State { candidate: 0, streak: 0, since: Instant::now(), enough: STREAK, watched: None };
        Watch {
            processors: Processors::of_caller(),
            is_busy: AtomicBool::new(false),
            is_eager: AtomicBool::new(false),
            opened: AtomicU64::new(0),
            served: AtomicU64::new(0),
            state: Mutex::new(state),
        }
    }

    /// From now on watches a thread at its first call.
    pub(super) fn be_eager(&self) {
        self.is_eager.store(true, Ordering::Relaxed);
    }

    /// How many watches there were.
    pub(super) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// How many calls have come by the line.
    pub(super) fn served(&self) -> u64 {
        let state = self.state.lock();
        let now = state.watched.as_ref().map_or(0, |watched| watched.calls.load(Ordering::Relaxed));
        self.served.load(Ordering::Relaxed) + u64::from(now)
    }

    /// Whether there is a processor to spare at all.
    pub(super) fn is_possible(&self) -> bool {
        self.processors.count() > 1
    }

    /// Notes that a notification has come from a thread.
    pub(super) fn meet(&self, tid: Tid) {
        if !self.is_busy.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.state.lock();
        let Some(watched) = state.watched.clone() else { return };
        let is_own = watched.slot.tid == tid;
        let count = if is_own { &watched.own_events } else { &watched.other_events };
        count.fetch_add(1, Ordering::Relaxed);
        if watched.is_distracted() {
            self.close(&mut state, false);
        }
    }

    /// Notes an event that is no call for the line.
    pub(super) fn disturb(&self) {
        if !self.is_busy.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.state.lock();
        // Now and then one is no reason to begin anew.
        state.streak = state.streak.saturating_sub(STREAK / 4);
        if state.watched.is_none() && state.streak == 0 {
            self.is_busy.store(false, Ordering::Relaxed);
        }
    }

    /// Notes that a thread has made a call that could have gone by its line, and opens that if it is
    /// one of many. The calling worker, which serves the call, will watch.
    pub(super) fn note(&self, slot: &Arc<Slot>) {
        let mut state = self.state.lock();
        if state.watched.is_some() {
            return;
        }
        if state.candidate != slot.tid || state.streak == 0 {
            (state.candidate, state.streak, state.since) = (slot.tid, 0, Instant::now());
            self.is_busy.store(true, Ordering::Relaxed);
        }
        state.streak += 1;
        let is_eager = self.is_eager.load(Ordering::Relaxed);
        if state.streak < state.enough && !is_eager {
            return;
        }
        let (streak, now) = (std::mem::take(&mut state.streak), Instant::now());
        if is_eager || now - state.since <= PACE * streak {
            self.open(&mut state, slot, now);
        }
    }

    fn open(&self, state: &mut State, slot: &Arc<Slot>, now: Instant) {
        // The thread was here when it made its call.
        let Some(own) = self.processors.other_than(process::current_cpu()) else { return };
        let others = slot.processors.lock().clone().unwrap_or_else(|| self.processors.clone());
        let others = others.without(own);
        if others.count() == 0 || others.bind(slot.tid).is_err() {
            return;
        }
        if Processors::only(own).bind_caller().is_err() {
            return;
        }
        IS_BOUND.set(true);
        self.opened.fetch_add(1, Ordering::Relaxed);
        slot.set_open(true);
        state.watched = Some(Arc::new(Watched {
            slot: Arc::clone(slot),
            worker: process::tid(),
            calls: AtomicU32::new(0),
            own_events: AtomicU32::new(0),
            other_events: AtomicU32::new(0),
            progress: Mutex::new(Progress { last: now, unlooked: 0, is_wanted: false }),
        }));
    }

    /// Ends the watch. Its worker learns of it when it looks next.
    fn close(&self, state: &mut State, was_disturbed: bool) {
        let Some(watched) = state.watched.take() else { return };
        let slot = &watched.slot;
        slot.set_open(false);
        // A thread that is gone runs nowhere.
        let own = slot.processors.lock().clone();
        let _ = own.as_ref().unwrap_or(&self.processors).bind(slot.tid);
        let calls = watched.calls.load(Ordering::Relaxed);
        self.served.fetch_add(calls.into(), Ordering::Relaxed);
        state.streak = 0;
        state.enough = match calls {
            WORTH.. if !was_disturbed => STREAK,
            WORTH.. => state.enough,
            _ => (state.enough * 2).min(STREAK_MAX),
        };
        self.is_busy.store(false, Ordering::Relaxed);
    }

    /// The thread that the calling worker watches.
    fn own(&self, worker: Tid) -> Option<Arc<Watched>> {
        let state = self.state.lock();
        state.watched.as_ref().filter(|watched| watched.worker == worker).cloned()
    }

    /// Looks at the line of the thread that the calling worker watches, if it does, for as long as
    /// that is of use.
    pub(super) fn look(&self, listener: &Listener, workers: &Workers, parked: Parked<'_>) -> Seen {
        if !IS_BOUND.get() {
            return Seen::Nothing;
        }
        let Some(watched) = self.own(parked.tid()) else {
            self.unbind();
            return Seen::Nothing;
        };
        let slot = &watched.slot;
        let was_disturbed = if slot.is_serving() {
            // Its call waits for something.
            line::lengthen(slot.line_state());
            false
        } else {
            let is_alone = workers.count() == 1;
            match self.look_at(&watched, listener, is_alone, parked) {
                Ok(seen) => return seen,
                Err(Disturbed(was_disturbed)) => was_disturbed,
            }
        };
        let mut state = self.state.lock();
        let is_same = state.watched.as_ref().is_some_and(|other| Arc::ptr_eq(other, &watched));
        if is_same {
            self.close(&mut state, was_disturbed);
        }
        drop(state);
        self.unbind();
        // The stub may have found the line open until now.
        match slot.take_call() {
            Some(event) => {
                slot.deliver(event);
                Seen::Call
            }
            None => Seen::Nothing,
        }
    }

    fn look_at(
        &self,
        watched: &Watched,
        listener: &Listener,
        is_alone: bool,
        parked: Parked<'_>,
    ) -> Result<Seen, Disturbed> {
        let slot = &watched.slot;
        let mut progress = watched.progress.lock();
        if progress.unlooked >= CALLS {
            progress.unlooked = 0;
            let was_wanted = progress.is_wanted;
            progress.is_wanted = listener.has_call();
            if was_wanted && progress.is_wanted {
                // No other worker takes them.
                return Err(Disturbed(false));
            }
        }
        let mut before = Instant::now();
        loop {
            let found = (0..LOOKS).find_map(|_| {
                let found = slot.take_call();
                if found.is_none() {
                    std::hint::spin_loop();
                }
                found
            });
            let now = Instant::now();
            if let Some(event) = found {
                watched.calls.fetch_add(1, Ordering::Relaxed);
                progress.unlooked += 1;
                progress.last = now;
                drop(progress);
                slot.deliver(event);
                return Ok(Seen::Call);
            }
            if parked.is_notified() {
                return Ok(Seen::Notified);
            }
            let was_disturbed = now - before > LOST && !self.is_eager.load(Ordering::Relaxed);
            if is_alone && listener.has_call() {
                return Ok(Seen::Nothing);
            }
            if was_disturbed || now - progress.last > IDLE || watched.is_distracted() {
                return Err(Disturbed(was_disturbed));
            }
            before = now;
        }
    }

    fn unbind(&self) {
        IS_BOUND.set(false);
        let _ = self.processors.bind_caller();
    }

    /// Sets where a thread may run.
    pub(super) fn bind(&self, slot: &Slot, is_allowed: &dyn Fn(u32) -> bool) -> Result<(), Errno> {
        let allowed = self.processors.filter(is_allowed);
        let state = self.state.lock();
        *slot.processors.lock() = Some(allowed.clone());
        // One that is watched gets it when that is over.
        match &state.watched {
            Some(watched) if std::ptr::eq(Arc::as_ptr(&watched.slot), slot) => Ok(()),
            _ => allowed.bind(slot.tid),
        }
    }
}

/// A watch is to end; whether that is because others want the processor.
struct Disturbed(bool);
