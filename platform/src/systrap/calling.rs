//! A thread's call on its line, as the sentry sees it.
//!
//! What lies on the line is the guest's word, like all of its slot. Whether a call is being served is
//! for [`Calling`] to say, in the sentry's own memory.

use std::mem::offset_of;
use std::sync::atomic::{AtomicU32, Ordering};

use zerocopy::IntoBytes;

use super::channel::SlotMemory;
use super::layout;
use super::layout::shape::{Input, Shape};
use super::layout::{
    Extent, FAST_OFFSET, Fast, HOTLINE_OFFSET, Hotline, REPORTS_OFFSET, ROOM_MAX, ROOM_OFFSET,
    SENT_OFFSET, SHORT_MAX, TEXT_MAX, WINDOW_BYTES, is_short, shape,
};
use super::line::{self, FORETOLD_OFFSET, KNOWN_OFFSET, Known, POSTS_OFFSET, Posts, Reports};
use super::slot::{Event, Slot};
use super::state;
use crate::process::copy;

// `take_call` reads the first line as words.
const _: () = assert!(offset_of!(Hotline, state) == 0 && offset_of!(Hotline, number) == 4);
const _: () = assert!(offset_of!(Known, descriptors) == 0 && offset_of!(Known, made) == 8);
const _: () = assert!(offset_of!(Known, is_foretold) == 16);
const _: () = assert!(offset_of!(Hotline, info) == 8 && offset_of!(Hotline, words) == 16);

/// A line of the processor's cache.
const LINE_BYTES: u64 = 64;
/// So much of an answer is asked for ahead.
const FETCHED_MAX: u64 = 4 * LINE_BYTES;
const _: () = assert!(TEXT_MAX.is_multiple_of(LINE_BYTES));

/// Whether a call can go by the line.
pub(super) fn is_eligible(number: u64) -> bool {
    u32::try_from(number).is_ok_and(|number| shape::of(number).is_some())
}

/// The call by the line that the sentry serves for a thread.
#[derive(Default)]
pub(super) struct Calling {
    is_serving: bool,
    /// Of the line's state word.
    turn: u32,
    sent: Extent,
    /// It ends with a NUL, and more is not needed.
    sent_is_text: bool,
    room: Extent,
    /// What was put into `room`: offset and length.
    put: (u64, u64),
    /// It, as long as it is short.
    short: Short,
    /// What the stub may know behind it, see [`line::known`].
    known: u64,
}

/// Bytes that come back in the line itself.
type Short = [u64; SHORT_MAX as usize / 8];

impl Calling {
    pub(super) fn is_serving(&self) -> bool {
        self.is_serving
    }
}

impl Calling {
    fn new(turn: u32, shape: Shape, args: &[u64; 6]) -> Calling {
        let (sent, sent_is_text) = match shape.input {
            // As much of it as there is.
            Input::Text { address } => {
                (Extent { address: shape::argument(args, address), len: TEXT_MAX }, true)
            }
            _ => (shape.sent(args), false),
        };
        let (room, put, short) = (shape.room(args), (0, 0), Short::default());
        Calling { is_serving: true, turn, sent, sent_is_text, room, put, short, known: 0 }
    }

    /// Asks the processor for what the call brings along, and for where its answer goes: what the stub
    /// has written just now takes as long to come as the rest of taking a call.
    fn fetch_ahead(&self, memory: &SlotMemory) {
        if self.sent.len > 0 {
            memory.fetch_to_read(SENT_OFFSET);
        }
        if self.room.len > SHORT_MAX {
            let lines = (0..self.room.len.min(FETCHED_MAX)).step_by(LINE_BYTES as usize);
            lines.for_each(|line| memory.fetch_to_write(ROOM_OFFSET + line));
        }
    }
}

