//! CPU time of threads and processes.
//!
//! A thread's counters are the host's, read when it traps for long; those of a thread that runs
//! guest code right now are as old as its last trap.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use linux_abi::task::USER_HZ;

use crate::task::{Ctx, Task, ThreadGroup};

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

/// Brings the calling thread's counters up to date.
pub fn refresh_cpu(ctx: &Ctx) {
    let (user_ns, system_ns) = ctx.thread.cpu_time_ns();
    ctx.task.cpu_user_ns.store(user_ns, Ordering::Relaxed);
    ctx.task.cpu_system_ns.store(system_ns, Ordering::Relaxed);
}

pub fn thread_cpu(task: &Task) -> CpuTime {
    CpuTime {
        user_ns: task.cpu_user_ns.load(Ordering::Relaxed),
        system_ns: task.cpu_system_ns.load(Ordering::Relaxed),
    }
}

/// CPU time of all threads, those that have ended included.
pub fn process_cpu(group: &ThreadGroup) -> CpuTime {
    let ended = CpuTime {
        user_ns: group.cpu_dead_user_ns.load(Ordering::Relaxed),
        system_ns: group.cpu_dead_system_ns.load(Ordering::Relaxed),
    };
    group.threads().iter().fold(ended, |sum, thread| sum.plus(thread_cpu(thread)))
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
