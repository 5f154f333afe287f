//! Memory and processor time of an idle sandbox.

use crate::processes::descendants;
use crate::{Figure, Results};
use std::fs;
use std::time::{Duration, Instant};
use syscall_tests::runtime::Running;

/// How long the sandbox settles before it counts as idle.
const SETTLE: Duration = Duration::from_secs(2);

/// How long it is watched.
const WATCH: Duration = Duration::from_secs(10);

/// Measures a sandbox whose program sleeps: `idle_memory`, the proportional set size of all its
/// processes, the starting command included; and `idle_cpu`, their processor time (user and
/// system) as a share of one processor.
pub fn measure(mut running: Running, results: &mut Results) {
    std::thread::sleep(SETTLE);
    let bytes: u64 = descendants().into_iter().map(pss_bytes).sum();
    let (start, before) = (Instant::now(), cpu_ns());
    std::thread::sleep(WATCH);
    let used = cpu_ns().saturating_sub(before) as f64;
    let share = used / start.elapsed().as_nanos() as f64;
    let is_alive = matches!(running.process.try_wait(), Ok(None));
    running.stop();
    for (name, value) in [("idle_memory", bytes as f64), ("idle_cpu", share)] {
        let figure = if is_alive { Figure::Value(value) } else { Figure::Failed };
        results.insert(name.to_owned(), figure);
    }
}

fn pss_bytes(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|text| text.split_whitespace().next());
    kib.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) << 10
}

/// The processor time of all threads of the sandbox. The scheduler's count, unlike that of ticks,
/// misses no short wake-up.
fn cpu_ns() -> u64 {
    let tasks = descendants().into_iter().map(|pid| format!("/proc/{pid}/task"));
    let threads = tasks.filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten();
    let time = |text: String| text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok());
    threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(time)
        .sum()
}
