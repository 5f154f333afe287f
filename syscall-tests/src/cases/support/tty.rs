//! Pseudo-terminals for the cases.

use super::check::Must;
use super::files::{cstr, open};
use super::sys::sys;

/// The kernel's `struct termios`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Termios {
    /// Input modes.
    pub c_iflag: u32,
    /// Output modes.
    pub c_oflag: u32,
    /// Control modes.
    pub c_cflag: u32,
    /// Local modes.
    pub c_lflag: u32,
    /// Line discipline.
    pub c_line: u8,
    /// Special characters.
    pub c_cc: [u8; 19],
}

/// Makes a pseudo-terminal: master, slave. It does not become the controlling terminal.
#[track_caller]
pub fn make() -> (i32, i32) {
    let master = open(c"/dev/ptmx", libc::O_RDWR | libc::O_NOCTTY);
    sys!(ioctl, master, libc::TIOCSPTLCK, &0i32).must();
    (master, slave_of(master))
}

/// Opens the slave of a master.
#[track_caller]
pub fn slave_of(master: i32) -> i32 {
    let mut number = 0i32;
    sys!(ioctl, master, libc::TIOCGPTN, &mut number).must();
    open(&cstr(&format!("/dev/pts/{number}")), libc::O_RDWR | libc::O_NOCTTY)
}

/// Returns a terminal's attributes.
#[track_caller]
pub fn attributes(fd: i32) -> Termios {
    let mut term =
        Termios { c_iflag: 0, c_oflag: 0, c_cflag: 0, c_lflag: 0, c_line: 0, c_cc: [0; 19] };
    sys!(ioctl, fd, libc::TCGETS, &mut term).must();
    term
}

/// Sets a terminal's attributes at once.
#[track_caller]
pub fn set_attributes(fd: i32, term: &Termios) {
    sys!(ioctl, fd, libc::TCSETS, term).must();
}
