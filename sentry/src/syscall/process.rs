//! Processes and threads: `clone`, `execve`, `exit`, `wait4`, process groups and sessions.

use linux_abi::Errno;
use linux_abi::fs::{AT_FDCWD, AtFlags};
use linux_abi::signal::{CLD_CONTINUED, CLD_STOPPED, CLD_TRAPPED, SIGCHLD, SigInfo};
use linux_abi::task::{
    CLONE_ARGS_SIZE_VER0, CONTINUED_STATUS, CSIGNAL, CloneArgs, CloneFlags, P_ALL, P_PGID, P_PID,
    P_PIDFD, Rusage, WaitOptions, exited_status,
};
use zerocopy::{FromZeros, IntoBytes};

use super::{Fd, Flow, SysResult};
use crate::fs::pidfd::PidFd;
use crate::loader::MAX_STRING_BYTES;
use crate::memory::{UserAddr, UserPages, UserPtr};
use crate::task::{self, ChildEvent, ChildFilter, CloneRequest, Ctx, ExecRequest, ExitReason, Pid};

/// `fork(2)`.
pub async fn fork(ctx: &mut Ctx) -> SysResult {
    task::clone(ctx, CloneRequest::new(CloneFlags::empty(), SIGCHLD)).await
}

/// `vfork(2)`.
pub async fn vfork(ctx: &mut Ctx) -> SysResult {
    task::clone(ctx, CloneRequest::new(CloneFlags::VFORK | CloneFlags::VM, SIGCHLD)).await
}

/// `clone(2)`. The parent's thread number and the pidfd share an argument.
pub async fn clone(
    ctx: &mut Ctx,
    raw_flags: u64,
    stack: u64,
    parent_tid: UserPtr<i32>,
    child_tid: UserPtr<i32>,
    tls: u64,
) -> SysResult {
    let flags = CloneFlags::from_bits_truncate(raw_flags & 0xffff_ffff & !CSIGNAL);
    // Linux: both would write to the same address.
    if flags.contains(CloneFlags::PIDFD | CloneFlags::PARENT_SETTID) {
        return Err(Errno::EINVAL);
    }
    let request = CloneRequest {
        flags,
        exit_signal: (raw_flags & CSIGNAL) as i32,
        stack,
        tls,
        parent_tid,
        child_tid,
        pidfd: parent_tid,
    };
    task::clone(ctx, request).await
}

/// `clone3(2)`.
///
/// Errors: E2BIG (unknown fields that are not zero), EINVAL, EFAULT and those of `clone`.
pub async fn clone3(ctx: &mut Ctx, ptr: UserAddr, size: usize) -> SysResult {
    if size > 4096 {
        return Err(Errno::E2BIG);
    }
    if size < CLONE_ARGS_SIZE_VER0 {
        return Err(Errno::EINVAL);
    }
    let bytes = ctx.memory().read_bytes(ptr, size)?;
    let mut args = CloneArgs::new_zeroed();
    let known = size.min(size_of::<CloneArgs>());
    args.as_mut_bytes()[..known].copy_from_slice(&bytes[..known]);
    if bytes[known..].iter().any(|&byte| byte != 0) {
        return Err(Errno::E2BIG);
    }
    let flags = CloneFlags::from_bits(args.flags).ok_or(Errno::EINVAL)?;
    let has_stack = args.stack != 0;
    let bad = flags.intersects(CloneFlags::DETACHED)
        || args.exit_signal > 64
        || has_stack != (args.stack_size != 0)
        || args.set_tid_size > 32
        || (args.set_tid == 0) != (args.set_tid_size == 0)
        || (flags.intersects(CloneFlags::THREAD | CloneFlags::PARENT) && args.exit_signal != 0);
    if bad {
        return Err(Errno::EINVAL);
    }
    // Choosing the number needs CAP_CHECKPOINT_RESTORE over the pid namespace: refused to all.
    if args.set_tid != 0 {
        return Err(Errno::EPERM);
    }
    let request = CloneRequest {
        flags,
        exit_signal: args.exit_signal as i32,
        stack: args.stack.wrapping_add(args.stack_size),
        tls: args.tls,
        parent_tid: UserPtr::new(args.parent_tid),
        child_tid: UserPtr::new(args.child_tid),
        pidfd: UserPtr::new(args.pidfd),
    };
    task::clone(ctx, request).await
}

/// `execve(2)`.
pub async fn execve(ctx: &mut Ctx, path: UserAddr, argv: UserAddr, envp: UserAddr) -> Flow {
    exec_at(ctx, Fd(AT_FDCWD), path, argv, envp, 0).await
}

