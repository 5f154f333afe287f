//! Who is bound to which port.
//!
//! One table for each protocol. A [`Lease`] keeps an entry; dropping it frees the port. Lock: rank
//! `Leaf`; sockets that are found are upgraded and looked at without it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use linux_abi::Errno;

use super::address::Endpoint;
use super::time_wait::TimeWait;
use crate::sync::{Mutex, Rank};

/// Ports given out by the kernel (`net.ipv4.ip_local_port_range`).
const EPHEMERAL: std::ops::RangeInclusive<u16> = 32768..=60999;

/// What a socket asks for when it binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub ip: IpAddr,
    /// An `AF_INET6` socket for any address that takes IPv4 too.
    pub is_dual: bool,
    pub reuses_address: bool,
    pub reuses_port: bool,
    pub uid: u32,
}

/// A bound socket.
struct Entry<S> {
    id: u64,
    claim: Claim,
    /// A listening TCP socket: shares its port with no other listener.
    is_listening: bool,
    /// A connection that got its port from the kernel, and where it leads.
    peer: Option<Endpoint>,
    socket: Weak<S>,
}

/// The bound sockets of a protocol.
pub struct Ports<S> {
    /// Whether `SO_REUSEADDR` alone lets several sockets share a port for good (UDP).
    shares_by_address: bool,
    table: Mutex<Table<S>>,
    last_id: AtomicU64,
    next_ephemeral: AtomicU32,
    next_turn: AtomicU32,
}

/// What the lock of [`Ports`] guards.
struct Table<S> {
    entries: HashMap<u16, Vec<Entry<S>>>,
    time_wait: TimeWait,
}

/// Keeps a socket bound.
pub struct Lease<S> {
    ports: Arc<Ports<S>>,
    port: u16,
    id: u64,
}

impl<S> Ports<S> {
    pub fn new(shares_by_address: bool) -> Arc<Ports<S>> {
        let start = platform::host::random::number().unwrap_or(0) as u32;
        let table = Table { entries: HashMap::new(), time_wait: TimeWait::default() };
        Arc::new(Ports {
            shares_by_address,
            table: Mutex::new(Rank::Leaf, table),
            last_id: AtomicU64::new(0),
            next_ephemeral: AtomicU32::new(start),
            next_turn: AtomicU32::new(0),
        })
    }

    /// Binds to `port`, or to a free one of our choice for 0.
    ///
    /// Errors: EADDRINUSE.
    pub fn bind(
        self: &Arc<Self>,
        port: u16,
        claim: Claim,
        socket: Weak<S>,
    ) -> Result<Lease<S>, Errno> {
        let mut table = self.table.lock();
        let suits = |port: u16, list: &[Entry<S>]| {
            list.iter().all(|entry| !conflict(&claim, entry, self.shares_by_address))
                && table.time_wait.claims(port).all(|kept| !conflict_with_kept(&claim, kept))
        };
        let port = match port {
            0 => self.find_free(&table.entries, suits)?,
            port => port,
        };
        if !suits(port, table.entries.get(&port).map_or(&[], Vec::as_slice)) {
            return Err(Errno::EADDRINUSE);
        }
        let list = table.entries.entry(port).or_default();
        Ok(self.insert(list, port, claim, None, socket))
    }

    /// Gives a connection to `peer` a port of our choice: one that no other connection to there
    /// uses, and preferably nobody.
    ///
    /// Errors: EADDRNOTAVAIL when there is none.
    pub fn bind_connection(
        self: &Arc<Self>,
        peer: Endpoint,
        claim: Claim,
        socket: Weak<S>,
    ) -> Result<Lease<S>, Errno> {
        let entries = &mut self.table.lock().entries;
        let differs = |entry: &Entry<S>| entry.peer.is_some_and(|other| other != peer);
        let port = self
            .find_free(entries, |_, list| list.is_empty())
            .or_else(|_| self.find_free(entries, |_, list| list.iter().all(differs)))
            .map_err(|_| Errno::EADDRNOTAVAIL)?;
        let list = entries.entry(port).or_default();
        Ok(self.insert(list, port, claim, Some(peer), socket))
    }

    /// Another entry at a port that is leased already (an accepted connection).
    pub fn share(
        self: &Arc<Self>,
        port: u16,
        claim: Claim,
        peer: Endpoint,
        socket: Weak<S>,
    ) -> Lease<S> {
        let mut table = self.table.lock();
        let list = table.entries.entry(port).or_default();
        self.insert(list, port, claim, Some(peer), socket)
    }

