//! Runs hand-assembled guest code on every platform.
//!
//! A platform wants a process of its own with one thread, so each case runs in a child process of
//! the test binary, once for each platform: `ptrace::fork_copies_memory` and so on.
//! `cargo test --release -p platform --test platforms -- --ignored --nocapture bench` measures.

#[path = "platforms/mod.rs"]
mod cases;

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use cases::kind::Kind;
use libtest_mimic::{Arguments, Failed, Trial};

/// Tells the child process which case it is: the platform's name, `::`, the case's name.
pub const CASE_VARIABLE: &str = "PLATFORM_TEST_CASE";
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// For cases that run only when asked for.
const LONG_TIME_LIMIT: Duration = Duration::from_secs(3600);

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(CASE_VARIABLE) {
        return run_case(&name);
    }
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for kind in Kind::ALL {
        let mut add = |name: &str, is_ignored: bool, limit: Duration| {
            let name = kind.case(name);
            let run = {
                let name = name.clone();
                move || in_child(&name, limit)
            };
            trials.push(Trial::test(name, run).with_ignored_flag(is_ignored));
        };
        cases::of(kind).for_each(|(name, _)| add(name, false, TIME_LIMIT));
        cases::ignored(kind).for_each(|(name, _)| add(name, true, LONG_TIME_LIMIT));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn run_case(name: &str) -> ExitCode {
    let Some((kind, name)) = name.split_once("::") else { return ExitCode::FAILURE };
    let Some(kind) = Kind::ALL.into_iter().find(|other| other.name() == kind) else {
        return ExitCode::FAILURE;
    };
    kind.select();
    let mut all = cases::of(kind).chain(cases::ignored(kind)).chain(cases::HELPERS);
    match all.find(|(other, _)| *other == name) {
        Some((_, case)) => {
            case();
            ExitCode::SUCCESS
        }
        None => ExitCode::FAILURE,
    }
}

fn in_child(name: &str, limit: Duration) -> Result<(), Failed> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut child = Command::new(program)
        .env(CASE_VARIABLE, name)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let deadline = Instant::now() + limit;
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
