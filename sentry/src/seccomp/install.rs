//! Putting filters on tasks (Linux: `seccomp_set_mode_filter`, `seccomp_set_mode_strict`).

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::task::SeccompFilterFlags;

use super::{Filter, Notifier, Program, Seccomp};
use crate::task::{Credentials, Pid, Task};

/// What came of an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installed {
    Done,
    /// Nothing, because this thread has filters that the caller does not have.
    Unlike(Pid),
}

/// Puts a filter on `task`, with `TSYNC` on all threads of its process.
///
/// # Errors
/// EINVAL in strict mode, EBUSY for a second supervisor, ENOMEM when the chain becomes too long.
pub fn install(
    task: &Arc<Task>,
    flags: SeccompFilterFlags,
    program: &Arc<Program>,
    notifier: Option<&Arc<Notifier>>,
) -> Result<Installed, Errno> {
    let is_for_all = flags.contains(SeccompFilterFlags::TSYNC);
    loop {
        let before = task.seccomp.get();
        if matches!(before, Seccomp::Strict) {
            return Err(Errno::EINVAL);
        }
        // To look at a long program takes a while, and must not be done under the lock.
        if notifier.is_some() && before.filter().is_some_and(|filter| filter.has_supervisor()) {
            return Err(Errno::EBUSY);
        }
        let before_filter = before.filter().cloned();
        let new = Filter::new(program.clone(), flags, notifier.cloned(), before_filter)?;
        let tree = task.kernel.tasks.lock();
        let now = task.seccomp.get();
        if !is_same(now.filter(), before.filter()) {
            // Another thread has put one on this.
            continue;
        }
        if is_for_all && let Some(unlike) = find_unlike(task, now.filter()) {
            return Ok(Installed::Unlike(unlike));
        }
        let siblings = if is_for_all { siblings(task) } else { Vec::new() };
        siblings.iter().for_each(|thread| thread.keep_judgement());
        task.seccomp.set(Seccomp::Filter(new.clone()));
        let is_unprivileged = task.credentials().no_new_privs;
        for thread in &siblings {
            thread.seccomp.set(Seccomp::Filter(new.clone()));
            if is_unprivileged {
                let old = thread.credentials();
                thread.set_credentials(Credentials { no_new_privs: true, ..(*old).clone() });
            }
        }
        drop(tree);
        // They may have calls served that nobody sees.
        siblings.iter().for_each(|thread| thread.request_attention());
        return Ok(Installed::Done);
    }
}

/// Leaves `task` the four calls of the strict mode.
///
/// # Errors
/// EINVAL when it has filters.
pub fn set_strict(task: &Arc<Task>) -> Result<(), Errno> {
    let _tree = task.kernel.tasks.lock();
    if task.seccomp.get().filter().is_some() {
        return Err(Errno::EINVAL);
    }
    task.seccomp.set(Seccomp::Strict);
    Ok(())
}

fn is_same(one: Option<&Arc<Filter>>, other: Option<&Arc<Filter>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

fn siblings(task: &Arc<Task>) -> Vec<Arc<Task>> {
    let mut threads = task.group.threads();
    threads.retain(|thread| !Arc::ptr_eq(thread, task));
    threads
}

/// A thread whose filters are not among `own`.
fn find_unlike(task: &Arc<Task>, own: Option<&Arc<Filter>>) -> Option<Pid> {
    let is_unlike = |thread: &Arc<Task>| match thread.seccomp.get() {
        Seccomp::Strict => true,
        other => !Filter::is_ancestor(other.filter(), own),
    };
    siblings(task).iter().find(|thread| is_unlike(thread)).map(|thread| thread.tid())
}
