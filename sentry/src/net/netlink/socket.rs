//! Netlink sockets as the socket calls see them.

use std::any::Any;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::net::*;
use linux_abi::poll::PollEvents;
use linux_abi::task::CAP_NET_ADMIN;

use super::{NetlinkSocket, address, parse, route};
use crate::fs::ioctl;
use crate::memory::{IoDest, IoSource};
use crate::net::option::{OptionValue, int};
use crate::net::{
    MsgFlags, READABLE, Received, SendMessage, Shutdown, Socket, SocketCommon, interface_ioctl,
};
use crate::task::Task;
use crate::vfs::IoContext;

/// Largest request that is looked at.
const MAX_REQUEST: usize = 64 << 10;

/// Options that are on or off; each is a bit of the socket's state.
const SWITCHES: [i32; 7] = [
    NETLINK_PKTINFO,
    NETLINK_BROADCAST_ERROR,
    NETLINK_NO_ENOBUFS,
    NETLINK_LISTEN_ALL_NSID,
    NETLINK_CAP_ACK,
    NETLINK_EXT_ACK,
    NETLINK_GET_STRICT_CHK,
];

impl NetlinkSocket {
    /// Binds to the process' number, or another free one.
    fn autobind(&self, wanted: u32) -> u32 {
        let bound = self.state.lock().port_id;
        if bound != 0 {
            return bound;
        }
        let id = self.ids.choose(self.common.protocol(), wanted);
        let mut state = self.state.lock();
        if state.port_id == 0 {
            state.port_id = id;
        } else {
            // Another thread was faster.
            self.ids.give_back(self.common.protocol(), id);
        }
        state.port_id
    }

    /// Errors: EADDRINUSE, EINVAL (bound to another number).
    pub(super) fn bind_to(&self, wanted: SockaddrNl, pid: u32) -> Result<(), Errno> {
        let bound = self.state.lock().port_id;
        match (bound, wanted.pid) {
            (0, 0) => {
                self.autobind(pid);
            }
            (0, id) => {
                self.ids.take(self.common.protocol(), id)?;
                self.state.lock().port_id = id;
            }
            (bound, id) if id != 0 && id != bound => return Err(Errno::EINVAL),
            _ => {}
        }
        self.state.lock().groups = wanted.groups;
        Ok(())
    }

    /// Serves requests; the answers are in the inbox then.
    pub(super) fn request(&self, bytes: &[u8], pid: u32, is_admin: bool) {
        let port_id = self.autobind(pid);
        if self.common.protocol() != NETLINK_ROUTE {
            return;
        }
        let answers = route::serve(bytes, port_id, is_admin);
        if answers.is_empty() {
            return;
        }
        let limit = self.common.buffers().receive;
        let mut has_overrun = false;
        {
            let mut state = self.state.lock();
            for answer in answers {
                if state.queued + answer.len() > limit {
                    has_overrun = true;
                    break;
                }
                state.queued += answer.len();
                state.inbox.push_back(answer);
            }
        }
        if has_overrun {
            self.common.set_error(Errno::ENOBUFS);
        }
        self.common.queue().notify(READABLE);
    }
}

impl Socket for NetlinkSocket {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn common(&self) -> &SocketCommon {
        &self.common
    }

    fn bind(self: Arc<Self>, address: &[u8], task: &Arc<Task>) -> Result<(), Errno> {
        self.bind_to(parse(address)?, task.pid() as u32)
    }

    fn connect(self: Arc<Self>, address: &[u8], task: &Arc<Task>) -> Result<(), Errno> {
        let family = crate::net::inet::address::family(address)?;
        if family == AF_UNSPEC {
            self.state.lock().peer = None;
            return Ok(());
        }
        let peer = parse(address)?;
        self.autobind(task.pid() as u32);
        self.state.lock().peer = Some(peer);
        Ok(())
    }

    fn local_address(&self) -> Result<Vec<u8>, Errno> {
        let state = self.state.lock();
        Ok(address(state.port_id, state.groups))
    }

