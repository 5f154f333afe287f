//! `events --stats`: resource usage, read from the sandbox' cgroup.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::Context;
use crate::cgroup::Cgroup;
use crate::cli::EventsArgs;
use crate::error::Error;
use crate::state::{StateError, Status};

/// Prints one statistics event in the form of runc.
pub fn events(context: &Context, args: &EventsArgs) -> Result<ExitCode, Error> {
    if !args.stats {
        let message = "a stream of events is not supported by runsc-rs; use events --stats";
        return Err(Error::Unsupported(message.into()));
    }
    let (_, record) = context.store.read(&args.id)?;
    let status = record.status();
    if !matches!(status, Status::Running | Status::Created) {
        return Err(StateError::NotRunning { id: args.id.clone(), status }.into());
    }
    let Some(cgroup) = &record.cgroup else {
        let message = format!("container {:?} has no cgroup to read statistics from", args.id);
        return Err(Error::Unsupported(message));
    };
    let event = json!({ "type": "stats", "id": record.id, "data": statistics(cgroup) });
    println!("{event}");
    Ok(ExitCode::SUCCESS)
}

fn statistics(cgroup: &Cgroup) -> Value {
    let number = |unified: &str, split: &str| -> u64 {
        cgroup.read(unified, split).and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    };
    let cpu_ns = match cgroup.read("cpu.stat", "cpuacct.usage") {
        None => 0,
        Some(text) => match text.trim().parse::<u64>() {
            Ok(total) => total,
            Err(_) => field(&text, "usage_usec").saturating_mul(1000),
        },
    };
    json!({
        "cpu": { "usage": { "total": cpu_ns }, "throttling": {} },
        "memory": {
            "usage": {
                "usage": number("memory.current", "memory.usage_in_bytes"),
                "limit": number("memory.max", "memory.limit_in_bytes"),
            },
        },
        "pids": {
            "current": number("pids.current", "pids.current"),
            "limit": number("pids.max", "pids.max"),
        },
    })
}

fn field(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or(0)
}
