//! `debug`: what happens inside a running sandbox.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use control_protocol::{LatencyReport, Request, Response};

use super::Context;
use crate::cli::DebugArgs;
use crate::control::{self, Connection};
use crate::error::Error;
use crate::state::{StateError, Status};

/// Measures for some seconds and prints where the time of system calls went.
pub fn debug(context: &Context, args: &DebugArgs) -> Result<ExitCode, Error> {
    if !args.latency {
        return Err(Error::Usage("debug: say what to show: --latency".into()));
    }
    let (entry, record) = context.store.read(&args.id)?;
    let status = record.status();
    if status != Status::Running {
        return Err(StateError::NotRunning { id: args.id.clone(), status }.into());
    }
    let connection = control::connect(&entry)?;
    let before = ask(&connection, true)?;
    std::thread::sleep(Duration::from_secs(args.seconds.into()));
    let after = ask(&connection, false)?;
    print!("{}", table(&before, &after, args.seconds));
    Ok(ExitCode::SUCCESS)
}

fn ask(connection: &Connection, is_on: bool) -> Result<LatencyReport, Error> {
    match connection.call(&Request::Latency { is_on }, &[])? {
        Response::Latency { report } => Ok(report),
        other => Err(Error::Sandbox(format!("unexpected response {other:?}"))),
    }
}

fn table(before: &LatencyReport, after: &LatencyReport, seconds: u32) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(text, "{:44} {:>12} {:>12}", format!("in {seconds} s"), "count", "per second");
    for counter in &after.counters {
        let old = before.counters.iter().find(|old| old.what == counter.what);
        let count = counter.count.saturating_sub(old.map_or(0, |old| old.count));
        let rate = count / u64::from(seconds.max(1));
        let _ = writeln!(text, "{:44} {count:>12} {rate:>12}", counter.what);
    }
    let mut calls = after.calls.clone();
    calls.sort_by_key(|call| std::cmp::Reverse(call.total_ns));
    let _ = writeln!(
        text,
        "\n{:20} {:>10} {:>12} {:>10} {:>10} {:>10} {:>12}",
        "served by the kernel",
        "count",
        "total ms",
        "mean us",
        "median us",
        "99 % us",
        "longest us"
    );
    let micros = |nanos: u64| nanos as f64 / 1e3;
    for call in &calls {
        let _ = writeln!(
            text,
            "{:20} {:>10} {:>12.3} {:>10.2} {:>10.2} {:>10.2} {:>12.2}",
            call.name,
            call.count,
            micros(call.total_ns) / 1e3,
            micros(call.total_ns) / call.count.max(1) as f64,
            micros(call.median_ns),
            micros(call.p99_ns),
            micros(call.max_ns),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use control_protocol::{CallLatency, Counter};

    use super::*;

    #[test]
    fn table_shows_what_happened_meanwhile() {
        let report = |count, calls| LatencyReport {
            counters: vec![Counter { what: "system calls notified".into(), count }],
            calls,
        };
        let call = |name: &str, total_ns| CallLatency {
            name: name.into(),
            count: 2,
            total_ns,
            median_ns: 512,
            p99_ns: 1024,
            max_ns: 900,
        };
        let calls = vec![call("read", 1_000), call("write", 3_000_000)];
        let text = table(&report(10, Vec::new()), &report(30, calls), 2);
        let lines: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["system", "calls", "notified", "20", "10"]);
        assert_eq!(lines[4], ["write", "2", "3.000", "1500.00", "0.51", "1.02", "0.90"]);
        assert_eq!(lines[5][..3], ["read", "2", "0.001"]);
    }
}
