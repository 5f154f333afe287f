//! sysfs: what programs read to learn about processors, memory nodes and interfaces, sysfs(5).
//!
//! There is no hardware: the tree shows the sandbox' processors and memory, the loopback
//! interface, and the directories where programs look for more.

mod cpu;
mod net;
mod node;
mod tree;

use std::sync::Arc;

use linux_abi::fs::SYSFS_MAGIC;

use super::synthetic::{FixedChildren, NodeSource, SyntheticDir, SyntheticFs, SyntheticLink};
use crate::kernel::Kernel;
use crate::vfs::{FileSystem, Inode};
use tree::{dir, text};

/// The sysfs file system.
pub struct SysFs;

impl SysFs {
    #[expect(clippy::new_ret_no_self, reason = "a file system is only ever used through its trait")]
    pub fn new(kernel: &Arc<Kernel>) -> Arc<dyn FileSystem> {
        let source = NodeSource::new(kernel.vfs.new_device());
        Arc::new(SyntheticFs::new("sysfs", SYSFS_MAGIC, root(&source, kernel)))
    }
}

fn root(source: &Arc<NodeSource>, kernel: &Kernel) -> Arc<dyn Inode> {
    let empty = || SyntheticDir::fixed(source, FixedChildren::new());
    let class = FixedChildren::new()
        .with("block", empty())
        .with("net", net::class(source))
        .with("tty", empty());
    let fs = FixedChildren::new().with("cgroup", empty());
    let devices = FixedChildren::new()
        .with("system", system(source, kernel))
        .with("virtual", dir(source, FixedChildren::new().with("net", net::devices(source))));
    let children = FixedChildren::new()
        .with("block", empty())
        .with("bus", empty())
        .with("class", dir(source, class))
        .with("dev", dir(source, device_numbers(source)))
        .with("devices", dir(source, devices))
        .with("firmware", empty())
        .with("fs", dir(source, fs))
        .with("kernel", kernel_settings(source))
        .with("module", empty())
        .with("power", empty());
    dir(source, children)
}

fn device_numbers(source: &Arc<NodeSource>) -> FixedChildren {
    FixedChildren::new()
        .with("block", dir(source, FixedChildren::new()))
        .with("char", dir(source, FixedChildren::new()))
}

/// `/sys/devices/system`.
fn system(source: &Arc<NodeSource>, kernel: &Kernel) -> Arc<dyn Inode> {
    let children = FixedChildren::new()
        .with("cpu", cpu::directory(source, kernel.cpu_count))
        .with("node", node::directory(source, kernel));
    dir(source, children)
}

/// `/sys/kernel`: huge pages as the host's kernel gives them to who asks.
fn kernel_settings(source: &Arc<NodeSource>) -> Arc<dyn Inode> {
    let huge = FixedChildren::new()
        .with("defrag", text(source, "always defer defer+madvise [madvise] never"))
        .with("enabled", text(source, "always [madvise] never"))
        .with("hpage_pmd_size", text(source, "2097152"))
        .with("shmem_enabled", text(source, "always within_size advise [never] deny force"))
        .with("use_zero_page", text(source, "1"));
    let mm = FixedChildren::new()
        .with("hugepages", dir(source, FixedChildren::new()))
        .with("transparent_hugepage", dir(source, huge));
    let children = FixedChildren::new()
        .with("debug", dir(source, FixedChildren::new()))
        .with("mm", dir(source, mm))
        .with("security", dir(source, FixedChildren::new()))
        .with("uevent_seqnum", text(source, "0"));
    dir(source, children)
}

/// A link within the tree.
fn link(source: &NodeSource, target: &str) -> Arc<dyn Inode> {
    SyntheticLink::fixed(source, target)
}
