//! An open end of a pipe.

use std::any::Any;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{F_GETPIPE_SZ, F_SETPIPE_SZ, OpenFlags};
use linux_abi::poll::PollEvents;
use linux_abi::task::CAP_SYS_RESOURCE;
use linux_abi::tty::FIONREAD;
use platform::End;

use super::Pipe;
use crate::fs::ioctl;
use crate::memory::{IoDest, IoSource, MakeConduit};
use crate::sync::WaitQueue;
use crate::vfs::{Conduits, File, FileDescription, IoContext, SelfServed};

/// An end of a pipe: reading, writing, or both.
pub struct PipeFile {
    pipe: Arc<Pipe>,
    reads: bool,
    writes: bool,
    /// Writer opens when this end was opened: until another comes, having no writer is no hang-up.
    writers_seen: Option<u64>,
}

/// The pipe that `description` is an end of.
pub fn pipe_of(description: &FileDescription) -> Option<&Arc<Pipe>> {
    description.downcast::<PipeFile>().map(PipeFile::pipe)
}

impl PipeFile {
    /// Makes a pipe: its reading and its writing end.
    pub fn pair() -> (PipeFile, PipeFile) {
        let pipe = Pipe::with(true);
        (PipeFile::attach(&pipe, true, false), PipeFile::attach(&pipe, false, true))
    }

    /// Opens an end. Never waits.
    pub(super) fn attach(pipe: &Arc<Pipe>, reads: bool, writes: bool) -> PipeFile {
        pipe.acquire(reads, writes);
        PipeFile { pipe: pipe.clone(), reads, writes, writers_seen: None }
    }

    /// Opens the reading end of a FIFO that has no writer yet (`O_NONBLOCK`): no hang-up until
    /// the first writer has come and gone.
    pub(super) fn expect_first_writer(mut self) -> PipeFile {
        let state = self.pipe.state.lock();
        self.writers_seen = (state.writers == 0).then_some(state.writer_opens);
        drop(state);
        self
    }

    pub fn pipe(&self) -> &Arc<Pipe> {
        &self.pipe
    }

    pub fn can_read(&self) -> bool {
        self.reads
    }

    pub fn can_write(&self) -> bool {
        self.writes
    }
}

impl PipeFile {
    /// What holds now; `is_awaited`: somebody wants to hear of what does not.
    fn ready(&self, is_awaited: bool) -> PollEvents {
        let state = self.pipe.state.lock();
        let mut ready = PollEvents::empty();
        if self.reads {
            ready |= state.ready(End::Reading, is_awaited);
            if state.writers == 0 && self.writers_seen != Some(state.writer_opens) {
                ready |= PollEvents::HUP;
            }
        }
        if self.writes {
            ready |= state.ready(End::Writing, is_awaited);
            if state.readers == 0 {
                ready |= PollEvents::ERR;
            }
        }
        ready
    }
}

impl Drop for PipeFile {
    fn drop(&mut self) {
        self.pipe.release(self.reads, self.writes);
    }
}

impl File for PipeFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read(&self, dest: &mut IoDest<'_>, _: u64, _: &IoContext<'_>) -> Result<usize, Errno> {
        self.pipe.read(dest)
    }

    fn write(
        &self,
        source: &mut IoSource<'_>,
        _: u64,
        io: &IoContext<'_>,
    ) -> Result<(usize, u64), Errno> {
        let packets = io.flags.contains(OpenFlags::DIRECT);
        self.pipe.write(source, packets).map(|count| (count, 0))
    }

    fn writes_all(&self) -> bool {
        true
    }

    fn ioctl(&self, command: u32, argument: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        match command {
            FIONREAD => ioctl::put(io, argument, &(self.pipe.unread() as i32)),
            _ => Err(Errno::ENOTTY),
        }
    }

    fn control(&self, command: i32, argument: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        match command {
            F_GETPIPE_SZ => Ok(self.pipe.capacity()),
            F_SETPIPE_SZ => {
                let privileged =
                    io.task.is_some_and(|task| task.credentials().has(CAP_SYS_RESOURCE));
                self.pipe.set_capacity(u64::from(argument as u32), privileged)
            }
            _ => Err(Errno::EINVAL),
        }
    }

    fn readiness(&self) -> PollEvents {
        self.ready(!self.pipe.queue.is_empty())
    }

    fn look(&self) -> PollEvents {
        self.ready(false)
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.pipe.queue)
    }

    fn flags_changed(&self) {
        self.pipe.take_back();
    }

    fn self_served(&self, make: MakeConduit<'_>) -> Option<SelfServed> {
        self.pipe.share(make)?;
        self.conduits().map(SelfServed::Conduits)
    }

    fn conduits(&self) -> Option<Conduits> {
        let conduit = self.pipe.state.lock().shared.conduit()?.clone();
        let input = self.reads.then(|| conduit.clone());
        Some(Conduits { input, output: self.writes.then_some(conduit) })
    }
}
