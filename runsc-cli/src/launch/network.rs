//! The empty network namespace of a sandbox.
//!
//! To make one takes the kernel half a millisecond, and several at a time wait for each other. So a
//! privileged launcher moves into a new one for a moment, in which both processes are made; if it has a
//! child that waits beside it, that one has made it meanwhile. Others cannot, and each process makes its
//! own.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::thread::{
    LinkNameSpaceType, ThreadNameSpaceType, UnshareFlags, move_into_link_name_space,
    move_into_thread_name_spaces, unshare_unsafe,
};

use super::identity;
use super::process::{Channel, Child, SetupError};

/// Moves this thread into a new, empty network namespace.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN; ENOSPC beyond the limit of namespaces.
fn enter_empty_one() -> io::Result<()> {
    // SAFETY: unsharing the network namespace changes neither memory nor descriptors.
    Ok(unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?)
}

/// Sees to it that a child is in an empty network namespace: `has_one` if it was made in one.
pub fn see_to(has_one: bool) -> Result<(), SetupError> {
    match has_one {
        true => Ok(()),
        false => enter_empty_one().map_err(SetupError::at("make a network namespace")),
    }
}

/// Moves this process, a child, into a new one for its parent to take over, and tells it.
pub fn make_for_parent(channel: &Channel) {
    if identity::is_privileged() {
        channel.tell(enter_empty_one().is_ok());
    }
}

/// Moves this thread into what a child has made.
fn enter_that_of(child: &Child) -> io::Result<()> {
    if !child.hear() {
        return Err(io::ErrorKind::NotFound.into());
    }
    // By descriptor: its number may mean another process in the procfs that is mounted here.
    move_into_thread_name_spaces(child.pidfd.as_fd(), ThreadNameSpaceType::NETWORK)?;
    Ok(())
}

/// The network namespace that this thread has left.
pub struct Left(OwnedFd);

impl Left {
    /// Moves this thread into a new, empty network namespace: that which `maker` has made, if that can
    /// be ([`make_for_parent`]).
    ///
    /// # Errors
    /// Those of [`enter_empty_one`].
    pub fn for_an_empty_one(maker: Option<&Child>) -> io::Result<Left> {
        let path = "/proc/thread-self/ns/net";
        let own = rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let is_there = maker.is_some_and(|child| enter_that_of(child).is_ok());
        if !is_there {
            enter_empty_one()?;
        }
        Ok(Left(own))
    }

    /// Moves it back.
    ///
    /// # Errors
    /// Those of `setns(2)`.
    pub fn come_back(self) -> io::Result<()> {
        move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(())
    }
}
