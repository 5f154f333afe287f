//! Where time goes: how long each system call took, while somebody wants to know.
//!
//! Times are from the moment the kernel has a call to its result, waits included, in nanoseconds.
//! What the platform answers by itself is in its own counters only.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use control_protocol::{CallLatency, Counter, LatencyReport};
use platform::Platform;
use platform::host::time::{Clock, now};

use crate::syscall::TABLE;

/// Calls with higher numbers count together.
const NUMBERS: usize = 512;
/// Powers of two of nanoseconds, about 18 minutes.
const BUCKETS: usize = 40;

/// The clocks of a sandbox' calls.
#[derive(Default)]
pub struct Latency {
    is_on: AtomicBool,
    calls: OnceLock<Box<[Timing]>>,
}

/// What is known of one call.
struct Timing {
    total_ns: AtomicU64,
    max_ns: AtomicU64,
    /// How often it took less than the power of two, and not less than the one before.
    buckets: [AtomicU64; BUCKETS],
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            total_ns: AtomicU64::new(0),
            max_ns: AtomicU64::new(0),
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Latency {
    /// Begins to measure, anew if that goes on.
    pub fn start(&self) {
        let calls = self.calls.get_or_init(|| (0..=NUMBERS).map(|_| Timing::default()).collect());
        calls.iter().for_each(Timing::clear);
        self.is_on.store(true, Ordering::Release);
    }

    pub fn stop(&self) {
        self.is_on.store(false, Ordering::Release);
    }

    /// The time at the beginning of a call, if it is measured.
    pub fn begin(&self) -> Option<Duration> {
        self.is_on.load(Ordering::Relaxed).then(|| now(Clock::Monotonic))
    }

    pub fn end(&self, number: u64, begun: Duration) {
        let Some(calls) = self.calls.get() else { return };
        let took = now(Clock::Monotonic).saturating_sub(begun).as_nanos() as u64;
        let index = usize::try_from(number).unwrap_or(NUMBERS).min(NUMBERS);
        if let Some(timing) = calls.get(index) {
            timing.add(took);
        }
    }

    /// What was measured so far, and the platform's counters since its start.
    pub fn report(&self, platform: &dyn Platform) -> LatencyReport {
        let counters = platform.counters();
        let counters =
            counters.into_iter().map(|(what, count)| Counter { what: what.into(), count });
        let measured = self.calls.get().map_or(&[][..], |calls| calls);
        let calls =
            measured.iter().enumerate().filter_map(|(number, timing)| timing.report(number));
        LatencyReport { counters: counters.collect(), calls: calls.collect() }
    }
}

impl Timing {
    fn clear(&self) {
        self.total_ns.store(0, Ordering::Relaxed);
        self.max_ns.store(0, Ordering::Relaxed);
        self.buckets.iter().for_each(|bucket| bucket.store(0, Ordering::Relaxed));
    }

    fn add(&self, took: u64) {
        self.total_ns.fetch_add(took, Ordering::Relaxed);
        self.max_ns.fetch_max(took, Ordering::Relaxed);
        let bucket = (u64::BITS - took.leading_zeros()) as usize;
        self.buckets[bucket.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
    }

    fn report(&self, number: usize) -> Option<CallLatency> {
        let counts = self.buckets.each_ref().map(|bucket| bucket.load(Ordering::Relaxed));
        let count: u64 = counts.iter().sum();
        if count == 0 {
            return None;
        }
        let max_ns = self.max_ns.load(Ordering::Relaxed);
        // The upper end of the bucket in which the share of all calls is reached.
        let quantile = |percent: u64| {
            let wanted = (count * percent).div_ceil(100);
            let mut seen = 0;
            let bucket = counts.iter().position(|one| {
                seen += one;
                seen >= wanted
            });
            (1 << bucket.unwrap_or(BUCKETS - 1)).min(max_ns)
        };
        let entry = TABLE.iter().find(|entry| entry.number as usize == number);
        Some(CallLatency {
            name: entry.map_or_else(|| format!("syscall_{number}"), |entry| entry.name.to_owned()),
            count,
            total_ns: self.total_ns.load(Ordering::Relaxed),
            median_ns: quantile(50),
            p99_ns: quantile(99),
            max_ns,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_summed_up() {
        let timing = Timing::default();
        assert_eq!(timing.report(0), None);
        (0..98).for_each(|_| timing.add(100));
        timing.add(5000);
        timing.add(1_000_000);
        let report = timing.report(0).expect("calls");
        assert_eq!((report.name.as_str(), report.count), ("read", 100));
        assert_eq!(report.total_ns, 98 * 100 + 5000 + 1_000_000);
        assert_eq!((report.median_ns, report.p99_ns, report.max_ns), (128, 8192, 1_000_000));
        timing.clear();
        assert_eq!(timing.report(0), None);
        timing.add(u64::MAX);
        assert_eq!(timing.report(511).expect("one").name, "syscall_511");
    }

    #[test]
    fn nothing_is_measured_unless_asked_for() {
        let latency = Latency::default();
        assert_eq!(latency.begin(), None);
        latency.start();
        latency.end(39, latency.begin().expect("a time"));
        latency.stop();
        assert_eq!(latency.begin(), None);
        let calls = latency.calls.get().expect("made");
        assert_eq!(calls[39].report(39).expect("one call").count, 1);
    }
}
