//! Addresses of both families in one form.
//!
//! An IPv4 address that an `AF_INET6` socket names (`::ffff:1.2.3.4`) is an IPv4 address here; it
//! gets its IPv6 form back when that socket shows it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use linux_abi::Errno;
use linux_abi::net::{AF_INET, AF_INET6, AF_UNSPEC, SIN6_LEN_RFC2133, SockaddrIn, SockaddrIn6};
use zerocopy::{FromBytes, IntoBytes};

/// An address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub ip: IpAddr,
    pub port: u16,
}

impl Endpoint {
    pub const fn new(ip: IpAddr, port: u16) -> Endpoint {
        Endpoint { ip, port }
    }

    /// The address that stands for any, of a family.
    pub fn any(domain: i32) -> Endpoint {
        Endpoint::new(unspecified(domain), 0)
    }

    /// As a `struct sockaddr` of `domain`.
    pub fn to_bytes(self, domain: i32) -> Vec<u8> {
        if domain == AF_INET {
            let addr = match self.ip {
                IpAddr::V4(ip) => ip.octets(),
                IpAddr::V6(_) => [0; 4],
            };
            let port = self.port.to_be_bytes();
            let address = SockaddrIn { family: AF_INET as u16, port, addr, _zero: [0; 8] };
            return address.as_bytes().to_vec();
        }
        let ip = match self.ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let address = SockaddrIn6 {
            family: AF_INET6 as u16,
            port: self.port.to_be_bytes(),
            addr: ip.octets(),
            ..SockaddrIn6::default()
        };
        address.as_bytes().to_vec()
    }
}

/// `0.0.0.0` or `::`.
pub fn unspecified(domain: i32) -> IpAddr {
    if domain == AF_INET {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    }
}

/// The family of a `struct sockaddr`. Errors: EINVAL when it is too short for that.
pub fn family(address: &[u8]) -> Result<i32, Errno> {
    let bytes = address.first_chunk::<2>().ok_or(Errno::EINVAL)?;
    Ok(i32::from(u16::from_ne_bytes(*bytes)))
}

/// Reads the address given to a socket of `domain`.
///
/// Errors: EINVAL (too short), EAFNOSUPPORT (another family).
pub fn parse(domain: i32, address: &[u8]) -> Result<Endpoint, Errno> {
    let given = family(address)?;
    if domain == AF_INET {
        let (address, _) = SockaddrIn::read_from_prefix(address).map_err(|_| Errno::EINVAL)?;
        let ip = Ipv4Addr::from(address.addr);
        // Linux: for old programs, no family with no address means IPv4.
        if given != AF_INET && !(given == AF_UNSPEC && ip.is_unspecified()) {
            return Err(Errno::EAFNOSUPPORT);
        }
        return Ok(Endpoint::new(IpAddr::V4(ip), u16::from_be_bytes(address.port)));
    }
    if address.len() < SIN6_LEN_RFC2133 {
        return Err(Errno::EINVAL);
    }
    if given != AF_INET6 {
        return Err(Errno::EAFNOSUPPORT);
    }
    let mut padded = [0; size_of::<SockaddrIn6>()];
    let len = address.len().min(padded.len());
    padded[..len].copy_from_slice(&address[..len]);
    let address = SockaddrIn6::read_from_bytes(&padded).map_err(|_| Errno::EINVAL)?;
    let ip = Ipv6Addr::from(address.addr);
    let ip = ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4);
    Ok(Endpoint::new(ip, u16::from_be_bytes(address.port)))
}

/// Whether a socket may be bound to `ip`: it is one of ours, or stands for any.
pub fn is_local(ip: IpAddr) -> bool {
    ip.is_unspecified() || ip.is_loopback()
}

/// Where a connection to `ip` goes, and the address that it comes from.
///
/// Errors: ENETUNREACH for what is beyond the loopback interface.
pub fn route(ip: IpAddr) -> Result<(IpAddr, IpAddr), Errno> {
    match ip {
        // Linux: any address as a destination is this host.
        IpAddr::V4(ip) if ip.is_unspecified() => {
            Ok((IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)))
        }
        IpAddr::V4(ip) if ip.is_loopback() => Ok((IpAddr::V4(ip), IpAddr::V4(Ipv4Addr::LOCALHOST))),
        IpAddr::V6(ip) if ip.is_unspecified() || ip.is_loopback() => {
            Ok((IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)))
        }
        _ => Err(Errno::ENETUNREACH),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_are_ipv4_and_back() {
        let ip = Ipv4Addr::new(127, 0, 0, 9);
        let mapped = Endpoint::new(IpAddr::V6(ip.to_ipv6_mapped()), 80).to_bytes(AF_INET6);
        let parsed = parse(AF_INET6, &mapped).unwrap();
        assert_eq!(parsed, Endpoint::new(IpAddr::V4(ip), 80));
        assert_eq!(parsed.to_bytes(AF_INET6), mapped);
        assert_eq!(parse(AF_INET, &parsed.to_bytes(AF_INET)), Ok(parsed));
    }

    #[test]
    fn other_families_and_short_addresses_are_refused() {
        let four = Endpoint::any(AF_INET).to_bytes(AF_INET);
        assert_eq!(parse(AF_INET6, &four), Err(Errno::EINVAL));
        assert_eq!(parse(AF_INET, &four[..15]), Err(Errno::EINVAL));
        let six = Endpoint::any(AF_INET6).to_bytes(AF_INET6);
        assert_eq!(parse(AF_INET, &six), Err(Errno::EAFNOSUPPORT));
        assert!(parse(AF_INET6, &six[..24]).is_ok());
    }

    #[test]
    fn only_the_loopback_interface_is_reached() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(route(ip("0.0.0.0")), Ok((ip("127.0.0.1"), ip("127.0.0.1"))));
        assert_eq!(route(ip("127.3.4.5")), Ok((ip("127.3.4.5"), ip("127.0.0.1"))));
        assert_eq!(route(ip("::")), Ok((ip("::1"), ip("::1"))));
        assert_eq!(route(ip("10.0.0.1")), Err(Errno::ENETUNREACH));
        assert_eq!(route(ip("fe80::1")), Err(Errno::ENETUNREACH));
    }
}
