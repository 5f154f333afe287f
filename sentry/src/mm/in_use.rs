//! How much memory the whole sandbox uses.

use std::collections::HashSet;

use crate::kernel::Kernel;

/// Bytes of memory that processes have to themselves. Pages of files count as free: the host can
/// take them back.
pub fn memory_in_use(kernel: &Kernel) -> u64 {
    let mut seen = HashSet::new();
    let mut sum: u64 = 0;
    for group in kernel.tasks.groups() {
        let Some(leader) = group.leader() else { continue };
        let mm = leader.mm();
        let space = mm.memory().space();
        if seen.insert(space.id())
            && let Ok(usage) = space.usage()
        {
            sum = sum.saturating_add(usage.resident.saturating_sub(usage.shared));
        }
    }
    sum
}
