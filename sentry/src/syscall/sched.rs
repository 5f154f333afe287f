//! Scheduling: affinity, policies, priorities, sched(7).

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::task::{
    CAP_SYS_NICE, RLIMIT_NICE, RLIMIT_RTPRIO, SCHED_ATTR_SIZE_VER0, SCHED_BATCH, SCHED_DEADLINE,
    SCHED_FIFO, SCHED_IDLE, SCHED_NORMAL, SCHED_RESET_ON_FORK, SCHED_RR, SchedAttr, SchedParam,
};
use linux_abi::time::Timespec;
use platform::HostOp;
use zerocopy::{FromZeros, IntoBytes};

use super::SysResult;
use crate::memory::{UserAddr, UserPtr};
use crate::task::{Credentials, Ctx, Pid, Task};

const PRIO_PROCESS: i32 = 0;
const PRIO_PGRP: i32 = 1;
const PRIO_USER: i32 = 2;

/// `sched_yield(2)`.
pub async fn sched_yield(ctx: &mut Ctx) -> SysResult {
    ctx.host_op(HostOp::Yield).await?;
    Ok(0)
}

/// Thread `pid`, 0 for the caller.
fn target(ctx: &Ctx, pid: Pid) -> Result<Arc<Task>, Errno> {
    match pid {
        0 => Ok(ctx.task.clone()),
        pid if pid < 0 => Err(Errno::EINVAL),
        pid => ctx.task.kernel.tasks.task(pid).ok_or(Errno::ESRCH),
    }
}

/// Whether the caller may change scheduling of `target` at all.
fn check_owner(ctx: &Ctx, target: &Task) -> Result<(), Errno> {
    let own = ctx.task.credentials();
    let other = target.credentials();
    let is_owner = own.euid == other.uid || own.euid == other.euid;
    if is_owner || own.has(CAP_SYS_NICE) { Ok(()) } else { Err(Errno::EPERM) }
}

/// `sched_getaffinity(2)`: answers with the size of the mask in bytes.
pub fn sched_getaffinity(ctx: &mut Ctx, pid: Pid, size: usize, mask: UserAddr) -> SysResult {
    let task = target(ctx, pid)?;
    let words = task.sched.lock().affinity.clone();
    let cpus = ctx.task.kernel.cpu_count as usize;
    if size.saturating_mul(8) < cpus || !size.is_multiple_of(8) {
        return Err(Errno::EINVAL);
    }
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let len = size.min(bytes.len());
    ctx.memory().write_exact(mask, &bytes[..len])?;
    Ok(len)
}

/// `sched_setaffinity(2)`.
pub fn sched_setaffinity(ctx: &mut Ctx, pid: Pid, size: usize, mask: UserAddr) -> SysResult {
    let task = target(ctx, pid)?;
    let full = crate::task::SchedState::new(ctx.task.kernel.cpu_count).affinity;
    let len = size.min(full.len() * 8);
    let bytes = ctx.memory().read_bytes(mask, len)?;
    check_owner(ctx, &task)?;
    let mut words = vec![0_u64; full.len()];
    for (index, byte) in bytes.iter().enumerate() {
        words[index / 8] |= u64::from(*byte) << (index % 8 * 8);
    }
    for (word, possible) in words.iter_mut().zip(&full) {
        *word &= possible;
    }
    if words.iter().all(|&word| word == 0) {
        return Err(Errno::EINVAL);
    }
    task.sched.lock().affinity = words;
    task.apply_affinity();
    Ok(0)
}

/// `getcpu(2)`: the host's processor, folded into those the guest sees, if the caller may use it;
/// else the first that it may use.
pub fn getcpu(ctx: &mut Ctx, cpu: UserPtr<u32>, node: UserPtr<u32>) -> SysResult {
    let current = ctx.thread.host_cpu() % ctx.task.kernel.cpu_count.max(1);
    let current = ctx.task.sched.lock().nearest_allowed(current);
    if !cpu.is_null() {
        ctx.memory().write_value(cpu, &current)?;
    }
    if !node.is_null() {
        ctx.memory().write_value(node, &0_u32)?;
    }
    Ok(0)
}

/// `sched_getscheduler(2)`.
pub fn sched_getscheduler(ctx: &mut Ctx, pid: Pid) -> SysResult {
    let task = target(ctx, pid)?;
    let state = task.sched.lock();
    let flag = if state.resets_on_fork { SCHED_RESET_ON_FORK } else { 0 };
    Ok((state.policy | flag) as usize)
}

