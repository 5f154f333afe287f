//! The guest of the benchmark: times primitives of the kernel it runs on.
//!
//! `syscall-bench-guest [NAME…]` prints one line `NAME NANOSECONDS` for each primitive: the median
//! over several rounds of the time for one operation. `--list` prints the names, `--exit` leaves at
//! once, `--idle` sleeps (for start-up and idle measurements) and `--spin` keeps a processor busy.

mod busy;
mod calls;
mod memory;
mod pingpong;
mod process;
mod sys;

use std::time::{Duration, Instant};

/// How long one round may take.
const ROUND: Duration = Duration::from_millis(40);
const ROUNDS: usize = 7;

/// A primitive: runs it the given number of times.
type Primitive = (&'static str, fn(u32));

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let all = [calls::ALL, memory::ALL, process::ALL, pingpong::ALL].concat();
    match arguments.first().map(String::as_str) {
        Some("--exit") => return,
        Some("--idle") => return std::thread::sleep(Duration::from_secs(3600)),
        Some("--spin") => return busy::spin(),
        Some("--list") => {
            let names = all.iter().map(|(name, _)| *name);
            names.chain(busy::NAMES.iter().copied()).for_each(|name| println!("{name}"));
            return;
        }
        _ => {}
    }
    let is_wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|a| a == name);
    for (name, primitive) in all.into_iter().filter(|(name, _)| is_wanted(name)) {
        println!("{name} {:.0}", measure(primitive));
    }
    busy::NAMES.iter().filter(|name| is_wanted(name)).for_each(|name| busy::measure(name));
}

/// The median time of one operation in nanoseconds.
fn measure(primitive: fn(u32)) -> f64 {
    let mut count = 1;
    loop {
        // The better of two: a first run may have to wait for a processor.
        let took = time(primitive, count).min(time(primitive, count));
        if took >= ROUND / 4 || count >= 1 << 22 {
            let scale = ROUND.as_secs_f64() / took.as_secs_f64().max(1e-9);
            count = ((f64::from(count) * scale) as u32).max(1);
            break;
        }
        count *= 4;
    }
    let mut rounds: Vec<f64> =
        (0..ROUNDS).map(|_| time(primitive, count).as_nanos() as f64 / f64::from(count)).collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn time(primitive: fn(u32), count: u32) -> Duration {
    let start = Instant::now();
    primitive(count);
    start.elapsed()
}
