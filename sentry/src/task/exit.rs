//! The end of threads and processes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use linux_abi::poll::PollEvents;
use linux_abi::signal::{SI_USER, SIGCHLD};

use super::{Ctx, Task, ThreadGroup, Tree};

/// Why a thread ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// `exit(2)`: only this thread, with the status for `wait4` if it is the last.
    Thread(u32),
    /// The whole process ends with this status (`exit_group`, a fatal signal).
    Group(u32),
}

/// Makes all threads of `group` end with `status` unless they already do.
pub fn end_group(group: &ThreadGroup, status: u32) {
    {
        let mut ending = group.group_exit.lock();
        if ending.is_some() {
            return;
        }
        *ending = Some(status);
    }
    for thread in group.threads() {
        thread.request_attention();
    }
}

impl Task {
    /// Whether the task is to end: its process ends, or another thread's `execve` replaces it.
    pub fn must_exit(&self) -> bool {
        if self.group.is_exiting() {
            return true;
        }
        self.group.exec_survivor.lock().is_some_and(|survivor| survivor != self.tid())
    }
}

/// Ends the calling thread. Its future is over afterwards.
pub(super) async fn exit(mut ctx: Ctx, reason: ExitReason) {
    let task = ctx.task.clone();
    let own_status = match reason {
        ExitReason::Group(status) => {
            end_group(&task.group, status);
            status
        }
        ExitReason::Thread(status) => status,
    };
    let own_status = match task.tracing.is_traced() {
        true => Box::pin(crate::ptrace::exiting(&mut ctx, own_status)).await,
        false => own_status,
    };
    crate::signal::thread_exiting(&task);
    release_memory(&mut ctx, true).await;
    release_vfork_parent(&task);
    let Ctx { thread, .. } = ctx;
    let interrupter = thread.interrupter();
    // Other threads wait for the host to end this one. Nobody waits for the end of the last, which
    // takes the host a while: whoever waits for the process goes first.
    let last = (task.group.threads().len() == 1).then_some(thread);
    task.release_resources();
    let kernel = task.kernel.clone();
    let mut tree = kernel.tasks.lock();
    crate::ptrace::release_tracees(&mut tree, &task);
    let is_last = {
        let mut links = task.group.links.lock();
        links.threads.retain(|other| !Arc::ptr_eq(other, &task));
        links.threads.is_empty()
    };
    tree.remove_task(task.tid());
    crate::ptrace::bury(&mut tree, &task, own_status);
    record_cpu_time(&task, is_last.then(|| interrupter.process_cpu_time_ns()));
    task.set_interrupter(None);
    hand_over_children(&task);
    // An execve in another thread waits for this one to go.
    task.group.exit_events.notify(PollEvents::IN);
    if is_last {
        let status = task.group.group_exit.lock().unwrap_or(own_status);
        drop(tree);
        group_exit(&task, status);
    }
    if let Some(last) = last {
        kernel.executor.at_leisure(move || drop(last));
    }
}

