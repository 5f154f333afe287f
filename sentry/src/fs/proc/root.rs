//! `/proc` itself: fixed files, `self`, and one directory for each process.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::FileKind;

use super::subject::{Area, Subject, View};
use super::{Proc, pid, sys, system};
use crate::fs::synthetic::{
    Child, ChildCache, Children, FixedChildren, SyntheticDir, SyntheticLink,
};
use crate::task::Pid;
use crate::vfs::{Inode, IoContext};

/// The root directory of an instance.
pub(super) fn new(proc: &Arc<Proc>) -> Arc<dyn Inode> {
    let attributes = proc.source.attributes(FileKind::Directory, 0o555);
    let fixed = system::add_files(proc, FixedChildren::new())
        .with("sys", sys::new(proc))
        .with("mounts", SyntheticLink::fixed(&proc.source, "self/mounts"))
        .with("net", SyntheticLink::fixed(&proc.source, "self/net"))
        .with("self", own_link(proc, |pid, _| format!("{pid}")))
        .with("thread-self", own_link(proc, |pid, tid| format!("{pid}/task/{tid}")));
    let children = RootChildren { proc: proc.clone(), fixed, processes: ChildCache::default() };
    SyntheticDir::new(attributes, children)
}

/// A link that leads each reader to something of its own.
fn own_link(proc: &Arc<Proc>, target: fn(Pid, Pid) -> String) -> Arc<SyntheticLink> {
    let attributes = proc.source.attributes(FileKind::Symlink, 0o777);
    SyntheticLink::new(attributes, move |io: &IoContext<'_>| {
        let task = io.task.ok_or(Errno::ENOENT)?;
        Ok(target(task.pid(), task.tid()).into_bytes())
    })
}

struct RootChildren {
    proc: Arc<Proc>,
    fixed: FixedChildren,
    /// By number and address of the process or thread, which tells a reused number.
    processes: ChildCache<(Pid, usize)>,
}

/// Position of process 0 in the listing; the fixed files come before.
const FIRST_PROCESS: u64 = 256;

/// A process number as a name: decimal, no leading zero.
pub(super) fn parse_pid(name: &[u8]) -> Result<Pid, Errno> {
    let is_decimal = name.iter().all(u8::is_ascii_digit) && !name.starts_with(b"0");
    let text = std::str::from_utf8(name).map_err(|_| Errno::ENOENT)?;
    if is_decimal { text.parse().map_err(|_| Errno::ENOENT) } else { Err(Errno::ENOENT) }
}

impl RootChildren {
    /// The directory of process `pid`, or of the process that thread belongs to: such directories
    /// are not listed but can be entered.
    fn process(&self, pid: Pid) -> Result<Arc<dyn Inode>, Errno> {
        let kernel = self.proc.kernel().map_err(|_| Errno::ENOENT)?;
        if let Some(group) = kernel.tasks.group(pid) {
            let key = (pid, Arc::as_ptr(&group).addr());
            let make = || pid::directory(&Subject::process(&self.proc, &group));
            return Ok(self.processes.get_or_make(key, make));
        }
        let task = kernel.tasks.task(pid).ok_or(Errno::ENOENT)?;
        let key = (pid, Arc::as_ptr(&task).addr());
        let make = || pid::directory(&Subject::thread(&self.proc, &task, View::Process));
        Ok(self.processes.get_or_make(key, make))
    }
}

impl Children for RootChildren {
    fn find(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        match self.fixed.find(name) {
            Err(Errno::ENOENT) => self.process(parse_pid(name)?),
            found => found,
        }
    }

    fn list(&self, io: &IoContext<'_>) -> Result<Vec<Child>, Errno> {
        let mut list = self.fixed.list(io)?;
        let processes = self.proc.kernel()?.tasks.groups();
        list.extend(processes.iter().map(|group| Child {
            position: FIRST_PROCESS + group.pid as u64,
            name: group.pid.to_string().into_bytes(),
            inode: Subject::process(&self.proc, group).number(Area::Directory, 0),
            kind: FileKind::Directory,
        }));
        Ok(list)
    }

    fn is_still(&self, name: &[u8], child: &Arc<dyn Inode>) -> bool {
        self.find(name).is_ok_and(|found| Arc::ptr_eq(&found, child))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_names_are_plain_decimals() {
        assert_eq!(parse_pid(b"17"), Ok(17));
        for name in [&b"017"[..], b"0", b"+1", b"1a", b"", b"99999999999"] {
            assert_eq!(parse_pid(name), Err(Errno::ENOENT), "{name:?}");
        }
    }
}