/// Reads the text that has come along, with its NUL, from `offset` on; `None` if not all of it has, or it
/// ends before that.
fn read_text(memory: &SlotMemory, offset: u64, buf: &mut [u8]) -> Option<usize> {
    let mut text = [0; TEXT_MAX as usize];
    let mut end = None;
    // Most are short.
    for (index, piece) in text.chunks_exact_mut(LINE_BYTES as usize).enumerate() {
        let start = index * LINE_BYTES as usize;
        memory.read_bytes(SENT_OFFSET + start as u64, piece);
        end = memchr::memchr(0, piece).map(|place| start + place);
        if end.is_some() {
            break;
        }
    }
    let text = text.get(offset as usize..=end?).filter(|text| !text.is_empty())?;
    let wanted = buf.len().min(text.len());
    buf[..wanted].copy_from_slice(&text[..wanted]);
    Some(wanted)
}

/// What a finished call has left to be done for the guest.
struct Rest {
    address: u64,
    offset: u64,
    len: u64,
    short: Short,
}

impl Slot {
    fn line_word(&self, field: usize) -> u64 {
        HOTLINE_OFFSET + field as u64
    }

    fn line_state(&self) -> &AtomicU32 {
        self.memory.atomic(self.line_word(offset_of!(Hotline, state)))
    }

    /// The turn of the present call, as the guest says.
    pub(super) fn turn(&self) -> u32 {
        let place = FAST_OFFSET + offset_of!(Fast, turn) as u64;
        self.memory.read::<u32>(place) & !layout::line::KINDS
    }

    /// Whether there is a call on the line, or a report.
    pub(super) fn has_said(&self) -> bool {
        line::turn_of(self.line_state()).is_some() || self.has_reported()
    }

    /// Takes the call on the line, if there is one and the thread may be served.
    pub(super) fn take_call(&self) -> Option<Event> {
        let state = self.line_state();
        let turn = line::turn_of(state)?;
        let [number_word, info, args @ ..] = self.memory.read::<[u64; 8]>(HOTLINE_OFFSET);
        let number = (number_word >> 32) as u32;
        // If this is none of its calls, the stub will withdraw it.
        let call = Calling::new(turn, shape::of(number)?, &args);
        call.fetch_ahead(&self.memory);
        let mut calling = self.calling.lock();
        if calling.is_serving || !self.stop_running() {
            return None;
        }
        if !line::take(state, turn) {
            // The stub has withdrawn it.
            self.go_on_running();
            return None;
        }
        *calling = call;
        self.is_along.store(true, Ordering::Relaxed);
        Some(Event::Hotline { number: number as i32, info, args })
    }

    /// Says what the stub may know behind the present call, if that is on the line: see [`line::known`].
    pub(super) fn say_known(&self, known: u64) {
        let mut calling = self.calling.lock();
        if calling.is_serving {
            calling.known |= known;
        }
    }

    /// Has the stub wait in the host for its call if that is still being served.
    pub(super) fn lengthen_call(&self) {
        // Whoever finishes the call holds this, too.
        let calling = self.calling.lock();
        if calling.is_serving {
            line::lengthen(self.line_state(), calling.turn);
        }
    }

    /// Lets the stub go on with the result of its call; `true` if it waits in the host and has to be woken,
    /// see [`Slot::wake_line`].
    pub(super) fn finish_call(&self, result: u64) -> bool {
        let mut calling = self.calling.lock();
        let Calling { turn, put: (offset, len), short, known, .. } = std::mem::take(&mut *calling);
        self.is_along.store(false, Ordering::Relaxed);
        let words = self.line_word(offset_of!(Hotline, info));
        let [a, b, c] = short;
        let known = known | self.posts_made();
        self.memory.write(words, &[known, result, offset, len, a, b, c]);
        line::finish(self.line_state(), turn)
    }

    /// Wakes the stub that waits for the end of its call.
    pub(super) fn wake_line(&self) {
        self.memory.wake_word(self.line_word(offset_of!(Hotline, state)));
    }

    /// The call is no longer one by the line: what it has written goes into the guest's memory. The
    /// stub, which may wait, is met by a kick.
    pub(super) fn end_call(&self) {
        let Calling { room, put: (offset, len), short, .. } = {
            let mut calling = self.calling.lock();
            self.is_along.store(false, Ordering::Relaxed);
            std::mem::take(&mut *calling)
        };
        self.put_back(&Rest { address: room.address, offset, len, short });
    }

