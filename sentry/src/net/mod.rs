//! Sockets, socket(7).
//!
//! * [`Socket`]: what every family implements: [`unix`], [`inet`] (loopback TCP and UDP, socket to
//!   socket) and [`netlink`].
//! * [`SocketCommon`]: options and state of the level `SOL_SOCKET`, the same for all.
//! * [`SocketFile`]: an open socket as the VFS sees it.
//! * [`Network`]: what the sockets of a sandbox share: names, ports, descriptors in flight.
//!
//! As with [`File`](crate::vfs::File), no method waits: what cannot go on answers EAGAIN, and the
//! system call layer waits on the socket's queue. Locks: a socket's own (rank `Socket`), then the
//! channel of bytes between two sockets (rank `Pipe`). Two sockets are never locked at once.

mod common;
mod file;
pub mod inet;
mod interface;
mod message;
pub mod netlink;
mod network;
mod option;
mod rights;
pub mod unix;
mod way;

use std::any::Any;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::net::{
    AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, SHUT_RD, SHUT_RDWR, SHUT_WR, SOCK_PACKET, TCP_CLOSE,
    TCP_ESTABLISHED,
};
use linux_abi::poll::PollEvents;

use crate::memory::{IoDest, IoSource, MakeConduit};
use crate::task::Task;
use crate::vfs::{Conduits, IoContext};

pub use common::{Buffers, SocketCommon, Timeouts};
pub use file::{SocketFile, socket_of};
pub(crate) use interface::{check_device, interface_ioctl};
pub use linux_abi::net::MsgFlags;
pub use message::{Control, Received, SendMessage};
pub use network::Network;
pub use option::OptionValue;
pub use rights::{InFlight, Rights};

/// Something can be read, in the bits of a notification.
pub(crate) const READABLE: PollEvents = PollEvents::IN.union(PollEvents::RDNORM);
/// Something can be written.
pub(crate) const WRITABLE: PollEvents =
    PollEvents::OUT.union(PollEvents::WRNORM).union(PollEvents::WRBAND);
/// The other side went away or closed a direction.
pub(crate) const HUNG_UP: PollEvents =
    READABLE.union(WRITABLE).union(PollEvents::HUP).union(PollEvents::RDHUP).union(PollEvents::ERR);

/// Greatest socket type that has a meaning in some family.
const MAX_KIND: i32 = SOCK_PACKET;

/// The directions that `shutdown(2)` closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    pub read: bool,
    pub write: bool,
}

impl Shutdown {
    /// Errors: EINVAL for anything but `SHUT_RD`, `SHUT_WR` and `SHUT_RDWR`.
    pub fn from_how(how: i32) -> Result<Shutdown, Errno> {
        match how {
            SHUT_RD => Ok(Shutdown { read: true, write: false }),
            SHUT_WR => Ok(Shutdown { read: false, write: true }),
            SHUT_RDWR => Ok(Shutdown { read: true, write: true }),
            _ => Err(Errno::EINVAL),
        }
    }
}