/// `execveat(2)`.
pub async fn execveat(
    ctx: &mut Ctx,
    dir: Fd,
    path: UserAddr,
    argv: UserAddr,
    envp: UserAddr,
    flags: u32,
) -> Flow {
    exec_at(ctx, dir, path, argv, envp, flags).await
}

async fn exec_at(
    ctx: &mut Ctx,
    dir: Fd,
    path: UserAddr,
    argv: UserAddr,
    envp: UserAddr,
    flags: u32,
) -> Flow {
    match exec_inner(ctx, dir, path, argv, envp, flags).await {
        Ok(()) => Flow::Resume,
        Err(errno) => Flow::Return(Err(errno)),
    }
}

async fn exec_inner(
    ctx: &mut Ctx,
    dir: Fd,
    path: UserAddr,
    argv: UserAddr,
    envp: UserAddr,
    flags: u32,
) -> Result<(), Errno> {
    let flags = AtFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if !(AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW).contains(flags) {
        return Err(Errno::EINVAL);
    }
    let path = ctx.memory().read_path(path)?;
    if path.is_empty() && !flags.contains(AtFlags::EMPTY_PATH) {
        return Err(Errno::ENOENT);
    }
    let follow = !flags.contains(AtFlags::SYMLINK_NOFOLLOW);
    let file = crate::vfs::open_for_exec(&ctx.task, Some(dir), &path, follow)?;
    let args = read_strings(ctx, argv)?;
    let env = read_strings(ctx, envp)?;
    let path = exec_name(dir, path.into_vec());
    task::execve(ctx, ExecRequest { file, path, args, env }).await
}

/// The name of a program given by descriptor, as Linux makes it up for scripts and `AT_EXECFN`.
fn exec_name(dir: Fd, path: Vec<u8>) -> Vec<u8> {
    if dir.0 == AT_FDCWD || path.starts_with(b"/") {
        return path;
    }
    let mut name = format!("/dev/fd/{}", dir.0).into_bytes();
    if !path.is_empty() {
        name.push(b'/');
        name.extend_from_slice(&path);
    }
    name
}

/// Most strings in one list; more would not fit any stack.
const MAX_STRINGS: usize = 1 << 20;

/// Reads a null-terminated array of strings; a null pointer is an empty list.
///
/// Errors: EFAULT; E2BIG for a string over `MAX_ARG_STRLEN` or more than any limit allows.
fn read_strings(ctx: &Ctx, array: UserAddr) -> Result<Vec<Vec<u8>>, Errno> {
    const LIMIT_BYTES: usize = 6 << 20;
    let mut strings = Vec::new();
    let mut total = 0;
    if array.is_null() {
        return Ok(strings);
    }
    let mut pages = UserPages::new(ctx.memory());
    loop {
        let slot = array.cast::<u64>().element(strings.len());
        let pointer = pages.read_word(slot)?;
        if pointer == 0 {
            return Ok(strings);
        }
        let text = pages.read_cstr(UserAddr(pointer), MAX_STRING_BYTES, Errno::E2BIG)?;
        total += text.len() + 9;
        strings.push(text);
        if total > LIMIT_BYTES || strings.len() > MAX_STRINGS {
            return Err(Errno::E2BIG);
        }
    }
}

/// `exit(2)`.
pub fn exit(_ctx: &mut Ctx, code: i32) -> Flow {
    Flow::Exit(ExitReason::Thread(exited_status(code) as u32))
}

/// `exit_group(2)`.
pub fn exit_group(_ctx: &mut Ctx, code: i32) -> Flow {
    Flow::Exit(ExitReason::Group(exited_status(code) as u32))
}

/// `wait4(2)`.
pub async fn wait4(
    ctx: &mut Ctx,
    pid: Pid,
    status: UserPtr<i32>,
    options: u32,
    usage: UserPtr<Rusage>,
) -> SysResult {
    const ALLOWED: WaitOptions = WaitOptions::NOHANG
        .union(WaitOptions::UNTRACED)
        .union(WaitOptions::CONTINUED)
        .union(WaitOptions::NOTHREAD)
        .union(WaitOptions::ALL)
        .union(WaitOptions::CLONE);
    if options & !ALLOWED.bits() != 0 {
        return Err(Errno::EINVAL);
    }
    let options = WaitOptions::from_bits_truncate(options) | WaitOptions::EXITED;
    let filter = match pid {
        i32::MIN => return Err(Errno::ESRCH),
        -1 => ChildFilter::Any,
        0 => ChildFilter::ProcessGroup(ctx.task.group.process_group().id),
        pid if pid < 0 => ChildFilter::ProcessGroup(-pid),
        pid => ChildFilter::Process(pid),
    };
    let Some(event) = task::wait_for_child(ctx, filter, options).await? else { return Ok(0) };
    if !status.is_null() {
        ctx.memory().write_value(status, &event.status)?;
    }
    if !usage.is_null() {
        ctx.memory().write_value(usage, &event.child.rusage_with_children())?;
    }
    Ok(event.tid as usize)
}

