//! `clone(2)`: new threads and processes.

use std::future::Future;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::OpenFlags;
use linux_abi::task::{CAP_SYS_ADMIN, CAP_SYS_RESOURCE, CloneFlags, RLIMIT_NOFILE, RLIMIT_NPROC};
use platform::{Spawn, Thread};

use super::create::{NewGroup, NewTask, attach, start};
use super::{Ctx, Task, ThreadGroup, VforkDone};
use crate::fs::pidfd::PidFd;
use crate::memory::{UserMemory, UserPtr};
use crate::mm::Mm;
use crate::ptrace::{self, Birth};
use crate::syscall::SysResult;
use crate::vfs::Reservation;

/// Most threads in one sandbox.
const MAX_TASKS: usize = 30_000;

/// What `clone`, `clone3`, `fork` and `vfork` ask for.
#[derive(Clone, Copy, Debug)]
pub struct CloneRequest {
    pub flags: CloneFlags,
    pub exit_signal: i32,
    /// Initial stack pointer of the child, 0 for the parent's.
    pub stack: u64,
    pub tls: u64,
    pub parent_tid: UserPtr<i32>,
    pub child_tid: UserPtr<i32>,
    pub pidfd: UserPtr<i32>,
}

/// Namespaces that a task could ask for.
pub const NAMESPACES: CloneFlags = CloneFlags::NEWNS
    .union(CloneFlags::NEWCGROUP)
    .union(CloneFlags::NEWUTS)
    .union(CloneFlags::NEWIPC)
    .union(CloneFlags::NEWPID)
    .union(CloneFlags::NEWNET);

impl CloneRequest {
    /// `flags` and an exit signal; the child goes on where the parent does.
    pub fn new(flags: CloneFlags, exit_signal: i32) -> CloneRequest {
        let nowhere = UserPtr::new(0);
        CloneRequest {
            flags,
            exit_signal,
            stack: 0,
            tls: 0,
            parent_tid: nowhere,
            child_tid: nowhere,
            pidfd: nowhere,
        }
    }

    /// Checks the combination of flags, clone(2).
    ///
    /// # Errors
    /// EINVAL; EPERM for namespaces without CAP_SYS_ADMIN.
    fn check(&self, caller: &Task) -> Result<(), Errno> {
        let flags = self.flags;
        let has = |flag| flags.contains(flag);
        let bad = (has(CloneFlags::THREAD) && !has(CloneFlags::SIGHAND))
            || (has(CloneFlags::SIGHAND) && !has(CloneFlags::VM))
            || (has(CloneFlags::SIGHAND) && has(CloneFlags::CLEAR_SIGHAND))
            || (has(CloneFlags::FS) && has(CloneFlags::NEWNS))
            || (has(CloneFlags::PIDFD) && has(CloneFlags::DETACHED))
            || has(CloneFlags::INTO_CGROUP)
            || !(0..=64).contains(&self.exit_signal);
        if bad {
            return Err(Errno::EINVAL);
        }
        if flags.intersects(NAMESPACES) && !caller.credentials().has(CAP_SYS_ADMIN) {
            return Err(Errno::EPERM);
        }
        // Linux: a kernel built without these namespaces answers EINVAL.
        if flags.intersects(NAMESPACES.difference(CloneFlags::NEWNS) | CloneFlags::NEWUSER) {
            return Err(Errno::EINVAL);
        }
        Ok(())
    }
}

