//! `/sys/devices/system/node`: one memory node with all there is.

use std::sync::Arc;

use super::tree::{dir, mask, range, text};
use crate::fs::synthetic::{FixedChildren, NodeSource};
use crate::kernel::Kernel;
use crate::vfs::Inode;

pub(super) fn directory(source: &Arc<NodeSource>, kernel: &Kernel) -> Arc<dyn Inode> {
    let cpus = kernel.cpu_count;
    let total_kib = kernel.memory_total >> 10;
    // Divergence: what is free changes; /proc/meminfo tells.
    let meminfo = format!(
        "Node 0 MemTotal:       {total_kib} kB\nNode 0 MemFree:        {total_kib} kB\n\
         Node 0 MemUsed:        0 kB"
    );
    let numastat = "numa_hit 0\nnuma_miss 0\nnuma_foreign 0\ninterleave_hit 0\nlocal_node 0\n\
                    other_node 0";
    let node = FixedChildren::new()
        .with("cpulist", text(source, range(cpus)))
        .with("cpumap", text(source, mask(0, cpus.saturating_sub(1), cpus)))
        .with("distance", text(source, "10"))
        .with("meminfo", text(source, meminfo))
        .with("numastat", text(source, numastat));
    let mut children = FixedChildren::new();
    for name in ["has_cpu", "has_memory", "has_normal_memory", "online", "possible"] {
        children = children.with(name, text(source, "0"));
    }
    dir(source, children.with("node0", dir(source, node)))
}
