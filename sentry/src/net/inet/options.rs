//! Options of the levels `SOL_IP`, `SOL_IPV6` and `SOL_TCP`: kept, bounded, and mostly without
//! meaning where no packets are.

use std::collections::BTreeMap;

use linux_abi::Errno;
use linux_abi::net::*;
use linux_abi::task::CAP_NET_ADMIN;

use crate::net::option::{OptionValue, int_or_byte};
use crate::sync::{Mutex, Rank};
use crate::task::Credentials;

/// An option: level, name, value of a new socket, least and greatest value.
type Row = (i32, i32, i32, i32, i32);

/// Options that are a bounded number. A value out of bounds is EINVAL.
const NUMBERS: &[Row] = &[
    (SOL_IP, IP_TOS, 0, 0, 255),
    (SOL_IP, IP_TTL, 64, 1, 255),
    (SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_WANT, IP_PMTUDISC_DONT, IP_PMTUDISC_OMIT),
    (SOL_IP, IP_MULTICAST_TTL, 1, 0, 255),
    (SOL_IP, IP_MINTTL, 0, 0, 255),
    (SOL_IPV6, IPV6_UNICAST_HOPS, 64, 0, 255),
    (SOL_IPV6, IPV6_MULTICAST_HOPS, 1, 0, 255),
    (SOL_IPV6, IPV6_MTU_DISCOVER, IP_PMTUDISC_WANT, IP_PMTUDISC_DONT, IP_PMTUDISC_OMIT),
    (SOL_IPV6, IPV6_TCLASS, 0, 0, 255),
    (SOL_IPV6, IPV6_MULTICAST_IF, 0, 0, 1),
    (SOL_IPV6, IPV6_MINHOPCOUNT, 0, 0, 255),
    (SOL_TCP, TCP_MAXSEG, 536, 88, 32767),
    (SOL_TCP, TCP_KEEPIDLE, 7200, 1, 32767),
    (SOL_TCP, TCP_KEEPINTVL, 75, 1, 32767),
    (SOL_TCP, TCP_KEEPCNT, 9, 1, 127),
    (SOL_TCP, TCP_SYNCNT, 6, 1, 127),
    (SOL_TCP, TCP_LINGER2, 60, i32::MIN, i32::MAX),
    (SOL_TCP, TCP_DEFER_ACCEPT, 0, i32::MIN, i32::MAX),
    (SOL_TCP, TCP_WINDOW_CLAMP, 0, 0, i32::MAX),
    (SOL_TCP, TCP_USER_TIMEOUT, 0, 0, i32::MAX),
    (SOL_TCP, TCP_FASTOPEN, 0, 0, i32::MAX),
    (SOL_TCP, TCP_NOTSENT_LOWAT, 0, i32::MIN, i32::MAX),
];

/// Options that are on or off, and how they are on a new socket.
const SWITCHES: &[(i32, i32, bool)] = &[
    (SOL_IP, IP_RECVERR, false),
    (SOL_IP, IP_RECVTTL, false),
    (SOL_IP, IP_RECVTOS, false),
    (SOL_IP, IP_PKTINFO, false),
    (SOL_IP, IP_RECVORIGDSTADDR, false),
    (SOL_IP, IP_RECVOPTS, false),
    (SOL_IP, IP_RETOPTS, false),
    (SOL_IP, IP_FREEBIND, false),
    (SOL_IP, IP_TRANSPARENT, false),
    (SOL_IP, IP_MULTICAST_LOOP, true),
    (SOL_IP, IP_MULTICAST_ALL, true),
    (SOL_IP, IP_BIND_ADDRESS_NO_PORT, false),
    (SOL_IPV6, IPV6_V6ONLY, false),
    (SOL_IPV6, IPV6_RECVPKTINFO, false),
    (SOL_IPV6, IPV6_RECVHOPLIMIT, false),
    (SOL_IPV6, IPV6_RECVTCLASS, false),
    (SOL_IPV6, IPV6_RECVERR, false),
    (SOL_IPV6, IPV6_MULTICAST_LOOP, true),
    (SOL_IPV6, IPV6_AUTOFLOWLABEL, true),
    (SOL_IPV6, IPV6_DONTFRAG, false),
    (SOL_IPV6, IPV6_FREEBIND, false),
    (SOL_IPV6, IPV6_TRANSPARENT, false),
    (SOL_TCP, TCP_NODELAY, false),
    (SOL_TCP, TCP_CORK, false),
    (SOL_TCP, TCP_QUICKACK, true),
    (SOL_TCP, TCP_FASTOPEN_CONNECT, false),
    (SOL_TCP, TCP_FASTOPEN_NO_COOKIE, false),
    (SOL_TCP, TCP_THIN_LINEAR_TIMEOUTS, false),
    (SOL_TCP, TCP_THIN_DUPACK, false),
    (SOL_TCP, TCP_INQ, false),
    (SOL_TCP, TCP_SAVE_SYN, false),
];

