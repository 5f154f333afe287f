//! Resource usage of processes (`getrusage(2)`, `wait4(2)`).

use linux_abi::task::Rusage;
use linux_abi::time::Timeval;

use super::ThreadGroup;
use crate::time::{CpuTime, children_cpu, process_cpu};

/// Usage with only the times filled in.
pub fn rusage(time: CpuTime) -> Rusage {
    Rusage { utime: timeval(time.user_ns), stime: timeval(time.system_ns), ..Rusage::default() }
}

fn timeval(ns: u64) -> Timeval {
    Timeval { sec: (ns / 1_000_000_000) as i64, usec: (ns % 1_000_000_000 / 1000) as i64 }
}

impl ThreadGroup {
    /// What `wait4` tells of a child: its own use and that of its children.
    pub fn rusage_with_children(&self) -> Rusage {
        rusage(process_cpu(self).plus(children_cpu(self)))
    }
}
