//! The split hierarchies of cgroup v1.

use std::fs;
use std::path::{Path, PathBuf};

use super::Setting;
use crate::oci::Resources;

/// Controllers that every sandbox gets: those that container managers read statistics from.
const CONTROLLERS: [&str; 4] = ["memory", "cpu", "cpuacct", "pids"];

/// Gives a directory for each mounted controller; two controllers of one hierarchy share it.
pub(super) fn directories(
    mount_point: &Path,
    relative: &Path,
    resources: &Resources,
) -> Vec<PathBuf> {
    let wants_cpuset = resources.cpuset_cpus.is_some() || resources.cpuset_mems.is_some();
    let mut directories: Vec<PathBuf> = Vec::new();
    for controller in CONTROLLERS.into_iter().chain(wants_cpuset.then_some("cpuset")) {
        let Ok(hierarchy) = mount_point.join(controller).canonicalize() else {
            continue;
        };
        let directory = hierarchy.join(relative);
        if hierarchy.join("cgroup.procs").exists() && !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    directories
}

/// The limits, for the directory in which the controller's file exists.
pub(super) fn settings(directories: &[PathBuf], resources: &Resources) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut set = |name: &str, value: Option<String>, field: &'static str| {
        let file = directories.iter().map(|path| path.join(name)).find(|file| file.exists());
        if let (Some(file), Some(value)) = (file, value) {
            settings.push(Setting { file, value, field });
        }
    };
    let text = |value: Option<i64>| value.map(|value| value.to_string());
    for name in ["cpuset.cpus", "cpuset.mems"] {
        // An empty set admits no process: start from the parent's.
        set(name, inherited(directories, name), "cpu.cpus");
    }
    set("cpuset.cpus", resources.cpuset_cpus.clone(), "cpu.cpus");
    set("cpuset.mems", resources.cpuset_mems.clone(), "cpu.mems");
    set("memory.limit_in_bytes", text(resources.memory_limit), "memory.limit");
    set("memory.soft_limit_in_bytes", text(resources.memory_reservation), "memory.reservation");
    set("memory.memsw.limit_in_bytes", text(resources.memory_swap), "memory.swap");
    set("cpu.shares", resources.cpu_shares.map(|shares| shares.to_string()), "cpu.shares");
    set("cpu.cfs_period_us", resources.cpu_period_us.map(|us| us.to_string()), "cpu.period");
    set("cpu.cfs_quota_us", text(resources.cpu_quota_us), "cpu.quota");
    let pids = resources.pids_limit.filter(|&limit| limit != 0);
    let pids = pids.map(|limit| if limit < 0 { "max".into() } else { limit.to_string() });
    set("pids.max", pids, "pids.limit");
    settings
}

fn inherited(directories: &[PathBuf], name: &str) -> Option<String> {
    let directory = directories.iter().find(|path| path.join(name).exists())?;
    fs::read_to_string(directory.parent()?.join(name)).ok().filter(|set| !set.trim().is_empty())
}
