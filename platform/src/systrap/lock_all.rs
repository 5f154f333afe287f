//! `mlockall(2)` for the guest's memory only.
//!
//! The host's call would lock the window as well: that is too large for nearly every limit, and all
//! of its channel memory would become real. So the mappings that the guest has are locked one by
//! one; only those to come are left to the host's call.

use linux_abi::Errno;

use super::layout::Call;
use super::slot::Slot;
use super::supervisor::Supervisor;
use crate::contract::AddressSpace;

/// The calls that lock what is mapped now and, if `flags` say so, what will be. Their results do
/// not matter, as the host too does not care when `mlockall` finds pages that it cannot touch.
///
/// Errors: EINVAL for flags that the host does not know, ENOMEM when the limit is too small;
/// ENOSYS without a procfs.
pub(super) fn plan(
    supervisor: &Supervisor,
    slot: &Slot,
    flags: libc::c_int,
) -> Result<Vec<Call>, Errno> {
    if flags & !(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) != 0 {
        return Err(Errno::EINVAL);
    }
    let space = supervisor.space(&slot.process);
    if space.usage()?.virtual_size > space.limit(libc::RLIMIT_MEMLOCK)? {
        return Err(Errno::ENOMEM);
    }
    let on_fault = flags & libc::MCL_ONFAULT != 0;
    let lock_flags = u64::from(if on_fault { libc::MLOCK_ONFAULT } else { 0 });
    let mut calls: Vec<Call> = space
        .mappings()?
        .into_iter()
        .map(|mapping| {
            let (start, len) = (mapping.range.start, mapping.range.end - mapping.range.start);
            Call { number: libc::SYS_mlock2 as u64, args: [start, len, lock_flags, 0, 0, 0] }
        })
        .collect();
    if flags & libc::MCL_FUTURE != 0 {
        let rest = (flags & !libc::MCL_CURRENT) as u64;
        calls.push(Call { number: libc::SYS_mlockall as u64, args: [rest, 0, 0, 0, 0, 0] });
    }
    Ok(calls)
}
