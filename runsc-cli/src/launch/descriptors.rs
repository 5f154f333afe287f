//! Puts descriptors where an image expects them, and lets exec close all others.

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};

use super::process::{Channel, SetupError};

/// What a process finds at which number.
#[derive(Default)]
pub struct Descriptors(Vec<(usize, OwnedFd)>);

impl Descriptors {
    pub fn put(&mut self, slot: usize, fd: OwnedFd) {
        self.0.push((slot, fd));
    }

    /// Rearranges the descriptor table of this process, just before exec. Everything but the
    /// slots' descriptors is close-on-exec afterwards; `image` and `channel` stay open until then.
    pub fn arrange(self, image: OwnedFd, channel: &mut Channel) -> Result<OwnedFd, SetupError> {
        let step = "arrange descriptors";
        let lowest = self.0.iter().map(|(slot, _)| slot + 1).max().unwrap_or(0).max(3) as RawFd;
        channel.move_above(lowest)?;
        let image = rustix::io::fcntl_dupfd_cloexec(image, lowest).map_err(SetupError::at(step))?;
        let mut moved = Vec::with_capacity(self.0.len());
        for (slot, fd) in self.0 {
            let fd = rustix::io::fcntl_dupfd_cloexec(fd, lowest).map_err(SetupError::at(step))?;
            moved.push((slot, fd));
        }
        close_all_on_exec()?;
        for (slot, fd) in moved {
            // SAFETY: dup2 takes two numbers. What was open at the slot's number is not used any
            // more: this process goes on with `image` and `channel` only, and they are above.
            let result = unsafe { libc::dup2(fd.as_raw_fd(), slot as RawFd) };
            if result < 0 {
                return Err(SetupError::at(step)(std::io::Error::last_os_error()));
            }
            // Exec closes it; a destructor could close a slot's new descriptor.
            let _ = fd.into_raw_fd();
        }
        Ok(image)
    }
}

fn close_all_on_exec() -> Result<(), SetupError> {
    // SAFETY: the call only sets the close-on-exec flag.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, 0, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    match result {
        0 => Ok(()),
        _ => Err(SetupError::at("close_range")(std::io::Error::last_os_error())),
    }
}
