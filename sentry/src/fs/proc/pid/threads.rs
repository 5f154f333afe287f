//! `/proc/[pid]/task`: the threads of a process.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::FileKind;

use crate::fs::proc::root::parse_pid;
use crate::fs::proc::subject::{Area, Subject, View};
use crate::fs::synthetic::{Child, ChildCache, Children, NodeAttributes, SyntheticDir};
use crate::task::{Pid, Task};
use crate::vfs::{Inode, IoContext};

/// The directory `task`.
pub(super) fn directory(subject: &Arc<Subject>, attributes: NodeAttributes) -> Arc<dyn Inode> {
    SyntheticDir::new(attributes, Threads { subject: subject.clone(), made: ChildCache::default() })
}

struct Threads {
    subject: Arc<Subject>,
    /// By number and address of the thread.
    made: ChildCache<(Pid, usize)>,
}

impl Children for Threads {
    fn find(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        let tid = parse_pid(name)?;
        let group = self.subject.group().map_err(|_| Errno::ENOENT)?;
        let mut threads = group.threads().into_iter();
        let task = threads.find(|task| task.tid() == tid).ok_or(Errno::ENOENT)?;
        let key = (tid, Arc::as_ptr(&task).addr());
        let make = || super::directory(&self.node(&task));
        Ok(self.made.get_or_make(key, make))
    }

    fn list(&self, _: &IoContext<'_>) -> Result<Vec<Child>, Errno> {
        let group = self.subject.group().map_err(|_| Errno::ENOENT)?;
        let mut list: Vec<Child> = group.threads().iter().map(|task| self.child(task)).collect();
        list.sort_by_key(|child| child.position);
        Ok(list)
    }

    fn is_still(&self, name: &[u8], child: &Arc<dyn Inode>) -> bool {
        self.find(name).is_ok_and(|found| Arc::ptr_eq(&found, child))
    }
}

impl Threads {
    fn node(&self, task: &Arc<Task>) -> Arc<Subject> {
        Subject::thread(&self.subject.proc, task, View::Thread)
    }

    fn child(&self, task: &Arc<Task>) -> Child {
        let node = self.node(task);
        Child {
            position: node.id as u64,
            name: node.id.to_string().into_bytes(),
            inode: node.number(Area::Directory, 0),
            kind: FileKind::Directory,
        }
    }
}

/// `/proc/[pid]/task/[tid]/children`. Children belong to the process; the leader shows them.
pub(super) fn children(subject: &Subject, _: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    let group = subject.group()?;
    if group.pid != subject.id {
        return Ok(Vec::new());
    }
    let mut text = String::new();
    for child in group.children() {
        text.push_str(&format!("{} ", child.pid));
    }
    Ok(text.into_bytes())
}
