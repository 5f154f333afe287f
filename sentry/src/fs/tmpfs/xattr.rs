//! Extended attributes, xattr(7).

use std::collections::BTreeMap;

use linux_abi::Errno;

use crate::vfs::XattrFlags;

/// Most bytes of names and values on one inode.
const MAX_BYTES: usize = 1 << 20;

/// Namespaces that are kept; others (`system.`) are not supported.
const PREFIXES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];

/// The attributes of one inode. Who may see and set which is the caller's business.
#[derive(Default)]
pub(super) struct Xattrs {
    map: BTreeMap<Box<[u8]>, Box<[u8]>>,
}

impl Xattrs {
    /// Errors: ENODATA, EOPNOTSUPP.
    pub(super) fn get(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        check_name(name)?;
        self.map.get(name).map(|value| value.to_vec()).ok_or(Errno::ENODATA)
    }

    /// Errors: EEXIST, ENODATA (by `flags`), ENOSPC, EOPNOTSUPP.
    pub(super) fn set(
        &mut self,
        name: &[u8],
        value: &[u8],
        flags: XattrFlags,
    ) -> Result<(), Errno> {
        check_name(name)?;
        match (flags, self.map.contains_key(name)) {
            (XattrFlags::Create, true) => return Err(Errno::EEXIST),
            (XattrFlags::Replace, false) => return Err(Errno::ENODATA),
            _ => {}
        }
        let others = self.map.iter().filter(|(other, _)| &***other != name);
        let used: usize = others.map(|(name, value)| name.len() + value.len()).sum();
        if used + name.len() + value.len() > MAX_BYTES {
            return Err(Errno::ENOSPC);
        }
        self.map.insert(name.into(), value.into());
        Ok(())
    }

    pub(super) fn names(&self) -> Vec<Vec<u8>> {
        self.map.keys().map(|name| name.to_vec()).collect()
    }

    /// Errors: ENODATA, EOPNOTSUPP.
    pub(super) fn remove(&mut self, name: &[u8]) -> Result<(), Errno> {
        check_name(name)?;
        self.map.remove(name).map(drop).ok_or(Errno::ENODATA)
    }
}

fn check_name(name: &[u8]) -> Result<(), Errno> {
    if PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        Ok(())
    } else {
        Err(Errno::EOPNOTSUPP)
    }
}
