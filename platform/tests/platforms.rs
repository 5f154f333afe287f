//! Runs hand-assembled guest code on the ptrace platform.
//!
//! The platform wants a process of its own with one thread, so each case runs in a child process
//! of the test binary. `cargo test -p platform --test ptrace -- --ignored --nocapture` measures.

#[path = "ptrace/mod.rs"]
mod cases;

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};

/// Tells the child process which case it is.
pub const CASE_VARIABLE: &str = "PTRACE_TEST_CASE";
const TIME_LIMIT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(CASE_VARIABLE) {
        return run_case(&name);
    }
    let arguments = Arguments::from_args();
    let trials = cases::ALL.iter().map(|&(name, _)| Trial::test(name, move || in_child(name)));
    let benches = cases::BENCHMARKS
        .iter()
        .map(|&(name, _)| Trial::test(name, move || in_child(name)).with_ignored_flag(true));
    libtest_mimic::run(&arguments, trials.chain(benches).collect()).exit_code()
}

fn run_case(name: &str) -> ExitCode {
    let mut all = cases::ALL.iter().chain(cases::BENCHMARKS).chain(cases::HELPERS);
    match all.find(|(other, _)| *other == name) {
        Some((_, case)) => {
            case();
            ExitCode::SUCCESS
        }
        None => ExitCode::FAILURE,
    }
}

fn in_child(name: &str) -> Result<(), Failed> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut child = Command::new(program)
        .env(CASE_VARIABLE, name)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let deadline = Instant::now() + TIME_LIMIT;
    loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("child ended with {status}").into()),
            None if Instant::now() > deadline => {
                let _ = child.kill();
                let _ = child.wait();
                return Err("timed out".into());
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}
