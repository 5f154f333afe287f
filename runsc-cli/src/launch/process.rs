//! The frame of a child: clone, wait for the parent's go-ahead, set up, and exec or go on.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus};

use super::identity::{self, Mappings};
use crate::error::Error;
use crate::state::HostProcess;

/// Longest error report of a child in bytes.
const MAX_REPORT_BYTES: u64 = 4096;

/// A child process.
#[derive(Debug)]
pub struct Child {
    /// What it is, for errors.
    pub name: &'static str,
    pub pid: Pid,
    pub pidfd: OwnedFd,
    /// Our end of the hand-shake; at its end of file the child is set up or has died.
    channel: UnixStream,
}

/// A failed step of a child's set-up.
#[derive(Debug)]
pub struct SetupError(pub String);

impl SetupError {
    pub fn at<E: std::fmt::Display>(step: &str) -> impl FnOnce(E) -> SetupError {
        move |error| SetupError(format!("{step}: {error}"))
    }
}

/// How a child's wait for its parent ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The parent does not need it any more.
    Dismissed,
    /// The parent has ended without a word.
    Alone,
}

/// The child's side of the hand-shake.
pub struct Channel {
    stream: UnixStream,
}

impl Channel {
    /// Waits until the parent lets us go on. A parent that is gone ends the process.
    fn wait_for_go(&self) {
        let mut byte = [0];
        if !matches!((&self.stream).read(&mut byte), Ok(1)) {
            exit_child(1);
        }
    }

    /// Tells the parent whether something that it waits for has come out well, see [`Child::hear`].
    pub fn tell(&self, is_well: bool) {
        let _ = (&self.stream).write_all(&[is_well.into()]);
    }

    /// Waits for a second go-ahead, which means that this process is not needed any more. `None` if
    /// there is neither that nor the parent's end before `limit`.
    pub fn wait_for_dismissal(&self, limit: Option<Duration>) -> Option<End> {
        if let Some(limit) = limit.and_then(|limit| Timespec::try_from(limit).ok()) {
            let mut fds = [PollFd::new(&self.stream, PollFlags::IN)];
            if poll(&mut fds, Some(&limit)) == Ok(0) {
                return None;
            }
        }
        loop {
            match (&self.stream).read(&mut [0]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(1) => return Some(End::Dismissed),
                _ => return Some(End::Alone),
            }
        }
    }

    /// Makes the host kill this process when the parent ends. A parent that is gone ends it now.
    pub fn die_with_parent(&self) -> Result<(), SetupError> {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(SetupError::at("ask to die with the parent"))?;
        let mut fds = [PollFd::new(&self.stream, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut fds, Some(&now)) {
            Ok(ready) if ready > 0 => exit_child(1),
            _ => Ok(()),
        }
    }

    /// Reports why the set-up failed and ends the process.
    pub fn fail(self, error: SetupError) -> ! {
        let _ = (&self.stream).write_all(error.0.as_bytes());
        exit_child(1)
    }

    /// The child is set up, and its descriptor was closed with others.
    pub fn forget(self) {
        std::mem::forget(self);
    }

    /// Moves the channel away from the numbers that the image expects its descriptors at.
    pub fn move_above(&mut self, lowest: RawFd) -> Result<(), SetupError> {
        let moved = rustix::io::fcntl_dupfd_cloexec(&self.stream, lowest)
            .map_err(SetupError::at("move a descriptor"))?;
        self.stream = moved.into();
        Ok(())
    }
}

/// The two processes that a clone returns in.
pub enum Cloned {
    Parent(Child),
    /// The child, after the parent's [`Child::go`].
    Child(Channel),
}

/// Clones this process with new namespaces of `flags`. The child must end in an exec, in
/// [`Channel::fail`], or in [`exit_child`].
///
/// # Errors
/// Those of `clone3(2)`.
pub fn clone_process(name: &'static str, flags: libc::c_int) -> io::Result<Cloned> {
    let (ours, theirs) = UnixStream::pair()?;
    match clone(flags)? {
        Some((pid, pidfd)) => Ok(Cloned::Parent(Child { name, pid, pidfd, channel: ours })),
        None => {
            drop(ours);
            reset_signals();
            let channel = Channel { stream: theirs };
            channel.wait_for_go();
            Ok(Cloned::Child(channel))
        }
    }
}

/// Returns the child's pid and pidfd in the parent, `None` in the child.
fn clone(flags: libc::c_int) -> io::Result<Option<(Pid, OwnedFd)>> {
    let mut pidfd: RawFd = -1;
    // SAFETY: `clone_args` is plain data for which all zeroes are valid.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = (flags | libc::CLONE_PIDFD) as u64;
    args.pidfd = (&raw mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    // SAFETY: 1. The arguments ask for a copy of the address space (no CLONE_VM), so the child
    // runs on like after fork(2). 2. This process has one thread, so no lock is left taken in the
    // copy. 3. `pidfd` outlives the call that writes it.
    let pid =
        unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match pid {
        0 => Ok(None),
        _ if pid < 0 => Err(io::Error::last_os_error()),
        _ => {
            // SAFETY: the kernel has just made this descriptor for us.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            let pid = Pid::from_raw(pid as i32).ok_or(io::ErrorKind::InvalidData)?;
            Ok(Some((pid, pidfd)))
        }
    }
}

/// Ends a child without running the parent's exit handlers or destructors.
pub fn exit_child(status: i32) -> ! {
    // SAFETY: _exit takes no memory and does not return.
    unsafe { libc::_exit(status) }
}

/// Unblocks what the command line blocked for its own use; exec keeps the mask.
fn reset_signals() {
    let _ = nix::sys::signal::SigSet::empty().thread_set_mask();
}

impl Child {
    /// Writes the id mappings of the child's user namespace.
    pub fn map_ids(&self, mappings: &Mappings) -> io::Result<()> {
        identity::write(self.pid, mappings)
    }

    /// Lets the child go on.
    pub fn go(&self) -> io::Result<()> {
        (&self.channel).write_all(&[1])
    }

    /// Waits for what the child says by [`Channel::tell`]; `false` if it ends without a word.
    pub fn hear(&self) -> bool {
        let mut byte = [0];
        (&self.channel).read_exact(&mut byte).is_ok() && byte == [1]
    }

    /// What the child reported before it gave up its set-up; waits until it is set up
    /// or died. `None` when it was set up.
    pub fn setup_error(&self) -> Option<String> {
        let mut text = String::new();
        let _ = (&self.channel).take(MAX_REPORT_BYTES).read_to_string(&mut text);
        (!text.is_empty()).then(|| format!("cannot set up the {}: {text}", self.name))
    }

    pub fn host_process(&self) -> Option<HostProcess> {
        HostProcess::of(self.pid.as_raw_nonzero().get())
    }

    /// Kills and reaps the child.
    pub fn kill(&self) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        let _ = self.wait();
    }

    /// Waits for the end of the child and reaps it.
    pub fn wait(&self) -> Result<WaitIdStatus, Error> {
        loop {
            match rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED)
            {
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    return Err(Error::io(format!("cannot wait for the {}", self.name), error));
                }
                Ok(Some(status)) => return Ok(status),
                Ok(None) => {}
            }
        }
    }
}

/// A null device for the standard streams of a child.
pub fn null_device() -> io::Result<OwnedFd> {
    File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from)
}
