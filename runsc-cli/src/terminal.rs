//! Pseudo-terminals, console sockets, and the caller's own terminal.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, Termios, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use crate::error::Error;

/// A new pseudo-terminal.
pub struct Pty {
    pub master: OwnedFd,
    pub slave: OwnedFd,
}

impl Pty {
    /// Makes a pseudo-terminal of `size` (columns, rows) if it is known.
    pub fn open(size: Option<(u16, u16)>) -> Result<Pty, Error> {
        let open = || -> rustix::io::Result<Pty> {
            let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
            let master = openpt(flags)?;
            grantpt(&master)?;
            unlockpt(&master)?;
            // Not by its name: /dev/pts may be another instance than that of the master.
            let slave = ioctl_tiocgptpeer(&master, flags)?;
            if let Some((columns, rows)) = size {
                let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
                tcsetwinsize(&master, size)?;
            }
            Ok(Pty { master, slave })
        };
        open().map_err(|error| Error::io("cannot make a pseudo-terminal", error))
    }

    /// Copies of the slave for standard input, output and error.
    pub fn stdio(&self) -> Result<[Option<OwnedFd>; 3], Error> {
        let copy =
            || self.slave.try_clone().map(Some).map_err(|error| Error::io("terminal", error));
        Ok([copy()?, copy()?, copy()?])
    }
}

/// Sends a terminal's master end to whoever listens on the console socket, as runc does: one
/// message, its text the name of the file.
pub fn send_master(socket: &Path, master: &OwnedFd) -> Result<(), Error> {
    Console::connect(socket)?.send_master(master)
}

/// Somebody who listens on a console socket.
pub struct Console {
    stream: UnixStream,
    path: PathBuf,
}

impl Console {
    pub fn connect(path: &Path) -> Result<Console, Error> {
        match connect(path) {
            Ok(stream) => Ok(Console { stream, path: path.to_owned() }),
            Err(error) => Err(Error::io(format!("console socket {path:?}"), error)),
        }
    }

    /// See [`send_master`].
    pub fn send_master(&self, master: &OwnedFd) -> Result<(), Error> {
        send_descriptor(&self.stream, master)
            .map_err(|error| Error::io(format!("console socket {:?}", self.path), error))
    }
}

fn send_descriptor(stream: &UnixStream, master: &OwnedFd) -> io::Result<()> {
    let fds = [master.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    let name = [IoSlice::new(b"/dev/ptmx")];
    rustix::net::sendmsg(stream, &name, &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Connects to a socket whose path may be longer than a socket address.
fn connect(path: &Path) -> io::Result<UnixStream> {
    use std::os::fd::AsRawFd;
    match (UnixStream::connect(path), path.parent(), path.file_name()) {
        (Err(error), Some(parent), Some(name)) if error.kind() == io::ErrorKind::InvalidInput => {
            let directory = std::fs::File::open(parent)?;
            let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string());
            UnixStream::connect(short.join(name))
        }
        (result, ..) => result,
    }
}

/// Checks that a console socket comes with a terminal, and a terminal that nobody else would own
/// with a console socket; the rules are runc's.
pub fn check_console(
    terminal: bool,
    is_detached: bool,
    console_socket: Option<&Path>,
) -> Result<(), Error> {
    let problem = match (terminal, is_detached, console_socket) {
        (true, true, None) => {
            "process.terminal is set: a detached process needs --console-socket for its terminal"
        }
        (false, _, Some(_)) => "--console-socket is given, but process.terminal is not set",
        (true, false, Some(_)) => {
            "--console-socket is given, but the process stays in the foreground of this terminal"
        }
        (true, false, None) if !is_stdin_terminal() => {
            "process.terminal is set, but standard input is not a terminal"
        }
        _ => return Ok(()),
    };
    Err(Error::Usage(problem.into()))
}

/// The caller's terminal, whose settings the guest may change; dropping this restores them.
pub struct CallersTerminal {
    settings: Option<Termios>,
}

impl CallersTerminal {
    /// Remembers the settings of the terminal on standard input, if it is one.
    pub fn remember() -> CallersTerminal {
        CallersTerminal { settings: tcgetattr(rustix::stdio::stdin()).ok() }
    }
}

impl Drop for CallersTerminal {
    fn drop(&mut self) {
        if let Some(settings) = &self.settings {
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, settings);
        }
    }
}

/// Whether standard input is a terminal.
pub fn is_stdin_terminal() -> bool {
    rustix::termios::isatty(rustix::stdio::stdin())
}

/// Lets go of the caller's standard streams, in a process that outlives the command.
pub fn leave_standard_streams() -> io::Result<()> {
    let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

/// Copies of our own standard streams; one that is closed stays closed.
pub fn own_stdio() -> [Option<OwnedFd>; 3] {
    let copy = |number| {
        // SAFETY: the descriptor is only duplicated, which fails if it is closed.
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
        rustix::io::fcntl_dupfd_cloexec(fd, 3).ok()
    };
    [copy(0), copy(1), copy(2)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_rules() {
        let socket = Some(Path::new("/s"));
        for (terminal, is_detached, socket, is_ok) in [
            (true, true, socket, true),
            (true, false, None, is_stdin_terminal()),
            (false, true, None, true),
            (false, false, None, true),
            (true, true, None, false),
            (false, true, socket, false),
            (true, false, socket, false),
        ] {
            assert_eq!(check_console(terminal, is_detached, socket).is_ok(), is_ok);
        }
    }
}