/// The children that an ended thread made belong to another thread of the process now.
fn hand_over_children(ended: &Task) {
    let Some(heir) = ended.group.leader() else { return };
    for child in ended.group.children() {
        let _ = child.creator.compare_exchange(
            ended.tid(),
            heir.tid(),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }
}

/// Removes a process that never ran, and whose thread is gone.
pub(super) fn abandon(task: &Arc<Task>) {
    task.release_resources();
    let mut tree = task.kernel.tasks.lock();
    task.group.links.lock().threads.clear();
    tree.remove_task(task.tid());
    super::wait::reap(&mut tree, &task.group);
}

/// What other threads and processes learn from the guest's memory when a thread leaves it, and `ends` or
/// not: robust and priority-inheriting futexes, the cleared thread number (Linux: `mm_release`).
pub(super) async fn release_memory(ctx: &mut Ctx, ends: bool) {
    crate::futex::exit_robust_list(ctx).await;
    ctx.task.kernel.futexes.pi.release_all(&ctx.task, ends);
    let clear = ctx.task.clear_child_tid.swap(0, Ordering::Relaxed);
    // Linux: nobody could see it in the memory of the last.
    let is_seen = || ctx.task.group.threads().len() > 1 || ctx.task.mm().is_shared();
    if clear != 0 && is_seen() && !ctx.thread.clear_at_exit(clear) {
        crate::futex::clear_address(ctx, crate::memory::UserAddr(clear)).await;
    }
}

/// Lets the `vfork` parent go on, if one waits.
pub(super) fn release_vfork_parent(task: &Task) {
    let waiting = task.vfork_done.lock().take();
    if let Some(done) = waiting {
        done.finish();
    }
}

/// The host keeps the user time of ended threads for the process, until that ends with the last.
fn record_cpu_time(task: &Task, process_user_ns: Option<u64>) {
    let group = &task.group;
    group.cpu_dead_user_ns.fetch_add(process_user_ns.unwrap_or(0), Ordering::Relaxed);
    group.cpu_dead_system_ns.fetch_add(task.served_ns(), Ordering::Relaxed);
}

impl Task {
    /// Lets go of filters, files and directories; the last holder closes them.
    fn release_resources(&self) {
        self.seccomp.release();
        self.set_fds(crate::vfs::FdTable::new());
    }
}

/// The end of a process whose last thread is gone.
fn group_exit(last: &Arc<Task>, status: u32) {
    let group = &last.group;
    let kernel = &last.kernel;
    crate::time::process_exiting(&kernel.timers, group);
    kernel.ipc.process_exited(group);
    end_session(group);
    let mut tree = kernel.tasks.lock();
    reparent_children(&mut tree, group);
    // Linux: a process lasts as long as its threads, which tracers may have to wait for.
    let is_kept = group.links.lock().kept_threads > 0 && group.pid != super::INIT_PID;
    if is_kept {
        group.links.lock().untold_end = Some((last.clone(), status));
        return;
    }
    let end = tell_end(&mut tree, last, status);
    drop(tree);
    end.notify();
}

/// Who waits for a process that has ended, and is woken when no lock is held any more.
pub(super) struct EndOfProcess {
    group: Arc<ThreadGroup>,
    parent: Option<Arc<ThreadGroup>>,
}

impl EndOfProcess {
    pub(super) fn notify(self) {
        self.group.exit_events.notify(PollEvents::IN | PollEvents::HUP);
        if let Some(parent) = self.parent {
            parent.child_events.notify(PollEvents::IN);
        }
    }
}

/// The end of a process of which no thread is left, not even for a tracer.
pub(super) fn tell_end(tree: &mut Tree, last: &Arc<Task>, status: u32) -> EndOfProcess {
    let group = &last.group;
    group.exit_status.store(status, Ordering::Release);
    group.obituary.write(last);
    group.is_dead.store(true, Ordering::Release);
    let parent = announce(tree, last);
    if group.pid == super::INIT_PID {
        last.kernel.init_exited(status);
    }
    EndOfProcess { group: group.clone(), parent }
}

/// Tells whoever waits for a process of its end: its tracer, or else its parent, which is the answer.
fn announce(tree: &mut Tree, last: &Arc<Task>) -> Option<Arc<ThreadGroup>> {
    let group = &last.group;
    group.owner.store(last.credentials().uid, Ordering::Relaxed);
    let parent = group.parent();
    if let Some(leader) = group.traced_leader()
        && let Some(tracer) = leader.tracing.tracer()
    {
        let by_parent = leader.is_traced_by_parent();
        let signo = if by_parent { group.exit_signal.load(Ordering::Relaxed) } else { SIGCHLD };
        let status = group.exit_status.load(Ordering::Acquire);
        crate::ptrace::tell_of_end(&tracer, &leader, signo, status);
        return None;
    }
    let stays = parent.as_ref().is_some_and(|parent| super::wait::announce_zombie(parent, group));
    if !stays {
        super::wait::reap(tree, group);
    }
    parent
}

/// A session leader's end hangs its terminal up.
fn end_session(group: &Arc<ThreadGroup>) {
    let session = group.session();
    if session.id != group.pid {
        return;
    }
    let terminal = session.terminal.lock().take();
    if let Some(terminal) = terminal {
        terminal.session_ended();
    }
}

/// Gives the children to the nearest subreaper, else to the first process.
fn reparent_children(tree: &mut Tree, group: &Arc<ThreadGroup>) {
    let children = std::mem::take(&mut group.links.lock().children);
    let heir = if children.is_empty() { None } else { find_reaper(tree, group) };
    for child in &children {
        send_death_signals(child);
        let Some(heir) = &heir else {
            child.links.lock().parent = std::sync::Weak::new();
            continue;
        };
        child.links.lock().parent = Arc::downgrade(heir);
        heir.links.lock().children.push(child.clone());
        child.exit_signal.store(linux_abi::signal::SIGCHLD, Ordering::Relaxed);
        if child.exit_status().is_some() && child.traced_leader().is_none() {
            // A zombie now belongs to somebody who may ignore SIGCHLD.
            if !super::wait::announce_zombie(heir, child) {
                super::wait::reap(tree, child);
            }
            heir.child_events.notify(PollEvents::IN);
        }
    }
    // Only now nobody outside of a child's group is left who could continue it.
    crate::signal::hang_up_orphans(group, &children);
}

/// `PR_SET_PDEATHSIG`: the threads that asked for it learn that their parent has ended.
fn send_death_signals(child: &Arc<ThreadGroup>) {
    for thread in child.threads() {
        let signo = thread.death_signal.load(Ordering::Relaxed);
        if signo != 0 {
            let info = linux_abi::signal::SigInfo::kill(signo, SI_USER, 0, 0);
            // Only a full real-time queue refuses.
            let _ = crate::signal::send_to_group(child, info);
        }
    }
}

fn find_reaper(tree: &Tree, group: &Arc<ThreadGroup>) -> Option<Arc<ThreadGroup>> {
    let mut ancestor = group.parent();
    while let Some(candidate) = ancestor {
        if candidate.is_child_subreaper.load(Ordering::Relaxed) && !candidate.is_exiting() {
            return Some(candidate);
        }
        ancestor = candidate.parent();
    }
    tree.group(super::INIT_PID).filter(|init| !Arc::ptr_eq(init, group))
}
