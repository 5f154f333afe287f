//! What makes two addresses the same futex (Linux: `get_futex_key`).

use linux_abi::Errno;
use platform::HostMapping;

use crate::memory::{UserAddr, UserMemory};

/// Identity of a futex word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FutexKey {
    /// Of one address space. Linux: operations with `FUTEX_PRIVATE_FLAG` and those without do not
    /// see each other.
    Private { space: u64, addr: u64, has_flag: bool },
    /// In memory that may be mapped by several: the place in the mapped host file.
    Shared { device: (u32, u32), inode: u64, offset: u64 },
}

impl FutexKey {
    /// The key for an operation with `FUTEX_PRIVATE_FLAG`; memory need not be mapped there.
    ///
    /// Errors: EINVAL for an address that is not a multiple of 4, EFAULT for one outside of the
    /// guest's part of the address space.
    pub fn private(memory: &UserMemory, addr: UserAddr) -> Result<FutexKey, Errno> {
        FutexKey::of_space(memory, addr, true)
    }

    /// The key for an operation without that flag in memory that is known not to be shared.
    ///
    /// Errors: as [`FutexKey::private`].
    pub fn unshared(memory: &UserMemory, addr: UserAddr) -> Result<FutexKey, Errno> {
        FutexKey::of_space(memory, addr, false)
    }

    fn of_space(memory: &UserMemory, addr: UserAddr, has_flag: bool) -> Result<FutexKey, Errno> {
        let space = memory.space();
        if !addr.0.is_multiple_of(4) {
            return Err(Errno::EINVAL);
        }
        if !space.layout().user.contains(&addr.0) {
            return Err(Errno::EFAULT);
        }
        Ok(FutexKey::Private { space: space.id(), addr: addr.0, has_flag })
    }

    /// The key for an operation without that flag.
    ///
    /// Errors: as [`FutexKey::private`]; EFAULT where nothing is mapped.
    pub fn shared(memory: &UserMemory, addr: UserAddr) -> Result<FutexKey, Errno> {
        let unshared = FutexKey::unshared(memory, addr)?;
        let mappings = memory.space().mappings().map_err(|_| Errno::EFAULT)?;
        let mapping = mappings.iter().find(|mapping| mapping.range.contains(&addr.0));
        let mapping = mapping.filter(|mapping| mapping.read).ok_or(Errno::EFAULT)?;
        Ok(shared_key(mapping, addr).unwrap_or(unshared))
    }

    /// The key for an operation with or without `FUTEX_PRIVATE_FLAG`.
    ///
    /// Errors: as the two above.
    pub fn new(memory: &UserMemory, addr: UserAddr, is_private: bool) -> Result<FutexKey, Errno> {
        match is_private {
            true => FutexKey::private(memory, addr),
            false => FutexKey::shared(memory, addr),
        }
    }
}

/// The key within a shared mapping. Pages of a private mapping, of a file even, are nobody else's.
fn shared_key(mapping: &HostMapping, addr: UserAddr) -> Option<FutexKey> {
    mapping.shared.then(|| FutexKey::Shared {
        device: mapping.dev,
        inode: mapping.inode,
        offset: mapping.offset + (addr.0 - mapping.range.start),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(shared: bool, start: u64) -> HostMapping {
        HostMapping {
            range: start..start + 0x2000,
            read: true,
            write: true,
            exec: false,
            shared,
            offset: 0x5000,
            dev: (0, 1),
            inode: 42,
            label: String::new(),
        }
    }

    #[test]
    fn shared_memory_is_the_same_at_any_address() {
        let one = shared_key(&mapping(true, 0x10000), UserAddr(0x11004));
        let other = shared_key(&mapping(true, 0x70000), UserAddr(0x71004));
        assert_eq!(one, other);
        assert_eq!(one, Some(FutexKey::Shared { device: (0, 1), inode: 42, offset: 0x6004 }));
        assert_eq!(shared_key(&mapping(false, 0x10000), UserAddr(0x11004)), None);
    }
}
