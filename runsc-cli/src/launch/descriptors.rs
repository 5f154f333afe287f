//! Puts descriptors where a process expects them, and closes all others.

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
        let lowest = self.lowest();
        channel.move_above(lowest)?;
        let image = rustix::io::fcntl_dupfd_cloexec(image, lowest).map_err(SetupError::at(STEP))?;
        let moved = self.move_above(lowest)?;
        close_range(0, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)?;
        moved.put_in_place()?;
        Ok(image)
    }

    /// The same for a process that executes nothing: all others are closed, and that of the channel,
    /// by which the parent knows, at last. Nothing that had one of them may be used any more, nor
    /// dropped.
    pub fn keep_only(self, channel: &mut Channel) -> Result<(), SetupError> {
        let lowest = self.lowest();
        channel.move_above(lowest)?;
        let moved = self.move_above(lowest)?;
        close_range(0, lowest as u32 - 1, 0)?;
        moved.put_in_place()?;
        close_range(lowest as u32, u32::MAX, 0)
    }

    /// The lowest number above all slots.
    fn lowest(&self) -> RawFd {
        self.0.iter().map(|(slot, _)| slot + 1).max().unwrap_or(0).max(3) as RawFd
    }

    fn move_above(self, lowest: RawFd) -> Result<Descriptors, SetupError> {
        let mut moved = Vec::with_capacity(self.0.len());
        for (slot, fd) in self.0 {
            let fd = rustix::io::fcntl_dupfd_cloexec(fd, lowest).map_err(SetupError::at(STEP))?;
            moved.push((slot, fd));
        }
        Ok(Descriptors(moved))
    }

    /// Puts each into its slot, where none of them is now.
    fn put_in_place(self) -> Result<(), SetupError> {
        for (slot, fd) in self.0 {
            // SAFETY: dup2 takes two numbers. What was open at the slot's number is not used any
            // more: this process goes on with what is above only.
            let result = unsafe { libc::dup2(fd.as_raw_fd(), slot as RawFd) };
            if result < 0 {
                return Err(SetupError::at(STEP)(std::io::Error::last_os_error()));
            }
            // It is closed with all others; a destructor could close a slot's new descriptor.
            let _ = fd.into_raw_fd();
        }
        Ok(())
    }
}

const STEP: &str = "arrange descriptors";

/// Closes descriptors, or does with them what `flags` say.
fn close_range(first: u32, last: u32, flags: libc::c_uint) -> Result<(), SetupError> {
    // SAFETY: whatever has one of them is not used any more, as the callers see to.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    match result {
        0 => Ok(()),
        _ => Err(SetupError::at("close_range")(std::io::Error::last_os_error())),
    }
}
