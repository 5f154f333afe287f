//! Pipes, sockets and character devices of the host.

use std::any::Any;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use linux_abi::Errno;
use linux_abi::poll::PollEvents;
use linux_abi::tty::FIONREAD;
use platform::host;
use platform::host::stream::Stream;

use super::attributes_of;
use crate::fs::ioctl;
use crate::memory::{IoDest, IoSource};
use crate::sync::{Notify, WaitQueue};
use crate::time::{Registration, Timers};
use crate::vfs::{Attributes, File, IoContext};

/// Most bytes moved by one host call.
const PIECE_BYTES: usize = 64 << 10;

/// A stream of the host.
pub struct HostStream {
    stream: Stream,
    queue: Arc<Forward>,
    timers: Arc<Timers>,
    /// Made when somebody waits for the first time; none for a file that is always ready.
    watch: OnceLock<Option<Registration>>,
}

/// Passes what the reactor tells on to who waits.
struct Forward(WaitQueue);

impl Notify for Forward {
    fn notify(&self, events: PollEvents) {
        self.0.notify(events | with_normal(events));
    }
}

/// The host may tell `IN` alone where a subscriber asked for `RDNORM`.
fn with_normal(events: PollEvents) -> PollEvents {
    let mut more = PollEvents::empty();
    more.set(PollEvents::RDNORM, events.contains(PollEvents::IN));
    more.set(PollEvents::WRNORM, events.contains(PollEvents::OUT));
    more
}

impl HostStream {
    pub fn new(fd: OwnedFd, timers: &Arc<Timers>) -> HostStream {
        HostStream {
            stream: Stream::new(fd),
            queue: Arc::new(Forward(WaitQueue::new())),
            timers: timers.clone(),
            watch: OnceLock::new(),
        }
    }

    fn watch(&self) -> Option<Registration> {
        let events = PollEvents::IN | PollEvents::OUT | PollEvents::PRI | PollEvents::RDHUP;
        let reactor = self.timers.reactor();
        reactor.register(self.stream.shared_fd(), events, self.queue.clone()).ok()
    }
}

impl AsFd for HostStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl HostStream {
    pub(super) fn read(&self, dest: &mut IoDest<'_>) -> Result<usize, Errno> {
        let mut piece = vec![0; dest.remaining().min(PIECE_BYTES)];
        let got = self.stream.read(&mut piece)?;
        dest.put(&piece[..got])
    }

    pub(super) fn write(&self, source: &mut IoSource<'_>) -> Result<(usize, u64), Errno> {
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

    pub(super) fn ioctl(
        &self,
        command: u32,
        argument: u64,
        io: &IoContext<'_>,
    ) -> Result<usize, Errno> {
        match command {
            FIONREAD => {
                let bytes = host::fs::bytes_readable(&self.stream)?;
                ioctl::put(io, argument, &(bytes.min(i32::MAX as u64) as i32))
            }
            _ => Err(Errno::ENOTTY),
        }
    }

    pub(super) fn readiness(&self) -> PollEvents {
        let wanted = PollEvents::IN
            | PollEvents::PRI
            | PollEvents::OUT
            | PollEvents::RDNORM
            | PollEvents::WRNORM
            | PollEvents::RDHUP;
        self.stream.ready(wanted).unwrap_or(PollEvents::ERR)
    }

    pub(super) fn wait_queue(&self) -> Option<&WaitQueue> {
        self.watch.get_or_init(|| self.watch()).as_ref().map(|_| &self.queue.0)
    }

    pub(super) fn attributes(&self) -> Result<Attributes, Errno> {
        host::fs::stat(&self.stream).map(|stat| attributes_of(&stat))
    }
}

/// An open descriptor of a stream.
pub struct HostStreamFile(pub Arc<HostStream>);

impl File for HostStreamFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read(&self, dest: &mut IoDest<'_>, _: u64, _: &IoContext<'_>) -> Result<usize, Errno> {
        self.0.read(dest)
    }

    fn write(
        &self,
        source: &mut IoSource<'_>,
        _: u64,
        _: &IoContext<'_>,
    ) -> Result<(usize, u64), Errno> {
        self.0.write(source)
    }

    fn writes_all(&self) -> bool {
        true
    }

    fn ioctl(&self, command: u32, argument: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        self.0.ioctl(command, argument, io)
    }

    fn readiness(&self) -> PollEvents {
        self.0.readiness()
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        self.0.wait_queue()
    }

    fn attributes(&self) -> Option<Result<Attributes, Errno>> {
        Some(self.0.attributes())
    }
}
