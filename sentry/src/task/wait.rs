//! Waiting for children: `wait4(2)`, `waitid(2)`, and what a death tells the parent.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use linux_abi::Errno;
use linux_abi::poll::PollEvents;
use linux_abi::signal::{CLD_DUMPED, CLD_EXITED, CLD_KILLED, SIG_IGN, SIGCHLD, SaFlags, SigInfo};
use linux_abi::task::{CONTINUED_STATUS, WCOREFLAG, WaitOptions, stopped_status};

use super::{Ctx, Pid, Task, ThreadGroup, Tree};
use crate::ptrace::{Seen, take_news};
use crate::sync::wait_for;

/// Which children to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildFilter {
    Any,
    Process(Pid),
    ProcessGroup(Pid),
}

/// A change of state of a child.
pub struct ChildEvent {
    pub child: Arc<ThreadGroup>,
    /// The child's number, or that of the traced thread.
    pub tid: Pid,
    /// Status as `wait4` gives it.
    pub status: i32,
    pub uid: u32,
    /// It is a stop for the caller's process as a tracer.
    pub is_trapped: bool,
}

/// Result of looking for a child.
enum Search {
    Found(ChildEvent),
    /// Children match, none has news.
    Later,
    NoChild,
}

/// Waits for a child as `options` say; `None` with `WNOHANG` when none has news.
///
/// # Errors
/// ECHILD when no child matches; ERESTARTSYS.
pub async fn wait_for_child(
    ctx: &Ctx,
    filter: ChildFilter,
    options: WaitOptions,
) -> Result<Option<ChildEvent>, Errno> {
    let group = &ctx.task.group;
    let attempt = || match search(&ctx.task, filter, options) {
        Search::Found(event) => Some(Ok(Some(event))),
        Search::NoChild => Some(Err(Errno::ECHILD)),
        Search::Later if options.contains(WaitOptions::NOHANG) => Some(Ok(None)),
        Search::Later => None,
    };
    ctx.block(wait_for(&group.child_events, PollEvents::IN, attempt)).await?
}

fn search(task: &Arc<Task>, filter: ChildFilter, options: WaitOptions) -> Search {
    let mut tree = task.kernel.tasks.lock();
    let mut any = false;
    for child in task.group.children() {
        let matches = match filter {
            ChildFilter::Any => true,
            ChildFilter::Process(pid) => child.pid == pid,
            ChildFilter::ProcessGroup(id) => child.process_group().id == id,
        };
        // A child with another exit signal than SIGCHLD is a "clone" child.
        let is_clone = child.exit_signal.load(Ordering::Relaxed) != SIGCHLD;
        let wanted_kind =
            options.contains(WaitOptions::ALL) || options.contains(WaitOptions::CLONE) == is_clone;
        let is_others = options.contains(WaitOptions::NOTHREAD)
            && child.creator.load(Ordering::Relaxed) != task.tid();
        if !matches || !wanted_kind || is_others {
            continue;
        }
        let tracee = child.traced_leader();
        let tracer = tracee.as_ref().and_then(|tracee| tracee.tracing.tracer());
        let is_ours = tracer.as_ref().is_some_and(|it| Arc::ptr_eq(&it.group, &task.group));
        if tracer.is_some() && !is_ours && child.exit_status().is_some() {
            // It is the tracer's zombie first.
            any |= options.contains(WaitOptions::EXITED);
            continue;
        }
        any = true;
        // Linux: the stops of a child that is a tracee as well are for its tracer.
        let event = match tracee.filter(|_| is_ours) {
            Some(tracee) => take_tracee_event(&mut tree, &tracee, options),
            None => take_event(&mut tree, &child, options),
        };
        if let Some(event) = event {
            return Search::Found(event);
        }
    }
    let found = match task.group.has_traced.load(Ordering::Relaxed) {
        true => search_tracees(&mut tree, task, filter, options),
        false => Search::NoChild,
    };
    match found {
        Search::NoChild if any => Search::Later,
        found => found,
    }
}

/// Looks at the tracees of the caller's process, or with `__WNOTHREAD` at its own.
fn search_tracees(
    tree: &mut Tree,
    task: &Arc<Task>,
    filter: ChildFilter,
    options: WaitOptions,
) -> Search {
    let tracers = match options.contains(WaitOptions::NOTHREAD) {
        true => vec![task.clone()],
        false => task.group.threads(),
    };
    let mut any = false;
    for tracee in tracers.iter().flat_map(|tracer| tracer.tracing.tracees()) {
        let matches = match filter {
            ChildFilter::Any => true,
            ChildFilter::Process(pid) => tracee.tid() == pid,
            ChildFilter::ProcessGroup(id) => tracee.group.process_group().id == id,
        };
        if !matches {
            continue;
        }
        any = true;
        if let Some(event) = take_tracee_event(tree, &tracee, options) {
            return Search::Found(event);
        }
    }
    if any { Search::Later } else { Search::NoChild }
}

