//! Files about the whole sandbox.

mod activity;
mod cpu_features;
mod cpuinfo;
mod fixed;
mod memory;
mod sysvipc;

use std::sync::Arc;

use linux_abi::Errno;

use super::Proc;
use crate::fs::synthetic::{FixedChildren, SyntheticDir, SyntheticFile};
use crate::kernel::Kernel;
use crate::vfs::IoContext;

/// How a file is generated: from the kernel's state, or always the same.
enum Source {
    Generated(fn(&Proc, &Kernel) -> Result<String, Errno>),
    Fixed(&'static str),
}

/// Files by name with their permissions.
const FILES: &[(&str, u32, Source)] = &[
    ("cgroups", 0o444, Source::Fixed("#subsys_name\thierarchy\tnum_cgroups\tenabled\n")),
    ("cmdline", 0o444, Source::Fixed("quiet\n")),
    ("consoles", 0o444, Source::Fixed("")),
    ("cpuinfo", 0o444, Source::Generated(cpuinfo::cpuinfo)),
    ("devices", 0o444, Source::Fixed(fixed::DEVICES)),
    ("diskstats", 0o444, Source::Fixed("")),
    ("filesystems", 0o444, Source::Fixed(fixed::FILESYSTEMS)),
    ("interrupts", 0o444, Source::Generated(activity::interrupts)),
    ("loadavg", 0o444, Source::Generated(activity::loadavg)),
    ("meminfo", 0o444, Source::Generated(memory::meminfo)),
    ("misc", 0o444, Source::Fixed("")),
    ("modules", 0o444, Source::Fixed("")),
    ("partitions", 0o444, Source::Fixed("major minor  #blocks  name\n\n")),
    ("softirqs", 0o444, Source::Generated(activity::softirqs)),
    ("stat", 0o444, Source::Generated(activity::stat)),
    ("swaps", 0o444, Source::Fixed("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n")),
    ("uptime", 0o444, Source::Generated(activity::uptime)),
    ("version", 0o444, Source::Generated(fixed::version)),
    ("vmstat", 0o444, Source::Generated(memory::vmstat)),
];

/// Files of the directory `sysvipc`.
const SYSVIPC: &[(&str, u32, Source)] = &[
    ("msg", 0o444, Source::Generated(sysvipc::msg)),
    ("sem", 0o444, Source::Generated(sysvipc::sem)),
    ("shm", 0o444, Source::Generated(sysvipc::shm)),
];

/// Adds them to the root directory.
pub(super) fn add_files(proc: &Arc<Proc>, children: FixedChildren) -> FixedChildren {
    let objects = add(proc, FixedChildren::new(), SYSVIPC);
    add(proc, children, FILES).with("sysvipc", SyntheticDir::fixed(&proc.source, objects))
}

fn add(
    proc: &Arc<Proc>,
    children: FixedChildren,
    files: &'static [(&'static str, u32, Source)],
) -> FixedChildren {
    files.iter().fold(children, |children, (name, permissions, source)| {
        let proc = proc.clone();
        let nodes = proc.source.clone();
        let generate = move |_: &IoContext<'_>| {
            Ok(match source {
                Source::Generated(generate) => generate(&proc, &*proc.kernel()?)?.into_bytes(),
                Source::Fixed(text) => text.as_bytes().to_vec(),
            })
        };
        children.with(*name, SyntheticFile::with_mode(&nodes, *permissions, generate))
    })
}
