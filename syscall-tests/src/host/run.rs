//! Runs cases in a runtime and collects one outcome for each.
//!
//! A runtime that dies or hangs in the middle costs the case it was at; the rest is run in a fresh
//! one.

use crate::guest::{Case, Guest};
use crate::runtime::{Running, Runtime};
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passed.
    Ok,
    /// Where and why it failed.
    Fail(String),
    /// Why it could not run.
    Skip(String),
}

/// What a run gave, by case name.
pub type Outcomes = BTreeMap<String, Outcome>;

/// Time for the runtime to start and stop, on top of a case's own limit.
const SLACK: Duration = Duration::from_secs(20);

/// Runs the cases, which must be in the order of the binary's list.
pub fn run(runtime: &Runtime, guest: &Guest, cases: &[&Case]) -> Result<Outcomes> {
    let mut outcomes = Outcomes::new();
    let mut rest = cases;
    while !rest.is_empty() {
        let names: Vec<&str> = rest.iter().map(|case| case.name.as_str()).collect();
        let end = run_once(runtime.start(guest, &names)?, rest, &mut outcomes);
        let done = rest.iter().take_while(|case| outcomes.contains_key(&case.name)).count();
        if done == rest.len() {
            break;
        }
        if outcomes.is_empty() {
            bail!("{}: no case could be run: {end}", runtime.label());
        }
        outcomes.insert(rest[done].name.clone(), Outcome::Fail(format!("no result: {end}")));
        rest = &rest[done + 1..];
    }
    Ok(outcomes)
}

/// Reads the outcomes of one start until its output ends; returns how it ended.
fn run_once(mut running: Running, cases: &[&Case], outcomes: &mut Outcomes) -> String {
    let lines = lines_of(running.process.stdout.take());
    let errors = lines_of(running.process.stderr.take());
    let limit_s = cases.iter().map(|case| case.limit_s).max().unwrap_or(0);
    let timeout = Duration::from_secs(limit_s) + SLACK;
    let hung = loop {
        match lines.recv_timeout(timeout) {
            Ok(line) => {
                if let Some((name, outcome)) = parse(&line) {
                    outcomes.insert(name, outcome);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break false,
            Err(RecvTimeoutError::Timeout) => break true,
        }
    };
    let how = if hung {
        format!("nothing happened for {} s", timeout.as_secs())
    } else {
        match running.process.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    };
    running.stop();
    let errors: Vec<String> = errors.try_iter().collect();
    let tail = &errors[errors.len().saturating_sub(5)..];
    if tail.is_empty() { how } else { format!("{how}: {}", tail.join(" | ")) }
}

/// Reads a pipe line by line on a thread of its own.
fn lines_of(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in pipe.into_iter().flat_map(|pipe| BufReader::new(pipe).split(b'\n')) {
            let Ok(line) = line else { return };
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Parses a line: `ok NAME`, `FAIL NAME: message`, `skip NAME: reason`.
fn parse(line: &str) -> Option<(String, Outcome)> {
    let (kind, rest) = line.split_once(' ')?;
    let split = |rest: &str| {
        let (name, text) = rest.split_once(": ")?;
        Some((name.to_owned(), text.to_owned()))
    };
    match kind {
        "ok" => Some((rest.to_owned(), Outcome::Ok)),
        "FAIL" => split(rest).map(|(name, text)| (name, Outcome::Fail(text))),
        "skip" => split(rest).map(|(name, text)| (name, Outcome::Skip(text))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, parse};

    #[test]
    fn lines_are_parsed() {
        assert_eq!(parse("ok a::b"), Some(("a::b".into(), Outcome::Ok)));
        let failed = Outcome::Fail("a.rs:3: x is 1: not 2".into());
        assert_eq!(parse("FAIL a::b: a.rs:3: x is 1: not 2"), Some(("a::b".into(), failed)));
        let skipped = Outcome::Skip("needs root".into());
        assert_eq!(parse("skip a::b: needs root"), Some(("a::b".into(), skipped)));
        assert_eq!(parse("# 3 cases"), None);
        assert_eq!(parse(""), None);
    }
}
