//! Safe wrappers for every host call the sentry makes.
//!
//! The sentry forbids `unsafe` and depends on no system-call crate; what it needs from the host is
//! here and nowhere else, so this module and `filter::sentry` describe the same set of calls.
//! All functions answer with [`Errno`] and none ever fails with EINTR: a signal on a sentry thread
//! (the platform's wake-up) is never meant for the call it happens to interrupt.
//!
//! [`Errno`]: linux_abi::Errno

pub mod code;
pub mod event;
pub mod fs;
pub mod inherited;
pub mod net;
pub mod process;
pub mod random;
pub mod stream;
pub mod ticks;
pub mod time;
pub mod tty;

use linux_abi::Errno;

/// Runs a rustix call until it does not fail with EINTR, and translates its error.
fn retry<T>(call: impl FnMut() -> rustix::io::Result<T>) -> Result<T, Errno> {
    rustix::io::retry_on_intr(call).map_err(errno)
}

fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}

/// The error of the C library call that just failed.
pub(crate) fn last_errno() -> Errno {
    Errno::from(std::io::Error::last_os_error())
}