/// `waitid(2)`. Errors: EINVAL, ECHILD, EBADF (no pidfd), EAGAIN (a pidfd with `O_NONBLOCK`), EFAULT, EINTR.
pub async fn waitid(
    ctx: &mut Ctx,
    kind: i32,
    id: i32,
    info: UserPtr<SigInfo>,
    options: u32,
    usage: UserPtr<Rusage>,
) -> SysResult {
    let mut options = WaitOptions::from_bits(options).ok_or(Errno::EINVAL)?;
    let mut is_nonblocking = false;
    let states = WaitOptions::EXITED | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
    if !options.intersects(states) {
        return Err(Errno::EINVAL);
    }
    let filter = match kind {
        P_ALL => ChildFilter::Any,
        P_PID if id > 0 => ChildFilter::Process(id),
        P_PGID if id > 0 => ChildFilter::ProcessGroup(id),
        P_PGID if id == 0 => ChildFilter::ProcessGroup(ctx.task.group.process_group().id),
        P_PIDFD if id >= 0 => {
            let description = ctx.task.fds().get_usable(id)?;
            is_nonblocking = description.is_nonblocking() && !options.contains(WaitOptions::NOHANG);
            let target = description.downcast::<PidFd>().ok_or(Errno::EBADF)?;
            ChildFilter::Process(target.group().pid)
        }
        _ => return Err(Errno::EINVAL),
    };
    options.set(WaitOptions::NOHANG, is_nonblocking || options.contains(WaitOptions::NOHANG));
    let event = task::wait_for_child(ctx, filter, options).await?;
    if event.is_none() && is_nonblocking {
        return Err(Errno::EAGAIN);
    }
    if let (Some(event), false) = (&event, usage.is_null()) {
        ctx.memory().write_value(usage, &event.child.rusage_with_children())?;
    }
    if !info.is_null() {
        // Linux: with WNOHANG and no news si_signo and si_pid are zero.
        let shown = event.as_ref().map_or_else(SigInfo::new_zeroed, child_info);
        ctx.memory().write_value(info, &shown)?;
    }
    Ok(0)
}

fn child_info(event: &ChildEvent) -> SigInfo {
    let status = event.status;
    let (code, value) = if event.is_trapped {
        (CLD_TRAPPED, status >> 8)
    } else if status == CONTINUED_STATUS {
        (CLD_CONTINUED, linux_abi::signal::SIGCONT)
    } else if status & 0xff == 0x7f {
        (CLD_STOPPED, (status >> 8) & 0xff)
    } else {
        task::exit_code_and_value(status)
    };
    SigInfo::child(code, event.tid, event.uid, value, 0, 0)
}

/// `getpid(2)`.
pub fn getpid(ctx: &mut Ctx) -> SysResult {
    Ok(ctx.task.pid() as usize)
}

/// `gettid(2)`.
pub fn gettid(ctx: &mut Ctx) -> SysResult {
    Ok(ctx.task.tid() as usize)
}

/// `getppid(2)`.
pub fn getppid(ctx: &mut Ctx) -> SysResult {
    Ok(ctx.task.group.ppid() as usize)
}

/// `setpgid(2)`.
pub fn setpgid(ctx: &mut Ctx, pid: Pid, group: Pid) -> SysResult {
    task::set_process_group(&ctx.task, pid, group).map(|()| 0)
}

/// `getpgid(2)`.
pub fn getpgid(ctx: &mut Ctx, pid: Pid) -> SysResult {
    let group = process(ctx, pid)?;
    Ok(group.process_group().id as usize)
}

/// `getpgrp(2)`.
pub fn getpgrp(ctx: &mut Ctx) -> SysResult {
    getpgid(ctx, 0)
}

/// `setsid(2)`.
pub fn setsid(ctx: &mut Ctx) -> SysResult {
    task::start_session(&ctx.task).map(|id| id as usize)
}

/// `getsid(2)`.
pub fn getsid(ctx: &mut Ctx, pid: Pid) -> SysResult {
    let group = process(ctx, pid)?;
    Ok(group.session().id as usize)
}

/// The process with number `pid` (or the one of that thread); 0 is the caller.
pub(super) fn process(
    ctx: &Ctx,
    pid: Pid,
) -> Result<std::sync::Arc<crate::task::ThreadGroup>, Errno> {
    if pid == 0 {
        return Ok(ctx.task.group.clone());
    }
    let tasks = &ctx.task.kernel.tasks;
    if let Some(group) = tasks.group(pid) {
        return Ok(group);
    }
    tasks.task(pid).map(|task| task.group.clone()).ok_or(Errno::ESRCH)
}
