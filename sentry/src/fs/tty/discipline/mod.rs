//! The line discipline of terminals (`N_TTY`), termios(3).
//!
//! Pure logic, without locks or files: bytes from the keyboard (the master side) go through
//! [`Discipline::receive`] into the [`InputQueue`], with echo and signals as by-products; bytes of
//! programs go through [`Discipline::write`] to the screen. What the discipline puts out is
//! collected in [`Effects`]. Written after the behaviour of Linux' `drivers/tty/n_tty.c`.

mod erase;
mod input;
mod output;
mod queue;
mod settings;
#[cfg(test)]
mod tests;

use linux_abi::tty::{InputFlags, LocalFlags, OutputFlags, POSIX_VDISABLE, Termios2, VMIN, VTIME};

pub use queue::InputQueue;
pub use settings::{STANDARD, from_termios, to_termios};

/// What handling input or output brings about.
#[derive(Debug, Default)]
pub struct Effects {
    /// Bytes for the screen.
    pub screen: Vec<u8>,
    /// Signals for the foreground process group, in order.
    pub signals: Vec<i32>,
    /// A signal key threw away what was queued in both directions.
    pub flushed: bool,
    /// Output was stopped or started by a key.
    pub flow: Option<Flow>,
}

/// What the stop and start keys do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Stopped,
    Started,
}

/// The state of a terminal's line discipline.
pub struct Discipline {
    termios: Termios2,
    input: InputQueue,
    /// Screen column, and the one where the line being typed began.
    column: usize,
    line_column: usize,
    /// The next character is literal (after `VLNEXT`).
    is_literal: bool,
    /// In the middle of showing erased characters (`ECHOPRT`).
    is_erasing: bool,
    /// Output is stopped, by key or by `tcflow`.
    is_stopped: bool,
    /// Stopped by `tcflow`: only `tcflow` starts it again.
    is_held: bool,
    /// Echo that waits for output to go on.
    held_echo: Vec<u8>,
}

impl Default for Discipline {
    fn default() -> Discipline {
        Discipline {
            termios: STANDARD,
            input: InputQueue::default(),
            column: 0,
            line_column: 0,
            is_literal: false,
            is_erasing: false,
            is_stopped: false,
            is_held: false,
            held_echo: Vec::new(),
        }
    }
}

impl Discipline {
    pub fn termios(&self) -> &Termios2 {
        &self.termios
    }

    /// Changes the settings; what is queued stays.
    pub fn set_termios(&mut self, new: Termios2) {
        let was_canonical = self.has_local(LocalFlags::ICANON);
        self.termios = new;
        let is_canonical = self.has_local(LocalFlags::ICANON);
        if was_canonical != is_canonical {
            self.input.set_canonical(is_canonical);
            self.is_literal = false;
            self.is_erasing = false;
        }
        if !self.has_input(InputFlags::IXON) && !self.is_held {
            self.is_stopped = false;
        }
    }

    pub fn input(&mut self) -> &mut InputQueue {
        &mut self.input
    }

    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    pub fn is_canonical(&self) -> bool {
        self.has_local(LocalFlags::ICANON)
    }

    /// Whether background processes may not write.
    pub fn stops_background_output(&self) -> bool {
        self.has_local(LocalFlags::TOSTOP)
    }

    /// `VMIN` and `VTIME`.
    pub fn pacing(&self) -> (u8, u8) {
        (self.termios.cc[VMIN], self.termios.cc[VTIME])
    }

    /// Whether a reader finds something. `as_poll` asks for `VMIN` bytes unless `VTIME` is set.
    pub fn is_readable(&self, as_poll: bool) -> bool {
        if self.is_canonical() {
            return self.input.has_line();
        }
        let (min, time) = self.pacing();
        let wanted = if as_poll && time == 0 && min > 0 { usize::from(min) } else { 1 };
        self.input.len() >= wanted
    }

    /// `tcflow(TCOOFF)`.
    pub fn hold(&mut self) {
        self.is_held = true;
        self.is_stopped = true;
    }

    /// `tcflow(TCOON)`; answers with the echo that waited.
    pub fn release(&mut self) -> Vec<u8> {
        self.is_held = false;
        self.is_stopped = false;
        std::mem::take(&mut self.held_echo)
    }

    /// Throws unread input away (`TCIFLUSH`).
    pub fn flush_input(&mut self) {
        self.input.clear();
        self.is_literal = false;
        self.is_erasing = false;
    }

    fn has_input(&self, flag: InputFlags) -> bool {
        InputFlags::from_bits_retain(self.termios.iflag).contains(flag)
    }

    fn has_output(&self, flag: OutputFlags) -> bool {
        OutputFlags::from_bits_retain(self.termios.oflag).contains(flag)
    }

    fn has_local(&self, flag: LocalFlags) -> bool {
        LocalFlags::from_bits_retain(self.termios.lflag).contains(flag)
    }

    /// Whether `byte` is the control character at `index`, and that is not switched off.
    fn is_control(&self, index: usize, byte: u8) -> bool {
        let set = self.termios.cc[index];
        set != POSIX_VDISABLE && set == byte
    }

    /// Whether `byte` continues a UTF-8 sequence.
    fn is_continuation(&self, byte: u8) -> bool {
        self.has_input(InputFlags::IUTF8) && byte & 0xc0 == 0x80
    }
}
