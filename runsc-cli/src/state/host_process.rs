//! Processes of the host by a name that outlives them: process id and start time.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// A process, told from a later one with the same id by its start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostProcess {
    pub pid: i32,
    /// Clock ticks after boot, as in `/proc/[pid]/stat`.
    pub start_time: u64,
}

impl HostProcess {
    /// Looks a living process up.
    pub fn of(pid: i32) -> Option<HostProcess> {
        let (state, start_time) = stat(pid)?;
        (!matches!(state, 'Z' | 'X')).then_some(HostProcess { pid, start_time })
    }

    pub fn current() -> Option<HostProcess> {
        HostProcess::of(rustix::process::getpid().as_raw_nonzero().get())
    }

    /// Whether it still runs; a zombie does not.
    pub fn is_alive(self) -> bool {
        HostProcess::of(self.pid) == Some(self)
    }

    /// Opens a descriptor of the process, if it still is that one.
    pub fn open(self) -> Option<OwnedFd> {
        let pidfd = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        // Checked after opening: the descriptor then belongs to the process that was checked.
        self.is_alive().then_some(pidfd)
    }

    /// Waits until it has ended by itself; `false` at the deadline.
    pub fn await_end(self, deadline: Duration) -> io::Result<bool> {
        self.open().map_or(Ok(true), |pidfd| wait_readable(&pidfd, deadline))
    }

    /// Kills it and waits until it is dead. No error if it was already.
    pub fn kill(self, deadline: Duration) -> io::Result<()> {
        let Some(pidfd) = self.open() else {
            return Ok(());
        };
        match pidfd_send_signal(&pidfd, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
        match wait_readable(&pidfd, deadline)? {
            true => Ok(()),
            false => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("process {} did not die within {} s", self.pid, deadline.as_secs()),
            )),
        }
    }
}

/// Waits until a pidfd says that its process has ended; false at the deadline.
fn wait_readable(pidfd: &OwnedFd, deadline: Duration) -> io::Result<bool> {
    let timeout = Timespec { tv_sec: deadline.as_secs() as i64, tv_nsec: 0 };
    loop {
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(ready) => return Ok(ready > 0),
        }
    }
}

/// Reads state letter and start time from `/proc/[pid]/stat` (proc(5)).
fn stat(pid: i32) -> Option<(char, u64)> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    // The command name may hold anything but ends at the last parenthesis.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let start_time = fields.nth(18)?.parse().ok()?;
    Some((state, start_time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_living_from_dead() {
        let this = HostProcess::current().expect("own process");
        assert!(this.is_alive());
        assert!(!HostProcess { start_time: this.start_time + 1, ..this }.is_alive());
        assert_eq!(HostProcess::of(0), None);
        assert_eq!(HostProcess::of(-1), None);
    }

    #[test]
    fn kill_waits_for_death() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("spawn");
        let process = HostProcess::of(child.id() as i32).expect("child");
        process.kill(Duration::from_secs(10)).expect("kill");
        assert!(!process.is_alive());
        process.kill(Duration::from_secs(10)).expect("already dead");
        let _ = child.wait();
    }
}
