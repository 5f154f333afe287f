//! Floating-point state of tracees.

use linux_abi::Errno;

use super::sys;
use crate::process::{Tid, fpu};

/// Room for the largest image known (AMX included).
const MAX_BYTES: usize = 16 << 10;

/// The thread's image.
pub(super) fn get(tid: Tid) -> Result<Vec<u8>, Errno> {
    let mut image = vec![0; MAX_BYTES];
    let len = sys::xstate(tid, &mut image)?;
    image.truncate(len);
    Ok(image)
}

/// Loads an image of `full_bytes` or fewer; what is missing gets its initial state.
///
/// Errors: EINVAL for an image that is too long, too short for the legacy area, or refused.
pub(super) fn set(tid: Tid, image: &[u8], full_bytes: usize) -> Result<(), Errno> {
    match sys::set_xstate(tid, &fpu::completed(image, full_bytes)?) {
        Err(Errno::ESRCH) => Err(Errno::ESRCH),
        Err(_) => Err(Errno::EINVAL),
        Ok(()) => Ok(()),
    }
}
