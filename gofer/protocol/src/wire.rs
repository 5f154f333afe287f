//! Reading and writing the parts of a message. A name is a length byte and that many bytes.

use linux_abi::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::name::Name;
use crate::{MAX_MESSAGE_BYTES, MAX_NAME_BYTES};

/// Takes a received message apart, copying each fixed part out.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(message: &'a [u8]) -> Reader<'a> {
        Reader { rest: message }
    }

    /// Takes a fixed part. EINVAL if the message is too short.
    pub fn fixed<T: FromBytes>(&mut self) -> Result<T, Errno> {
        let (value, rest) = T::read_from_prefix(self.rest).map_err(|_| Errno::EINVAL)?;
        self.rest = rest;
        Ok(value)
    }

    /// Takes `len` bytes. EINVAL if the message is too short.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], Errno> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Errno::EINVAL)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Takes a length byte and that many bytes, unchecked. EINVAL if the message is too short.
    pub fn short_bytes(&mut self) -> Result<&'a [u8], Errno> {
        let len = self.bytes(1)?[0];
        self.bytes(usize::from(len))
    }

    /// Takes a path component. EINVAL if it is not one.
    pub fn name(&mut self) -> Result<Name<'a>, Errno> {
        Name::new(self.short_bytes()?)
    }

    /// Takes a path component; an empty one is `None`. EINVAL if it is neither.
    pub fn optional_name(&mut self) -> Result<Option<Name<'a>>, Errno> {
        match self.short_bytes()? {
            b"" => Ok(None),
            bytes => Name::new(bytes).map(Some),
        }
    }

    /// Takes all that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// EINVAL if anything is left.
    pub fn finish(self) -> Result<(), Errno> {
        if self.rest.is_empty() { Ok(()) } else { Err(Errno::EINVAL) }
    }
}

/// Puts a message together.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Starts the next message, keeping the memory of the last.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    pub fn fixed<T: IntoBytes + Immutable>(&mut self, value: &T) {
        self.bytes.extend_from_slice(value.as_bytes());
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Adds a length byte and the bytes. ENAMETOOLONG for more than 255.
    pub fn short_bytes(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let len = u8::try_from(bytes.len()).map_err(|_| Errno::ENAMETOOLONG)?;
        self.bytes.push(len);
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Replaces the fixed part at `offset`, written before.
    pub fn replace<T: IntoBytes + Immutable>(&mut self, offset: usize, value: &T) {
        let bytes = value.as_bytes();
        if let Some(place) = self.bytes.get_mut(offset..offset + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    /// Drops what was written after the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether a fixed part `T` and a name of any length still fit.
    pub fn has_room_for<T>(&self) -> bool {
        self.bytes.len() + size_of::<T>() + 1 + MAX_NAME_BYTES <= MAX_MESSAGE_BYTES
    }
}
