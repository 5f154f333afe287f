//! Values of socket options, getsockopt(2) and setsockopt(2).

use linux_abi::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// What `getsockopt` answers with; it is cut to the room that the caller has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionValue {
    Int(i32),
    /// A flag that the program may also read as a single byte (options of the level `SOL_IP`).
    Byte(u8),
    Bytes(Vec<u8>),
}

impl OptionValue {
    pub fn bool(value: bool) -> OptionValue {
        OptionValue::Int(i32::from(value))
    }

    pub fn of<T: IntoBytes + Immutable>(value: &T) -> OptionValue {
        OptionValue::Bytes(value.as_bytes().to_vec())
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            OptionValue::Int(value) => value.to_ne_bytes().to_vec(),
            OptionValue::Byte(value) => vec![*value],
            OptionValue::Bytes(bytes) => bytes.clone(),
        }
    }
}

/// An option's value as an `int`. Errors: EINVAL when it is shorter.
pub fn int(value: &[u8]) -> Result<i32, Errno> {
    structure(value)
}

/// An option's value as a structure, longer values are cut. Errors: EINVAL when it is shorter.
pub fn structure<T: FromBytes>(value: &[u8]) -> Result<T, Errno> {
    T::read_from_prefix(value).map(|(value, _)| value).map_err(|_| Errno::EINVAL)
}

/// An `int` that programs may also give as a single byte (options of `SOL_IP` and `SOL_IPV6`).
///
/// Errors: EINVAL when it is empty.
pub fn int_or_byte(value: &[u8]) -> Result<i32, Errno> {
    match value {
        [] => Err(Errno::EINVAL),
        [byte] | [byte, _] | [byte, _, _] => Ok(i32::from(*byte)),
        _ => int(value),
    }
}
