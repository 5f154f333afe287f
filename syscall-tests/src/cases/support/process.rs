//! Child processes, and who runs the case.

use super::check::{Must, fail, fail_at, skip};
use super::errno::Errno;
use super::sys::{self, sys};
use std::ffi::CString;
use std::panic::Location;

/// What `wait4` said of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Ended with this exit status.
    Exited(i32),
    /// Ended by this signal.
    Signaled(i32),
    /// Stopped by this signal.
    Stopped(i32),
    /// Continued.
    Continued,
}

impl Status {
    /// Decodes the status word of `wait4`.
    pub fn decode(word: i32) -> Status {
        if libc::WIFEXITED(word) {
            Status::Exited(libc::WEXITSTATUS(word))
        } else if libc::WIFSIGNALED(word) {
            Status::Signaled(libc::WTERMSIG(word))
        } else if libc::WIFSTOPPED(word) {
            Status::Stopped(libc::WSTOPSIG(word))
        } else {
            Status::Continued
        }
    }
}

/// A child process.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Child {
    /// Its process id.
    pub pid: i32,
}

/// Waits for a child, with the options of `wait4`; a signal does not end it.
#[track_caller]
pub fn wait_pid(pid: i32, options: i32) -> Status {
    let mut word = 0i32;
    loop {
        match sys!(wait4, pid, &mut word, options, 0) {
            Err(Errno(libc::EINTR)) => {}
            other => {
                other.must();
                return Status::decode(word);
            }
        }
    }
}

impl Child {
    /// Waits until it ends.
    #[track_caller]
    pub fn wait(self) -> Status {
        wait_pid(self.pid, 0)
    }

    /// Waits until it stops.
    #[track_caller]
    pub fn wait_stop(self) -> Status {
        wait_pid(self.pid, libc::WUNTRACED)
    }

    /// Waits until it ends, which must be with status 0.
    #[track_caller]
    pub fn ok(self) {
        let status = self.wait();
        if status != Status::Exited(0) {
            let at = Location::caller();
            fail_at(at.file(), at.line(), format_args!("the child ended with {status:?}"));
        }
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn kill(self, signal: i32) {
        sys!(kill, self.pid, signal).must();
    }

    /// Kills and reaps it.
    #[track_caller]
    pub fn end(self) {
        self.kill(libc::SIGKILL);
        let _ = self.wait();
    }
}

/// Runs the function in a child, which ends with status 0 after it. The child dies with its
/// parent, so that a failed case leaves nothing behind.
#[track_caller]
pub fn fork(body: impl FnOnce()) -> Child {
    let pid = sys::fork().must();
    if pid != 0 {
        return Child { pid };
    }
    let _ = sys!(prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL);
    body();
    sys::exit(0)
}

/// Returns the process id.
pub fn getpid() -> i32 {
    sys!(getpid).must() as i32
}

/// Returns the thread id.
pub fn gettid() -> i32 {
    sys!(gettid).must() as i32
}

/// Header of `capget` and `capset`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CapHeader {
    /// `_LINUX_CAPABILITY_VERSION_3`.
    pub version: u32,
    /// Process, 0 for the caller.
    pub pid: i32,
}

/// Half of the capability sets of `capget` and `capset`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapData {
    /// Effective set.
    pub effective: u32,
    /// Permitted set.
    pub permitted: u32,
    /// Inheritable set.
    pub inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3`.
pub const CAP_VERSION: u32 = 0x2008_0522;

/// Returns the effective set of capabilities.
pub fn effective() -> u64 {
    let header = CapHeader { version: CAP_VERSION, pid: 0 };
    let mut data = [CapData::default(); 2];
    sys!(capget, &header, &mut data).must();
    u64::from(data[0].effective) | u64::from(data[1].effective) << 32
}

/// Whether the process has a capability in its effective set.
pub fn can(capability: u32) -> bool {
    effective() & (1 << capability) != 0
}

/// Skips the case unless it runs with the capability.
pub fn need_cap(name: &str, capability: u32) {
    if !can(capability) {
        skip!("needs {name}");
    }
}

/// Skips the case unless it runs as root with the usual capabilities over files and processes.
pub fn need_root() {
    // CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID.
    if sys!(geteuid) != Ok(0) || ![0, 1, 3, 5, 6, 7].into_iter().all(can) {
        skip!("needs root");
    }
}

/// The user and group that `as_nobody` changes to.
pub const NOBODY: u32 = 65534;

/// Gives up root for good; for an ordinary user, nothing changes.
#[track_caller]
pub fn drop_to_nobody() {
    if sys!(geteuid) == Ok(0) {
        sys!(setgroups, 0, 0).must();
        sys!(setresgid, NOBODY, NOBODY, NOBODY).must();
        sys!(setresuid, NOBODY, NOBODY, NOBODY).must();
    }
}

/// Runs the function in a child without privileges.
#[track_caller]
pub fn as_nobody(body: impl FnOnce()) {
    fork(|| {
        drop_to_nobody();
        body();
    })
    .ok();
}

/// Returns the path of this binary.
pub fn self_exe() -> CString {
    let exe = std::env::current_exe().must();
    match CString::new(exe.to_string_lossy().into_owned()) {
        Ok(path) => path,
        Err(error) => fail!("the binary's own path: {error}"),
    }
}
