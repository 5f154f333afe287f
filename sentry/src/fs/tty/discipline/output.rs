//! From programs, and from the echo, to the screen.

use linux_abi::tty::{LocalFlags, OutputFlags};

use super::{Discipline, Effects};

/// Most echo that waits for output to go on; more is lost.
const MAX_HELD_ECHO: usize = 4096;

/// Columns between tab stops.
const TAB_COLUMNS: usize = 8;

impl Discipline {
    /// Processes what a program writes (`OPOST`). It may grow to twice its length, with tabs to
    /// eight times.
    pub fn write(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut screen = Vec::with_capacity(bytes.len());
        self.process(bytes, &mut screen);
        screen
    }

    fn process(&mut self, bytes: &[u8], screen: &mut Vec<u8>) {
        if !self.has_output(OutputFlags::OPOST) {
            screen.extend_from_slice(bytes);
            return;
        }
        for &byte in bytes {
            self.process_byte(byte, screen);
        }
    }

    fn process_byte(&mut self, byte: u8, screen: &mut Vec<u8>) {
        match byte {
            b'\n' => {
                if self.has_output(OutputFlags::ONLCR) {
                    screen.push(b'\r');
                }
                if self.has_output(OutputFlags::ONLCR) || self.has_output(OutputFlags::ONLRET) {
                    self.column = 0;
                }
                self.line_column = self.column;
                screen.push(byte);
            }
            b'\r' => {
                if self.has_output(OutputFlags::ONOCR) && self.column == 0 {
                    return;
                }
                if self.has_output(OutputFlags::OCRNL) {
                    if self.has_output(OutputFlags::ONLRET) {
                        self.column = 0;
                    }
                    screen.push(b'\n');
                } else {
                    self.column = 0;
                    screen.push(byte);
                }
                self.line_column = self.column;
            }
            b'\t' => {
                let spaces = TAB_COLUMNS - self.column % TAB_COLUMNS;
                self.column += spaces;
                if self.has_output(OutputFlags::XTABS) {
                    screen.resize(screen.len() + spaces, b' ');
                } else {
                    screen.push(byte);
                }
            }
            b'\x08' => {
                self.column = self.column.saturating_sub(1);
                screen.push(byte);
            }
            _ => {
                let lifts = self.has_output(OutputFlags::OLCUC);
                if !byte.is_ascii_control() && !self.is_continuation(byte) {
                    self.column += 1;
                }
                screen.push(if lifts { byte.to_ascii_uppercase() } else { byte });
            }
        }
    }

    /// Echoes a character; a control character as `^X` with `ECHOCTL`.
    pub(super) fn echo(&mut self, byte: u8, effects: &mut Effects) {
        let as_caret =
            self.has_local(LocalFlags::ECHOCTL) && byte.is_ascii_control() && byte != b'\t';
        if as_caret {
            self.column += 2;
            self.show(&[b'^', byte ^ 0x40], effects);
        } else {
            self.echo_raw(byte, effects);
        }
    }

    /// Echoes a byte through output processing.
    pub(super) fn echo_raw(&mut self, byte: u8, effects: &mut Effects) {
        let mut screen = Vec::new();
        self.process(&[byte], &mut screen);
        self.show(&screen, effects);
    }

    fn show(&mut self, bytes: &[u8], effects: &mut Effects) {
        if !self.is_stopped {
            effects.screen.extend_from_slice(bytes);
        } else if self.held_echo.len() + bytes.len() <= MAX_HELD_ECHO {
            self.held_echo.extend_from_slice(bytes);
        }
    }

    /// Steps the cursor back, without output processing.
    pub(super) fn back(&mut self, columns: usize, effects: &mut Effects) {
        self.column = self.column.saturating_sub(columns);
        self.show(&vec![b'\x08'; columns], effects);
    }
}
