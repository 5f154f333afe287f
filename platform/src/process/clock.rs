//! The CPU time of a stub process.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Tid;
use crate::host::time::process_cpu_ns;

/// What all threads of a process have used, those that have ended included. The host counts it,
/// and one call tells, so no thread has to be asked at its end.
#[derive(Debug)]
pub(crate) struct ProcessClock {
    tgid: Tid,
    last_ns: AtomicU64,
    has_ended: AtomicBool,
}

impl ProcessClock {
    pub(crate) fn new(tgid: Tid) -> ProcessClock {
        ProcessClock { tgid, last_ns: AtomicU64::new(0), has_ended: AtomicBool::new(false) }
    }

    /// The time in nanoseconds; that of the end once [`ProcessClock::stop`] was called.
    pub(crate) fn read_ns(&self) -> u64 {
        if !self.has_ended.load(Ordering::Acquire)
            && let Some(now) = process_cpu_ns(self.tgid)
        {
            self.last_ns.fetch_max(now, Ordering::AcqRel);
        }
        self.last_ns.load(Ordering::Acquire)
    }

    /// The process is about to end, or to be reaped: its number may soon be another one's.
    pub(crate) fn stop(&self) {
        self.read_ns();
        self.has_ended.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_time_is_told_and_kept() {
        let clock = ProcessClock::new(crate::host::process::pid());
        let first = clock.read_ns();
        assert!(first > 0);
        while clock.read_ns() == first {
            std::hint::spin_loop();
        }
        clock.stop();
        let last = clock.read_ns();
        assert!(last > first && clock.read_ns() == last);
    }

    #[test]
    fn nobody_has_used_nothing() {
        assert_eq!(ProcessClock::new(1 << 23).read_ns(), 0);
    }
}