/// `sched_getparam(2)`.
pub fn sched_getparam(ctx: &mut Ctx, pid: Pid, param: UserPtr<SchedParam>) -> SysResult {
    if param.is_null() {
        return Err(Errno::EINVAL);
    }
    let priority = target(ctx, pid)?.sched.lock().priority;
    ctx.memory().write_value(param, &SchedParam { priority })?;
    Ok(0)
}

/// `sched_setscheduler(2)`.
pub fn sched_setscheduler(
    ctx: &mut Ctx,
    pid: Pid,
    policy: i32,
    param: UserPtr<SchedParam>,
) -> SysResult {
    if policy < 0 || param.is_null() {
        return Err(Errno::EINVAL);
    }
    let priority = ctx.memory().read_value(param)?.priority;
    let task = target(ctx, pid)?;
    let resets = policy & SCHED_RESET_ON_FORK != 0;
    set_policy(ctx, &task, policy & !SCHED_RESET_ON_FORK, priority, resets, None)
}

/// `sched_setparam(2)`.
pub fn sched_setparam(ctx: &mut Ctx, pid: Pid, param: UserPtr<SchedParam>) -> SysResult {
    if param.is_null() {
        return Err(Errno::EINVAL);
    }
    let priority = ctx.memory().read_value(param)?.priority;
    let task = target(ctx, pid)?;
    let (policy, resets) = {
        let state = task.sched.lock();
        (state.policy, state.resets_on_fork)
    };
    set_policy(ctx, &task, policy, priority, resets, None)
}

fn set_policy(
    ctx: &Ctx,
    task: &Arc<Task>,
    policy: i32,
    priority: i32,
    resets_on_fork: bool,
    nice: Option<i32>,
) -> SysResult {
    let is_realtime = matches!(policy, SCHED_FIFO | SCHED_RR);
    let range = match policy {
        SCHED_FIFO | SCHED_RR => 1..=99,
        SCHED_NORMAL | SCHED_BATCH | SCHED_IDLE => 0..=0,
        // Deadline scheduling takes its parameters from sched_setattr only; no guest may have it.
        _ => return Err(Errno::EINVAL),
    };
    if !range.contains(&priority) {
        return Err(Errno::EINVAL);
    }
    check_owner(ctx, task)?;
    let own = ctx.task.credentials();
    let limit = task.group.soft_limit(RLIMIT_RTPRIO as usize);
    let current = task.sched.lock().priority;
    let raises = priority > current && priority as u64 > limit;
    if is_realtime && !own.has(CAP_SYS_NICE) && raises {
        return Err(Errno::EPERM);
    }
    if let Some(nice) = nice {
        check_nice(&own, task, nice, Errno::EPERM)?;
    }
    let mut state = task.sched.lock();
    state.policy = policy;
    state.priority = priority;
    state.resets_on_fork = resets_on_fork;
    if let Some(nice) = nice {
        state.nice = nice;
    }
    Ok(0)
}

/// `sched_getattr(2)`.
pub fn sched_getattr(ctx: &mut Ctx, pid: Pid, attr: UserAddr, size: u32, flags: u32) -> SysResult {
    let size = size as usize;
    if attr.is_null() || flags != 0 || !(SCHED_ATTR_SIZE_VER0 as usize..=4096).contains(&size) {
        return Err(Errno::EINVAL);
    }
    let task = target(ctx, pid)?;
    let state = task.sched.lock().clone();
    let known = size.min(size_of::<SchedAttr>());
    let mut value = SchedAttr::new_zeroed();
    value.size = known as u32;
    value.policy = state.policy as u32;
    value.flags = u64::from(state.resets_on_fork);
    value.nice = state.nice;
    value.priority = state.priority as u32;
    ctx.memory().write_exact(attr, &value.as_bytes()[..known])?;
    Ok(0)
}

/// `sched_setattr(2)`.
pub fn sched_setattr(ctx: &mut Ctx, pid: Pid, attr: UserAddr, flags: u32) -> SysResult {
    if attr.is_null() || flags != 0 || pid < 0 {
        return Err(Errno::EINVAL);
    }
    let size = ctx.memory().read_value(attr.cast::<u32>())? as usize;
    let size = if size == 0 { SCHED_ATTR_SIZE_VER0 as usize } else { size };
    if !(SCHED_ATTR_SIZE_VER0 as usize..=4096).contains(&size) {
        return Err(Errno::E2BIG);
    }
    let bytes = ctx.memory().read_bytes(attr, size)?;
    let known = size.min(size_of::<SchedAttr>());
    if bytes[known..].iter().any(|&byte| byte != 0) {
        return Err(Errno::E2BIG);
    }
    let mut value = SchedAttr::new_zeroed();
    value.as_mut_bytes()[..known].copy_from_slice(&bytes[..known]);
    const RESET_ON_FORK: u64 = 1;
    if value.flags & !RESET_ON_FORK != 0 || value.policy as i32 == SCHED_DEADLINE {
        return Err(Errno::EINVAL);
    }
    let task = target(ctx, pid)?;
    let policy = value.policy as i32;
    let nice = matches!(policy, SCHED_NORMAL | SCHED_BATCH).then(|| value.nice.clamp(-20, 19));
    let resets = value.flags & RESET_ON_FORK != 0;
    set_policy(ctx, &task, policy, value.priority as i32, resets, nice)
}

