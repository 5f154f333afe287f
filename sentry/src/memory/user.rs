//! The memory of a guest process as the kernel sees it.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{IoVec, UIO_MAXIOV};
use platform::AddressSpace;
use smallvec::SmallVec;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{UserAddr, UserIoVec, UserPtr};

/// A path as it was read; those of common length take no memory of their own.
pub type UserPath = SmallVec<[u8; 96]>;

/// Reads and writes guest memory. Cheap to clone.
#[derive(Clone)]
pub struct UserMemory {
    space: Arc<dyn AddressSpace>,
}

/// Largest total of one read or write (`MAX_RW_COUNT`): `INT_MAX` rounded down to a page.
pub const MAX_RW_COUNT: usize = 0x7fff_f000;

/// Where user space ends on x86-64 (`TASK_SIZE_MAX`, with four-level page tables).
const USER_SPACE_END: u64 = (1 << 47) - 4096;

impl UserMemory {
    pub fn new(space: Arc<dyn AddressSpace>) -> UserMemory {
        UserMemory { space }
    }

    pub fn space(&self) -> &Arc<dyn AddressSpace> {
        &self.space
    }

    /// Copies from the guest up to the first inaccessible byte. Errors: EFAULT if that is none.
    pub fn read_partial(&self, addr: UserAddr, buf: &mut [u8]) -> Result<usize, Errno> {
        if buf.is_empty() {
            return Ok(0);
        }
        let len = self.accessible(addr, buf.len())?;
        self.space.read(addr.0, &mut buf[..len]).map_err(fault)
    }

    /// Copies to the guest up to the first inaccessible byte. Errors: EFAULT if that is none.
    pub fn write_partial(&self, addr: UserAddr, buf: &[u8]) -> Result<usize, Errno> {
        if buf.is_empty() {
            return Ok(0);
        }
        let len = self.accessible(addr, buf.len())?;
        self.space.write(addr.0, &buf[..len]).map_err(fault)
    }

    /// Copies to the guest even where the guest itself may not write. Errors: EFAULT outside of its
    /// part of the address space, and where nothing is mapped.
    pub fn write_forced(&self, addr: UserAddr, buf: &[u8]) -> Result<usize, Errno> {
        let layout = self.space.layout();
        let end = addr.0.checked_add(buf.len() as u64).ok_or(Errno::EFAULT)?;
        let is_inside = layout.user.start <= addr.0 && end <= layout.user.end;
        let is_reserved = addr.0 < layout.reserved.end && layout.reserved.start < end;
        if !is_inside || is_reserved {
            return Err(Errno::EFAULT);
        }
        self.space.write_forced(addr.0, buf).map_err(fault)
    }

    /// Fills `buf`. Errors: EFAULT unless all of it is readable.
    pub fn read_exact(&self, addr: UserAddr, buf: &mut [u8]) -> Result<(), Errno> {
        let done = self.read_partial(addr, buf)?;
        if done == buf.len() { Ok(()) } else { Err(Errno::EFAULT) }
    }

    /// Writes all of `buf`. Errors: EFAULT unless all of it is writable (a prefix may be written).
    pub fn write_exact(&self, addr: UserAddr, buf: &[u8]) -> Result<(), Errno> {
        let done = self.write_partial(addr, buf)?;
        if done == buf.len() { Ok(()) } else { Err(Errno::EFAULT) }
    }

    pub fn read_value<T: FromBytes + IntoBytes>(&self, ptr: UserPtr<T>) -> Result<T, Errno> {
        let mut value = T::new_zeroed();
        self.read_exact(ptr.addr(), value.as_mut_bytes())?;
        Ok(value)
    }

    pub fn write_value<T: IntoBytes + Immutable>(
        &self,
        ptr: UserPtr<T>,
        value: &T,
    ) -> Result<(), Errno> {
        self.write_exact(ptr.addr(), value.as_bytes())
    }

    /// Reads `count` elements. The caller bounds `count`.
    pub fn read_array<T: FromBytes + IntoBytes + Clone>(
        &self,
        ptr: UserPtr<T>,
        count: usize,
    ) -> Result<Vec<T>, Errno> {
        let mut values = vec![T::new_zeroed(); count];
        self.read_exact(ptr.addr(), slice_bytes_mut(&mut values))?;
        Ok(values)
    }

