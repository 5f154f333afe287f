//! Resource limits that the host enforces for us.

use linux_abi::Errno;
use linux_abi::task::{RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK, RLIMIT_STACK};
use platform::AddressSpace;

use super::Task;

/// Limits on memory: the host applies them to the process that holds the memory.
const HOST_LIMITS: [u32; 4] = [RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_MEMLOCK];

impl Task {
    /// Applies the process' memory limits to an address space.
    ///
    /// # Errors
    /// ESRCH when its host process is gone.
    pub fn apply_memory_limits(&self, space: &dyn AddressSpace) -> Result<(), Errno> {
        let limits = *self.group.limits.lock();
        for resource in HOST_LIMITS {
            space.set_limit(resource as i32, limits[resource as usize].cur)?;
        }
        Ok(())
    }
}

/// Whether the host enforces `resource`.
pub fn is_host_limit(resource: u32) -> bool {
    HOST_LIMITS.contains(&resource)
}