/// What was set on a socket.
pub struct Options {
    /// Levels that the socket has.
    levels: &'static [i32],
    set: Mutex<BTreeMap<(i32, i32), i32>>,
}

impl Options {
    pub fn new(levels: &'static [i32]) -> Options {
        Options { levels, set: Mutex::new(Rank::Leaf, BTreeMap::new()) }
    }

    /// A copy for a socket that `accept` makes.
    pub fn inherit(&self) -> Options {
        let set = self.set.lock().clone();
        Options { levels: self.levels, set: Mutex::new(Rank::Leaf, set) }
    }

    pub fn is_on(&self, level: i32, name: i32) -> bool {
        self.number(level, name).is_some_and(|value| value != 0)
    }

    /// The option's value; none if there is no such option.
    pub fn number(&self, level: i32, name: i32) -> Option<i32> {
        if !self.levels.contains(&level) {
            return None;
        }
        let standard =
            NUMBERS.iter().find(|row| (row.0, row.1) == (level, name)).map(|row| row.2).or_else(
                || {
                    let row = SWITCHES.iter().find(|row| (row.0, row.1) == (level, name))?;
                    Some(i32::from(row.2))
                },
            )?;
        Some(self.set.lock().get(&(level, name)).copied().unwrap_or(standard))
    }

    /// Errors: ENOPROTOOPT.
    pub fn get(&self, level: i32, name: i32) -> Result<OptionValue, Errno> {
        self.number(level, name).map(OptionValue::Int).ok_or(Errno::ENOPROTOOPT)
    }

    /// Errors: ENOPROTOOPT; EINVAL (out of bounds); EPERM (transparent sockets).
    pub fn set(
        &self,
        level: i32,
        name: i32,
        value: &[u8],
        credentials: &Credentials,
    ) -> Result<(), Errno> {
        if !self.levels.contains(&level) {
            return Err(Errno::ENOPROTOOPT);
        }
        let is_transparent =
            matches!((level, name), (SOL_IP, IP_TRANSPARENT) | (SOL_IPV6, IPV6_TRANSPARENT));
        if is_transparent && !credentials.has(CAP_NET_ADMIN) {
            return Err(Errno::EPERM);
        }
        if SWITCHES.iter().any(|row| (row.0, row.1) == (level, name)) {
            let is_on = int_or_byte(value)? != 0;
            self.set.lock().insert((level, name), i32::from(is_on));
            return Ok(());
        }
        let row = NUMBERS.iter().find(|row| (row.0, row.1) == (level, name));
        let &(_, _, standard, least, greatest) = row.ok_or(Errno::ENOPROTOOPT)?;
        let number = match int_or_byte(value)? {
            // Linux: -1 asks for the default where a number cannot be negative.
            -1 if least >= 0 => standard,
            number if (least..=greatest).contains(&number) => number,
            _ => return Err(Errno::EINVAL),
        };
        self.set.lock().insert((level, name), number);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_have_defaults_bounds_and_levels() {
        let options = Options::new(&[SOL_IP, SOL_TCP]);
        let root = Credentials::root();
        let set = |level, name, value: i32| options.set(level, name, &value.to_ne_bytes(), &root);
        assert_eq!(options.get(SOL_IP, IP_TTL), Ok(OptionValue::Int(64)));
        assert_eq!(set(SOL_IP, IP_TTL, 300), Err(Errno::EINVAL));
        assert_eq!(set(SOL_IP, IP_TTL, 5), Ok(()));
        assert_eq!(options.number(SOL_IP, IP_TTL), Some(5));
        assert_eq!(set(SOL_IP, IP_TTL, -1), Ok(()));
        assert_eq!(options.number(SOL_IP, IP_TTL), Some(64));
        assert_eq!(set(SOL_TCP, TCP_NODELAY, 7), Ok(()));
        assert_eq!(options.get(SOL_TCP, TCP_NODELAY), Ok(OptionValue::Int(1)));
        assert_eq!(set(SOL_IPV6, IPV6_V6ONLY, 1), Err(Errno::ENOPROTOOPT));
        assert_eq!(options.get(SOL_TCP, 9999), Err(Errno::ENOPROTOOPT));
    }
}
