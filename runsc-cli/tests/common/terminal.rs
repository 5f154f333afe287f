//! A terminal to run a program on: a pseudo-terminal whose master end the test holds.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// How long expected output may take.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Terminal {
    master: File,
    slave: Option<OwnedFd>,
    seen: String,
}

impl Terminal {
    pub fn open(columns: u16, rows: u16) -> Terminal {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("openpt");
        grantpt(&master).expect("grantpt");
        unlockpt(&master).expect("unlockpt");
        let slave = ioctl_tiocgptpeer(&master, flags).expect("slave");
        let terminal = Terminal { master: master.into(), slave: Some(slave), seen: String::new() };
        terminal.resize(columns, rows);
        terminal
    }

    /// Takes over a master end that was made by others.
    pub fn from_master(master: OwnedFd) -> Terminal {
        Terminal { master: master.into(), slave: None, seen: String::new() }
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).expect("window size");
    }

    /// Starts a program that leads a session with this terminal.
    pub fn spawn(&mut self, command: &mut Command) -> Child {
        let slave = self.slave.take().expect("one program for each terminal");
        let copy = || slave.try_clone().expect("dup");
        command.stdin(copy()).stdout(copy()).stderr(copy());
        // SAFETY: the closure makes two system calls and allocates nothing.
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                // Standard input is the slave end by now.
                Ok(rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?)
            })
        };
        let child = command.spawn().expect("spawn");
        // The command keeps copies of the slave end; without them reading ends with the program.
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        child
    }

    pub fn type_in(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("type");
    }

    /// Everything that was shown so far.
    pub fn seen(&self) -> &str {
        &self.seen
    }

    /// Reads until `text` was shown after the last text that was waited for.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.seen.contains(text) {
            assert!(Instant::now() < deadline, "{text:?} was not shown, but {:?}", self.seen);
            if !self.read_some() {
                panic!("{text:?} was not shown before the end, but {:?}", self.seen);
            }
        }
    }

    /// Types the interrupt key, every second again, until `text` is shown.
    ///
    /// A shell that has looked for signals and is about to read runs its trap only when the read is
    /// interrupted, and a signal in that moment does not: so it is on any kernel.
    #[track_caller]
    pub fn interrupt_until(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.seen.contains(text) {
            assert!(Instant::now() < deadline, "{text:?} was not shown, but {:?}", self.seen);
            self.type_in("\x03");
            let again = Instant::now() + Duration::from_secs(1);
            while !self.seen.contains(text) && Instant::now() < again {
                assert!(self.read_some(), "{text:?} was not shown, but {:?}", self.seen);
            }
        }
    }

    /// Reads what there is; false at the end.
    fn read_some(&mut self) -> bool {
        let wait = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let mut fds = [PollFd::from_borrowed_fd(self.master.as_fd(), PollFlags::IN)];
        if !matches!(poll(&mut fds, Some(&wait)), Ok(ready) if ready > 0) {
            return true;
        }
        let mut bytes = [0; 4096];
        match self.master.read(&mut bytes) {
            Ok(length) if length > 0 => {
                self.seen.push_str(&String::from_utf8_lossy(&bytes[..length]));
                true
            }
            _ => false,
        }
    }
}
