//! The unified hierarchy, cgroup v2.

use std::fs;
use std::io;
use std::path::Path;

use super::Setting;
use crate::oci::Resources;

/// Makes `path` and its parents below `mount_point`, and enables the controllers on the way down.
pub(super) fn make(mount_point: &Path, path: &Path) -> io::Result<()> {
    let relative = path.strip_prefix(mount_point).map_err(io::Error::other)?;
    let mut directory = mount_point.to_owned();
    for component in relative.components() {
        for controller in ["+memory", "+cpu", "+cpuset", "+pids"] {
            // Absent or already enabled, or a parent's processes forbid it: if a limit needs the
            // controller, setting it fails and tells.
            let _ = fs::write(directory.join("cgroup.subtree_control"), controller);
        }
        directory.push(component);
        match fs::create_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The limits in the terms of cgroup v2.
pub(super) fn settings(directory: &Path, resources: &Resources) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut set = |name: &str, value: Option<String>, field: &'static str| {
        if let Some(value) = value {
            settings.push(Setting { file: directory.join(name), value, field });
        }
    };
    let limit = |value: i64| if value < 0 { "max".to_owned() } else { value.to_string() };
    set("cpuset.cpus", resources.cpuset_cpus.clone(), "cpu.cpus");
    set("cpuset.mems", resources.cpuset_mems.clone(), "cpu.mems");
    set("memory.max", resources.memory_limit.map(limit), "memory.limit");
    set("memory.low", resources.memory_reservation.map(limit), "memory.reservation");
    set("memory.swap.max", swap(resources), "memory.swap");
    set("cpu.weight", resources.cpu_shares.map(|shares| weight(shares).to_string()), "cpu.shares");
    set("cpu.max", cpu_max(resources), "cpu.quota");
    set("pids.max", resources.pids_limit.filter(|&pids| pids != 0).map(limit), "pids.limit");
    for (name, value) in &resources.unified {
        set(name, Some(value.clone()), "unified");
    }
    settings
}

/// The specification counts memory and swap together, cgroup v2 swap alone.
fn swap(resources: &Resources) -> Option<String> {
    match (resources.memory_swap?, resources.memory_limit) {
        (swap, _) if swap < 0 => Some("max".to_owned()),
        (swap, Some(memory)) if memory >= 0 => Some(swap.saturating_sub(memory).max(0).to_string()),
        _ => None,
    }
}

/// Maps shares (2–262144) to weight (1–10000), as runc does.
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

fn cpu_max(resources: &Resources) -> Option<String> {
    let period = resources.cpu_period_us.unwrap_or(100_000);
    match (resources.cpu_quota_us, resources.cpu_period_us) {
        (None, None) => None,
        (Some(quota), _) if quota > 0 => Some(format!("{quota} {period}")),
        _ => Some(format!("max {period}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_convert() {
        assert_eq!((weight(2), weight(1024), weight(262_144)), (1, 39, 10_000));
        let resources = Resources {
            memory_limit: Some(100),
            memory_swap: Some(300),
            cpu_quota_us: Some(50_000),
            pids_limit: Some(-1),
            ..Resources::default()
        };
        let settings = settings(Path::new("/c"), &resources);
        let of =
            |name: &str| settings.iter().find(|s| s.file.ends_with(name)).map(|s| s.value.as_str());
        assert_eq!(of("memory.max"), Some("100"));
        assert_eq!(of("memory.swap.max"), Some("200"));
        assert_eq!(of("cpu.max"), Some("50000 100000"));
        assert_eq!(of("pids.max"), Some("max"));
        assert_eq!(of("cpu.weight"), None);
    }
}