/// `sched_get_priority_max(2)`.
pub fn sched_get_priority_max(_ctx: &mut Ctx, policy: i32) -> SysResult {
    match policy {
        SCHED_FIFO | SCHED_RR => Ok(99),
        SCHED_NORMAL | SCHED_BATCH | SCHED_IDLE | SCHED_DEADLINE => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

/// `sched_get_priority_min(2)`.
pub fn sched_get_priority_min(_ctx: &mut Ctx, policy: i32) -> SysResult {
    match policy {
        SCHED_FIFO | SCHED_RR => Ok(1),
        SCHED_NORMAL | SCHED_BATCH | SCHED_IDLE | SCHED_DEADLINE => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

/// `sched_rr_get_interval(2)`: Linux' default time slices.
pub fn sched_rr_get_interval(ctx: &mut Ctx, pid: Pid, interval: UserPtr<Timespec>) -> SysResult {
    let policy = target(ctx, pid)?.sched.lock().policy;
    let nsec = match policy {
        SCHED_RR => 100_000_000,
        SCHED_FIFO => 0,
        _ => 4_000_000,
    };
    ctx.memory().write_value(interval, &Timespec { sec: 0, nsec })?;
    Ok(0)
}

/// The threads that `who` names, getpriority(2).
fn priority_targets(ctx: &Ctx, which: i32, who: i32) -> Result<Vec<Arc<Task>>, Errno> {
    let kernel = &ctx.task.kernel;
    let targets: Vec<Arc<Task>> = match which {
        PRIO_PROCESS if who == 0 => vec![ctx.task.clone()],
        PRIO_PROCESS => kernel.tasks.task(who).into_iter().collect(),
        PRIO_PGRP => {
            let own = ctx.task.group.process_group();
            let group = if who == 0 { Some(own) } else { kernel.tasks.process_group(who) };
            let members = group.map(|group| group.members()).unwrap_or_default();
            members.iter().flat_map(|member| member.threads()).collect()
        }
        PRIO_USER => {
            let uid = if who == 0 { ctx.task.credentials().uid } else { who as u32 };
            let threads = kernel.tasks.groups().into_iter().flat_map(|group| group.threads());
            threads.filter(|task| task.credentials().uid == uid).collect()
        }
        _ => return Err(Errno::EINVAL),
    };
    if targets.is_empty() { Err(Errno::ESRCH) } else { Ok(targets) }
}

/// `getpriority(2)`: the raw call answers 20 minus the nice value.
pub fn getpriority(ctx: &mut Ctx, which: i32, who: i32) -> SysResult {
    let targets = priority_targets(ctx, which, who)?;
    let lowest = targets.iter().map(|task| task.sched.lock().nice).min().unwrap_or(0);
    Ok((20 - lowest) as usize)
}

/// Raising priority takes CAP_SYS_NICE or room under RLIMIT_NICE.
fn check_nice(own: &Credentials, task: &Task, nice: i32, refused: Errno) -> Result<(), Errno> {
    let current = task.sched.lock().nice;
    let limit = task.group.soft_limit(RLIMIT_NICE as usize);
    let fits = (20 - nice) as u64 <= limit;
    if nice < current && !own.has(CAP_SYS_NICE) && !fits { Err(refused) } else { Ok(()) }
}

/// `setpriority(2)`.
pub fn setpriority(ctx: &mut Ctx, which: i32, who: i32, nice: i32) -> SysResult {
    let nice = nice.clamp(-20, 19);
    let own = ctx.task.credentials();
    let mut result = Ok(0);
    for task in priority_targets(ctx, which, who)? {
        let checked =
            check_owner(ctx, &task).and_then(|()| check_nice(&own, &task, nice, Errno::EACCES));
        match checked {
            Ok(()) => task.sched.lock().nice = nice,
            Err(errno) => result = Err(errno),
        }
    }
    result
}
