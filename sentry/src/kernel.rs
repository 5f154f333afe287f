//! The kernel object: what all tasks of a sandbox share.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use control_protocol::{ContainerConfig, SandboxConfig};
use linux_abi::Errno;
use platform::Platform;
use platform::host::time::{Clock, now};

use crate::executor::Executor;
use crate::fs::Devices;
use crate::fs::mqueue::Queues;
use crate::fs::nsfs::Namespaces;
use crate::futex::FutexTable;
use crate::ipc::Ipc;
use crate::latency::Latency;
use crate::signal::{Immunity, SignalAccounting};
use crate::sync::{Mutex, Rank};
use crate::syscall::strace::StraceLog;
use crate::task::{Foretelling, TaskTree};
use crate::time::Timers;
use crate::vfs::{MountNamespace, Vfs};

/// A sandbox' kernel. Everything global hangs here; there are no statics.
pub struct Kernel {
    pub platform: Arc<dyn Platform>,
    pub executor: Arc<Executor>,
    pub tasks: TaskTree,
    pub timers: Arc<Timers>,
    /// Queued signals of each user (`RLIMIT_SIGPENDING`).
    pub signal_accounting: SignalAccounting,
    pub futexes: FutexTable,
    /// Which signals that it has no handler for do nothing to the first process.
    pub init_immunity: Immunity,
    pub devices: Devices,
    pub epoll_topology: crate::fs::epoll::Topology,
    pub vfs: Vfs,
    pub network: crate::net::Network,
    /// System V objects and POSIX message queues.
    pub ipc: Ipc,
    pub queues: Queues,
    pub namespaces: Namespaces,
    pub uts: Mutex<UtsNames>,
    /// Monotonic clock reading when the sandbox started, in nanoseconds.
    pub boot_time_ns: u64,
    pub strace: Option<StraceLog>,
    pub latency: Latency,
    pub foretelling: Foretelling,
    /// A procfs of the sentry's own pid namespace.
    pub proc_dir: OwnedFd,
    /// Where the host has put the largest image so far that could be anywhere, as the first in an
    /// empty address space. In all of them this is free.
    pub free_room: Mutex<Range<u64>>,
    pub prepared: crate::loader::PreparedFiles,
    pub domains: crate::loader::Domains,
    /// Memory in bytes and processors that the sandbox shows.
    pub memory_total: u64,
    pub cpu_count: u32,
    containers: Mutex<Vec<Arc<Container>>>,
    exit_code: AtomicI32,
}

/// A container of the sandbox.
pub struct Container {
    pub id: String,
    pub namespace: Arc<MountNamespace>,
}

/// Host and domain name (`uname(2)`).
#[derive(Clone, Debug, Default)]
pub struct UtsNames {
    pub hostname: Vec<u8>,
    pub domainname: Vec<u8>,
}

/// The Linux release that `uname` reports.
pub const KERNEL_RELEASE: &str = "6.12.0";

/// The build that `uname` reports.
pub const KERNEL_VERSION: &str = "#1 SMP PREEMPT_DYNAMIC runsc-rs";

impl Container {
    pub fn new(config: &ContainerConfig, namespace: Arc<MountNamespace>) -> Arc<Container> {
        Arc::new(Container { id: config.id.clone(), namespace })
    }
}

impl Kernel {
    /// Makes the kernel of a sandbox.
    ///
    /// # Errors
    /// Those of making the reactor's host objects.
    pub fn new(
        platform: Arc<dyn Platform>,
        config: &SandboxConfig,
        proc_dir: OwnedFd,
        debug_log: Option<OwnedFd>,
    ) -> Result<Arc<Kernel>, Errno> {
        let executor = Executor::new(platform.clone());
        let timers = Timers::start()?;
        let machine = platform::host::process::machine_info();
        let cpus = platform::host::process::cpu_count() as u32;
        let container = &config.container;
        let uts = UtsNames {
            hostname: container.hostname.clone().into_bytes(),
            domainname: container
                .domainname
                .clone()
                .map_or_else(|| b"(none)".to_vec(), String::into_bytes),
        };
        let strace = match debug_log {
            Some(log) if config.strace => Some(StraceLog::new(log.into())),
            _ => None,
        };
        Ok(Arc::new(Kernel {
            platform,
            executor,
            tasks: TaskTree::default(),
            timers,
            devices: Devices::default(),
            vfs: Vfs::default(),
            network: Default::default(),
            signal_accounting: Default::default(),
            futexes: Default::default(),
            init_immunity: match config.init_obeys_outside {
                true => Immunity::Inside,
                false => Immunity::Full,
            },
            epoll_topology: Default::default(),
            ipc: Default::default(),
            queues: Default::default(),
            namespaces: Default::default(),
            uts: Mutex::new(Rank::Leaf, uts),
            boot_time_ns: now(Clock::Monotonic).as_nanos() as u64,
            strace,
            latency: Latency::default(),
            foretelling: Foretelling::default(),
            proc_dir,
            free_room: Mutex::new(Rank::Leaf, 0..0),
            prepared: Default::default(),
            domains: Default::default(),
            memory_total: config.memory_limit.unwrap_or(machine.total_ram_bytes),
            cpu_count: config.cpus.unwrap_or(cpus),
            containers: Mutex::new(Rank::Leaf, Vec::new()),
            exit_code: AtomicI32::new(0),
        }))
    }

    pub fn add_container(&self, container: Arc<Container>) {
        self.containers.lock().push(container);
    }

    /// Waits until the file systems have done all that they were asked to, and ends them: while this
    /// process ends, so do those that serve it.
    pub fn end_files(&self) {
        let containers = self.containers.lock().clone();
        let mounts: Vec<_> =
            containers.iter().flat_map(|container| container.namespace.mounts()).collect();
        mounts.iter().for_each(|(mount, _)| mount.fs().finish());
        mounts.iter().for_each(|(mount, _)| mount.fs().end());
    }

    /// The host's monotonic clock in nanoseconds; the guest sees the same (vDSO).
    pub fn monotonic_ns(&self) -> u64 {
        now(Clock::Monotonic).as_nanos() as u64
    }

    /// Seconds since the epoch at the monotonic instant `monotonic_ns`.
    pub fn wall_time_of(&self, monotonic_ns: u64) -> u64 {
        let ago = self.monotonic_ns().saturating_sub(monotonic_ns) / 1_000_000_000;
        now(Clock::Realtime).as_secs().saturating_sub(ago)
    }

    /// The container's first process has ended with `status`: so does the sandbox, once those who
    /// wait for that have been answered.
    pub fn init_exited(self: &Arc<Kernel>, status: u32) {
        let status = status as i32;
        let code = if status & 0x7f == 0 { (status >> 8) & 0xff } else { 128 + (status & 0x7f) };
        self.exit_code.store(code, Ordering::Release);
        let executor = self.executor.clone();
        self.executor.spawn(async move { executor.stop() });
    }

    /// Ends the sandbox with `code`, whatever runs.
    pub fn stop(&self, code: i32) {
        self.exit_code.store(code, Ordering::Release);
        self.executor.stop();
    }

    /// What the sentry process exits with.
    pub fn exit_code(&self) -> u8 {
        self.exit_code.load(Ordering::Acquire) as u8
    }
}
