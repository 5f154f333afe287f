//! Waiting for a response: asleep, or looking out for it for a moment.
//!
//! A gofer on the same processor goes on as soon as the client sleeps, and the client when the gofer does.
//! But a processor where nothing runs takes longer to wake than most requests to serve, so a client whose
//! gofer runs elsewhere looks out for the response first, as long as such looks find it.

use std::os::fd::{BorrowedFd, OwnedFd};

use linux_abi::Errno;

use crate::transport;

/// Looks for one response; each takes a third of a microsecond or so.
const LOOKS: u32 = 128;
/// After so many misses in a row it looks only now and then.
const MISSES_MAX: u32 = 4;
const NOW_AND_THEN: u32 = 16;

#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Where the gofer was last, counted from one; zero if not known.
    gofer_at: u32,
    /// How many responses in a row came after the last look.
    misses: u32,
}

impl Watch {
    /// Receives the next packet on this processor, counted from one.
    ///
    /// # Errors
    /// Those of [`transport::receive`].
    pub(super) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        buffer: &mut [u8],
        processor: u32,
    ) -> Result<(usize, Vec<OwnedFd>), Errno> {
        if self.gofer_at != 0 && self.gofer_at != processor {
            let is_worth_it = self.misses < MISSES_MAX || self.misses.is_multiple_of(NOW_AND_THEN);
            let looks = if is_worth_it { LOOKS } else { 0 };
            match transport::receive_soon(socket, buffer, looks) {
                Err(Errno::EAGAIN) => self.misses = self.misses.wrapping_add(1),
                received => {
                    self.misses = 0;
                    return received;
                }
            }
        }
        transport::receive(socket, buffer)
    }

    /// The gofer has answered from this processor.
    pub(super) fn note_gofer(&mut self, processor: u32) {
        self.gofer_at = processor;
    }
}
