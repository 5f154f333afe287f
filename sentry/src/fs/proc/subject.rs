//! The process or thread that a directory stands for.

use std::sync::{Arc, Weak};

use linux_abi::Errno;
use linux_abi::fs::FileKind;

use super::Proc;
use crate::fs::synthetic::NodeAttributes;
use crate::kernel::Kernel;
use crate::task::{AccessMode, Pid, Task, ThreadGroup, check_access};
use crate::vfs::IoContext;

/// Where a directory is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// `/proc/[pid]`: values of the whole process.
    Process,
    /// `/proc/[pid]/task/[tid]`: values of one thread.
    Thread,
}

/// Groups of inode numbers within one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Area {
    Directory,
    Entry,
    Fd,
    FdInfo,
    Namespace,
    Net,
}

/// A process or thread, maybe gone by now.
pub(super) struct Subject {
    pub proc: Arc<Proc>,
    group: Weak<ThreadGroup>,
    /// The thread; `None` for whichever leads the process.
    thread: Option<Weak<Task>>,
    pub id: Pid,
    pub view: View,
}

impl Subject {
    pub fn process(proc: &Arc<Proc>, group: &Arc<ThreadGroup>) -> Arc<Subject> {
        Arc::new(Subject {
            proc: proc.clone(),
            group: Arc::downgrade(group),
            thread: None,
            id: group.pid,
            view: View::Process,
        })
    }

    pub fn thread(proc: &Arc<Proc>, task: &Arc<Task>, view: View) -> Arc<Subject> {
        Arc::new(Subject {
            proc: proc.clone(),
            group: Arc::downgrade(&task.group),
            thread: Some(Arc::downgrade(task)),
            id: task.tid(),
            view,
        })
    }

    pub fn kernel(&self) -> Result<Arc<Kernel>, Errno> {
        self.proc.kernel()
    }

    /// The process, zombies included. Errors: ESRCH once it (or the thread) is gone.
    pub fn group(&self) -> Result<Arc<ThreadGroup>, Errno> {
        let group = self.group.upgrade().ok_or(Errno::ESRCH)?;
        if self.thread.is_some() {
            return self.task().map(|_| group);
        }
        let living = self.kernel()?.tasks.group(self.id);
        living.filter(|living| Arc::ptr_eq(living, &group)).ok_or(Errno::ESRCH)
    }

    /// The thread, or the one that leads the process. Errors: ESRCH when it is gone, or the
    /// process is a zombie.
    pub fn task(&self) -> Result<Arc<Task>, Errno> {
        match &self.thread {
            Some(thread) => {
                let task = thread.upgrade().ok_or(Errno::ESRCH)?;
                let living = self.kernel()?.tasks.task(self.id);
                living.filter(|living| Arc::ptr_eq(living, &task)).ok_or(Errno::ESRCH)
            }
            None => self.group()?.leader().ok_or(Errno::ESRCH),
        }
    }

    /// As [`Subject::task`], but `None` for a zombie.
    pub fn living_task(&self) -> Result<Option<Arc<Task>>, Errno> {
        self.group()?;
        Ok(self.task().ok())
    }

    /// Whether it still is there, as a zombie at least.
    pub fn exists(&self) -> bool {
        self.group().is_ok()
    }

    /// Whether `io`'s task may look into it. A zombie has nothing left to hide.
    pub fn may_access(&self, mode: AccessMode, io: &IoContext<'_>) -> bool {
        let (Some(caller), Ok(task)) = (io.task, self.task()) else { return true };
        check_access(caller, &task, mode).is_ok()
    }

    /// Errors: EACCES unless `io`'s task may look into it so.
    pub fn check_access(&self, mode: AccessMode, io: &IoContext<'_>) -> Result<(), Errno> {
        if self.may_access(mode, io) { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// Whether `io`'s task is one of its threads.
    pub fn is_caller(&self, io: &IoContext<'_>) -> bool {
        io.task.is_some_and(|caller| std::ptr::eq(Arc::as_ptr(&caller.group), self.group.as_ptr()))
    }

    /// Inode number of entry `index` of an area; the same for as long as the process lives.
    pub fn number(&self, area: Area, index: u32) -> u64 {
        let view = u64::from(self.view == View::Thread);
        (self.id as u64) << 32 | view << 31 | (area as u64) << 24 | u64::from(index)
    }

    /// Attributes of a node, owned by the process' effective user. Nodes of a process that is not
    /// dumpable are root's, except for the plain directories (Linux: `task_dump_owner`).
    pub fn attributes(
        self: &Arc<Self>,
        number: u64,
        kind: FileKind,
        permissions: u32,
    ) -> NodeAttributes {
        let subject = self.clone();
        let is_plain_directory = kind == FileKind::Directory && permissions == 0o555;
        NodeAttributes::new(self.proc.source.device(), number, kind, permissions)
            .with_owner(move || subject.owner(is_plain_directory))
            .fixed()
    }

    fn owner(&self, is_plain_directory: bool) -> (u32, u32) {
        use std::sync::atomic::Ordering;
        let Ok(task) = self.task() else { return (0, 0) };
        let is_dumpable = task.group.dumpable.load(Ordering::Relaxed) == 1;
        if !is_dumpable && !is_plain_directory {
            return (0, 0);
        }
        let credentials = task.credentials();
        (credentials.euid, credentials.egid)
    }
}
