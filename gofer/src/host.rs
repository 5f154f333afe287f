//! A thread's own view of the file system: working directory and file creation mask. The crate's
//! only `unsafe` block is here.

use std::marker::PhantomData;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::Mode;
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::error::Error;

/// What a serving thread needs to get a file system view of its own.
#[derive(Debug)]
pub struct ThreadFs {
    proc_fd: OwnedFd,
}

/// Proof that the calling thread's working directory is `/proc/self/fd`, where the number of a
/// descriptor, as a relative path, names what it refers to. Bound to its thread.
#[derive(Clone, Copy, Debug)]
pub struct ProcDir(PhantomData<*const ()>);

impl ThreadFs {
    /// Takes a share of an open `/proc/self/fd`.
    pub fn new(proc_fd: &impl AsFd) -> Result<ThreadFs, Error> {
        let proc_fd = rustix::io::fcntl_dupfd_cloexec(proc_fd, 3)
            .map_err(Error::set_up("duplicate a descriptor"))?;
        Ok(ThreadFs { proc_fd })
    }

    /// Makes `/proc/self/fd` the working directory of the calling thread alone, and lets new files
    /// have just the mode that is asked for.
    pub fn enter(self) -> Result<ProcDir, Error> {
        // SAFETY: CLONE_FS only separates this thread's root, working directory and file creation
        // mask from the other threads'; the descriptor table stays shared.
        unsafe { unshare_unsafe(UnshareFlags::FS) }
            .map_err(Error::set_up("separate a thread's working directory"))?;
        rustix::process::fchdir(&self.proc_fd).map_err(Error::set_up("enter /proc/self/fd"))?;
        rustix::process::umask(Mode::empty());
        Ok(ProcDir(PhantomData))
    }
}