    pub fn write_array<T: IntoBytes + Immutable>(
        &self,
        ptr: UserPtr<T>,
        values: &[T],
    ) -> Result<(), Errno> {
        self.write_exact(ptr.addr(), values.as_bytes())
    }

    /// Reads `len` bytes. The caller bounds `len`.
    pub fn read_bytes(&self, addr: UserAddr, len: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; len];
        self.read_exact(addr, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads a NUL-terminated string without its NUL.
    ///
    /// Errors: EFAULT; `too_long` when no NUL is among the first `max` bytes.
    pub fn read_cstr(&self, addr: UserAddr, max: usize, too_long: Errno) -> Result<Vec<u8>, Errno> {
        self.read_text(addr, max, too_long).map(UserPath::into_vec)
    }

    fn read_text(&self, addr: UserAddr, max: usize, too_long: Errno) -> Result<UserPath, Errno> {
        let mut text = UserPath::new();
        while text.len() < max {
            let at = addr.add(text.len() as u64);
            // Stop at page ends: the next page may be missing although the string ends before it.
            let to_page_end = 4096 - (at.0 % 4096) as usize;
            let step = to_page_end.min(max - text.len()).min(256);
            let mut chunk = [0_u8; 256];
            let got = self.read_partial(at, &mut chunk[..step])?;
            if let Some(end) = chunk[..got].iter().position(|&byte| byte == 0) {
                text.extend_from_slice(&chunk[..end]);
                return Ok(text);
            }
            if got < step {
                return Err(Errno::EFAULT);
            }
            text.extend_from_slice(&chunk[..got]);
        }
        Err(too_long)
    }

    /// Reads a path. Errors: EFAULT, ENAMETOOLONG (longer than `PATH_MAX` with its NUL).
    pub fn read_path(&self, addr: UserAddr) -> Result<UserPath, Errno> {
        self.read_text(addr, 4096, Errno::ENAMETOOLONG)
    }

    /// Reads an array of `struct iovec` (readv(2)).
    ///
    /// Errors: EINVAL for a negative or too large `count` or a length that overflows; EFAULT.
    pub fn read_iovecs(&self, ptr: UserPtr<IoVec>, count: usize) -> Result<Vec<UserIoVec>, Errno> {
        if count > UIO_MAXIOV {
            return Err(Errno::EINVAL);
        }
        let mut room = MAX_RW_COUNT;
        let mut result = Vec::with_capacity(count);
        for raw in self.read_array(ptr, count)? {
            if raw.len > i64::MAX as u64 {
                return Err(Errno::EINVAL);
            }
            self.check_range(UserAddr(raw.base), raw.len as usize)?;
            let len = (raw.len as usize).min(room);
            room -= len;
            result.push(UserIoVec { addr: UserAddr(raw.base), len });
        }
        Ok(result)
    }

    /// Checks that a range lies in user space, as Linux' `access_ok` does before it looks at a file.
    ///
    /// Errors: EFAULT.
    pub fn check_range(&self, addr: UserAddr, len: usize) -> Result<(), Errno> {
        let end = addr.0.checked_add(len as u64).ok_or(Errno::EFAULT)?;
        if end > USER_SPACE_END { Err(Errno::EFAULT) } else { Ok(()) }
    }

    /// How many of `len` bytes at `addr` lie in the guest's part of the address space.
    fn accessible(&self, addr: UserAddr, len: usize) -> Result<usize, Errno> {
        let user = &self.space.layout().user;
        if !user.contains(&addr.0) {
            return Err(Errno::EFAULT);
        }
        let reserved = &self.space.layout().reserved;
        if reserved.contains(&addr.0) {
            return Err(Errno::EFAULT);
        }
        let end = if addr.0 < reserved.start { reserved.start.min(user.end) } else { user.end };
        Ok(len.min((end - addr.0) as usize))
    }
}

/// Any failure of the host to copy is a fault to the guest.
fn fault(_: Errno) -> Errno {
    Errno::EFAULT
}

fn slice_bytes_mut<T: FromBytes + IntoBytes>(values: &mut [T]) -> &mut [u8] {
    values.as_mut_bytes()
}
