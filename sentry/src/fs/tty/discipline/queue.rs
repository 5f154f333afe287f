//! Typed input until a program reads it.

use std::collections::VecDeque;

/// Bytes that fit (`N_TTY_BUF_SIZE`).
const CAPACITY: usize = 4096;

/// A queued byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Typed {
    byte: u8,
    /// Ends a line, in canonical mode.
    ends_line: bool,
    /// Is the end-of-file key: ends the line and is not itself read.
    is_eof: bool,
}

/// Input, with the line that is still being edited at its end.
#[derive(Debug, Default)]
pub struct InputQueue {
    bytes: VecDeque<Typed>,
    /// Bytes of complete lines; all others can still be erased.
    complete: usize,
    is_raw: bool,
}

impl InputQueue {
    /// Bytes queued, the unfinished line included.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether a whole line is there.
    pub fn has_line(&self) -> bool {
        self.complete > 0
    }

    /// How many more bytes are taken. An unfinished line that fills the queue takes more: they are lost.
    pub fn room(&self) -> usize {
        let room = CAPACITY - 1 - self.bytes.len().min(CAPACITY - 1);
        if room == 0 && !self.is_raw && self.complete == 0 { usize::MAX } else { room }
    }

    /// Bytes that a read would give (`FIONREAD`): in canonical mode, those of whole lines.
    pub fn readable(&self) -> usize {
        if self.is_raw {
            return self.bytes.len();
        }
        self.bytes.iter().take(self.complete).filter(|typed| !typed.is_eof).count()
    }

    /// Adds a byte.
    pub(super) fn push(&mut self, byte: u8) {
        self.make_room();
        self.bytes.push_back(Typed { byte, ends_line: false, is_eof: false });
    }

    /// Adds a byte that ends a line.
    pub(super) fn push_end(&mut self, byte: u8, is_eof: bool) {
        self.make_room();
        self.bytes.push_back(Typed { byte, ends_line: true, is_eof });
        self.complete = self.bytes.len();
    }

    /// Linux: in a full queue the newest byte gives way.
    fn make_room(&mut self) {
        if self.bytes.len() >= CAPACITY - 1 && self.bytes.len() > self.complete {
            self.bytes.pop_back();
        }
    }

    /// The unfinished line.
    pub(super) fn line(&self) -> impl DoubleEndedIterator<Item = u8> {
        self.bytes.iter().skip(self.complete).map(|typed| typed.byte)
    }

    pub(super) fn line_len(&self) -> usize {
        self.bytes.len() - self.complete
    }

    /// Takes bytes off the end of the unfinished line.
    pub(super) fn erase(&mut self, count: usize) {
        let keep = (self.bytes.len() - count.min(self.line_len())).max(self.complete);
        self.bytes.truncate(keep);
    }

    /// Takes up to `max` bytes: in canonical mode, no further than the end of a line.
    pub fn read(&mut self, max: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        let available = if self.is_raw { self.bytes.len() } else { self.complete };
        for _ in 0..available {
            // An end-of-file right behind a full buffer goes with it.
            let is_eof = self.bytes.front().is_some_and(|typed| typed.is_eof && !self.is_raw);
            if taken.len() == max && !is_eof {
                break;
            }
            let Some(typed) = self.bytes.pop_front() else { break };
            self.complete = self.complete.saturating_sub(1);
            if !is_eof {
                taken.push(typed.byte);
            }
            if typed.ends_line && !self.is_raw {
                break;
            }
        }
        taken
    }

    pub(super) fn set_canonical(&mut self, is_canonical: bool) {
        self.is_raw = !is_canonical;
        if !is_canonical {
            self.complete = 0;
            return;
        }
        // Linux: what was typed before counts as one line.
        for typed in &mut self.bytes {
            typed.ends_line = false;
            typed.is_eof = false;
        }
        if let Some(last) = self.bytes.back_mut() {
            last.ends_line = true;
        }
        self.complete = self.bytes.len();
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.complete = 0;
    }
}