fn take_tracee_event(
    tree: &mut Tree,
    tracee: &Arc<Task>,
    options: WaitOptions,
) -> Option<ChildEvent> {
    let child = tracee.group.clone();
    let (tid, uid) = (tracee.tid(), tracee.credentials().uid);
    if let Some(Seen { status, is_trapped }) = take_news(tree, tracee, options) {
        return Some(ChildEvent { child, tid, status, uid, is_trapped });
    }
    let consume = !options.contains(WaitOptions::NOWAIT);
    let is_continued =
        options.contains(WaitOptions::CONTINUED) && child.signals.lock().take_continued(consume);
    let status = CONTINUED_STATUS;
    is_continued.then_some(ChildEvent { child, tid, status, uid, is_trapped: false })
}

/// News of `child`, consumed unless `WNOWAIT`.
fn take_event(
    tree: &mut Tree,
    child: &Arc<ThreadGroup>,
    options: WaitOptions,
) -> Option<ChildEvent> {
    let consume = !options.contains(WaitOptions::NOWAIT);
    let uid = child.owner_uid();
    let event = |status| {
        let child = child.clone();
        ChildEvent { tid: child.pid, child, status, uid, is_trapped: false }
    };
    if let Some(status) = child.exit_status() {
        if !options.contains(WaitOptions::EXITED) {
            return None;
        }
        if consume {
            reap(tree, child);
        }
        return Some(event(status as i32));
    }
    let mut signals = child.signals.lock();
    if options.contains(WaitOptions::UNTRACED)
        && let Some(signo) = signals.take_stopped(consume)
    {
        return Some(event(stopped_status(signo)));
    }
    let is_continued = options.contains(WaitOptions::CONTINUED) && signals.take_continued(consume);
    is_continued.then(|| event(CONTINUED_STATUS))
}

/// Sends the exit signal. Answers whether the zombie stays until it is waited for.
pub(super) fn announce_zombie(parent: &Arc<ThreadGroup>, child: &Arc<ThreadGroup>) -> bool {
    let signal = child.exit_signal.load(Ordering::Relaxed);
    let status = child.exit_status.load(Ordering::Acquire) as i32;
    // Linux do_notify_parent: ignoring SIGCHLD or SA_NOCLDWAIT reaps at once.
    let action = parent.actions.read().get(SIGCHLD);
    let reaps = action.handler == SIG_IGN || action.sa_flags().contains(SaFlags::NOCLDWAIT);
    let auto_reap = signal == SIGCHLD && reaps;
    if signal != 0 && !(auto_reap && action.handler == SIG_IGN) {
        let (code, value) = exit_code_and_value(status);
        let (user, system) = crate::time::process_cpu_ticks(child);
        let uid = child.owner_uid();
        let mut info = SigInfo::child(code, child.pid, uid, value, user, system);
        info.signo = signal;
        // Linux: a full queue loses the facts, never the signal.
        let _ = crate::signal::send_to_group(parent, info);
    }
    !auto_reap
}

/// `si_code` and `si_status` of an exit status.
pub fn exit_code_and_value(status: i32) -> (i32, i32) {
    if status & 0x7f == 0 {
        (CLD_EXITED, (status >> 8) & 0xff)
    } else if status & WCOREFLAG != 0 {
        (CLD_DUMPED, status & 0x7f)
    } else {
        (CLD_KILLED, status & 0x7f)
    }
}

/// Removes a dead process from the tree and adds its times to its parent's.
pub(super) fn reap(tree: &mut Tree, child: &Arc<ThreadGroup>) {
    tree.remove_group(child.pid);
    child
        .process_group()
        .members
        .lock()
        .retain(|member| member.upgrade().is_some_and(|member| !Arc::ptr_eq(&member, child)));
    let Some(parent) = child.parent() else { return };
    parent.links.lock().children.retain(|other| !Arc::ptr_eq(other, child));
    for (own, dead, grand) in [
        (&parent.cpu_children_user_ns, &child.cpu_dead_user_ns, &child.cpu_children_user_ns),
        (&parent.cpu_children_system_ns, &child.cpu_dead_system_ns, &child.cpu_children_system_ns),
    ] {
        let sum = dead.load(Ordering::Relaxed) + grand.load(Ordering::Relaxed);
        own.fetch_add(sum, Ordering::Relaxed);
    }
}

impl ThreadGroup {
    /// The real user id of the process, also after its end.
    pub fn owner_uid(&self) -> u32 {
        match self.leader() {
            Some(leader) => leader.credentials().uid,
            None => self.owner.load(Ordering::Relaxed),
        }
    }
}
