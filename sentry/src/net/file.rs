//! An open socket.

use std::any::Any;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::poll::PollEvents;

use super::{MsgFlags, SendMessage, Socket};
use crate::memory::{IoDest, IoSource, MakeConduit};
use crate::sync::WaitQueue;
use crate::vfs::{Conduits, File, FileDescription, IoContext, SelfServed};

/// A socket as an open file: `read` and `write` are `recv` and `send` without flags.
pub struct SocketFile {
    socket: Arc<dyn Socket>,
}

/// The socket behind a descriptor. Errors: ENOTSOCK.
pub fn socket_of(description: &FileDescription) -> Result<&Arc<dyn Socket>, Errno> {
    let file = description.downcast::<SocketFile>().ok_or(Errno::ENOTSOCK)?;
    Ok(&file.socket)
}

impl SocketFile {
    pub fn new(socket: Arc<dyn Socket>) -> SocketFile {
        SocketFile { socket }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.socket.close();
    }
}

impl File for SocketFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read(&self, dest: &mut IoDest<'_>, _: u64, _: &IoContext<'_>) -> Result<usize, Errno> {
        if dest.remaining() == 0 {
            return Ok(0);
        }
        Ok(self.socket.receive(dest, MsgFlags::empty())?.count)
    }

    fn write(
        &self,
        source: &mut IoSource<'_>,
        _: u64,
        io: &IoContext<'_>,
    ) -> Result<(usize, u64), Errno> {
        let task = io.task.ok_or(Errno::EINVAL)?;
        let sent = self.socket.clone().send(source, &mut SendMessage::default(), task)?;
        Ok((sent, 0))
    }

    fn writes_all(&self) -> bool {
        self.socket.is_stream()
    }

    fn ioctl(&self, command: u32, argument: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        self.socket.ioctl(command, argument, io)
    }

    fn readiness(&self) -> PollEvents {
        self.socket.readiness()
    }

    fn flags_changed(&self) {
        self.socket.take_back();
    }

    fn self_served(&self, make: MakeConduit<'_>) -> Option<SelfServed> {
        self.socket.share(make)?;
        self.conduits().map(SelfServed::Conduits)
    }

    fn conduits(&self) -> Option<Conduits> {
        self.socket.conduits()
    }

    fn look(&self) -> PollEvents {
        self.socket.look()
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(self.socket.common().queue())
    }
}
