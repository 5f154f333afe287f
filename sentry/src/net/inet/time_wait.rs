//! Ports of connections that ended a short while ago (`TIME_WAIT`, tcp(7)).
//!
//! No late segment can arrive here; what stays is what a program sees: the port of the side that
//! closed first cannot be bound for a minute unless both sockets have `SO_REUSEADDR`. Connections
//! that made the same claim to a port share an entry, so that a busy server needs only one.
//! Part of the port table, below its lock.

use std::collections::HashMap;
use std::time::Duration;

use platform::host::time::{Clock, now};

use super::ports::Claim;

/// How long a port is kept (`TCP_TIMEWAIT_LEN`).
pub(super) const PERIOD: Duration = Duration::from_secs(60);
/// Most entries; what comes beyond is not kept (`net.ipv4.tcp_max_tw_buckets`).
const MAX_ENTRIES: usize = 16_384;

/// The ports that are kept.
#[derive(Default)]
pub(super) struct TimeWait {
    ports: HashMap<u16, Vec<Kept>>,
    count: usize,
    /// When all ports are to be cleared of what is over.
    next_sweep: Duration,
}

struct Kept {
    claim: Claim,
    until: Duration,
}

impl TimeWait {
    /// Keeps `port` as it was claimed for the [`PERIOD`] from now on.
    pub(super) fn keep(&mut self, port: u16, claim: Claim) {
        self.keep_at(port, claim, now(Clock::Monotonic));
    }

    fn keep_at(&mut self, port: u16, claim: Claim, now: Duration) {
        if now >= self.next_sweep {
            self.sweep(now);
        }
        let until = now + PERIOD;
        let list = self.ports.entry(port).or_default();
        if let Some(kept) = list.iter_mut().find(|kept| kept.claim == claim) {
            kept.until = until;
        } else if self.count < MAX_ENTRIES {
            list.push(Kept { claim, until });
            self.count += 1;
        }
    }

    /// The claims that are kept at `port`.
    pub(super) fn claims(&self, port: u16) -> impl Iterator<Item = &Claim> {
        self.claims_at(port, now(Clock::Monotonic))
    }

    fn claims_at(&self, port: u16, now: Duration) -> impl Iterator<Item = &Claim> {
        let list = self.ports.get(&port).map_or(&[][..], Vec::as_slice);
        list.iter().filter(move |kept| kept.until > now).map(|kept| &kept.claim)
    }

    fn sweep(&mut self, now: Duration) {
        self.ports.retain(|_, list| {
            list.retain(|kept| kept.until > now);
            !list.is_empty()
        });
        self.count = self.ports.values().map(Vec::len).sum();
        self.next_sweep = now + PERIOD;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn claim(number: u32) -> Claim {
        Claim {
            ip: IpAddr::V4(Ipv4Addr::from_bits(0x7f00_0001 + number)),
            is_dual: false,
            reuses_address: false,
            reuses_port: false,
            uid: 0,
        }
    }

    #[test]
    fn a_port_is_kept_for_the_period_from_its_last_use() {
        let mut table = TimeWait::default();
        let later = PERIOD / 2;
        table.keep_at(80, claim(0), Duration::ZERO);
        table.keep_at(80, claim(0), later);
        table.keep_at(80, claim(1), later);
        assert_eq!(table.count, 2);
        let count = |table: &TimeWait, port, now| table.claims_at(port, now).count();
        assert_eq!(count(&table, 80, later + PERIOD / 2), 2);
        assert_eq!(count(&table, 80, later + PERIOD), 0);
        assert_eq!(count(&table, 81, later), 0);
    }

    #[test]
    fn the_table_is_bounded_and_cleared() {
        let mut table = TimeWait::default();
        for number in 0..MAX_ENTRIES as u32 + 10 {
            table.keep_at(80, claim(number), Duration::ZERO);
        }
        assert_eq!(table.count, MAX_ENTRIES);
        table.keep_at(81, claim(0), PERIOD);
        assert_eq!((table.count, table.ports.len()), (1, 1));
    }
}
