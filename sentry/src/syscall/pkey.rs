//! Memory protection keys, pkeys(7), as on a processor without them.

use linux_abi::Errno;

use super::{Flow, SysResult, mmap};
use crate::task::Ctx;

/// `pkey_alloc(2)`. Errors: EINVAL; else ENOSPC: there are no keys.
pub fn pkey_alloc(_ctx: &mut Ctx, flags: u64, rights: u64) -> SysResult {
    const DISABLE_ACCESS_AND_WRITE: u64 = 3;
    if flags != 0 || rights & !DISABLE_ACCESS_AND_WRITE != 0 {
        return Err(Errno::EINVAL);
    }
    Err(Errno::ENOSPC)
}

/// `pkey_free(2)`. Errors: EINVAL always: no key was given out.
pub fn pkey_free(_ctx: &mut Ctx, _key: i32) -> SysResult {
    Err(Errno::EINVAL)
}

/// `pkey_mprotect(2)`: without a key (-1, or 0, which all memory has) the same as `mprotect`.
///
/// Errors: EINVAL for another key, and those of `mprotect`.
pub fn pkey_mprotect(ctx: &mut Ctx, addr: u64, len: u64, prot: u32, key: i32) -> Flow {
    if !matches!(key, -1 | 0) {
        return Flow::from(Err(Errno::EINVAL));
    }
    mmap::mprotect(ctx, addr, len, prot)
}
