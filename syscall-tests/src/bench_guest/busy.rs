//! Single calls while every processor is kept busy by other work: how long they take, and how long
//! one may stall.

use std::fs::File;
use std::io::Read;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// What can be measured: with other processes of the guest as the other work, and with work that
/// is outside of the sandbox, which the starter of this program sees to.
pub const NAMES: &[&str] = &["read_busy", "read_busy_outside"];

/// How long to read.
const TIME: Duration = Duration::from_secs(3);

/// Longer than that no spinning process lives, whatever became of its starter.
const SPIN: Duration = Duration::from_secs(20);

/// Keeps a processor busy.
pub fn spin() {
    let start = Instant::now();
    while start.elapsed() < SPIN {
        for step in 0..1_000_000 {
            std::hint::black_box(step);
        }
    }
}

/// Reads one byte again and again, and prints the median, the mean and the longest time.
pub fn measure(name: &str) {
    let mut others = if name == "read_busy" { spinners() } else { Vec::new() };
    let times = read_times();
    for other in &mut others {
        let _ = other.kill();
        let _ = other.wait();
    }
    let mean = times.iter().map(|&ns| f64::from(ns)).sum::<f64>() / times.len() as f64;
    println!("{name} {}", times[times.len() / 2]);
    println!("{name}_mean {mean:.0}");
    println!("{name}_stall {}", times[times.len() - 1]);
}

fn spinners() -> Vec<Child> {
    let count = std::thread::available_parallelism().map_or(2, |count| count.get());
    let spin = || Command::new("/proc/self/exe").arg("--spin").spawn().expect("spawn");
    (0..count).map(|_| spin()).collect()
}

/// The time of each read in nanoseconds, from one to the next, sorted.
fn read_times() -> Vec<u32> {
    let mut file = File::open("/dev/zero").expect("open");
    // Written once, so that no page faults count.
    let mut times = vec![u32::MAX; 1 << 23];
    let mut count = 0;
    let start = Instant::now();
    let mut before = start;
    while before - start < TIME && count < times.len() {
        file.read_exact(&mut [0]).expect("read");
        let now = Instant::now();
        times[count] = (now - before).as_nanos().try_into().unwrap_or(u32::MAX);
        before = now;
        count += 1;
    }
    times.truncate(count);
    times.sort_unstable();
    times
}
