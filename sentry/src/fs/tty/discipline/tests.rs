use linux_abi::signal::{SIGINT, SIGTSTP};
use linux_abi::tty::*;

use super::*;

fn type_in(discipline: &mut Discipline, bytes: &[u8]) -> Effects {
    let mut effects = Effects::default();
    assert_eq!(discipline.receive(bytes, &mut effects), bytes.len());
    effects
}

fn screen(discipline: &mut Discipline, bytes: &[u8]) -> String {
    String::from_utf8(type_in(discipline, bytes).screen).unwrap()
}

fn change(discipline: &mut Discipline, change: impl FnOnce(&mut Termios2)) {
    let mut termios = *discipline.termios();
    change(&mut termios);
    discipline.set_termios(termios);
}

fn read(discipline: &mut Discipline, max: usize) -> String {
    String::from_utf8(discipline.input().read(max)).unwrap()
}

#[test]
fn a_line_is_read_when_it_is_complete() {
    let mut tty = Discipline::default();
    assert_eq!(screen(&mut tty, b"ab"), "ab");
    assert!(!tty.is_readable(false));
    assert_eq!(screen(&mut tty, b"c\r"), "c\r\n");
    assert!(tty.is_readable(true));
    type_in(&mut tty, b"next\n");
    assert_eq!(tty.input().readable(), 9);
    assert_eq!(read(&mut tty, 2), "ab");
    assert_eq!(read(&mut tty, 100), "c\n");
    assert_eq!(read(&mut tty, 100), "next\n");
    assert_eq!(read(&mut tty, 100), "");
}

#[test]
fn end_of_file_ends_a_line_without_being_read() {
    let mut tty = Discipline::default();
    type_in(&mut tty, b"\x04");
    assert!(tty.is_readable(false));
    assert_eq!(read(&mut tty, 100), "");
    assert!(!tty.is_readable(false));
    type_in(&mut tty, b"ab\x04cd\n");
    assert_eq!(read(&mut tty, 2), "ab");
    assert_eq!(read(&mut tty, 100), "cd\n");
}

#[test]
fn erasing_takes_back_what_is_on_the_screen() {
    let mut tty = Discipline::default();
    assert_eq!(screen(&mut tty, b"ab\x7f"), "ab\x08 \x08");
    assert_eq!(screen(&mut tty, b"\x01\x7f"), "^A\x08 \x08\x08 \x08");
    assert_eq!(screen(&mut tty, b" foo bar\x17"), " foo bar\x08 \x08\x08 \x08\x08 \x08");
    assert_eq!(screen(&mut tty, b"x\n"), "x\r\n");
    assert_eq!(read(&mut tty, 100), "a foo x\n");
    assert_eq!(screen(&mut tty, b"xy\x15\x7f"), "xy\x08 \x08\x08 \x08");
    type_in(&mut tty, b"\n");
    assert_eq!(read(&mut tty, 100), "\n");
}

#[test]
fn a_tab_is_erased_to_where_it_began() {
    let mut tty = Discipline::default();
    assert_eq!(screen(&mut tty, b"abc\t\x7f"), "abc\t\x08\x08\x08\x08\x08");
}

#[test]
fn erasing_knows_multibyte_characters() {
    let mut tty = Discipline::default();
    change(&mut tty, |termios| termios.iflag |= InputFlags::IUTF8.bits());
    type_in(&mut tty, "aé\x7f\n".as_bytes());
    assert_eq!(read(&mut tty, 100), "a\n");
}

#[test]
fn signal_keys_flush_and_signal() {
    let mut tty = Discipline::default();
    let effects = type_in(&mut tty, b"abc\x03");
    assert_eq!(effects.signals, [SIGINT]);
    assert!(effects.flushed);
    assert_eq!(effects.screen, b"^C");
    assert!(tty.input().is_empty());
    change(&mut tty, |termios| termios.lflag |= LocalFlags::NOFLSH.bits());
    let effects = type_in(&mut tty, b"abc\x1a");
    assert_eq!((effects.signals, effects.flushed), (vec![SIGTSTP], false));
    assert_eq!(tty.input().len(), 3);
    change(&mut tty, |termios| termios.lflag &= !LocalFlags::ISIG.bits());
    assert!(type_in(&mut tty, b"\x03").signals.is_empty());
}

#[test]
fn stop_and_start_hold_the_echo() {
    let mut tty = Discipline::default();
    assert_eq!(type_in(&mut tty, b"\x13").flow, Some(Flow::Stopped));
    assert_eq!(screen(&mut tty, b"ab"), "");
    let effects = type_in(&mut tty, b"\x11");
    assert_eq!((effects.flow, effects.screen), (Some(Flow::Started), b"ab".to_vec()));
    tty.hold();
    assert_eq!(type_in(&mut tty, b"\x11").flow, None);
    assert!(tty.is_stopped());
    tty.release();
    assert!(!tty.is_stopped());
}

#[test]
fn a_literal_key_has_no_meaning() {
    let mut tty = Discipline::default();
    assert_eq!(screen(&mut tty, b"\x16\x03"), "^\x08^C");
    type_in(&mut tty, b"\n");
    assert_eq!(read(&mut tty, 100), "\x03\n");
}

#[test]
fn output_is_processed() {
    let mut tty = Discipline::default();
    assert_eq!(tty.write(b"a\nb"), b"a\r\nb");
    change(&mut tty, |termios| termios.oflag |= OutputFlags::XTABS.bits());
    assert_eq!(tty.write(b"\tx"), b"       x");
    change(&mut tty, |termios| termios.oflag = 0);
    assert_eq!(tty.write(b"\n\t"), b"\n\t");
}

#[test]
fn raw_mode_gives_bytes_as_they_come() {
    let mut tty = Discipline::default();
    change(&mut tty, |termios| {
        termios.lflag = 0;
        termios.iflag = 0;
        termios.cc[VMIN] = 3;
    });
    assert_eq!(screen(&mut tty, b"\x03\r"), "");
    assert!(tty.is_readable(false));
    assert!(!tty.is_readable(true));
    type_in(&mut tty, b"x");
    assert!(tty.is_readable(true));
    assert_eq!(read(&mut tty, 100), "\x03\rx");
}

#[test]
fn changing_the_mode_keeps_what_was_typed() {
    let mut tty = Discipline::default();
    type_in(&mut tty, b"ab");
    change(&mut tty, |termios| termios.lflag &= !LocalFlags::ICANON.bits());
    assert!(tty.is_readable(false));
    assert_eq!(read(&mut tty, 1), "a");
    change(&mut tty, |termios| termios.lflag |= LocalFlags::ICANON.bits());
    assert_eq!(read(&mut tty, 10), "b");
}

#[test]
fn a_full_line_loses_bytes_but_can_be_ended() {
    let mut tty = Discipline::default();
    type_in(&mut tty, &[b'x'; 5000]);
    type_in(&mut tty, b"\n");
    let line = tty.input().read(10_000);
    assert_eq!(line.len(), 4095);
    assert_eq!(line.last(), Some(&b'\n'));
    change(&mut tty, |termios| termios.lflag = 0);
    let mut effects = Effects::default();
    assert_eq!(tty.receive(&[b'x'; 5000], &mut effects), 4095);
}

#[test]
fn speeds_follow_the_control_flags() {
    let mut termios = to_termios(&STANDARD);
    termios.cflag = (termios.cflag & !CBAUD) | B9600;
    assert_eq!(from_termios(&termios, &STANDARD).ospeed, 9600);
}
