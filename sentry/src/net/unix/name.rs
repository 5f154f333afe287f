//! What names lead to: bound sockets.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use linux_abi::Errno;

use super::{DatagramSocket, StreamSocket, UnixAddress, path};
use crate::sync::{Mutex, Rank};
use crate::task::Task;

/// A bound socket. It lives as long as the socket is bound; names refer to it weakly.
pub(super) struct Endpoint {
    target: Target,
}

pub(super) enum Target {
    Stream(Weak<StreamSocket>),
    Datagram(Weak<DatagramSocket>),
}

impl Endpoint {
    pub(super) fn new(target: Target) -> Arc<Endpoint> {
        Arc::new(Endpoint { target })
    }

    pub(super) fn stream(&self) -> Option<Arc<StreamSocket>> {
        match &self.target {
            Target::Stream(socket) => socket.upgrade(),
            Target::Datagram(_) => None,
        }
    }

    pub(super) fn datagram(&self) -> Option<Arc<DatagramSocket>> {
        match &self.target {
            Target::Datagram(socket) => socket.upgrade(),
            Target::Stream(_) => None,
        }
    }
}

/// The abstract name space of a network.
pub struct AbstractNames {
    names: Mutex<Names>,
}

#[derive(Default)]
struct Names {
    map: HashMap<Vec<u8>, Weak<Endpoint>>,
    /// Where the search for a free automatic name goes on.
    next_automatic: u32,
    /// Size at which dead names are cleared away.
    purge_at: usize,
}

/// How many names `bind` can choose from by itself: five hexadecimal digits.
const AUTOMATIC_NAMES: u32 = 1 << 20;

impl Default for AbstractNames {
    fn default() -> AbstractNames {
        AbstractNames { names: Mutex::new(Rank::Leaf, Names::default()) }
    }
}

impl AbstractNames {
    /// Errors: EADDRINUSE.
    pub(super) fn bind(&self, name: Vec<u8>, target: Target) -> Result<Arc<Endpoint>, Errno> {
        let mut names = self.names.lock();
        names.purge();
        if names.is_taken(&name) {
            return Err(Errno::EADDRINUSE);
        }
        Ok(names.insert(name, target))
    }

    /// Binds to a name of our choice (autobind, unix(7)). Errors: ENOSPC when all are taken.
    pub(super) fn bind_automatic(&self, target: Target) -> Result<(Arc<Endpoint>, Vec<u8>), Errno> {
        let mut names = self.names.lock();
        names.purge();
        for _ in 0..AUTOMATIC_NAMES {
            let name = format!("{:05x}", names.next_automatic).into_bytes();
            names.next_automatic = (names.next_automatic + 1) % AUTOMATIC_NAMES;
            if !names.is_taken(&name) {
                return Ok((names.insert(name.clone(), target), name));
            }
        }
        Err(Errno::ENOSPC)
    }

    /// Errors: ECONNREFUSED.
    pub(super) fn find(&self, name: &[u8]) -> Result<Arc<Endpoint>, Errno> {
        self.names.lock().map.get(name).and_then(Weak::upgrade).ok_or(Errno::ECONNREFUSED)
    }
}

impl Names {
    fn is_taken(&self, name: &[u8]) -> bool {
        self.map.get(name).is_some_and(|endpoint| endpoint.strong_count() > 0)
    }

    fn insert(&mut self, name: Vec<u8>, target: Target) -> Arc<Endpoint> {
        let endpoint = Endpoint::new(target);
        self.map.insert(name, Arc::downgrade(&endpoint));
        endpoint
    }

    fn purge(&mut self) {
        if self.map.len() >= self.purge_at {
            self.map.retain(|_, endpoint| endpoint.strong_count() > 0);
            self.purge_at = (self.map.len() * 2).max(64);
        }
    }
}

/// Binds `target` to `address`; answers with the endpoint and the name it got.
///
/// Errors: EADDRINUSE, and for a path those of `mknod(2)`.
pub(super) fn bind(
    address: UnixAddress,
    target: Target,
    task: &Arc<Task>,
) -> Result<(Arc<Endpoint>, UnixAddress), Errno> {
    let names = &task.kernel.network.abstract_names;
    match address {
        UnixAddress::Unnamed => {
            let (endpoint, name) = names.bind_automatic(target)?;
            Ok((endpoint, UnixAddress::Abstract(name)))
        }
        UnixAddress::Abstract(name) => {
            let endpoint = names.bind(name.clone(), target)?;
            Ok((endpoint, UnixAddress::Abstract(name)))
        }
        UnixAddress::Path(path) => {
            let endpoint = Endpoint::new(target);
            path::create(&path, &endpoint, task)?;
            Ok((endpoint, UnixAddress::Path(path)))
        }
    }
}
