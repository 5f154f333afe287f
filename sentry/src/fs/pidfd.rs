//! Processes as files, pidfd_open(2): readable once the process is dead.

use std::any::Any;
use std::sync::{Arc, Weak};

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags};
use linux_abi::poll::PollEvents;

use crate::kernel::Kernel;
use crate::memory::{IoDest, IoSource};
use crate::sync::WaitQueue;
use crate::task::{Task, ThreadGroup};
use crate::vfs::{File, FileDescription, IoContext, anonymous_location};

/// A process, or one of its threads, that stays the same whatever becomes of its number.
pub struct PidFd {
    group: Arc<ThreadGroup>,
    /// For `PIDFD_THREAD`.
    thread: Option<Weak<Task>>,
}

impl PidFd {
    /// Refers to a process.
    pub fn new(group: Arc<ThreadGroup>) -> PidFd {
        PidFd { group, thread: None }
    }

    /// Refers to a thread.
    pub fn of_thread(task: &Arc<Task>) -> PidFd {
        PidFd { group: task.group.clone(), thread: Some(Arc::downgrade(task)) }
    }

    /// An open description of this.
    pub fn describe(self, kernel: &Kernel, flags: OpenFlags) -> Arc<FileDescription> {
        let location = anonymous_location(kernel, "[pidfd]", FileKind::Regular, 0o600);
        FileDescription::new(Box::new(self), location, flags | OpenFlags::RDWR)
    }

    /// The process.
    pub fn group(&self) -> &Arc<ThreadGroup> {
        &self.group
    }

    /// The thread of a `PIDFD_THREAD` descriptor. Errors: ESRCH when it has ended.
    pub fn thread(&self) -> Option<Result<Arc<Task>, Errno>> {
        let thread = self.thread.as_ref()?;
        Some(thread.upgrade().filter(is_alive).ok_or(Errno::ESRCH))
    }
}

fn is_alive(task: &Arc<Task>) -> bool {
    task.group.threads().iter().any(|other| Arc::ptr_eq(other, task))
}

impl File for PidFd {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read(&self, _: &mut IoDest<'_>, _: u64, _: &IoContext<'_>) -> Result<usize, Errno> {
        Err(Errno::EINVAL)
    }

    fn write(
        &self,
        _: &mut IoSource<'_>,
        _: u64,
        _: &IoContext<'_>,
    ) -> Result<(usize, u64), Errno> {
        Err(Errno::EINVAL)
    }

    fn readiness(&self) -> PollEvents {
        let has_ended = match self.thread() {
            Some(thread) => thread.is_err(),
            None => self.group.exit_status().is_some(),
        };
        if has_ended { PollEvents::IN | PollEvents::RDNORM } else { PollEvents::empty() }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.group.exit_events)
    }

    fn fdinfo(&self) -> String {
        let pid = match self.thread() {
            Some(Ok(thread)) => thread.tid(),
            Some(Err(_)) => -1,
            None => self.group.pid,
        };
        format!("Pid:\t{pid}\nNSpid:\t{pid}\n")
    }
}
