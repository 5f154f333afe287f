//! Streams that the sandbox was given: pipes, sockets, terminals whose open file it shares with
//! processes outside.
//!
//! Setting `O_NONBLOCK` would change them for everybody, so each call asks not to wait
//! (`RWF_NOWAIT`). Where the host cannot do that (terminals; pipes before Linux 6.4) the call looks
//! first and then moves no more than is sure to go at once.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use linux_abi::Errno;
use linux_abi::fs::PIPE_BUF;
use linux_abi::poll::PollEvents;
use rustix::io::ReadWriteFlags;

use super::{event, fs, retry};

/// "At the file's own position" for `preadv2(2)`.
const OWN_POSITION: u64 = u64::MAX;

/// A shared open file that is read and written without waiting.
#[derive(Debug)]
pub struct Stream {
    fd: Arc<OwnedFd>,
    /// Whether `RWF_NOWAIT` may work.
    may_ask: AtomicBool,
}

impl Stream {
    pub fn new(fd: OwnedFd) -> Stream {
        Stream { fd: Arc::new(fd), may_ask: AtomicBool::new(true) }
    }

    /// The descriptor, for whoever watches it.
    pub fn shared_fd(&self) -> Arc<OwnedFd> {
        self.fd.clone()
    }

    /// Reads what is there. Errors: EAGAIN.
    pub fn read(&self, buf: &mut [u8]) -> Result<usize, Errno> {
        let asked = self.ask(|| {
            let mut bufs = [IoSliceMut::new(&mut *buf)];
            rustix::io::preadv2(&self.fd, &mut bufs, OWN_POSITION, ReadWriteFlags::NOWAIT)
        });
        if let Some(result) = asked {
            return result;
        }
        let ready = self.ready(PollEvents::IN)?;
        if ready.is_empty() { Err(Errno::EAGAIN) } else { fs::read(&self.fd, buf) }
    }

    /// Writes what fits. Errors: EAGAIN, EPIPE.
    pub fn write(&self, buf: &[u8]) -> Result<usize, Errno> {
        let asked = self.ask(|| {
            let bufs = [IoSlice::new(buf)];
            rustix::io::pwritev2(&self.fd, &bufs, OWN_POSITION, ReadWriteFlags::NOWAIT)
        });
        if let Some(result) = asked {
            return result;
        }
        let ready = self.ready(PollEvents::OUT)?;
        if ready.is_empty() {
            return Err(Errno::EAGAIN);
        }
        fs::write(&self.fd, &buf[..buf.len().min(PIPE_BUF)])
    }

    /// Which of `events` hold now, and errors and hang-ups.
    pub fn ready(&self, events: PollEvents) -> Result<PollEvents, Errno> {
        event::poll_now(&self.fd, events.bits()).map(PollEvents::from_bits_retain)
    }

    /// Runs a call that asks not to wait; `None` where the file does not know that.
    fn ask(&self, call: impl FnMut() -> rustix::io::Result<usize>) -> Option<Result<usize, Errno>> {
        if !self.may_ask.load(Ordering::Relaxed) {
            return None;
        }
        match retry(call) {
            Err(Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ENOSYS) => {
                self.may_ask.store(false, Ordering::Relaxed);
                None
            }
            result => Some(result),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exercise(reader: &Stream, writer: &Stream) {
        assert_eq!(reader.read(&mut [0; 8]), Err(Errno::EAGAIN));
        assert_eq!(writer.write(b"hello"), Ok(5));
        let mut buf = [0; 8];
        assert_eq!(reader.read(&mut buf), Ok(5));
        assert_eq!(&buf[..5], b"hello");
        let mut total = 0;
        loop {
            match writer.write(&[7; 10_000]) {
                Ok(count) => total += count,
                Err(errno) => break assert_eq!(errno, Errno::EAGAIN),
            }
        }
        assert!(total >= PIPE_BUF, "{total}");
    }

    #[test]
    fn a_blocking_pipe_never_blocks() {
        for may_ask in [true, false] {
            let (reader, writer) = fs::pipe().expect("pipe");
            fs::set_nonblocking(&reader, false).expect("fcntl");
            fs::set_nonblocking(&writer, false).expect("fcntl");
            let (reader, writer) = (Stream::new(reader), Stream::new(writer));
            reader.may_ask.store(may_ask, Ordering::Relaxed);
            writer.may_ask.store(may_ask, Ordering::Relaxed);
            exercise(&reader, &writer);
        }
    }

    #[test]
    fn the_end_of_a_pipe_is_an_empty_read() {
        let (reader, writer) = fs::pipe().expect("pipe");
        fs::set_nonblocking(&reader, false).expect("fcntl");
        drop(writer);
        assert_eq!(Stream::new(reader).read(&mut [0; 8]), Ok(0));
    }
}
