//! `/proc/[pid]/ns`: the namespaces of a process, namespaces(7).

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::FileKind;

use crate::fs::nsfs::{CGROUP, IPC, MOUNT, NET, NamespaceKind, PID, TIME, USER, UTS, shown};
use crate::fs::proc::subject::{Area, Subject};
use crate::fs::synthetic::{
    Child, ChildCache, Children, NodeAttributes, SyntheticDir, SyntheticLink,
};
use crate::task::{AccessMode, Task};
use crate::vfs::{Inode, IoContext};

/// Links by name.
const LINKS: [(&str, NamespaceKind); 10] = [
    ("cgroup", CGROUP),
    ("ipc", IPC),
    ("mnt", MOUNT),
    ("net", NET),
    ("pid", PID),
    ("pid_for_children", PID),
    ("time", TIME),
    ("time_for_children", TIME),
    ("user", USER),
    ("uts", UTS),
];

/// The directory `ns`.
pub(super) fn directory(subject: &Arc<Subject>, attributes: NodeAttributes) -> Arc<dyn Inode> {
    let made = ChildCache::default();
    SyntheticDir::new(attributes, Namespaces { subject: subject.clone(), made })
}

struct Namespaces {
    subject: Arc<Subject>,
    made: ChildCache<u32>,
}

impl Children for Namespaces {
    fn find(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        let found = LINKS.iter().position(|(link, _)| link.as_bytes() == name);
        let index = found.filter(|_| self.subject.exists()).ok_or(Errno::ENOENT)?;
        Ok(self.made.get_or_make(index as u32, || link(&self.subject, index)))
    }

    fn list(&self, _: &IoContext<'_>) -> Result<Vec<Child>, Errno> {
        if !self.subject.exists() {
            return Err(Errno::ENOENT);
        }
        let child = |(index, (name, _)): (usize, &(&str, NamespaceKind))| Child {
            position: index as u64,
            name: name.as_bytes().to_vec(),
            inode: self.subject.number(Area::Namespace, index as u32),
            kind: FileKind::Symlink,
        };
        Ok(LINKS.iter().enumerate().map(child).collect())
    }

    fn is_still(&self, _: &[u8], _: &Arc<dyn Inode>) -> bool {
        self.subject.exists()
    }
}

/// The thread whose namespaces are shown. Errors: EACCES, ESRCH; ENOENT for a zombie.
fn owner(subject: &Subject, io: &IoContext<'_>) -> Result<Arc<Task>, Errno> {
    let task = subject.living_task()?.ok_or(Errno::ENOENT)?;
    subject.check_access(AccessMode::ReadAsFile, io)?;
    Ok(task)
}

fn link(subject: &Arc<Subject>, index: usize) -> Arc<dyn Inode> {
    let (_, kind) = LINKS[index];
    let number = subject.number(Area::Namespace, index as u32);
    let attributes = subject.attributes(number, FileKind::Symlink, 0o777);
    let (reader, follower) = (subject.clone(), subject.clone());
    SyntheticLink::magic(
        attributes,
        move |io: &IoContext<'_>| {
            let task = owner(&reader, io)?;
            let number = task.kernel.namespaces.number(kind, &task);
            Ok(shown(kind, number).into_bytes())
        },
        move |io: &IoContext<'_>| {
            let task = owner(&follower, io)?;
            Ok(task.kernel.namespaces.location(&task.kernel, kind, &task))
        },
    )
}
