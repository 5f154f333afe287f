//! Memory of an idle sandbox.

use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::time::Duration;

/// Proportional set size of all processes that `command` leaves running after a second, less the
/// guest's own, in bytes.
pub fn idle_bytes(mut command: Command) -> Result<f64> {
    let mut child = command.spawn().context("starting")?;
    std::thread::sleep(Duration::from_secs(1));
    let bytes = family(child.id()).iter().map(|&pid| pss_bytes(pid)).sum::<u64>();
    // A forwarded SIGTERM ends the guest, and with it the sandbox.
    let _ = Command::new("kill").arg("-KILL").args(guests(child.id())).status();
    let _ = child.kill();
    let _ = child.wait();
    Ok(bytes as f64)
}

/// The processes below `root`, and itself.
fn family(root: u32) -> BTreeSet<u32> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1));
        parents.insert(pid, parent.and_then(|text| text.parse::<u32>().ok()).unwrap_or(0));
    }
    let mut family = BTreeSet::from([root]);
    loop {
        let children: Vec<u32> = parents
            .iter()
            .filter(|(pid, parent)| family.contains(parent) && !family.contains(pid))
            .map(|(&pid, _)| pid)
            .collect();
        if children.is_empty() {
            return family;
        }
        family.extend(children);
    }
}

/// All but the starting process, innermost first.
fn guests(root: u32) -> Vec<String> {
    family(root).into_iter().rev().filter(|&pid| pid != root).map(|pid| pid.to_string()).collect()
}

fn pss_bytes(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|text| text.split_whitespace().next());
    kib.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) << 10
}
