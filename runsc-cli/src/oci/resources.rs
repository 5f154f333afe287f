//! Resource limits of the whole container (`linux.resources`), as far as we honour them.

use oci_spec::runtime::LinuxResources;
use serde::{Deserialize, Serialize};

use super::{ConfigError, Notices};

/// Limits for the sandbox' cgroup; none means no limit asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Bytes; -1 means unlimited, as in the specification.
    pub memory_limit: Option<i64>,
    pub memory_reservation: Option<i64>,
    /// Memory plus swap, as in cgroup v1.
    pub memory_swap: Option<i64>,
    pub cpu_shares: Option<u64>,
    pub cpu_quota_us: Option<i64>,
    pub cpu_period_us: Option<u64>,
    pub cpuset_cpus: Option<String>,
    pub cpuset_mems: Option<String>,
    pub pids_limit: Option<i64>,
    /// Files of the unified hierarchy and what to write there.
    pub unified: Vec<(String, String)>,
}

impl Resources {
    /// How many processors the quota amounts to, at least one.
    pub fn cpus(&self) -> Option<u32> {
        let quota = u64::try_from(self.cpu_quota_us?).ok().filter(|&quota| quota > 0)?;
        let period = self.cpu_period_us.filter(|&period| period > 0).unwrap_or(100_000);
        u32::try_from(quota.div_ceil(period)).ok()
    }

    /// Bytes of memory that the sandbox should believe in.
    pub fn memory_bytes(&self) -> Option<u64> {
        u64::try_from(self.memory_limit?).ok().filter(|&limit| limit > 0)
    }
}

/// Converts `linux.resources`, and notes the controllers that we leave alone.
pub fn convert(
    resources: Option<&LinuxResources>,
    notices: &mut Notices,
) -> Result<Resources, ConfigError> {
    let Some(resources) = resources else {
        return Ok(Resources::default());
    };
    let mut converted = Resources::default();
    if let Some(memory) = resources.memory() {
        converted.memory_limit = memory.limit();
        converted.memory_reservation = memory.reservation();
        converted.memory_swap = memory.swap();
    }
    if let Some(cpu) = resources.cpu() {
        converted.cpu_shares = cpu.shares().filter(|&shares| shares > 0);
        converted.cpu_quota_us = cpu.quota().filter(|&quota| quota != 0);
        converted.cpu_period_us = cpu.period().filter(|&period| period > 0);
        converted.cpuset_cpus = cpu.cpus().clone().filter(|list| !list.is_empty());
        converted.cpuset_mems = cpu.mems().clone().filter(|list| !list.is_empty());
        let is_realtime =
            cpu.realtime_runtime().unwrap_or(0) != 0 || cpu.realtime_period().unwrap_or(0) != 0;
        if is_realtime {
            notices.not_honoured("linux.resources.cpu.realtimeRuntime", "not implemented");
        }
    }
    converted.pids_limit = resources.pids().as_ref().map(|pids| pids.limit());
    let mut unified: Vec<_> = resources.unified().clone().unwrap_or_default().into_iter().collect();
    unified.sort();
    for (name, _) in &unified {
        // A name is a file in the cgroup's own directory, never a path out of it.
        if name.is_empty() || name.contains('/') || !name.contains('.') || name.starts_with('.') {
            let field = format!("linux.resources.unified[{name:?}]");
            return Err(ConfigError::new(field, "not the name of a cgroup file"));
        }
    }
    converted.unified = unified;
    note_ignored(resources, notices);
    Ok(converted)
}

fn note_ignored(resources: &LinuxResources, notices: &mut Notices) {
    let mut note = |is_given: bool, field: &str, reason: &str| {
        if is_given {
            notices.not_honoured(&format!("linux.resources.{field}"), reason);
        }
    };
    let rules = resources.devices().as_deref().unwrap_or_default();
    // Container managers always send "deny all" and the standard devices.
    note(!rules.is_empty(), "devices", "host devices do not exist in a sandbox");
    note(resources.block_io().is_some(), "blockIO", "not implemented");
    let pages = resources.hugepage_limits().as_deref().unwrap_or_default();
    note(!pages.is_empty(), "hugepageLimits", "not implemented");
    note(resources.network().is_some(), "network", "not implemented");
    note(resources.rdma().is_some(), "rdma", "not implemented");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quota_rounds_up_to_processors() {
        let cpus = |quota, period| {
            let resources =
                Resources { cpu_quota_us: quota, cpu_period_us: period, ..Resources::default() };
            resources.cpus()
        };
        assert_eq!(cpus(Some(150_000), Some(100_000)), Some(2));
        assert_eq!(cpus(Some(10_000), None), Some(1));
        assert_eq!(cpus(Some(-1), Some(100_000)), None);
        assert_eq!(cpus(None, Some(100_000)), None);
    }

    #[test]
    fn unified_names_cannot_leave_the_cgroup() {
        for name in ["../memory.max", "a/b.c", "", "..", "memory"] {
            let json = serde_json::json!({ "unified": { name: "1" } });
            let resources: LinuxResources = serde_json::from_value(json).expect("valid");
            assert!(convert(Some(&resources), &mut Notices::default()).is_err(), "{name}");
        }
    }
}
