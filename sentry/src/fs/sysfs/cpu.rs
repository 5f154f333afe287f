//! `/sys/devices/system/cpu`.

use std::sync::Arc;

use raw_cpuid::{CacheType, CpuId};

use super::tree::{dir, mask, range, text};
use crate::fs::synthetic::{FixedChildren, NodeSource};
use crate::task::MAX_CPUS;
use crate::vfs::Inode;

/// The directory, with one below for each of `count` processors.
pub(super) fn directory(source: &Arc<NodeSource>, count: u32) -> Arc<dyn Inode> {
    let all = range(count);
    let smt = FixedChildren::new()
        .with("active", text(source, "0"))
        .with("control", text(source, "notsupported"));
    let mut children = FixedChildren::new()
        .with("isolated", text(source, ""))
        .with("kernel_max", text(source, (MAX_CPUS - 1).to_string()))
        .with("nohz_full", text(source, ""))
        .with("offline", text(source, ""))
        .with("online", text(source, all.clone()))
        .with("possible", text(source, all.clone()))
        .with("present", text(source, all))
        .with("smt", dir(source, smt));
    for cpu in 0..count {
        let source = source.clone();
        children = children.with_lazy(format!("cpu{cpu}"), move || processor(&source, cpu, count));
    }
    dir(source, children)
}

/// `cpuN`: a core of its own in the one package.
fn processor(source: &Arc<NodeSource>, cpu: u32, count: u32) -> Arc<dyn Inode> {
    let own_mask = mask(cpu, cpu, count);
    let own_list = cpu.to_string();
    let all_mask = mask(0, count.saturating_sub(1), count);
    let all_list = range(count);
    let topology = FixedChildren::new()
        .with("cluster_id", text(source, "-1"))
        .with("core_cpus", text(source, own_mask.clone()))
        .with("core_cpus_list", text(source, own_list.clone()))
        .with("core_id", text(source, own_list.clone()))
        .with("core_siblings", text(source, all_mask.clone()))
        .with("core_siblings_list", text(source, all_list.clone()))
        .with("die_id", text(source, "0"))
        .with("package_cpus", text(source, all_mask))
        .with("package_cpus_list", text(source, all_list))
        .with("physical_package_id", text(source, "0"))
        .with("thread_siblings", text(source, own_mask))
        .with("thread_siblings_list", text(source, own_list));
    let children = FixedChildren::new()
        .with("cache", caches(source, cpu, count))
        .with("topology", dir(source, topology));
    dir(source, children)
}

/// `cpuN/cache`: the caches that CPUID tells. The last level is shared by all processors.
fn caches(source: &Arc<NodeSource>, cpu: u32, count: u32) -> Arc<dyn Inode> {
    let mut children = FixedChildren::new();
    for (index, cache) in CpuId::new().get_cache_parameters().into_iter().flatten().enumerate() {
        let kind = match cache.cache_type() {
            CacheType::Data => "Data",
            CacheType::Instruction => "Instruction",
            CacheType::Unified => "Unified",
            _ => continue,
        };
        let is_shared = cache.level() >= 3;
        let (first, last) = if is_shared { (0, count.saturating_sub(1)) } else { (cpu, cpu) };
        let partitions = cache.physical_line_partitions();
        let line = cache.coherency_line_size();
        let bytes = cache.associativity() * partitions * line * cache.sets();
        let list = if is_shared { range(count) } else { cpu.to_string() };
        let files = FixedChildren::new()
            .with("coherency_line_size", text(source, line.to_string()))
            .with("id", text(source, if is_shared { "0".to_owned() } else { cpu.to_string() }))
            .with("level", text(source, cache.level().to_string()))
            .with("number_of_sets", text(source, cache.sets().to_string()))
            .with("physical_line_partition", text(source, partitions.to_string()))
            .with("shared_cpu_list", text(source, list))
            .with("shared_cpu_map", text(source, mask(first, last, count)))
            .with("size", text(source, format!("{}K", bytes / 1024)))
            .with("type", text(source, kind))
            .with("ways_of_associativity", text(source, cache.associativity().to_string()));
        children = children.with(format!("index{index}"), dir(source, files));
    }
    dir(source, children)
}
