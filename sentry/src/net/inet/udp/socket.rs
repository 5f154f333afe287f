//! UDP sockets as the socket calls see them.

use std::any::Any;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::net::*;
use linux_abi::poll::PollEvents;

use super::{OVERHEAD, UdpSocket, control};
use crate::fs::ioctl;
use crate::memory::{IoDest, IoSource};
use crate::net::inet::address::{family, parse};
use crate::net::option::OptionValue;
use crate::net::{
    HUNG_UP, MsgFlags, READABLE, Received, SendMessage, Shutdown, Socket, SocketCommon, Summary,
    interface_ioctl,
};
use crate::task::Task;
use crate::vfs::IoContext;

impl Socket for UdpSocket {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn common(&self) -> &SocketCommon {
        &self.common
    }

    fn bind(self: Arc<Self>, address: &[u8], task: &Arc<Task>) -> Result<(), Errno> {
        self.bind_to(parse(self.domain(), address)?, &task.credentials())
    }

    fn connect(self: Arc<Self>, address: &[u8], task: &Arc<Task>) -> Result<(), Errno> {
        if family(address)? == AF_UNSPEC {
            self.disconnect();
            return Ok(());
        }
        self.connect_to(parse(self.domain(), address)?, task.credentials().euid)
    }

    fn local_address(&self) -> Result<Vec<u8>, Errno> {
        Ok(self.state.lock().local.to_bytes(self.domain()))
    }

    fn peer_address(&self) -> Result<Vec<u8>, Errno> {
        let remote = self.state.lock().remote.ok_or(Errno::ENOTCONN)?;
        Ok(remote.to_bytes(self.domain()))
    }

    fn send(
        self: Arc<Self>,
        source: &mut IoSource<'_>,
        message: &mut SendMessage<'_>,
        task: &Arc<Task>,
    ) -> Result<usize, Errno> {
        if message.flags.contains(MsgFlags::OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        let to = message.to.map(|to| parse(self.domain(), to)).transpose()?;
        let options = control::parse(&message.others)?;
        self.send_to(to, source, options, task.credentials().euid)
    }

    fn receive(&self, dest: &mut IoDest<'_>, flags: MsgFlags) -> Result<Received, Errno> {
        if flags.contains(MsgFlags::OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        if flags.contains(MsgFlags::ERRQUEUE) {
            return Err(Errno::EAGAIN);
        }
        self.common.check_error()?;
        let datagram = {
            let mut state = self.state.lock();
            match state.inbox.pop_front() {
                Some(datagram) => {
                    state.queued -= datagram.data.len() + OVERHEAD;
                    datagram
                }
                None if state.shut.read => return Ok(Received::default()),
                None => return Err(Errno::EAGAIN),
            }
        };
        let want = datagram.data.len().min(dest.remaining());
        let put = dest.put(&datagram.data[..want]);
        let mut received = Received {
            full_len: datagram.data.len(),
            source: datagram.source.to_bytes(self.domain()),
            ..Received::default()
        };
        received.control.others = self.describe(&datagram);
        if flags.contains(MsgFlags::PEEK) {
            let mut state = self.state.lock();
            state.queued += datagram.data.len() + OVERHEAD;
            state.inbox.push_front(datagram);
        }
        received.count = put?;
        if received.count < want {
            return Err(Errno::EFAULT);
        }
        received.flags.set(MsgFlags::TRUNC, want < received.full_len);
        Ok(received)
    }

    fn is_stream(&self) -> bool {
        false
    }

    fn shutdown(&self, how: Shutdown) -> Result<(), Errno> {
        {
            let mut state = self.state.lock();
            if state.remote.is_none() {
                return Err(Errno::ENOTCONN);
            }
            state.shut.read |= how.read;
            state.shut.write |= how.write;
        }
        self.common.queue().notify(HUNG_UP);
        Ok(())
    }

    fn option(&self, level: i32, name: i32) -> Result<OptionValue, Errno> {
        match (level, name) {
            (SOL_SOCKET, SO_ACCEPTCONN) => Ok(OptionValue::bool(false)),
            (SOL_IP, IP_MTU) | (SOL_IPV6, IPV6_MTU) => {
                self.state.lock().remote.ok_or(Errno::ENOTCONN)?;
                Ok(OptionValue::Int(65536))
            }
            (SOL_UDP, UDP_CORK | UDP_ENCAP | UDP_NO_CHECK6_TX | UDP_NO_CHECK6_RX) => {
                Ok(OptionValue::Int(0))
            }
            _ => self.options.get(level, name),
        }
    }

    fn set_option(
        &self,
        level: i32,
        name: i32,
        value: &[u8],
        task: &Arc<Task>,
    ) -> Result<(), Errno> {
        match (level, name) {
            (SOL_SOCKET, SO_BINDTODEVICE) => crate::net::check_device(value),
            (SOL_IPV6, IPV6_V6ONLY) if self.state.lock().lease.is_some() => Err(Errno::EINVAL),
            // Linux: without a route for groups there is no interface to join on.
            (
                SOL_IP,
                IP_ADD_MEMBERSHIP
                | IP_DROP_MEMBERSHIP
                | IP_ADD_SOURCE_MEMBERSHIP
                | MCAST_JOIN_GROUP,
            )
            | (SOL_IPV6, IPV6_ADD_MEMBERSHIP | IPV6_DROP_MEMBERSHIP | MCAST_JOIN_GROUP) => {
                Err(Errno::ENODEV)
            }
            _ => self.options.set(level, name, value, &task.credentials()),
        }
    }

    fn ioctl(&self, command: u32, argument: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        let value = match command {
            SIOCINQ => self.state.lock().inbox.front().map_or(0, |datagram| datagram.data.len()),
            SIOCOUTQ => 0,
            _ => return interface_ioctl(command, argument, io),
        };
        ioctl::put(io, argument, &(value as i32))
    }

    fn summary(&self) -> Summary {
        let state = self.state.lock();
        let number = if state.remote.is_some() { TCP_ESTABLISHED } else { TCP_CLOSE };
        Summary { state: number, unsent: 0, unread: state.queued }
    }

    fn readiness(&self) -> PollEvents {
        let state = self.state.lock();
        let mut ready = PollEvents::OUT | PollEvents::WRNORM;
        if !state.inbox.is_empty() {
            ready |= READABLE;
        }
        if state.shut.read {
            ready |= READABLE | PollEvents::RDHUP;
        }
        if state.shut.read && state.shut.write {
            ready |= PollEvents::HUP;
        }
        drop(state);
        if self.common.has_error() { ready | PollEvents::ERR } else { ready }
    }

    fn close(&self) {
        let (lease, inbox) = {
            let mut state = self.state.lock();
            (state.lease.take(), std::mem::take(&mut state.inbox))
        };
        drop((lease, inbox));
    }
}
