//! Terminals that the launcher handed to the sentry: `tty_ioctl(4)`.

use std::os::fd::{AsFd, AsRawFd};

use linux_abi::Errno;
use linux_abi::tty::{Termios, Termios2, Winsize};

use super::last_errno;

const TCGETS2: libc::Ioctl = 0x802c_542a;
const TCSETS2: libc::Ioctl = 0x402c_542b;

/// When new attributes take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// `TCSETS`.
    Now,
    /// `TCSETSW`: after all output was sent.
    Drained,
    /// `TCSETSF`: as `Drained`, and pending input is thrown away.
    Flushed,
}

impl When {
    fn step(self) -> libc::Ioctl {
        match self {
            When::Now => 0,
            When::Drained => 1,
            When::Flushed => 2,
        }
    }
}

/// Whether the descriptor is a terminal.
pub fn is_terminal(fd: impl AsFd) -> bool {
    attributes(fd).is_ok()
}

/// `TCGETS`. Errors: ENOTTY, EIO after a hang-up.
pub fn attributes(fd: impl AsFd) -> Result<Termios, Errno> {
    let mut termios = Termios::default();
    // SAFETY: TCGETS writes a `struct termios` of exactly this size.
    unsafe { ioctl_mut(fd, libc::TCGETS, &mut termios) }?;
    Ok(termios)
}

/// `TCSETS`, `TCSETSW`, `TCSETSF`.
pub fn set_attributes(fd: impl AsFd, termios: &Termios, when: When) -> Result<(), Errno> {
    // SAFETY: the TCSETS family reads a `struct termios` of exactly this size.
    unsafe { ioctl_ref(fd, libc::TCSETS + when.step(), termios) }
}

/// `TCGETS2`.
pub fn attributes2(fd: impl AsFd) -> Result<Termios2, Errno> {
    let mut termios = Termios2::default();
    // SAFETY: TCGETS2 writes a `struct termios2` of exactly this size.
    unsafe { ioctl_mut(fd, TCGETS2, &mut termios) }?;
    Ok(termios)
}

/// `TCSETS2`, `TCSETSW2`, `TCSETSF2`.
pub fn set_attributes2(fd: impl AsFd, termios: &Termios2, when: When) -> Result<(), Errno> {
    // SAFETY: the TCSETS2 family reads a `struct termios2` of exactly this size.
    unsafe { ioctl_ref(fd, TCSETS2 + when.step(), termios) }
}

/// `TIOCGWINSZ`.
pub fn window_size(fd: impl AsFd) -> Result<Winsize, Errno> {
    let mut size = Winsize::default();
    // SAFETY: TIOCGWINSZ writes a `struct winsize`, whose layout this is.
    unsafe { ioctl_mut(fd, libc::TIOCGWINSZ, &mut size) }?;
    Ok(size)
}

/// `TIOCSWINSZ`.
pub fn set_window_size(fd: impl AsFd, size: Winsize) -> Result<(), Errno> {
    // SAFETY: TIOCSWINSZ reads a `struct winsize`, whose layout this is.
    unsafe { ioctl_ref(fd, libc::TIOCSWINSZ, &size) }
}

/// `TCFLSH`: throws away input (0), output (1) or both (2).
pub fn flush(fd: impl AsFd, queue: i32) -> Result<(), Errno> {
    ioctl_value(fd, libc::TCFLSH, queue)
}

/// `TCXONC`: suspends or restarts output or input.
pub fn flow(fd: impl AsFd, action: i32) -> Result<(), Errno> {
    ioctl_value(fd, libc::TCXONC, action)
}

/// `TCSBRK`: sends a break for 0, waits until output was sent otherwise (`tcdrain(3)`).
pub fn send_break(fd: impl AsFd, drain: i32) -> Result<(), Errno> {
    ioctl_value(fd, libc::TCSBRK, drain)
}

/// Bytes waiting in the output queue, `TIOCOUTQ`.
pub fn output_queued(fd: impl AsFd) -> Result<u32, Errno> {
    let mut bytes: i32 = 0;
    // SAFETY: TIOCOUTQ writes one int.
    unsafe { ioctl_mut(fd, libc::TIOCOUTQ, &mut bytes) }?;
    Ok(bytes.max(0) as u32)
}

/// # Safety
/// 1. `request` writes at most `size_of::<T>()` bytes through its argument.
/// 2. Every bit pattern is a valid `T`.
unsafe fn ioctl_mut<T>(fd: impl AsFd, request: libc::Ioctl, value: &mut T) -> Result<(), Errno> {
    // SAFETY: the argument points to a live `T`; the caller promises the rest.
    checked(|| unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), request, &raw mut *value) })
}

/// # Safety
/// `request` reads at most `size_of::<T>()` bytes through its argument and writes none.
unsafe fn ioctl_ref<T>(fd: impl AsFd, request: libc::Ioctl, value: &T) -> Result<(), Errno> {
    // SAFETY: the argument points to a live `T`; the caller promises the rest.
    checked(|| unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), request, &raw const *value) })
}

fn ioctl_value(fd: impl AsFd, request: libc::Ioctl, value: i32) -> Result<(), Errno> {
    // SAFETY: the requests of this module that take a number read no memory.
    checked(|| unsafe {
        libc::ioctl(fd.as_fd().as_raw_fd(), request, libc::c_ulong::from(value as u32))
    })
}

fn checked(mut call: impl FnMut() -> i32) -> Result<(), Errno> {
    loop {
        if call() >= 0 {
            return Ok(());
        }
        match last_errno() {
            Errno::EINTR => continue,
            error => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fs;

    #[test]
    fn a_pipe_is_no_terminal() {
        let (reader, _writer) = fs::pipe().expect("pipe");
        assert!(!is_terminal(&reader));
        assert_eq!(window_size(&reader), Err(Errno::ENOTTY));
        assert_eq!(flush(&reader, 0), Err(Errno::ENOTTY));
    }

    #[test]
    fn a_pty_keeps_size_and_attributes() {
        let Ok(master) = std::fs::File::options().read(true).write(true).open("/dev/ptmx") else {
            eprintln!("skipped: no /dev/ptmx here");
            return;
        };
        assert!(is_terminal(&master));
        let size = Winsize { row: 24, col: 80, ..Winsize::default() };
        set_window_size(&master, size).expect("set");
        assert_eq!(window_size(&master), Ok(size));
        let termios = attributes(&master).expect("get");
        set_attributes(&master, &termios, When::Now).expect("set");
        assert_eq!(attributes2(&master).expect("get").cc, termios.cc);
    }
}