    fn insert(
        self: &Arc<Self>,
        list: &mut Vec<Entry<S>>,
        port: u16,
        claim: Claim,
        peer: Option<Endpoint>,
        socket: Weak<S>,
    ) -> Lease<S> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        list.push(Entry { id, claim, is_listening: false, peer, socket });
        Lease { ports: self.clone(), port, id }
    }

    /// Errors: EADDRINUSE when no ephemeral port suits.
    fn find_free(
        &self,
        entries: &HashMap<u16, Vec<Entry<S>>>,
        suits: impl Fn(u16, &[Entry<S>]) -> bool,
    ) -> Result<u16, Errno> {
        let count = u32::from(*EPHEMERAL.end() - *EPHEMERAL.start()) + 1;
        let first = self.next_ephemeral.fetch_add(1, Ordering::Relaxed);
        (0..count)
            .map(|step| *EPHEMERAL.start() + (first.wrapping_add(step) % count) as u16)
            .find(|port| suits(*port, entries.get(port).map_or(&[], Vec::as_slice)))
            .ok_or(Errno::EADDRINUSE)
    }

    /// The socket that a message or connection to `target` goes to: the best by `score`, which
    /// judges each (none: not this one). Equally good ones with `SO_REUSEPORT` take turns; else the
    /// one bound last gets it.
    pub fn find(&self, target: Endpoint, score: impl Fn(&Arc<S>) -> Option<u32>) -> Option<Arc<S>> {
        let candidates: Vec<(Claim, Arc<S>)> = {
            let table = self.table.lock();
            let list = table.entries.get(&target.port)?;
            list.iter()
                .filter(|entry| takes(&entry.claim, target.ip))
                .filter_map(|entry| Some((entry.claim, entry.socket.upgrade()?)))
                .collect()
        };
        let judged: Vec<(u32, &Claim, &Arc<S>)> = candidates
            .iter()
            .filter_map(|(claim, socket)| {
                let exact = u32::from(!claim.ip.is_unspecified());
                Some((score(socket)? * 2 + exact, claim, socket))
            })
            .collect();
        let best = judged.iter().map(|(score, ..)| *score).max()?;
        let equals: Vec<_> = judged.iter().filter(|(score, ..)| *score == best).collect();
        let turn = match equals.iter().all(|(_, claim, _)| claim.reuses_port) {
            true => self.next_turn.fetch_add(1, Ordering::Relaxed) as usize % equals.len(),
            false => equals.len() - 1,
        };
        Some(equals[turn].2.clone())
    }
}

impl<S> Lease<S> {
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Becomes a listener. Errors: EADDRINUSE when another one is there.
    pub fn listen(&self) -> Result<(), Errno> {
        let mut table = self.ports.table.lock();
        let list = table.entries.entry(self.port).or_default();
        let Some(own) = list.iter().position(|entry| entry.id == self.id) else { return Ok(()) };
        let claim = list[own].claim;
        let is_taken = list.iter().any(|entry| {
            let shares =
                claim.reuses_port && entry.claim.reuses_port && entry.claim.uid == claim.uid;
            entry.id != self.id && entry.is_listening && overlap(&claim, &entry.claim) && !shares
        });
        if is_taken {
            return Err(Errno::EADDRINUSE);
        }
        list[own].is_listening = true;
        Ok(())
    }

    /// No longer a listener.
    pub fn stop_listening(&self) {
        let mut table = self.ports.table.lock();
        let list = table.entries.entry(self.port).or_default();
        if let Some(own) = list.iter_mut().find(|entry| entry.id == self.id) {
            own.is_listening = false;
        }
    }

    /// Ends it, but keeps the port for a while (`TIME_WAIT`).
    pub fn end_after_wait(self) {
        let mut table = self.ports.table.lock();
        let Table { entries, time_wait } = &mut *table;
        let own = entries.get(&self.port).into_iter().flatten().find(|entry| entry.id == self.id);
        if let Some(own) = own {
            time_wait.keep(self.port, own.claim);
        }
    }

    /// The socket's own address changed from any to a certain one (`connect`).
    pub fn set_ip(&self, ip: IpAddr) {
        let mut table = self.ports.table.lock();
        let list = table.entries.entry(self.port).or_default();
        if let Some(own) = list.iter_mut().find(|entry| entry.id == self.id) {
            own.claim.ip = ip;
            own.claim.is_dual = false;
        }
    }
}

impl<S> Drop for Lease<S> {
    fn drop(&mut self) {
        let removed = {
            let entries = &mut self.ports.table.lock().entries;
            let Some(list) = entries.get_mut(&self.port) else { return };
            let position = list.iter().position(|entry| entry.id == self.id);
            let removed = position.map(|index| list.remove(index));
            if list.is_empty() {
                entries.remove(&self.port);
            }
            removed
        };
        drop(removed);
    }
}

/// Whether what is sent to `ip` reaches a socket bound so.
fn takes(claim: &Claim, ip: IpAddr) -> bool {
    if claim.ip == ip {
        return true;
    }
    match (claim.ip.is_unspecified(), claim.ip.is_ipv4() == ip.is_ipv4()) {
        (true, true) => true,
        (true, false) => claim.is_dual && ip.is_ipv4(),
        (false, _) => false,
    }
}

/// Whether both take messages to some address.
fn overlap(one: &Claim, other: &Claim) -> bool {
    takes(one, other.ip)
        || takes(other, one.ip)
        || (one.is_dual && other.ip.is_ipv4() && one.ip.is_unspecified())
        || (other.is_dual && one.ip.is_ipv4() && other.ip.is_unspecified())
}

