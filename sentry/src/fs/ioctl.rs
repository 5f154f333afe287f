//! Arguments of `ioctl(2)`: reading and writing the structure at the argument's address.

use linux_abi::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::memory::{UserMemory, UserPtr};
use crate::vfs::IoContext;

/// The caller's memory. Errors: EFAULT when there is no calling task.
pub fn memory(io: &IoContext<'_>) -> Result<UserMemory, Errno> {
    let task = io.task.ok_or(Errno::EFAULT)?;
    Ok(task.mm().memory().clone())
}

/// Writes `value` to where `argument` points; answers with the ioctl's result 0. Errors: EFAULT.
pub fn put<T: IntoBytes + Immutable>(
    io: &IoContext<'_>,
    argument: u64,
    value: &T,
) -> Result<usize, Errno> {
    memory(io)?.write_exact(UserPtr::<T>::new(argument).addr(), value.as_bytes())?;
    Ok(0)
}

/// Reads the value that `argument` points to. Errors: EFAULT.
pub fn get<T: FromBytes + IntoBytes>(io: &IoContext<'_>, argument: u64) -> Result<T, Errno> {
    memory(io)?.read_value(UserPtr::new(argument))
}
