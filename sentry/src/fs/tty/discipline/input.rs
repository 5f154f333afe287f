//! From the keyboard to the input queue.

use linux_abi::signal::{SIGINT, SIGQUIT, SIGTSTP};
use linux_abi::tty::*;

use super::{Discipline, Effects, Flow};

impl Discipline {
    /// Takes bytes from the keyboard as long as there is room; answers with how many.
    pub fn receive(&mut self, bytes: &[u8], effects: &mut Effects) -> usize {
        for (count, &byte) in bytes.iter().enumerate() {
            if self.input.room() == 0 {
                return count;
            }
            self.receive_byte(byte, effects);
        }
        bytes.len()
    }

    fn receive_byte(&mut self, byte: u8, effects: &mut Effects) {
        let byte = self.stripped(byte);
        if std::mem::take(&mut self.is_literal) {
            return self.receive_plain(byte, effects);
        }
        if self.has_local(LocalFlags::EXTPROC) {
            return self.input.push(byte);
        }
        if self.receive_flow_key(byte, effects) || self.receive_signal_key(byte, effects) {
            return;
        }
        if self.is_stopped && !self.is_held && self.has_input(InputFlags::IXON | InputFlags::IXANY)
        {
            self.start(effects);
        }
        let byte = match byte {
            b'\r' if self.has_input(InputFlags::IGNCR) => return,
            b'\r' if self.has_input(InputFlags::ICRNL) => b'\n',
            b'\n' if self.has_input(InputFlags::INLCR) => b'\r',
            other => other,
        };
        if self.is_canonical() && self.receive_line_key(byte, effects) {
            return;
        }
        self.receive_plain(byte, effects);
    }

    /// `ISTRIP` and `IUCLC`.
    fn stripped(&self, byte: u8) -> u8 {
        let byte = if self.has_input(InputFlags::ISTRIP) { byte & 0x7f } else { byte };
        let lowers = self.has_input(InputFlags::IUCLC) && self.has_local(LocalFlags::IEXTEN);
        if lowers { byte.to_ascii_lowercase() } else { byte }
    }

    /// A character that is only queued and echoed.
    fn receive_plain(&mut self, byte: u8, effects: &mut Effects) {
        if self.has_local(LocalFlags::ECHO) {
            self.finish_erasing(effects);
            self.note_line_start();
            if byte == b'\n' {
                self.echo_raw(byte, effects);
            } else {
                self.echo(byte, effects);
            }
        }
        self.queue_marked(byte);
    }

    /// Queues a byte; with `PARMRK` a 0377 is doubled.
    fn queue_marked(&mut self, byte: u8) {
        if byte == 0xff && self.has_input(InputFlags::PARMRK) {
            self.input.push(byte);
        }
        self.input.push(byte);
    }

    /// `VSTART` and `VSTOP`.
    fn receive_flow_key(&mut self, byte: u8, effects: &mut Effects) -> bool {
        if !self.has_input(InputFlags::IXON) {
            return false;
        }
        if self.is_control(VSTART, byte) {
            self.start(effects);
            return true;
        }
        if self.is_control(VSTOP, byte) {
            self.is_stopped = true;
            effects.flow = Some(Flow::Stopped);
            return true;
        }
        false
    }

    fn start(&mut self, effects: &mut Effects) {
        if self.is_stopped && !self.is_held {
            self.is_stopped = false;
            effects.flow = Some(Flow::Started);
            effects.screen.append(&mut self.held_echo);
        }
    }

    /// `VINTR`, `VQUIT` and `VSUSP`.
    fn receive_signal_key(&mut self, byte: u8, effects: &mut Effects) -> bool {
        if !self.has_local(LocalFlags::ISIG) {
            return false;
        }
        let keys = [(VINTR, SIGINT), (VQUIT, SIGQUIT), (VSUSP, SIGTSTP)];
        let Some((_, signal)) = keys.into_iter().find(|(key, _)| self.is_control(*key, byte))
        else {
            return false;
        };
        effects.signals.push(signal);
        if !self.has_local(LocalFlags::NOFLSH) {
            self.flush_input();
            self.held_echo.clear();
            effects.screen.clear();
            effects.flushed = true;
        }
        if self.has_input(InputFlags::IXON) {
            self.start(effects);
        }
        if self.has_local(LocalFlags::ECHO) {
            self.echo(byte, effects);
        }
        true
    }

    /// Keys that edit or end a line.
    fn receive_line_key(&mut self, byte: u8, effects: &mut Effects) -> bool {
        let is_extended = self.has_local(LocalFlags::IEXTEN);
        let echoes = self.has_local(LocalFlags::ECHO);
        if self.is_control(VERASE, byte)
            || self.is_control(VKILL, byte)
            || (is_extended && self.is_control(VWERASE, byte))
        {
            self.erase(byte, effects);
        } else if is_extended && self.is_control(VLNEXT, byte) {
            self.is_literal = true;
            if echoes {
                self.finish_erasing(effects);
                if self.has_local(LocalFlags::ECHOCTL) {
                    self.echo_raw(b'^', effects);
                    self.echo_raw(b'\x08', effects);
                }
            }
        } else if is_extended && echoes && self.is_control(VREPRINT, byte) {
            self.reprint(byte, effects);
        } else if byte == b'\n' {
            if echoes || self.has_local(LocalFlags::ECHONL) {
                self.echo_raw(byte, effects);
            }
            self.input.push_end(byte, false);
        } else if self.is_control(VEOF, byte) {
            self.input.push_end(0, true);
        } else if self.is_control(VEOL, byte) || (is_extended && self.is_control(VEOL2, byte)) {
            if echoes {
                self.note_line_start();
                self.echo(byte, effects);
            }
            if byte == 0xff && self.has_input(InputFlags::PARMRK) {
                self.input.push(byte);
            }
            self.input.push_end(byte, false);
        } else {
            return false;
        }
        true
    }

    /// Shows the line once more.
    fn reprint(&mut self, key: u8, effects: &mut Effects) {
        self.finish_erasing(effects);
        self.echo(key, effects);
        self.echo_raw(b'\n', effects);
        let line: Vec<u8> = self.input.line().collect();
        for byte in line {
            self.echo(byte, effects);
        }
    }

    /// Remembers the column where a line that is typed begins.
    fn note_line_start(&mut self) {
        if self.input.line_len() == 0 {
            self.line_column = self.column;
        }
    }
}
