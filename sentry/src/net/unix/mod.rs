//! Unix domain sockets, unix(7).
//!
//! * [`StreamSocket`]: `SOCK_STREAM` and `SOCK_SEQPACKET`. A connection is two [`channel`]s, one a
//!   direction, which both ends share.
//! * [`DatagramSocket`]: `SOCK_DGRAM`; each has an inbox that senders put messages into.
//! * [`name`]: addresses, the abstract name space, and what a socket node leads to.

mod address;
mod channel;
mod datagram;
mod ioctl;
mod listen;
mod name;
mod path;
mod stream;

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::net::{
    AF_UNIX, SO_ACCEPTCONN, SO_PEERCRED, SO_PEERSEC, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET,
    SOCK_STREAM, SOL_SOCKET, Ucred,
};

use super::{OptionValue, Socket, SocketCommon};
use crate::sync::{Mutex, Rank};
use crate::task::Task;

pub use address::UnixAddress;
pub use datagram::DatagramSocket;
pub use name::AbstractNames;
pub use stream::StreamSocket;

/// `overflowuid` and `overflowgid`: credentials of a message that carries none.
const NOBODY: u32 = 65534;

/// What a socket and its peer both refer to.
struct Shared {
    common: SocketCommon,
    name: Mutex<UnixAddress>,
}

impl Shared {
    fn new(kind: i32) -> Arc<Shared> {
        Shared::with(SocketCommon::new(AF_UNIX, kind, 0), UnixAddress::Unnamed)
    }

    fn with(common: SocketCommon, name: UnixAddress) -> Arc<Shared> {
        Arc::new(Shared { common, name: Mutex::new(Rank::Leaf, name) })
    }

    fn name(&self) -> UnixAddress {
        self.name.lock().clone()
    }
}

/// Makes a socket.
///
/// Errors: EPROTONOSUPPORT, ESOCKTNOSUPPORT.
pub fn socket(kind: i32, protocol: i32) -> Result<Arc<dyn Socket>, Errno> {
    if protocol != 0 && protocol != AF_UNIX {
        return Err(Errno::EPROTONOSUPPORT);
    }
    Ok(match kind {
        SOCK_STREAM | SOCK_SEQPACKET => StreamSocket::new(kind),
        // Linux: believe it or not, BSD has AF_UNIX, SOCK_RAW.
        SOCK_DGRAM | SOCK_RAW => DatagramSocket::new(),
        _ => return Err(Errno::ESOCKTNOSUPPORT),
    })
}

type SocketPair = (Arc<dyn Socket>, Arc<dyn Socket>);

/// Makes two sockets that are connected to each other. Errors: as [`socket`].
pub fn pair(kind: i32, protocol: i32, task: &Arc<Task>) -> Result<SocketPair, Errno> {
    socket(kind, protocol)?;
    if kind == SOCK_STREAM || kind == SOCK_SEQPACKET {
        let (first, second) = StreamSocket::pair(kind, credentials_of(task));
        Ok((first, second))
    } else {
        let (first, second) = DatagramSocket::pair(credentials_of(task));
        Ok((first, second))
    }
}

/// Process and effective ids of `task`, as `SO_PEERCRED` shows them.
pub fn credentials_of(task: &Arc<Task>) -> Ucred {
    let credentials = task.credentials();
    Ucred { pid: task.pid(), uid: credentials.euid, gid: credentials.egid }
}

/// Credentials that the kernel attaches to a message: real ids, as Linux' `SCM_CREDENTIALS`.
fn sender_of(task: &Arc<Task>) -> Ucred {
    let credentials = task.credentials();
    Ucred { pid: task.pid(), uid: credentials.uid, gid: credentials.gid }
}

/// The options of `SOL_SOCKET` that only this family knows.
fn family_option(
    level: i32,
    name: i32,
    is_listening: bool,
    peer: Option<Ucred>,
) -> Result<OptionValue, Errno> {
    if level != SOL_SOCKET {
        // Linux: the family has no options of its own level.
        return Err(Errno::EOPNOTSUPP);
    }
    match name {
        SO_ACCEPTCONN => Ok(OptionValue::bool(is_listening)),
        SO_PEERCRED => {
            let nobody = Ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
            Ok(OptionValue::of(&peer.unwrap_or(nobody)))
        }
        SO_PEERSEC => Err(Errno::ENOPROTOOPT),
        _ => Err(Errno::ENOPROTOOPT),
    }
}

#[cfg(test)]
mod tests;
