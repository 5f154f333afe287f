//! Addresses of Unix sockets.

use linux_abi::Errno;
use linux_abi::net::{AF_UNIX, UNIX_PATH_MAX};

/// Bytes before the path in a `struct sockaddr_un`.
const FAMILY_BYTES: usize = 2;

/// The name of a socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UnixAddress {
    #[default]
    Unnamed,
    /// As it was given to `bind`, without its terminating zero.
    Path(Vec<u8>),
    /// Without the zero byte in front; any bytes.
    Abstract(Vec<u8>),
}

impl UnixAddress {
    /// Reads a `struct sockaddr_un`. `Unnamed` asks `bind` for a name of the kernel's choice.
    ///
    /// Errors: EINVAL for another family or a bad length.
    pub fn parse(address: &[u8]) -> Result<UnixAddress, Errno> {
        let (family, name) = address.split_first_chunk::<FAMILY_BYTES>().ok_or(Errno::EINVAL)?;
        if i32::from(u16::from_ne_bytes(*family)) != AF_UNIX || name.len() > UNIX_PATH_MAX {
            return Err(Errno::EINVAL);
        }
        Ok(match name {
            [] => UnixAddress::Unnamed,
            [0, name @ ..] => UnixAddress::Abstract(name.to_vec()),
            path => {
                let end = path.iter().position(|&byte| byte == 0).unwrap_or(path.len());
                UnixAddress::Path(path[..end].to_vec())
            }
        })
    }

    /// As a `struct sockaddr_un`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = (AF_UNIX as u16).to_ne_bytes().to_vec();
        match self {
            UnixAddress::Unnamed => {}
            UnixAddress::Path(path) => {
                bytes.extend_from_slice(path);
                // Linux: the length counts the zero even if it was not given.
                bytes.push(0);
            }
            UnixAddress::Abstract(name) => {
                bytes.push(0);
                bytes.extend_from_slice(name);
            }
        }
        bytes
    }

    pub fn is_named(&self) -> bool {
        *self != UnixAddress::Unnamed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(name: &[u8]) -> Vec<u8> {
        [&(AF_UNIX as u16).to_ne_bytes()[..], name].concat()
    }

    #[test]
    fn paths_end_at_their_zero_and_abstract_names_do_not() {
        let path = UnixAddress::parse(&address(b"/tmp/x\0junk")).unwrap();
        assert_eq!(path, UnixAddress::Path(b"/tmp/x".to_vec()));
        assert_eq!(path.to_bytes(), address(b"/tmp/x\0"));
        let name = UnixAddress::parse(&address(b"\0a\0b")).unwrap();
        assert_eq!(name, UnixAddress::Abstract(b"a\0b".to_vec()));
        assert_eq!(name.to_bytes(), address(b"\0a\0b"));
        assert_eq!(UnixAddress::parse(&address(b"")), Ok(UnixAddress::Unnamed));
    }

    #[test]
    fn bad_lengths_and_families_are_invalid() {
        assert_eq!(UnixAddress::parse(&[1]), Err(Errno::EINVAL));
        assert_eq!(UnixAddress::parse(&[2, 0, b'/']), Err(Errno::EINVAL));
        assert_eq!(UnixAddress::parse(&address(&[b'x'; 109])), Err(Errno::EINVAL));
        assert!(UnixAddress::parse(&address(&[b'x'; 108])).is_ok());
    }
}
