//! A hostile guest breaks nothing but itself: `syscall-fuzz` with fixed seeds runs to its orderly
//! end, which it would not tell of if the sentry panicked, hung or lost a process.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use syscall_tests::bundle::{Bundle, GUEST_PATH};
use syscall_tests::outcome::Outcome;
use syscall_tests::runtime::{PLATFORMS, Running, Runtime};

/// Each platform gets some of them in turn.
const SEEDS: [u64; 4] = [1, 77, 2024, 31_337];
/// How long each seed makes calls.
const SECONDS: u64 = 3;
/// How long a run may take to start, to bury what it left, and to end.
const SLACK: Duration = Duration::from_secs(60);

fn start(platform: &str, seed: u64, seconds: u64) -> Running {
    let runtime = Runtime::find("runsc-rs", platform).expect("the runtime");
    let bundle = Bundle::new(Path::new(env!("CARGO_BIN_EXE_syscall-fuzz"))).expect("a bundle");
    let words = format!("{GUEST_PATH} --seed {seed} --seconds {seconds}");
    let args: Vec<String> = words.split(' ').map(String::from).collect();
    bundle.configure(&args).expect("config.json");
    runtime.start_bundle(bundle).expect("a container")
}

/// Tells what was not in order. The guest's children may have written to its output too.
fn judge(seed: u64, outcome: &Outcome) -> Result<(), String> {
    let report = format!("syscall-fuzz: seed {seed}: ");
    let last = outcome.stdout.split(&report).nth(1).and_then(|rest| rest.lines().next());
    let is_whole = last.is_some_and(|line| line.ends_with(", all ended") && !line.contains(" 0 "));
    if outcome.status == Some(0) && is_whole {
        return Ok(());
    }
    let is_readable = |c: &char| *c == '\n' || !c.is_control();
    let errors: String = outcome.stderr.chars().filter(is_readable).take(4000).collect();
    Err(format!("seed {seed}: status {:?}, report {last:?}, errors:\n{errors}", outcome.status))
}

#[test]
fn the_sandbox_survives_random_calls() {
    for (seed, platform) in SEEDS.into_iter().zip(PLATFORMS.into_iter().cycle()) {
        let limit = Duration::from_secs(SECONDS) + SLACK;
        let outcome = start(platform, seed, SECONDS).outcome(limit).expect("an end");
        judge(seed, &outcome).expect("an orderly end");
    }
}

/// The same run in which the sentry fails, for want of memory, is not taken for a good one.
#[test]
fn a_sentry_that_fails_is_noticed() {
    let running = start(PLATFORMS[0], 1, 600);
    let sentry = sentry_below(running.process.id());
    let limited = Command::new("prlimit").args(["--as=0", "--pid", &sentry]).status();
    assert!(limited.expect("prlimit of util-linux").success());
    let outcome = running.outcome(SLACK).expect("an end");
    let complaint = judge(1, &outcome).expect_err("no complaint");
    assert_eq!(outcome.status, Some(125), "{complaint}");
}

/// Waits for the sentry below a `run` and returns its pid.
fn sentry_below(parent: u32) -> String {
    let end = Instant::now() + SLACK;
    while Instant::now() < end {
        let path = format!("/proc/{parent}/task/{parent}/children");
        for pid in std::fs::read_to_string(path).unwrap_or_default().split_whitespace() {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if line.ends_with(b"\0boot\0") {
                return pid.to_owned();
            }
        }
        // Once it serves programs the sentry answers want of memory in good order.
        std::thread::sleep(Duration::from_micros(100));
    }
    panic!("{parent} has no sentry");
}
