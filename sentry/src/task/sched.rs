//! Scheduling attributes of a thread: kept and answered, sched(7).
//!
//! Divergence: the host schedules guest threads by its own rules; of these values only the affinity
//! reaches it, where the platform uses several processors.

use linux_abi::task::SCHED_NORMAL;

/// Most processors a guest can see.
pub const MAX_CPUS: usize = 1024;

/// Where memory is to come from, `set_mempolicy(2)`: mode with its flags, and nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryPolicy {
    pub mode: i32,
    pub nodes: u64,
}

/// Scheduling attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchedState {
    pub policy: i32,
    /// Static priority, 0 for the normal policies.
    pub priority: i32,
    pub nice: i32,
    pub resets_on_fork: bool,
    /// Processors the thread may use: bit n of word n/64.
    pub affinity: Vec<u64>,
    pub timer_slack_ns: u64,
    pub memory_policy: MemoryPolicy,
    /// I/O priority as `ioprio_set` packs it.
    pub io_priority: u16,
}

impl SchedState {
    /// Normal scheduling on processors `0..cpus`.
    pub fn new(cpus: u32) -> SchedState {
        let cpus = (cpus as usize).min(MAX_CPUS);
        let mut affinity = vec![0; cpus.div_ceil(64)];
        for cpu in 0..cpus {
            affinity[cpu / 64] |= 1 << (cpu % 64);
        }
        SchedState {
            policy: SCHED_NORMAL,
            priority: 0,
            nice: 0,
            resets_on_fork: false,
            affinity,
            timer_slack_ns: 50_000,
            memory_policy: MemoryPolicy::default(),
            io_priority: 0,
        }
    }

    /// Whether the thread may use `cpu`.
    pub fn allows(&self, cpu: u32) -> bool {
        let word = self.affinity.get(cpu as usize / 64).copied().unwrap_or(0);
        word >> (cpu % 64) & 1 != 0
    }

    /// `cpu` if the thread may use it, else the first processor that it may use.
    pub fn nearest_allowed(&self, cpu: u32) -> u32 {
        if self.allows(cpu) {
            return cpu;
        }
        let first = self.affinity.iter().position(|&word| word != 0).unwrap_or(0);
        let bit = self.affinity.get(first).map_or(0, |word| word.trailing_zeros());
        first as u32 * 64 + bit
    }

    /// What a child starts with.
    pub fn for_child(&self) -> SchedState {
        let mut child = self.clone();
        if self.resets_on_fork {
            child.policy = SCHED_NORMAL;
            child.priority = 0;
            child.nice = child.nice.max(0);
            child.resets_on_fork = false;
        }
        child
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_on_a_processor_that_it_may_use() {
        let mut state = SchedState::new(100);
        assert_eq!(state.nearest_allowed(70), 70);
        state.affinity = vec![0, 1 << 3];
        assert_eq!(state.nearest_allowed(67), 67);
        assert_eq!(state.nearest_allowed(2), 67);
    }
}
