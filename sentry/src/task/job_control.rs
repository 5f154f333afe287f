//! Process groups and sessions: `setpgid(2)`, `setsid(2)`, orphaned groups.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use linux_abi::Errno;

use super::{Pid, ProcessGroup, Session, Task, ThreadGroup};

/// Moves process `pid` (0: the caller) into process group `group_id` (0: its own).
///
/// # Errors
/// EINVAL, ESRCH (neither the caller nor its child), EPERM (other session, session leader, no such
/// group), EACCES (the child has called `execve`), setpgid(2).
pub fn set_process_group(caller: &Task, pid: Pid, group_id: Pid) -> Result<(), Errno> {
    let pid = if pid == 0 { caller.pid() } else { pid };
    let group_id = if group_id == 0 { pid } else { group_id };
    if group_id < 0 {
        return Err(Errno::EINVAL);
    }
    let mut tree = caller.kernel.tasks.lock();
    let target = tree.group(pid).ok_or(Errno::ESRCH)?;
    let session = caller.group.session();
    if target.pid != caller.pid() {
        let is_child = target.parent().is_some_and(|parent| Arc::ptr_eq(&parent, &caller.group));
        if !is_child {
            return Err(Errno::ESRCH);
        }
        if target.session().id != session.id {
            return Err(Errno::EPERM);
        }
        if target.has_execed.load(Ordering::Relaxed) {
            return Err(Errno::EACCES);
        }
    }
    if target.session().id == target.pid {
        return Err(Errno::EPERM);
    }
    let wanted = match tree.process_group(group_id) {
        Some(existing) if existing.session.id == session.id && !existing.members().is_empty() => {
            existing
        }
        Some(existing) if !existing.members().is_empty() => return Err(Errno::EPERM),
        _ if group_id == pid => {
            let fresh = ProcessGroup::new(group_id, session);
            tree.insert_process_group(&fresh);
            fresh
        }
        _ => return Err(Errno::EPERM),
    };
    change_group(&target, wanted);
    Ok(())
}

/// Makes the caller leader of a new session and process group.
///
/// # Errors
/// EPERM when a process group with the caller's number exists.
pub fn start_session(caller: &Task) -> Result<Pid, Errno> {
    let mut tree = caller.kernel.tasks.lock();
    let pid = caller.pid();
    let taken = tree.process_group(pid).is_some_and(|group| !group.members().is_empty());
    if taken {
        return Err(Errno::EPERM);
    }
    let group = ProcessGroup::new(pid, Session::new(pid));
    tree.insert_process_group(&group);
    change_group(&caller.group, group);
    Ok(pid)
}

fn change_group(target: &Arc<ThreadGroup>, wanted: Arc<ProcessGroup>) {
    let old = target.process_group();
    if Arc::ptr_eq(&old, &wanted) {
        return;
    }
    old.members
        .lock()
        .retain(|member| member.upgrade().is_some_and(|member| !Arc::ptr_eq(&member, target)));
    wanted.members.lock().push(Arc::downgrade(target));
    *target.membership.write() = wanted;
}