/// Makes a thread or process as asked; answers with its number.
///
/// # Errors
/// EINVAL, EPERM (see [`CloneRequest`]), EAGAIN (RLIMIT_NPROC, no pid, host refuses), ENOMEM,
/// EFAULT never: bad pointers for thread numbers are ignored as on Linux.
pub async fn clone(ctx: &mut Ctx, request: CloneRequest) -> SysResult {
    request.check(&ctx.task)?;
    check_limit(&ctx.task)?;
    let is_thread = request.flags.contains(CloneFlags::THREAD);
    let pidfd = reserve_pidfd(ctx, &request)?;
    // The child starts as a copy of all registers.
    ctx.thread.complete().await?;
    let parent_mm = ctx.task.mm();
    let (mut thread, mm) = if is_thread {
        let (_, thread) = ctx.thread.spawn(Spawn::Thread).await?;
        (thread, parent_mm)
    } else {
        let shares_memory = request.flags.contains(CloneFlags::VM);
        let kind = if shares_memory { Spawn::ShareMemory } else { Spawn::CopyMemory };
        let _change = parent_mm.lock_change().await;
        let (space, thread) = ctx.thread.spawn(kind).await?;
        let memory = UserMemory::new(space);
        let mm = if shares_memory { parent_mm.share(memory) } else { parent_mm.fork(memory) };
        (thread, mm)
    };
    prepare_registers(&mut *thread, &request);
    match request.flags.contains(CloneFlags::SIGHAND) {
        true => ctx.hide_actions(),
        false => ctx.tell_actions(),
    }
    let vfork = request.flags.contains(CloneFlags::VFORK).then(Arc::<VforkDone>::default);
    let birth = ptrace::cloning(&ctx.task, &request);
    let child = insert(ctx, &request, mm, vfork.clone(), birth)?;
    serve_descriptors(ctx, &child, &mut *thread, request.flags);
    let tid = child.tid();
    if request.flags.contains(CloneFlags::PARENT_SETTID) {
        // Linux: the result of put_user is not looked at.
        let _ = ctx.memory().write_value(request.parent_tid, &tid);
    }
    if request.flags.contains(CloneFlags::NEWNS) {
        thread.set_domain(None);
    }
    let child_tid = request.child_tid;
    if request.flags.contains(CloneFlags::CHILD_SETTID)
        && !thread.write_at_birth(child_tid.addr().0, tid as u32)
    {
        let _ = child.mm().memory().write_value(request.child_tid, &tid);
    }
    if let Some(pidfd) = pidfd {
        let file =
            if is_thread { PidFd::of_thread(&child) } else { PidFd::new(child.group.clone()) };
        pidfd.fill(file.describe(&ctx.task.kernel, OpenFlags::empty()), true);
    }
    start(&child, thread);
    drop(child);
    if let Some(birth) = birth {
        Box::pin(ptrace::cloned(ctx, birth, tid)).await;
    }
    if let Some(vfork) = vfork {
        wait_for_vfork(ctx, &vfork).await;
        if ctx.task.tracing.is_traced() {
            Box::pin(ptrace::vfork_done(ctx, tid)).await;
        }
    }
    Ok(tid as usize)
}

/// Holds a descriptor for the child, if one is asked for, and tells its number.
///
/// # Errors
/// EMFILE, EFAULT.
fn reserve_pidfd(ctx: &Ctx, request: &CloneRequest) -> Result<Option<Reservation>, Errno> {
    if !request.flags.contains(CloneFlags::PIDFD) {
        return Ok(None);
    }
    let limit = ctx.task.group.soft_limit(RLIMIT_NOFILE as usize);
    let reservation = ctx.task.fds().reserve(limit)?;
    ctx.memory().write_value(request.pidfd, &reservation.fd())?;
    Ok(Some(reservation))
}

/// Makes the child and puts it into the tree.
fn insert(
    ctx: &Ctx,
    request: &CloneRequest,
    mm: Arc<Mm>,
    vfork: Option<Arc<VforkDone>>,
    birth: Option<Birth>,
) -> Result<Arc<Task>, Errno> {
    let caller = &ctx.task;
    let flags = request.flags;
    let fs = caller.fs();
    let fs = if flags.contains(CloneFlags::NEWNS) {
        fs.copy_with_new_namespace()
    } else if flags.contains(CloneFlags::FS) {
        fs
    } else {
        fs.copy()
    };
    let fds = caller.fds();
    let fds = if flags.contains(CloneFlags::FILES) {
        fds
    } else if flags.contains(CloneFlags::VM) {
        fds.copy()
    } else {
        fds.fork()
    };
    let clears_tid = flags.contains(CloneFlags::CHILD_CLEARTID);
    let keeps_altstack = !flags.contains(CloneFlags::VM) || flags.contains(CloneFlags::VFORK);
    let name = caller.name.lock().clone();
    let signals = caller.signals.lock().for_clone(keeps_altstack);
    let mut tree = caller.kernel.tasks.lock();
    if caller.must_exit() {
        return Err(Errno::ERESTARTNOINTR);
    }
    let tid = tree.allocate_pid()?;
    let group = if flags.contains(CloneFlags::THREAD) {
        caller.group.clone()
    } else {
        let group = new_group(caller, request, tid);
        tree.insert_group(&group);
        group.process_group().members.lock().push(Arc::downgrade(&group));
        if let Some(parent) = group.parent() {
            parent.links.lock().children.push(group.clone());
        }
        group
    };
    let child = NewTask {
        kernel: caller.kernel.clone(),
        group,
        name,
        credentials: caller.credentials(),
        seccomp: caller.seccomp.get(),
        mm,
        fs,
        fds,
        signals,
        clear_child_tid: if clears_tid { request.child_tid.addr().0 } else { 0 },
        sched: caller.sched.lock().for_child(),
    }
    .build(tid);
    *child.vfork_done.lock() = vfork;
    attach(&mut tree, &child);
    if caller.tracing.is_traced() {
        ptrace::inherit(&mut tree, caller, &child, flags, birth);
    }
    Ok(child)
}

