//! Erasing characters, words and lines.

use linux_abi::tty::{LocalFlags, VERASE, VKILL, VWERASE};

use super::{Discipline, Effects};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Character,
    Word,
    Line,
}

impl Discipline {
    /// Handles an erase key: `VERASE`, `VWERASE` or `VKILL`.
    pub(super) fn erase(&mut self, key: u8, effects: &mut Effects) {
        if self.input.line_len() == 0 {
            return;
        }
        let extent = if self.is_control(VERASE, key) {
            Extent::Character
        } else if self.is_control(VWERASE, key) {
            Extent::Word
        } else {
            Extent::Line
        };
        if extent == Extent::Line && self.kill_at_once(effects) {
            return;
        }
        let mut in_word = false;
        while let Some(character) = self.last_character() {
            let first = character[0];
            if extent == Extent::Word {
                if first.is_ascii_alphanumeric() || first == b'_' {
                    in_word = true;
                } else if in_word {
                    break;
                }
            }
            self.input.erase(character.len());
            if self.has_local(LocalFlags::ECHO) {
                self.show_erased(&character, extent, effects);
            }
            if extent == Extent::Character {
                break;
            }
        }
        if self.input.line_len() == 0 && self.has_local(LocalFlags::ECHO) {
            self.finish_erasing(effects);
        }
    }

    /// Drops the line without showing each character go, where the settings want that.
    fn kill_at_once(&mut self, effects: &mut Effects) -> bool {
        let echoes = self.has_local(LocalFlags::ECHO);
        let shows = LocalFlags::ECHOK | LocalFlags::ECHOKE | LocalFlags::ECHOE;
        if echoes && self.has_local(shows) {
            return false;
        }
        self.input.erase(self.input.line_len());
        if echoes {
            self.finish_erasing(effects);
            let key = self.termios.cc[VKILL];
            self.echo(key, effects);
            if self.has_local(LocalFlags::ECHOK) {
                self.echo_raw(b'\n', effects);
            }
        }
        true
    }

    /// The last character of the line, with all bytes of a UTF-8 sequence.
    fn last_character(&self) -> Option<Vec<u8>> {
        let mut character = Vec::new();
        for byte in self.input.line().rev() {
            character.insert(0, byte);
            if !self.is_continuation(byte) {
                return Some(character);
            }
        }
        // Nothing but continuations: no whole character to erase.
        None
    }

    fn show_erased(&mut self, character: &[u8], extent: Extent, effects: &mut Effects) {
        let first = character[0];
        if self.has_local(LocalFlags::ECHOPRT) {
            if !self.is_erasing {
                self.echo_raw(b'\\', effects);
                self.is_erasing = true;
            }
            self.echo(first, effects);
            for &byte in &character[1..] {
                self.echo_raw(byte, effects);
            }
        } else if extent == Extent::Character && !self.has_local(LocalFlags::ECHOE) {
            let key = self.termios.cc[VERASE];
            self.echo(key, effects);
        } else if first == b'\t' {
            self.erase_tab(effects);
        } else {
            let as_caret = self.has_local(LocalFlags::ECHOCTL);
            let columns = match first.is_ascii_control() {
                true if as_caret => 2,
                true => 0,
                false => 1,
            };
            for _ in 0..columns {
                for byte in [b'\x08', b' ', b'\x08'] {
                    self.echo_raw(byte, effects);
                }
            }
        }
    }

    /// Steps back over a tab: as far as it had gone, from what stands before it in its line.
    fn erase_tab(&mut self, effects: &mut Effects) {
        let mut columns = 0;
        let mut follows_tab = false;
        for byte in self.input.line().rev() {
            if byte == b'\t' {
                follows_tab = true;
                break;
            }
            if byte.is_ascii_control() {
                columns += if self.has_local(LocalFlags::ECHOCTL) { 2 } else { 0 };
            } else if !self.is_continuation(byte) {
                columns += 1;
            }
        }
        if !follows_tab {
            columns += self.line_column;
        }
        self.back(8 - columns % 8, effects);
    }

    /// Ends the display of erased characters (`ECHOPRT`).
    pub(super) fn finish_erasing(&mut self, effects: &mut Effects) {
        if std::mem::take(&mut self.is_erasing) {
            self.echo_raw(b'/', effects);
        }
    }
}
