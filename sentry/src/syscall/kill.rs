//! Sending signals: `kill(2)`, `tgkill(2)`, `rt_sigqueueinfo(2)`.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::signal::{SI_TKILL, SI_USER, SigInfo};

use super::SysResult;
use crate::memory::UserPtr;
use crate::signal;
use crate::task::{Ctx, INIT_PID, Pid, Task, ThreadGroup};

/// Signals processes, kill(2): one, a process group (0: the own, below -1: that one), or (-1) all
/// but the first process and the own.
///
/// Errors: EINVAL for a number that is no signal, ESRCH, EPERM.
pub fn kill(ctx: &mut Ctx, pid: Pid, signo: i32) -> SysResult {
    let info = own_info(&ctx.task, signo, SI_USER);
    match pid {
        1.. => {
            let group = find_process(&ctx.task, pid)?;
            to_group(&ctx.task, &group, &info)
        }
        -1 => to_all(&ctx.task, &info),
        0 => to_members(&ctx.task, &ctx.task.group.process_group().members(), &info),
        // There is no process group with this number.
        Pid::MIN => Err(Errno::ESRCH),
        _ => {
            let group = ctx.task.kernel.tasks.process_group(-pid).ok_or(Errno::ESRCH)?;
            to_members(&ctx.task, &group.members(), &info)
        }
    }
}

/// Signals a thread, tkill(2). Errors: EINVAL, ESRCH, EPERM, EAGAIN (queue full).
pub fn tkill(ctx: &mut Ctx, tid: Pid, signo: i32) -> SysResult {
    if tid <= 0 {
        return Err(Errno::EINVAL);
    }
    let info = own_info(&ctx.task, signo, SI_TKILL);
    to_thread(&ctx.task, None, tid, &info)
}

/// Signals a thread of a process, tgkill(2). Errors: as [`tkill`].
pub fn tgkill(ctx: &mut Ctx, pid: Pid, tid: Pid, signo: i32) -> SysResult {
    if pid <= 0 || tid <= 0 {
        return Err(Errno::EINVAL);
    }
    let info = own_info(&ctx.task, signo, SI_TKILL);
    to_thread(&ctx.task, Some(pid), tid, &info)
}

/// Signals a process with data, rt_sigqueueinfo(2).
///
/// Errors: EFAULT; EPERM also for a code that only the kernel may use (except towards oneself);
/// else as [`kill`], EAGAIN (queue full).
pub fn rt_sigqueueinfo(ctx: &mut Ctx, pid: Pid, signo: i32, info: UserPtr<SigInfo>) -> SysResult {
    let info = read_info(ctx, signo, info)?;
    check_code(&ctx.task, pid, &info)?;
    let group = find_process(&ctx.task, pid)?;
    to_group(&ctx.task, &group, &info)
}

/// Signals a thread with data, rt_tgsigqueueinfo(2). Errors: as [`rt_sigqueueinfo`].
pub fn rt_tgsigqueueinfo(
    ctx: &mut Ctx,
    pid: Pid,
    tid: Pid,
    signo: i32,
    info: UserPtr<SigInfo>,
) -> SysResult {
    let info = read_info(ctx, signo, info)?;
    if pid <= 0 || tid <= 0 {
        return Err(Errno::EINVAL);
    }
    check_code(&ctx.task, tid, &info)?;
    to_thread(&ctx.task, Some(pid), tid, &info)
}

/// A signal of the caller without data.
pub(super) fn own_info(task: &Task, signo: i32, code: i32) -> SigInfo {
    SigInfo::kill(signo, code, task.pid(), task.credentials().uid)
}

fn read_info(ctx: &Ctx, signo: i32, info: UserPtr<SigInfo>) -> Result<SigInfo, Errno> {
    let info = ctx.memory().read_value(info)?;
    Ok(SigInfo { signo, ..info })
}

/// Codes of the kernel and of `kill` cannot be had for signals to others.
///
/// Errors: EPERM.
fn check_code(sender: &Task, target: Pid, info: &SigInfo) -> Result<(), Errno> {
    let is_reserved = info.code >= 0 || info.code == SI_TKILL;
    // Linux: compared with the number of the calling thread, of a process too.
    if is_reserved && target != sender.tid() { Err(Errno::EPERM) } else { Ok(()) }
}

/// The process `pid`, or that of thread `pid`. Errors: ESRCH.
fn find_process(sender: &Task, pid: Pid) -> Result<Arc<ThreadGroup>, Errno> {
    let tree = sender.kernel.tasks.lock();
    let by_thread = || tree.task(pid).map(|task| task.group.clone());
    tree.group(pid).or_else(by_thread).ok_or(Errno::ESRCH)
}

/// Checks and sends. A zombie can be signalled without effect.
pub(super) fn to_group(sender: &Arc<Task>, target: &Arc<ThreadGroup>, info: &SigInfo) -> SysResult {
    let Some(leader) = target.leader() else {
        return match info.signo {
            0..linux_abi::signal::NSIG => Ok(0),
            _ => Err(Errno::EINVAL),
        };
    };
    signal::check_permission(sender, &leader, info)?;
    if info.signo != 0 {
        signal::send_to_group(target, *info)?;
    }
    Ok(0)
}

/// Sends to a process group: well if one member could be signalled.
///
/// Errors: ESRCH without members, else that of the last one.
pub(super) fn to_members(
    sender: &Arc<Task>,
    members: &[Arc<ThreadGroup>],
    info: &SigInfo,
) -> SysResult {
    let mut result = Err(Errno::ESRCH);
    for member in members {
        let sent = to_group(sender, member, info);
        if result.is_err() {
            result = sent;
        }
    }
    result
}

/// Errors: ESRCH when there is nobody else. Linux: EPERM does not count.
fn to_all(sender: &Arc<Task>, info: &SigInfo) -> SysResult {
    let mut result = Ok(0);
    let mut has_target = false;
    for target in sender.kernel.tasks.groups() {
        if target.pid == INIT_PID || Arc::ptr_eq(&target, &sender.group) {
            continue;
        }
        has_target = true;
        match to_group(sender, &target, info) {
            Err(Errno::EPERM) => {}
            sent => result = sent,
        }
    }
    if has_target { result } else { Err(Errno::ESRCH) }
}

pub(super) fn to_thread(
    sender: &Arc<Task>,
    pid: Option<Pid>,
    tid: Pid,
    info: &SigInfo,
) -> SysResult {
    let target = sender.kernel.tasks.task(tid).ok_or(Errno::ESRCH)?;
    if pid.is_some_and(|pid| pid != target.pid()) {
        return Err(Errno::ESRCH);
    }
    signal::check_permission(sender, &target, info)?;
    if info.signo != 0 {
        signal::send_to_task(&target, *info)?;
    }
    Ok(0)
}
