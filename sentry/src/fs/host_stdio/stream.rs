//! Pipes, sockets and character devices of the host.

use std::any::Any;
use std::os::fd::OwnedFd;

use linux_abi::Errno;
use linux_abi::poll::PollEvents;
use linux_abi::tty::FIONREAD;
use platform::host;
use platform::host::stream::Stream;

use super::attributes_of;
use crate::fs::ioctl;
use crate::memory::{IoDest, IoSource};
use crate::sync::WaitQueue;
use crate::vfs::{Attributes, File, IoContext};

/// Most bytes moved by one host call.
const PIECE_BYTES: usize = 64 << 10;

/// A stream of the host.
pub struct HostStream {
    stream: Stream,
    queue: WaitQueue,
}

impl HostStream {
    pub fn new(fd: OwnedFd) -> HostStream {
        HostStream { stream: Stream::new(fd), queue: WaitQueue::new() }
    }
}

impl File for HostStream {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read(&self, dest: &mut IoDest<'_>, _: u64, _: &IoContext<'_>) -> Result<usize, Errno> {
        let mut piece = vec![0; dest.remaining().min(PIECE_BYTES)];
        let got = self.stream.read(&mut piece)?;
        dest.put(&piece[..got])
    }

    fn write(
        &self,
        source: &mut IoSource<'_>,
        _: u64,
        _: &IoContext<'_>,
    ) -> Result<(usize, u64), Errno> {
        let start = source.mark();
        let mut piece = vec![0; source.remaining().min(PIECE_BYTES)];
        let got = source.take(&mut piece)?;
        let written = self.stream.write(&piece[..got]);
        // What the host did not take stays in the source.
        source.rewind(start);
        let written = written?;
        source.take(&mut piece[..written])?;
        Ok((written, 0))
    }

    fn writes_all(&self) -> bool {
        true
    }

    fn ioctl(&self, command: u32, argument: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        match command {
            FIONREAD => {
                let bytes = host::fs::bytes_readable(&self.stream)?;
                ioctl::put(io, argument, &(bytes.min(i32::MAX as u64) as i32))
            }
            _ => Err(Errno::ENOTTY),
        }
    }

    fn readiness(&self) -> PollEvents {
        let wanted = PollEvents::IN
            | PollEvents::PRI
            | PollEvents::OUT
            | PollEvents::RDNORM
            | PollEvents::WRNORM
            | PollEvents::RDHUP;
        self.stream.ready(wanted).unwrap_or(PollEvents::ERR)
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn attributes(&self) -> Option<Result<Attributes, Errno>> {
        Some(host::fs::stat(&self.stream).map(|stat| attributes_of(&stat)))
    }
}