    /// Writes what was put into the room where it belongs.
    fn put_back(&self, rest: &Rest) {
        let Rest { address, offset, len, short } = *rest;
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
        match is_short(offset, len) {
            true => bytes.copy_from_slice(&short.as_bytes()[..len as usize]),
            false => self.memory.read_bytes(ROOM_OFFSET + offset, &mut bytes),
        }
        // It could be written when the call was made. If not any more, that is the guest's doing.
        let _ = copy::write(self.tid, address, &bytes);
    }

    /// Takes back a call that nobody has taken, of a thread that has left the line.
    pub(super) fn withdraw_call(&self) {
        line::withdraw(self.line_state(), self.turn());
    }

    /// The result of a finished call that the thread, found in the stub, has not yet left with; what
    /// it should have copied is written.
    pub(super) fn finished_call(&self) -> Option<u64> {
        if !line::is_done(self.line_state(), self.turn()) {
            return None;
        }
        let words = self.line_word(offset_of!(Hotline, words));
        let [result, offset, len, short @ ..] = self.memory.read::<[u64; 6]>(words);
        let room = FAST_OFFSET + offset_of!(Fast, room) as u64;
        let address = self.memory.read::<u64>(room);
        self.put_back(&Rest { address, offset, len, short });
        Some(result)
    }

    /// Reads the guest's bytes that came along with the present call; `None` if these did not.
    pub(super) fn read_along(&self, address: u64, buf: &mut [u8]) -> Option<usize> {
        let calling = self.calling.lock();
        if !calling.is_serving {
            return None;
        }
        let Calling { sent: Extent { address: start, len }, sent_is_text, .. } = *calling;
        let offset = address.checked_sub(start).filter(|&offset| offset < len)?;
        if sent_is_text {
            return read_text(&self.memory, offset, buf);
        }
        if buf.len() as u64 > len - offset {
            return None;
        }
        self.memory.read_bytes(SENT_OFFSET + offset, buf);
        Some(buf.len())
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
        let (start, new_len) = match len {
            0 => (offset, bytes.len() as u64),
            _ if start + len == offset => (start, len + bytes.len() as u64),
            _ => return None,
        };
        calling.put = (start, new_len);
        if is_short(start, new_len) {
            let place = offset as usize..offset as usize + bytes.len();
            calling.short.as_mut_bytes()[place].copy_from_slice(bytes);
            return Some(bytes.len());
        }
        if len > 0 && is_short(start, len) {
            self.memory.write_bytes(ROOM_OFFSET, &calling.short.as_bytes()[..len as usize]);
        }
        self.memory.write_bytes(ROOM_OFFSET + offset, bytes);
        Some(bytes.len())
    }

    /// Writes what would go back with the present call now, for somebody who looks there.
    pub(super) fn flush_along(&self) {
        let rest = {
            let mut calling = self.calling.lock();
            let (offset, len) = std::mem::take(&mut calling.put);
            Rest { address: calling.room.address, offset, len, short: calling.short }
        };
        self.put_back(&rest);
    }

    pub(super) fn set_open(&self, is_open: bool) {
        let place = FAST_OFFSET + offset_of!(Fast, is_open) as u64;
        // What is reported meanwhile is looked for afterwards.
        self.memory.atomic_long(place).swap(is_open.into(), Ordering::SeqCst);
    }
}

/// Makes the line of a slot that gets a new thread a closed one.
pub(super) fn reset(memory: &SlotMemory) {
    memory.write(FAST_OFFSET + offset_of!(Fast, is_open) as u64, &0_u64);
    memory.write(HOTLINE_OFFSET, &[0_u64; size_of::<Hotline>() / 8]);
    memory.write(REPORTS_OFFSET, &[0_u64; size_of::<Reports>() / 8]);
    memory.write(POSTS_OFFSET, &[0_u64; size_of::<Posts>() / 8]);
    memory.write(KNOWN_OFFSET, &[0_u64; 3]);
    memory.write(FORETOLD_OFFSET, &0_u64);
    state::reset(memory);
}
