//! Descriptors that the launcher left open for this process, taken over by number.

use std::collections::BTreeSet;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::Mutex;

use linux_abi::Errno;

/// Numbers taken over already: each may be owned once.
static ADOPTED: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

/// Takes ownership of inherited descriptor `number` and marks it close-on-exec.
///
/// Call it only for numbers that the launcher passed, before the process opens descriptors of
/// its own. Errors: EBADF when it is not open or was taken over before.
pub fn adopt(number: usize) -> Result<OwnedFd, Errno> {
    let fd = RawFd::try_from(number).map_err(|_| Errno::EBADF)?;
    // SAFETY: F_SETFD takes an integer and touches no memory.
    let result = unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    if result < 0 {
        return Err(Errno::EBADF);
    }
    let mut adopted = ADOPTED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if !adopted.insert(fd) {
        return Err(Errno::EBADF);
    }
    // SAFETY: 1. The descriptor is open. 2. It came with the process, so no Rust object owns it.
    // 3. It was not adopted before.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
