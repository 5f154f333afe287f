//! Giving up what serving files does not need: capabilities, new privileges, system calls.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets};
use syscall_filter::install_for_all_threads;

use crate::error::Error;
use crate::filter;

/// Whether the serving threads are confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confinement {
    On,
    /// For tests that serve from a thread of their own process.
    Off,
}

/// The capabilities a gofer keeps, if it has them. All concern files: their owners and modes, and
/// permissions, which the sentry checks as the guest sees them.
pub const KEPT_CAPABILITIES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID);

/// Takes the calling thread's capabilities and ways to new ones, for good.
///
/// [`crate::Gofer::start`] does this for each of its threads.
///
/// # Errors
/// When a step fails; the process must then not serve.
pub fn give_up_rights() -> Result<(), Error> {
    drop_capabilities()?;
    rustix::thread::set_no_new_privs(true).map_err(Error::set_up("set no_new_privs"))
}

/// Installs the system call filter, which kills the process at any call that [`filter::ALLOWED`] does
/// not list, for all threads there are: once, as the kernel takes long to prepare it.
///
/// # Errors
/// When the host cannot; the process must then not serve.
pub fn filter_all_threads() -> Result<(), Error> {
    let program = filter::program().map_err(io::Error::other);
    program.and_then(|program| install_for_all_threads(&program)).map_err(Error::Filter)
}

/// Keeps of the capabilities only [`KEPT_CAPABILITIES`], and none for a program that is executed
/// (there is no way to execute one).
fn drop_capabilities() -> Result<(), Error> {
    // Both fail on kernels that lack ambient capabilities, or without CAP_SETPCAP, and matter
    // only to an execve, which the filter forbids.
    let _ = rustix::thread::clear_ambient_capability_set();
    for capability in CapabilitySet::all().iter() {
        let removed = rustix::thread::remove_capability_from_bounding_set(capability);
        if removed == Err(rustix::io::Errno::PERM) {
            break;
        }
    }
    let current = rustix::thread::capabilities(None).map_err(Error::set_up("read capabilities"))?;
    let kept = current.permitted & KEPT_CAPABILITIES;
    let sets =
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).map_err(Error::set_up("drop capabilities"))
}
