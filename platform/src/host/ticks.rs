//! Short times, measured at little cost: the processor's time stamp counter where that runs evenly,
//! the monotonic clock elsewhere. Reading the clock takes several times as long.

use std::arch::x86_64::{__cpuid, _rdtsc};
use std::sync::OnceLock;
use std::time::Duration;

use super::time::{Clock, now};

struct Start {
    is_even: bool,
    ticks: u64,
    time: Duration,
}

fn start() -> &'static Start {
    static START: OnceLock<Start> = OnceLock::new();
    START.get_or_init(|| {
        let is_even = has_even_counter();
        Start { is_even, ticks: read(is_even), time: now(Clock::Monotonic) }
    })
}

/// Whether the counter runs at one speed, whatever the processor does.
fn has_even_counter() -> bool {
    const EXTENDED: u32 = 0x8000_0000;
    const POWER: u32 = 0x8000_0007;
    const INVARIANT: u32 = 1 << 8;
    __cpuid(EXTENDED).eax >= POWER && __cpuid(POWER).edx & INVARIANT != 0
}

fn read(is_even: bool) -> u64 {
    match is_even {
        // SAFETY: every processor of this architecture has the instruction.
        true => unsafe { _rdtsc() },
        false => now(Clock::Monotonic).as_nanos() as u64,
    }
}

/// The counter. Differences are times, for [`to_ns`]; from one processor to another it may go back a
/// little.
pub fn ticks() -> u64 {
    read(start().is_even)
}

/// A difference of [`ticks`] in nanoseconds, as exact as the time since the first use allows.
pub fn to_ns(ticks: u64) -> u64 {
    let start = start();
    if !start.is_even {
        return ticks;
    }
    let (elapsed_ticks, elapsed_ns) = speed(start);
    let ns = u128::from(ticks) * u128::from(elapsed_ns) / u128::from(elapsed_ticks);
    ns.try_into().unwrap_or(u64::MAX)
}

/// So many ticks are so many nanoseconds: for good once that is exact, so that sums only grow.
fn speed(start: &Start) -> (u64, u64) {
    const ENOUGH: Duration = Duration::from_secs(1);
    static SPEED: OnceLock<(u64, u64)> = OnceLock::new();
    if let Some(&speed) = SPEED.get() {
        return speed;
    }
    let elapsed = now(Clock::Monotonic).saturating_sub(start.time);
    let speed = (read(true).saturating_sub(start.ticks).max(1), elapsed.as_nanos() as u64);
    if elapsed < ENOUGH { speed } else { *SPEED.get_or_init(|| speed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_agree_with_the_clock() {
        // The first use.
        ticks();
        let (before, clock) = (ticks(), now(Clock::Monotonic));
        std::thread::sleep(Duration::from_millis(50));
        let (ticks, time) = (ticks() - before, now(Clock::Monotonic) - clock);
        let (ns, expected) = (to_ns(ticks) as f64, time.as_nanos() as f64);
        assert!((0.98..1.02).contains(&(ns / expected)), "{ns} for {expected} ns");
    }
}
