//! Waits in the foreground for a process in a sandbox, and passes signals on to it.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use control_protocol::Request;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::Error;

/// Signals that are meant for the program that we stand for.
const FORWARDED: [Signal; 9] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGCONT,
    Signal::SIGWINCH,
];

/// The forwarded signals, blocked and read as data from now on.
pub struct Signals {
    fd: SignalFd,
    mask: SigSet,
    has_terminal: bool,
}

impl Signals {
    /// Takes the signals over. With a terminal its stop key (SIGTSTP) is the guest's too.
    ///
    /// To be called before the sandbox exists, so that none is lost.
    pub fn take(has_terminal: bool) -> Result<Signals, Error> {
        let mut mask = SigSet::empty();
        FORWARDED.into_iter().for_each(|signal| mask.add(signal));
        if has_terminal {
            mask.add(Signal::SIGTSTP);
            // Restoring the terminal's settings must not stop us.
            mask.add(Signal::SIGTTOU);
        }
        let take = || {
            mask.thread_block()?;
            SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        };
        match take() {
            Ok(fd) => Ok(Signals { fd, mask, has_terminal }),
            Err(errno) => Err(Error::io("cannot receive signals", std::io::Error::from(errno))),
        }
    }

    /// Blocks the signals once more, in a clone of the process that took them.
    pub fn block_again(&self) {
        let _ = self.mask.thread_block();
    }

    /// Hands the pending signals on as requests.
    fn forward(&self, pid: i32, deliver: &dyn Fn(&Request)) {
        while let Ok(Some(info)) = self.fd.read_signal() {
            if info.ssi_signo != libc::SIGTTOU as u32 {
                deliver(&self.request(&info, pid));
            }
        }
    }

    /// A signal of the terminal's keys goes to its foreground process group; without a terminal
    /// of its own every process of the sandbox gets it, as all processes of a job would.
    fn request(&self, info: &siginfo, pid: i32) -> Request {
        let signo = info.ssi_signo as i32;
        let is_from_kernel = info.ssi_code == libc::SI_KERNEL;
        let is_key = matches!(signo, libc::SIGINT | libc::SIGQUIT | libc::SIGTSTP | libc::SIGHUP);
        Request::Signal {
            pid,
            signo,
            all: !self.has_terminal && is_from_kernel && is_key,
            group: self.has_terminal && (is_key || signo == libc::SIGWINCH),
        }
    }

    /// Forwards signals for process `pid` through `deliver` until one of `ends` is readable or
    /// closed, at the latest until `deadline` passed; gives its index.
    pub fn forward_until(
        &self,
        pid: i32,
        deliver: &dyn Fn(&Request),
        ends: &[BorrowedFd<'_>],
        deadline: Option<Instant>,
    ) -> Result<Option<usize>, Error> {
        loop {
            let mut fds: Vec<PollFd> =
                ends.iter().map(|end| PollFd::from_borrowed_fd(*end, PollFlags::IN)).collect();
            fds.push(PollFd::from_borrowed_fd(self.fd.as_fd(), PollFlags::IN));
            match poll(&mut fds, deadline.map(time_left).as_ref()) {
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(Error::io("cannot wait for the sandbox", error)),
                Ok(0) => return Ok(None),
                Ok(_) => {}
            }
            if let Some(index) = fds[..ends.len()].iter().position(|fd| !fd.revents().is_empty()) {
                return Ok(Some(index));
            }
            self.forward(pid, deliver);
        }
    }
}

fn time_left(deadline: Instant) -> Timespec {
    let left = deadline.saturating_duration_since(Instant::now());
    Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) }
}
