//! `execve(2)`: a new program in the same process.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use linux_abi::Errno;
use linux_abi::poll::PollEvents;
use linux_abi::signal::SIGKILL;
use linux_abi::task::signaled_status;
use platform::NewProcess;

use super::{Credentials, Ctx, SchedState, Task};
use crate::loader::{self, Loaded, Program};
use crate::ptrace;
use crate::sync::wait_for;
use crate::vfs::{Attributes, FileDescription};

/// A program to run, its file opened and checked.
pub struct ExecRequest {
    pub file: Arc<FileDescription>,
    pub path: Vec<u8>,
    pub args: Vec<Vec<u8>>,
    pub env: Vec<Vec<u8>>,
}

/// Replaces the caller's program. On success the registers are those of the new program.
///
/// # Errors
/// Those of [`loader::load`] and [`loader::resolve`]; the old program goes on then.
pub async fn execve(ctx: &mut Ctx, request: ExecRequest) -> Result<(), Errno> {
    let (loaded, credentials, comm) = prepare(&ctx.task, request, None).await?;
    let (number, old_tid) = (ctx.thread.registers().orig_rax, ctx.task.tid());
    replace_threads(ctx).await?;
    commit(ctx, loaded, credentials, comm).await;
    if ctx.task.tracing.is_traced() {
        Box::pin(ptrace::executed(ctx, old_tid, number)).await;
    }
    Ok(())
}

/// Loads the program of a process that has none yet into its own empty memory.
///
/// # Errors
/// Those of [`execve`]; the thread is gone then.
pub async fn load_first(
    task: Arc<Task>,
    empty: NewProcess,
    request: ExecRequest,
) -> Result<Ctx, Errno> {
    let (loaded, credentials, comm) = prepare(&task, request, Some(empty)).await?;
    task.set_mm(loaded.mm);
    let mut ctx = Ctx::new(task, loaded.thread);
    become_program(&mut ctx, credentials, comm);
    Ok(ctx)
}

/// Loads the program, into `empty` or else into a new address space, and computes what it will run
/// as; nothing changes for the caller yet.
pub(crate) async fn prepare(
    task: &Arc<Task>,
    request: ExecRequest,
    empty: Option<NewProcess>,
) -> Result<(Loaded, Credentials, Vec<u8>), Errno> {
    let comm = base_name(&request.path);
    let mut program = Program {
        file: request.file,
        exec_path: request.path,
        args: request.args,
        env: request.env,
    };
    // Linux 5.18: an empty argument list becomes one empty string.
    if program.args.is_empty() {
        program.args.push(Vec::new());
    }
    let program = loader::resolve(task, program)?;
    let old = task.credentials();
    let attributes = program.file.attributes()?;
    let honours_ids = !program.file.location().is_nosuid() && ptrace::may_gain_privileges(task);
    let credentials = old.for_exec(&attributes, honours_ids);
    let is_secure = credentials.is_secure_after(&old);
    let loaded = loader::load(task, &program, &credentials, is_secure, empty).await?;
    Ok((loaded, credentials, comm))
}

/// `comm`: the last component of the path, at most 15 bytes.
fn base_name(path: &[u8]) -> Vec<u8> {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    name[..name.len().min(15)].to_vec()
}

/// Ends all other threads of the process and takes over its number (`de_thread`).
///
/// # Errors
/// ERESTARTNOINTR when the process is ending or another thread is already doing the same.
async fn replace_threads(ctx: &Ctx) -> Result<(), Errno> {
    let task = &ctx.task;
    let group = &task.group;
    {
        let _tree = task.kernel.tasks.lock();
        let is_exiting = group.is_exiting();
        let mut survivor = group.exec_survivor.lock();
        if is_exiting || survivor.is_some() {
            return Err(Errno::ERESTARTNOINTR);
        }
        *survivor = Some(task.tid());
    }
    for thread in group.threads() {
        if !Arc::ptr_eq(&thread, task) {
            thread.request_attention();
        }
    }
    wait_for(&group.exit_events, PollEvents::IN, || (group.threads().len() == 1).then_some(()))
        .await;
    let mut tree = task.kernel.tasks.lock();
    if task.tid() != group.pid {
        tree.remove_task(task.tid());
        task.kernel.futexes.pi.renumber(task.tid(), group.pid);
        task.tid.store(group.pid, Ordering::Relaxed);
        tree.insert_task(task);
        ptrace::forget_leader(&mut tree, group);
    }
    *group.exec_survivor.lock() = None;
    Ok(())
}

