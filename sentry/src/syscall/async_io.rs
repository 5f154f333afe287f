//! `O_ASYNC`: a signal to the owner when a file becomes ready, fcntl(2), "Managing signals".

use std::sync::{Arc, Weak};

use linux_abi::Errno;
use linux_abi::fs::OpenFlags;
use linux_abi::poll::PollEvents;
use linux_abi::signal::{POLL_ERR, POLL_HUP, POLL_IN, POLL_OUT, POLL_PRI, SIGIO, SigInfo};
use linux_abi::task::CAP_KILL;
use platform::End;

use crate::kernel::Kernel;
use crate::signal::{send_to_group, send_to_task};
use crate::sync::Notify;
use crate::task::{Credentials, Task, ThreadGroup};
use crate::vfs::{AsyncOwner, AsyncTarget, Conduits, FileDescription};

/// Tells a description's owner of readiness.
struct Teller {
    description: Weak<FileDescription>,
    kernel: Weak<Kernel>,
    /// The descriptor that `O_ASYNC` was set through.
    fd: i32,
}

/// Makes what `O_ASYNC` in `new` says true for `description`. Files that are always ready send
/// no signals.
pub(super) fn apply(
    kernel: &Arc<Kernel>,
    description: &Arc<FileDescription>,
    fd: i32,
    new: OpenFlags,
) {
    if !new.contains(OpenFlags::FASYNC) {
        description.unsubscribe_async();
        return;
    }
    let teller =
        Teller { description: Arc::downgrade(description), kernel: Arc::downgrade(kernel), fd };
    description.subscribe_async(Arc::new(teller));
    watch(description);
}

/// Bytes that guest code writes by itself are told of once to whoever has asked, so it is asked each
/// time.
fn watch(description: &FileDescription) {
    if let Some(Conduits { input, output }) = description.file().conduits() {
        input.map(|input| input.watch_next(End::Reading));
        output.map(|output| output.watch(End::Writing));
    }
}

impl Notify for Teller {
    /// Whoever notifies may hold any lock, so the signal is sent a little later.
    fn notify(&self, events: PollEvents) {
        let (Some(description), Some(kernel)) = (self.description.upgrade(), self.kernel.upgrade())
        else {
            return;
        };
        let owner = description.owner();
        if owner.target == AsyncTarget::Nobody {
            return;
        }
        let info = info(&owner, events, self.fd);
        let (target, description) = (self.kernel.clone(), self.description.clone());
        kernel.vfs.deferred().push(move || {
            if let Some(description) = description.upgrade() {
                watch(&description);
            }
            if let Some(kernel) = target.upgrade() {
                send(&kernel, &owner, info);
            }
        });
        let runner = kernel.clone();
        kernel.executor.spawn(async move { runner.vfs.deferred().run() });
    }
}

fn info(owner: &AsyncOwner, events: PollEvents, fd: i32) -> SigInfo {
    // Linux: without F_SETSIG the signal says nothing about the file.
    if owner.signal == 0 {
        return SigInfo::kernel(SIGIO);
    }
    let code = if events.contains(PollEvents::IN) {
        POLL_IN
    } else if events.contains(PollEvents::OUT) {
        POLL_OUT
    } else if events.contains(PollEvents::HUP) {
        POLL_HUP
    } else if events.contains(PollEvents::PRI) {
        POLL_PRI
    } else {
        POLL_ERR
    };
    SigInfo::poll(owner.signal, code, i64::from(events.bits()), fd)
}

fn send(kernel: &Kernel, owner: &AsyncOwner, info: SigInfo) {
    let to_group = |group: &Arc<ThreadGroup>| {
        if group.leader().is_some_and(|leader| may_signal(owner, &leader.credentials())) {
            // A full queue loses the facts; nobody waits for an answer.
            let _ = send_to_group(group, info);
        }
    };
    match owner.target {
        AsyncTarget::Nobody => {}
        AsyncTarget::Thread(tid) => {
            let task: Option<Arc<Task>> = kernel.tasks.task(tid);
            if let Some(task) = task.filter(|task| may_signal(owner, &task.credentials())) {
                let _ = send_to_task(&task, info);
            }
        }
        AsyncTarget::Process(pid) => {
            let by_thread = || kernel.tasks.task(pid).map(|task| task.group.clone());
            if let Some(group) = kernel.tasks.group(pid).or_else(by_thread) {
                to_group(&group);
            }
        }
        AsyncTarget::Group(id) => {
            if let Some(group) = kernel.tasks.process_group(id) {
                group.members().iter().for_each(to_group);
            }
        }
    }
}

/// Linux `sigio_perm`: the rules of kill(2) for whoever set the owner.
fn may_signal(owner: &AsyncOwner, target: &Credentials) -> bool {
    let users = [owner.uid, owner.euid];
    owner.is_privileged || users.contains(&target.uid) || users.contains(&target.suid)
}

/// The owner that `target`, chosen by a task with `credentials`, makes.
///
/// # Errors
/// ESRCH when there is no such thread, process or group.
pub(super) fn owner_of(
    kernel: &Kernel,
    target: AsyncTarget,
    credentials: &Credentials,
    signal: i32,
) -> Result<AsyncOwner, Errno> {
    let exists = match target {
        AsyncTarget::Nobody => true,
        AsyncTarget::Thread(tid) => kernel.tasks.task(tid).is_some(),
        // Linux: the number of any thread will do.
        AsyncTarget::Process(id) => {
            kernel.tasks.group(id).is_some() || kernel.tasks.task(id).is_some()
        }
        AsyncTarget::Group(id) => kernel.tasks.process_group(id).is_some(),
    };
    if !exists {
        return Err(Errno::ESRCH);
    }
    Ok(AsyncOwner {
        target,
        signal,
        uid: credentials.uid,
        euid: credentials.euid,
        is_privileged: credentials.has(CAP_KILL),
    })
}
