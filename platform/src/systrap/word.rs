//! Futex words that the sentry changes.
//!
//! Other threads change them with instructions, so it must be one step for all who look. No call of the
//! host does that from outside, so the stub of the thread in whose name it is done does it with an
//! instruction (`stub/word.rs`).

use std::ops::Range;

use linux_abi::Errno;

use super::layout::CHANGE_WORD;
use crate::contract::WordChange;
use crate::process::ops;

/// The pseudo call for the word at `addr`. Errors: EINVAL for an address that no futex can have, EFAULT
/// for one in the `reserved` region.
pub(super) fn plan(
    addr: u64,
    change: &WordChange,
    reserved: &Range<u64>,
) -> Result<ops::Call, Errno> {
    let args = ops::word_args(addr, change, reserved)?;
    Ok(ops::Call { number: CHANGE_WORD as i64, args })
}