/// Makes a socket of a family.
///
/// Errors: EAFNOSUPPORT, EINVAL, EPROTONOSUPPORT, ESOCKTNOSUPPORT, EPERM.
pub fn create(
    domain: i32,
    kind: i32,
    protocol: i32,
    task: &Arc<Task>,
) -> Result<Arc<dyn Socket>, Errno> {
    if !(0..=MAX_KIND).contains(&kind) {
        return Err(Errno::EINVAL);
    }
    match domain {
        AF_UNIX => unix::socket(kind, protocol),
        AF_INET | AF_INET6 => inet::socket(domain, kind, protocol, task),
        AF_NETLINK => netlink::socket(kind, protocol, task),
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// How `/proc/net` shows a socket of the internet families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// `TCP_*`; of UDP, whether it is connected.
    pub state: u8,
    /// Bytes that the other side has not taken yet.
    pub unsent: usize,
    /// Bytes that can be read; of a listener, connections that can be accepted.
    pub unread: usize,
}

/// A socket. Addresses are `struct sockaddr`s of the socket's family as bytes.
pub trait Socket: Send + Sync + 'static {
    fn as_any(&self) -> &dyn Any;

    fn common(&self) -> &SocketCommon;

    /// Errors: EINVAL (bound already, or malformed), EADDRINUSE, EADDRNOTAVAIL, EACCES, and those
    /// of making the node of a path.
    fn bind(self: Arc<Self>, address: &[u8], task: &Arc<Task>) -> Result<(), Errno>;

    /// Errors: EOPNOTSUPP, EINVAL, EADDRINUSE.
    fn listen(self: Arc<Self>, _backlog: i32, _task: &Arc<Task>) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Connects, or goes on connecting.
    ///
    /// Errors: EAGAIN (the caller waits for `OUT` and tries again; if it may not wait it answers
    /// with [`Socket::connect_in_progress`]), ECONNREFUSED, EISCONN, EALREADY, EPROTOTYPE, EINVAL.
    fn connect(self: Arc<Self>, address: &[u8], task: &Arc<Task>) -> Result<(), Errno>;

    /// What a connect that may not wait answers with.
    fn connect_in_progress(&self) -> Errno {
        Errno::EAGAIN
    }

    /// The next established connection. Errors: EAGAIN, EINVAL (not listening), EOPNOTSUPP.
    fn accept(&self) -> Result<Arc<dyn Socket>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn local_address(&self) -> Result<Vec<u8>, Errno>;

    /// Errors: ENOTCONN.
    fn peer_address(&self) -> Result<Vec<u8>, Errno>;

    /// Sends a message, or as much of the bytes as fit. On EAGAIN source and message are as before.
    ///
    /// Errors: EAGAIN, EPIPE (the caller raises SIGPIPE for a stream), ENOTCONN, EMSGSIZE,
    /// EDESTADDRREQ, ECONNRESET, EISCONN.
    fn send(
        self: Arc<Self>,
        source: &mut IoSource<'_>,
        message: &mut SendMessage<'_>,
        task: &Arc<Task>,
    ) -> Result<usize, Errno>;

    /// Receives a message, or bytes. A result of 0 bytes from a stream is its end.
    ///
    /// Errors: EAGAIN, ENOTCONN, ECONNRESET, ECONNREFUSED.
    fn receive(&self, dest: &mut IoDest<'_>, flags: MsgFlags) -> Result<Received, Errno>;

    /// Whether the socket is a stream of bytes: a blocking send goes on until all is sent, and
    /// `MSG_WAITALL` applies.
    fn is_stream(&self) -> bool;

    /// Errors: ENOTCONN.
    fn shutdown(&self, how: Shutdown) -> Result<(), Errno>;

    /// Reads an option of the family; those of `SOL_SOCKET` that all share are not asked here
    /// unless [`SocketCommon`] does not know them. Errors: ENOPROTOOPT, EOPNOTSUPP.
    fn option(&self, _level: i32, _name: i32) -> Result<OptionValue, Errno> {
        Err(Errno::ENOPROTOOPT)
    }

    /// Errors: ENOPROTOOPT, EOPNOTSUPP, EINVAL, EPERM.
    fn set_option(
        &self,
        _level: i32,
        _name: i32,
        _value: &[u8],
        _task: &Arc<Task>,
    ) -> Result<(), Errno> {
        Err(Errno::ENOPROTOOPT)
    }

    /// Errors: ENOTTY.
    fn ioctl(&self, _command: u32, _argument: u64, _io: &IoContext<'_>) -> Result<usize, Errno> {
        Err(Errno::ENOTTY)
    }

    fn readiness(&self) -> PollEvents;

    /// See [`File::look`](crate::vfs::File::look).
    fn look(&self) -> PollEvents {
        self.readiness()
    }

    /// Puts received and sent bytes into conduits from now on, where guest code reads and writes
    /// them by itself, if that can be.
    fn share(&self, _make: MakeConduit<'_>) -> Option<()> {
        None
    }

    /// Those conduits.
    fn conduits(&self) -> Option<Conduits> {
        None
    }

    /// Ends what [`Socket::share`] has begun, if anything.
    fn take_back(&self) {}

    /// For `/proc/net`.
    fn summary(&self) -> Summary {
        let state = if self.peer_address().is_ok() { TCP_ESTABLISHED } else { TCP_CLOSE };
        Summary { state, unsent: 0, unread: 0 }
    }

    /// The last descriptor was closed.
    fn close(&self);
}
