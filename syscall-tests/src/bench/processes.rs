//! The processes below this one, which are all that the benchmark has started.

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, WaitOptions};
use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// Makes this process the parent of descendants whose own parent ends, so that none is lost.
pub fn adopt_orphans() -> Result<()> {
    // Any process id turns it on.
    let own = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(own)).context("becoming the parent of orphans")
}

/// The processes below this one.
pub fn descendants() -> Vec<u32> {
    let own = std::process::id();
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1));
        parents.insert(pid, parent.and_then(|text| text.parse::<u32>().ok()).unwrap_or(0));
    }
    let is_below = |pid: u32| {
        let mut above = parents.get(&pid);
        // A chain of parents is never that long; a racing reuse of an id may make a ring.
        for _ in 0..1000 {
            match above {
                Some(&parent) if parent == own => return true,
                Some(parent) => above = parents.get(parent),
                None => return false,
            }
        }
        false
    };
    parents.keys().copied().filter(|&pid| is_below(pid)).collect()
}

/// Ends whatever a run has left behind; returns whether it left something that was still alive.
pub fn end_strays() -> bool {
    let start = Instant::now();
    let mut found = false;
    loop {
        let strays = descendants();
        if strays.is_empty() || start.elapsed() > Duration::from_secs(10) {
            return found;
        }
        for pid in strays.iter().filter_map(|&pid| Pid::from_raw(pid.cast_signed())) {
            // Children whose parent has just ended are zombies and need no signal.
            if matches!(rustix::process::waitpid(Some(pid), WaitOptions::NOHANG), Ok(Some(_))) {
                continue;
            }
            // The last of a sandbox may be on their way out.
            if start.elapsed() > Duration::from_millis(500) {
                found = true;
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
