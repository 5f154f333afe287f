//! CPU time of threads and processes: that of their host threads, read when it is asked for.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use linux_abi::task::USER_HZ;

use crate::task::{Task, ThreadGroup};

const TICK_NS: u64 = 1_000_000_000 / USER_HZ;

/// Time spent in guest code and on its behalf, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    pub user_ns: u64,
    pub system_ns: u64,
}

impl CpuTime {
    /// User and system time in clock ticks (`times(2)`).
    pub fn ticks(self) -> (i64, i64) {
        ((self.user_ns / TICK_NS) as i64, (self.system_ns / TICK_NS) as i64)
    }

    /// The sum of both.
    pub fn plus(self, other: CpuTime) -> CpuTime {
        CpuTime {
            user_ns: self.user_ns.saturating_add(other.user_ns),
            system_ns: self.system_ns.saturating_add(other.system_ns),
        }
    }
}

/// CPU time of a thread, also of one that runs right now.
pub fn thread_cpu(task: &Task) -> CpuTime {
    let (user_ns, system_ns) = task.cpu_time_ns();
    CpuTime { user_ns, system_ns }
}

/// CPU time of all threads, those that have ended included.
pub fn process_cpu(group: &ThreadGroup) -> CpuTime {
    let threads = group.threads();
    // Of programs that have ended, and system time of threads that have.
    let ended = CpuTime {
        user_ns: group.cpu_dead_user_ns.load(Ordering::Relaxed),
        system_ns: group.cpu_dead_system_ns.load(Ordering::Relaxed),
    };
    let user_ns = threads.iter().find_map(|thread| thread.process_user_ns()).unwrap_or(0);
    let system_ns = threads.iter().map(|thread| thread.served_ns()).sum();
    ended.plus(CpuTime { user_ns, system_ns })
}

/// CPU time of children that were waited for.
pub fn children_cpu(group: &ThreadGroup) -> CpuTime {
    CpuTime {
        user_ns: group.cpu_children_user_ns.load(Ordering::Relaxed),
        system_ns: group.cpu_children_system_ns.load(Ordering::Relaxed),
    }
}

/// [`process_cpu`] in clock ticks, as a SIGCHLD tells it.
pub fn process_cpu_ticks(group: &Arc<ThreadGroup>) -> (i64, i64) {
    process_cpu(group).ticks()
}
