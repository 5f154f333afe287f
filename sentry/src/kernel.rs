//! The kernel object: what all tasks of a sandbox share.

use std::sync::Arc;

use platform::Platform;

use crate::executor::Executor;
use crate::fs::Devices;
use crate::signal::SignalAccounting;
use crate::sync::{Mutex, Rank};
use crate::task::TaskTree;
use crate::time::Timers;
use crate::vfs::Vfs;

/// A sandbox' kernel. Everything global hangs here; there are no statics.
pub struct Kernel {
    pub platform: Arc<dyn Platform>,
    pub executor: Arc<Executor>,
    pub tasks: TaskTree,
    pub timers: Arc<Timers>,
    /// Queued signals of each user (`RLIMIT_SIGPENDING`).
    pub signal_accounting: SignalAccounting,
    pub devices: Devices,
    pub epoll_topology: crate::fs::epoll::Topology,
    pub vfs: Vfs,
    pub uts: Mutex<UtsNames>,
    /// Monotonic clock reading when the sandbox started, in nanoseconds.
    pub boot_time_ns: u64,
    pub strace: Option<crate::syscall::strace::StraceLog>,
}

/// Host and domain name (`uname(2)`).
#[derive(Clone, Debug, Default)]
pub struct UtsNames {
    pub hostname: Vec<u8>,
    pub domainname: Vec<u8>,
}

/// The Linux release that `uname` reports.
pub const KERNEL_RELEASE: &str = "6.12.0";
