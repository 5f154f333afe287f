//! Robust futexes whose owner is no more.
//!
//! The word must become `FUTEX_OWNER_DIED` in one step for all who look, and keep `FUTEX_WAITERS`,
//! which others may set at any moment. No call of the host does that from outside of the owner's
//! own end, so the stub of the thread that ends does it with an instruction (`stub/robust.rs`).

use linux_abi::Errno;

use super::layout::OWNER_DIED;
use crate::process::ops;

/// The pseudo call for the word at `addr`. Errors: EINVAL for an address that no futex can have.
pub(super) fn plan(addr: u64, owner: i32, wakes: bool) -> Result<ops::Call, Errno> {
    if !addr.is_multiple_of(size_of::<u32>() as u64) {
        return Err(Errno::EINVAL);
    }
    let args = [addr, owner as u64, wakes.into(), 0, 0, 0];
    Ok(ops::Call { number: OWNER_DIED as i64, args })
}
