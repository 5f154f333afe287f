//! proc: processes and facts about the kernel as files, proc(5).
//!
//! * `root`: `/proc` itself, its fixed files and the directories of processes.
//! * [`subject`]: the process or thread that a directory stands for, and who may look into it.
//! * [`pid`]: what is in the directory of a process or thread.
//! * [`system`]: files about the whole sandbox (`meminfo`, `stat`, `cpuinfo`, …).
//! * `sys`: what is below `/proc/sys`.
//! * `net`: what is below `/proc/[pid]/net`.
//!
//! Everything is generated when it is read; nothing here holds locks of its own but the caches of
//! living nodes. Nodes refer to their process weakly: a file of a process that is gone answers ESRCH.

mod net;
mod pid;
mod root;
mod subject;
mod sys;
mod system;
mod text;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock, Weak};

use linux_abi::Errno;
use linux_abi::fs::PROC_SUPER_MAGIC;

use crate::fs::synthetic::{NodeSource, SyntheticFs};
use crate::kernel::Kernel;
use crate::vfs::FileSystem;

/// The proc file system.
pub struct ProcFs;

impl ProcFs {
    /// An instance that shows all processes of the sandbox.
    #[expect(clippy::new_ret_no_self, reason = "a file system is only ever used through its trait")]
    pub fn new(kernel: &Arc<Kernel>) -> Arc<dyn FileSystem> {
        let source = NodeSource::new(kernel.vfs.new_device());
        let proc = Arc::new(Proc {
            kernel: Arc::downgrade(kernel),
            source,
            boot_id: OnceLock::new(),
            user_ns: AtomicU64::new(0),
            system_ns: AtomicU64::new(0),
        });
        let root = root::new(&proc);
        Arc::new(SyntheticFs::new("proc", PROC_SUPER_MAGIC, root).volatile())
    }
}

/// What the nodes of an instance share.
struct Proc {
    kernel: Weak<Kernel>,
    source: Arc<NodeSource>,
    boot_id: OnceLock<String>,
    /// Highest sums of CPU time that were shown so far, in nanoseconds.
    user_ns: AtomicU64,
    system_ns: AtomicU64,
}

impl Proc {
    /// A random name of this start of the sandbox, a UUID.
    fn boot_id(&self) -> Result<String, Errno> {
        match self.boot_id.get() {
            Some(known) => Ok(known.clone()),
            None => {
                let fresh = sys::uuid()?;
                Ok(self.boot_id.get_or_init(|| fresh).clone())
            }
        }
    }

    /// Errors: ESRCH while the sandbox goes down.
    fn kernel(&self) -> Result<Arc<Kernel>, Errno> {
        self.kernel.upgrade().ok_or(Errno::ESRCH)
    }
}
