//! Facts that do not change.

use linux_abi::Errno;

use crate::fs::proc::Proc;
use crate::kernel::{KERNEL_RELEASE, KERNEL_VERSION, Kernel};

/// `/proc/filesystems`. None of them needs a device.
pub(super) const FILESYSTEMS: &str = "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tdevtmpfs\n\
     nodev\tsockfs\nnodev\tpipefs\nnodev\tdevpts\nnodev\tmqueue\nnodev\toverlay\n";

/// `/proc/devices`.
pub(super) const DEVICES: &str = "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  \
     5 /dev/ptmx\n 10 misc\n128 ptm\n136 pts\n\nBlock devices:\n";

/// `/proc/version`.
pub(super) fn version(_: &Proc, _: &Kernel) -> Result<String, Errno> {
    Ok(format!("Linux version {KERNEL_RELEASE} (root@runsc-rs) (rustc) {KERNEL_VERSION}\n"))
}