/// The process of a child that is not a thread.
fn new_group(caller: &Arc<Task>, request: &CloneRequest, pid: super::Pid) -> Arc<ThreadGroup> {
    let flags = request.flags;
    let group = &caller.group;
    let actions = group.actions.read().clone();
    let actions = if flags.contains(CloneFlags::SIGHAND) {
        actions
    } else if flags.contains(CloneFlags::CLEAR_SIGHAND) {
        Arc::new(actions.copy_reset())
    } else {
        Arc::new(actions.copy())
    };
    // CLONE_PARENT: a sibling of the caller, with the caller's own exit signal.
    let (parent, exit_signal) = match flags.contains(CloneFlags::PARENT) {
        true => (group.parent(), group.exit_signal.load(std::sync::atomic::Ordering::Relaxed)),
        false => (Some(group.clone()), request.exit_signal),
    };
    NewGroup {
        pid,
        parent: parent.as_ref().map_or_else(std::sync::Weak::new, Arc::downgrade),
        process_group: group.process_group(),
        actions,
        limits: *group.limits.lock(),
        exit_signal,
        start_time_ns: caller.kernel.monotonic_ns(),
        oom_score_adj: group.oom_score_adj.load(std::sync::atomic::Ordering::Relaxed),
        creator: caller.tid(),
        personality: group.personality.load(std::sync::atomic::Ordering::Relaxed),
    }
    .build()
}

fn prepare_registers(thread: &mut dyn Thread, request: &CloneRequest) {
    let registers = thread.registers_mut();
    registers.rax = 0;
    if request.stack != 0 {
        registers.rsp = request.stack;
    }
    if request.flags.contains(CloneFlags::SETTLS) {
        registers.fs_base = request.tls;
    }
}

/// Lets the child read and write the descriptors by itself that the caller does.
fn serve_descriptors(ctx: &Ctx, child: &Task, thread: &mut dyn Thread, flags: CloneFlags) {
    let Some(descriptors) = thread.descriptors() else { return };
    let (has_own_files, has_own_memory) =
        (!flags.contains(CloneFlags::FILES), !flags.contains(CloneFlags::VM));
    let is_served = match (has_own_files, has_own_memory) {
        (true, true) => child.fds().adopt(&descriptors),
        (false, false) => child.fds().is_served_by(&descriptors),
        _ => false,
    };
    if is_served && ctx.may_serve_itself() {
        thread.use_descriptors(true);
    }
}

/// RLIMIT_NPROC counts the processes and threads of the real user; root and privileged are free.
fn check_limit(caller: &Task) -> Result<(), Errno> {
    let credentials = caller.credentials();
    let limit = caller.group.soft_limit(RLIMIT_NPROC as usize);
    let (all, own) = {
        let tree = caller.kernel.tasks.lock();
        (tree.task_count(), tree.task_count_of(credentials.uid))
    };
    let is_free =
        credentials.uid == 0 || credentials.has(CAP_SYS_RESOURCE) || credentials.has(CAP_SYS_ADMIN);
    if all >= MAX_TASKS || (!is_free && own as u64 >= limit) {
        return Err(Errno::EAGAIN);
    }
    Ok(())
}

/// Waits until the child has its own memory; only the caller's own death ends it early.
async fn wait_for_vfork(ctx: &Ctx, done: &VforkDone) {
    let mut wait = std::pin::pin!(done.wait());
    std::future::poll_fn(|cx| {
        if wait.as_mut().poll(cx).is_ready() || ctx.task.must_exit() {
            return std::task::Poll::Ready(());
        }
        std::task::Poll::Pending
    })
    .await;
}