/// Whether `new` may not be bound beside `old` (Linux: `inet_csk_bind_conflict`,
/// `inet_rcv_saddr_equal`).
fn conflict<S>(new: &Claim, old: &Entry<S>, shares_by_address: bool) -> bool {
    if !overlap(new, &old.claim) {
        return false;
    }
    if new.reuses_port && old.claim.reuses_port && new.uid == old.claim.uid {
        return false;
    }
    let both_reuse = new.reuses_address && old.claim.reuses_address;
    !(both_reuse && (shares_by_address || !old.is_listening))
}

/// Whether `new` may not be bound where a connection that claimed `kept` has just ended.
fn conflict_with_kept(new: &Claim, kept: &Claim) -> bool {
    overlap(new, kept)
        && !(new.reuses_address && kept.reuses_address)
        && !(new.reuses_port && kept.reuses_port && new.uid == kept.uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Claim = Claim {
        ip: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        is_dual: false,
        reuses_address: false,
        reuses_port: false,
        uid: 0,
    };

    fn claim(ip: &str) -> Claim {
        Claim { ip: ip.parse().unwrap(), ..PLAIN }
    }

    #[test]
    fn a_port_is_taken_until_its_lease_ends() {
        let ports = Ports::<()>::new(false);
        let lease = ports.bind(80, PLAIN, Weak::new()).unwrap();
        assert_eq!(ports.bind(80, PLAIN, Weak::new()).err(), Some(Errno::EADDRINUSE));
        assert_eq!(ports.bind(80, claim("0.0.0.0"), Weak::new()).err(), Some(Errno::EADDRINUSE));
        assert!(ports.bind(80, claim("127.0.0.2"), Weak::new()).is_ok());
        assert!(ports.bind(80, claim("::"), Weak::new()).is_ok());
        let dual = Claim { is_dual: true, ..claim("::") };
        assert_eq!(ports.bind(80, dual, Weak::new()).err(), Some(Errno::EADDRINUSE));
        drop(lease);
        assert!(ports.bind(80, dual, Weak::new()).is_ok());
    }

    #[test]
    fn a_port_that_waits_can_be_reused_but_not_taken() {
        let ports = Ports::<()>::new(false);
        let reuse = Claim { reuses_address: true, ..PLAIN };
        ports.bind(80, reuse, Weak::new()).unwrap().end_after_wait();
        assert_eq!(ports.bind(80, PLAIN, Weak::new()).err(), Some(Errno::EADDRINUSE));
        assert!(ports.bind(80, reuse, Weak::new()).is_ok());
        assert!(ports.bind(80, claim("127.0.0.2"), Weak::new()).is_ok());
    }

    #[test]
    fn reused_addresses_have_one_listener() {
        let ports = Ports::<()>::new(false);
        let reuse = Claim { reuses_address: true, ..PLAIN };
        let first = ports.bind(80, reuse, Weak::new()).unwrap();
        let second = ports.bind(80, reuse, Weak::new()).unwrap();
        first.listen().unwrap();
        assert_eq!(second.listen(), Err(Errno::EADDRINUSE));
        assert_eq!(ports.bind(80, reuse, Weak::new()).err(), Some(Errno::EADDRINUSE));
        first.stop_listening();
        assert_eq!(second.listen(), Ok(()));
        let shared = Claim { reuses_port: true, ..PLAIN };
        let one = ports.bind(81, shared, Weak::new()).unwrap();
        let other = ports.bind(81, shared, Weak::new()).unwrap();
        assert_eq!((one.listen(), other.listen()), (Ok(()), Ok(())));
        let stranger = Claim { uid: 5, ..shared };
        assert_eq!(ports.bind(81, stranger, Weak::new()).err(), Some(Errno::EADDRINUSE));
    }

    #[test]
    fn free_ports_are_found_and_the_best_match_wins() {
        let ports = Ports::<u8>::new(true);
        let (any, exact) = (Arc::new(1), Arc::new(2));
        let reuse = |ip| Claim { reuses_address: true, ..claim(ip) };
        let lease = ports.bind(0, reuse("0.0.0.0"), Arc::downgrade(&any)).unwrap();
        let port = lease.port();
        assert!(EPHEMERAL.contains(&port));
        let _other = ports.bind(port, reuse("127.0.0.1"), Arc::downgrade(&exact)).unwrap();
        let find = |ip: &str| {
            ports.find(Endpoint::new(ip.parse().unwrap(), port), |_| Some(1)).map(|found| *found)
        };
        assert_eq!(find("127.0.0.1"), Some(2));
        assert_eq!(find("127.0.0.9"), Some(1));
        assert_eq!(find("::1"), None);
    }

    #[test]
    fn connections_to_different_places_may_share_a_port() {
        let ports = Ports::<()>::new(false);
        let peer = |port| Endpoint::new(PLAIN.ip, port);
        let mut leases = Vec::new();
        for _ in EPHEMERAL {
            leases.push(ports.bind_connection(peer(1), PLAIN, Weak::new()).unwrap());
        }
        let full = ports.bind_connection(peer(1), PLAIN, Weak::new());
        assert_eq!(full.err(), Some(Errno::EADDRNOTAVAIL));
        assert!(ports.bind_connection(peer(2), PLAIN, Weak::new()).is_ok());
    }
}