    fn peer_address(&self) -> Result<Vec<u8>, Errno> {
        let peer = self.state.lock().peer.unwrap_or_default();
        Ok(address(peer.pid, peer.groups))
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
        let to = match message.to {
            Some(to) => parse(to)?,
            None => self.state.lock().peer.unwrap_or_default(),
        };
        let is_admin = task.credentials().has(CAP_NET_ADMIN);
        if to.groups != 0 && !is_admin {
            return Err(Errno::EPERM);
        }
        if to.pid != 0 {
            // Nobody but the kernel listens.
            return Err(Errno::ECONNREFUSED);
        }
        let len = source.remaining();
        if len > MAX_REQUEST {
            return Err(Errno::EMSGSIZE);
        }
        let mut bytes = vec![0; len];
        if source.take(&mut bytes)? < len {
            return Err(Errno::EFAULT);
        }
        self.request(&bytes, task.pid() as u32, is_admin);
        Ok(len)
    }

    fn receive(&self, dest: &mut IoDest<'_>, flags: MsgFlags) -> Result<Received, Errno> {
        if flags.contains(MsgFlags::OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        self.common.check_error()?;
        let bytes = {
            let mut state = self.state.lock();
            let bytes = state.inbox.pop_front().ok_or(Errno::EAGAIN)?;
            if flags.contains(MsgFlags::PEEK) {
                state.inbox.push_front(bytes.clone());
            } else {
                state.queued -= bytes.len();
            }
            bytes
        };
        let want = bytes.len().min(dest.remaining());
        let count = dest.put(&bytes[..want])?;
        let mut received =
            Received { count, full_len: bytes.len(), source: address(0, 0), ..Received::default() };
        received.flags.set(MsgFlags::TRUNC, count < bytes.len());
        if self.common.passes_credentials() {
            received.control.credentials = Some(Ucred::default());
        }
        Ok(received)
    }

    fn is_stream(&self) -> bool {
        false
    }

    /// Errors: EOPNOTSUPP; netlink has no directions.
    fn shutdown(&self, _: Shutdown) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn option(&self, level: i32, name: i32) -> Result<OptionValue, Errno> {
        if (level, name) == (SOL_SOCKET, SO_ACCEPTCONN) {
            return Ok(OptionValue::bool(false));
        }
        if level != SOL_NETLINK {
            return Err(Errno::ENOPROTOOPT);
        }
        let state = self.state.lock();
        if name == NETLINK_LIST_MEMBERSHIPS {
            return Ok(OptionValue::Bytes(state.groups.to_ne_bytes().to_vec()));
        }
        let bit = SWITCHES.iter().position(|switch| *switch == name);
        let bit = bit.ok_or(Errno::ENOPROTOOPT)?;
        Ok(OptionValue::bool(state.options & (1 << bit) != 0))
    }

    fn set_option(&self, level: i32, name: i32, value: &[u8], _: &Arc<Task>) -> Result<(), Errno> {
        if level != SOL_NETLINK {
            return Err(Errno::ENOPROTOOPT);
        }
        let number = int(value)?;
        let mut state = self.state.lock();
        if matches!(name, NETLINK_ADD_MEMBERSHIP | NETLINK_DROP_MEMBERSHIP) {
            if !(1..=128).contains(&number) {
                return Err(Errno::EINVAL);
            }
            // Nothing ever happens that a group could hear of; the first 32 are shown in names.
            let group = 1_u32.checked_shl(number as u32 - 1).unwrap_or(0);
            match name {
                NETLINK_ADD_MEMBERSHIP => state.groups |= group,
                _ => state.groups &= !group,
            }
            return Ok(());
        }
        let bit = SWITCHES.iter().position(|switch| *switch == name);
        let bit = 1 << bit.ok_or(Errno::ENOPROTOOPT)?;
        state.options = if number != 0 { state.options | bit } else { state.options & !bit };
        Ok(())
    }

    fn ioctl(&self, command: u32, argument: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        match command {
            SIOCINQ => {
                let waiting = self.state.lock().inbox.front().map_or(0, Vec::len);
                ioctl::put(io, argument, &(waiting as i32))
            }
            _ => interface_ioctl(command, argument, io),
        }
    }

    fn readiness(&self) -> PollEvents {
        let mut ready = PollEvents::OUT | PollEvents::WRNORM;
        if !self.state.lock().inbox.is_empty() {
            ready |= READABLE;
        }
        if self.common.has_error() { ready | PollEvents::ERR } else { ready }
    }

    fn close(&self) {
        let id = std::mem::take(&mut self.state.lock().port_id);
        if id != 0 {
            self.ids.give_back(self.common.protocol(), id);
        }
    }
}