/// The point of no return is passed: moves the task into the new address space.
async fn commit(ctx: &mut Ctx, loaded: Loaded, credentials: Credentials, comm: Vec<u8>) {
    let task = ctx.task.clone();
    super::exit::release_memory(ctx, false).await;
    task.set_mm(loaded.mm);
    let (user, system) = ctx.thread.cpu_time_ns();
    task.earlier_ns.fetch_add(user + system, Ordering::Relaxed);
    let process_ns = ctx.thread.interrupter().process_cpu_time_ns();
    task.group.cpu_dead_user_ns.fetch_add(process_ns, Ordering::Relaxed);
    let old = std::mem::replace(&mut ctx.thread, loaded.thread);
    // The new program goes first.
    task.kernel.executor.at_leisure(move || drop(old));
    ctx.reload_memory();
    super::exit::release_vfork_parent(&task);
    become_program(ctx, credentials, comm);
    if ctx.follow_filters().await.is_err() {
        // There is no program to go back to.
        super::end_group(&task.group, signaled_status(SIGKILL, false) as u32);
    }
}

/// What changes for a task that has its new memory and thread.
fn become_program(ctx: &mut Ctx, credentials: Credentials, comm: Vec<u8>) {
    let task = ctx.task.clone();
    let group = &task.group;
    let old = task.credentials();
    task.set_interrupter(Some(ctx.thread.interrupter()));
    if task.sched.lock().affinity != SchedState::new(task.kernel.cpu_count).affinity {
        task.apply_affinity();
    }
    let dumpable = !credentials.is_secure_after(&old);
    group.dumpable.store(u32::from(dumpable), Ordering::Relaxed);
    group.has_execed.store(true, Ordering::Relaxed);
    task.set_credentials(credentials);
    ctx.tell_identity();
    *task.name.lock() = comm;
    // Files shared with another process by CLONE_FILES become the task's own.
    let fds = task.fds().copy();
    task.set_fds(fds.clone());
    fds.close_on_exec();
    crate::signal::reset_for_exec(&task);
    ctx.tell_actions();
    crate::time::reset_for_exec(&task.kernel.timers, group);
    if task.has_attention() {
        // A signal may have come while the old interrupter was still in place.
        task.request_attention();
    }
}

impl Credentials {
    /// Credentials after executing a file with `attributes` (capabilities(7), "Transformation of
    /// capabilities during execve()"). File capabilities (`security.capability`) count as absent.
    pub fn for_exec(&self, attributes: &Attributes, honours_ids: bool) -> Credentials {
        const SETUID: u32 = 0o4000;
        const SETGID: u32 = 0o2000;
        const GROUP_EXECUTE: u32 = 0o010;
        let mut new = self.clone();
        let may_change = honours_ids && !self.no_new_privs;
        if may_change && attributes.permissions & SETUID != 0 {
            new.euid = attributes.uid;
        }
        let setgid = SETGID | GROUP_EXECUTE;
        if may_change && attributes.permissions & setgid == setgid {
            new.egid = attributes.gid;
        }
        let ids_changed = new.euid != self.euid || new.egid != self.egid;
        new.suid = new.euid;
        new.fsuid = new.euid;
        new.sgid = new.egid;
        new.fsgid = new.egid;
        const NOROOT: u32 = 1;
        let root_counts = self.securebits & NOROOT == 0;
        let is_root = root_counts && (new.uid == 0 || new.euid == 0);
        new.ambient = if ids_changed { 0 } else { self.ambient };
        let (file_permitted, file_effective) =
            if is_root { (u64::MAX, root_counts && new.euid == 0) } else { (0, false) };
        new.permitted =
            (self.inheritable & file_permitted) | (file_permitted & self.bounding) | new.ambient;
        new.effective = if file_effective { new.permitted } else { new.ambient };
        const KEEP_CAPS: u32 = 1 << 4;
        new.securebits &= !KEEP_CAPS;
        new
    }

    /// Whether a program with these credentials, executed from `old`, runs in secure mode
    /// (`AT_SECURE`).
    pub fn is_secure_after(&self, old: &Credentials) -> bool {
        let ids_differ = self.euid != self.uid || self.egid != self.gid;
        let changed = self.euid != old.euid || self.egid != old.egid;
        ids_differ && (changed || self.uid != 0)
    }
}
