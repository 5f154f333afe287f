//! Resource limits and usage: `prlimit64`, `getrusage`.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::task::{
    CAP_SYS_RESOURCE, RLIM_NLIMITS, RLIMIT_CPU, RLIMIT_NOFILE, RUSAGE_CHILDREN, RUSAGE_SELF,
    RUSAGE_THREAD, Rlimit64, Rusage,
};

use super::SysResult;
use crate::memory::UserPtr;
use crate::task::{Ctx, Pid, ThreadGroup, is_host_limit, rusage};
use crate::time::{children_cpu, process_cpu, thread_cpu, watch_cpu_limit};

/// Largest `RLIMIT_NOFILE` (`fs.nr_open`).
const NR_OPEN: u64 = 1 << 20;

/// `getrlimit(2)`.
pub fn getrlimit(ctx: &mut Ctx, resource: u32, limit: UserPtr<Rlimit64>) -> SysResult {
    let value = read_limit(&ctx.task.group, resource)?;
    ctx.memory().write_value(limit, &value)?;
    Ok(0)
}

/// `setrlimit(2)`.
pub fn setrlimit(ctx: &mut Ctx, resource: u32, limit: UserPtr<Rlimit64>) -> SysResult {
    let new = ctx.memory().read_value(limit)?;
    change_limit(ctx, &ctx.task.group.clone(), resource, new)?;
    Ok(0)
}

/// `prlimit(2)`.
pub fn prlimit64(
    ctx: &mut Ctx,
    pid: Pid,
    resource: u32,
    new: UserPtr<Rlimit64>,
    old: UserPtr<Rlimit64>,
) -> SysResult {
    let new = new.non_null().map(|ptr| ctx.memory().read_value(ptr)).transpose()?;
    let group = super::process::process(ctx, pid)?;
    if !Arc::ptr_eq(&group, &ctx.task.group) {
        check_foreign(ctx, &group)?;
    }
    let before = read_limit(&group, resource)?;
    if let Some(new) = new {
        change_limit(ctx, &group, resource, new)?;
    }
    if !old.is_null() {
        ctx.memory().write_value(old, &before)?;
    }
    Ok(0)
}

/// Another process' limits: all its ids must be the caller's real ones, or CAP_SYS_RESOURCE.
fn check_foreign(ctx: &Ctx, group: &ThreadGroup) -> Result<(), Errno> {
    let own = ctx.task.credentials();
    let other = group.leader().ok_or(Errno::ESRCH)?.credentials();
    let same_user = [other.uid, other.euid, other.suid].iter().all(|&id| id == own.uid);
    let same_group = [other.gid, other.egid, other.sgid].iter().all(|&id| id == own.gid);
    let allowed = (same_user && same_group) || own.has(CAP_SYS_RESOURCE);
    if allowed { Ok(()) } else { Err(Errno::EPERM) }
}

fn read_limit(group: &ThreadGroup, resource: u32) -> Result<Rlimit64, Errno> {
    group.limits.lock().get(resource as usize).copied().ok_or(Errno::EINVAL)
}

fn change_limit(
    ctx: &Ctx,
    group: &Arc<ThreadGroup>,
    resource: u32,
    new: Rlimit64,
) -> Result<(), Errno> {
    if resource as usize >= RLIM_NLIMITS || new.cur > new.max {
        return Err(Errno::EINVAL);
    }
    if resource == RLIMIT_NOFILE && new.max > NR_OPEN {
        return Err(Errno::EPERM);
    }
    let may_raise = ctx.task.credentials().has(CAP_SYS_RESOURCE);
    {
        let mut limits = group.limits.lock();
        let slot = &mut limits[resource as usize];
        if new.max > slot.max && !may_raise {
            return Err(Errno::EPERM);
        }
        *slot = new;
    }
    if resource == RLIMIT_CPU {
        watch_cpu_limit(&ctx.task.kernel.timers, group);
    }
    if is_host_limit(resource)
        && let Some(leader) = group.leader()
    {
        leader.apply_memory_limits(&**leader.mm().memory().space())?;
    }
    Ok(())
}

/// `getrusage(2)`.
pub fn getrusage(ctx: &mut Ctx, who: i32, usage: UserPtr<Rusage>) -> SysResult {
    let group = &ctx.task.group;
    let mut value = match who {
        RUSAGE_SELF => rusage(process_cpu(group)),
        RUSAGE_CHILDREN => rusage(children_cpu(group)),
        RUSAGE_THREAD => rusage(thread_cpu(&ctx.task)),
        _ => return Err(Errno::EINVAL),
    };
    if who != RUSAGE_CHILDREN {
        let resident = ctx.memory().space().usage()?.resident;
        value.maxrss = (resident >> 10) as i64;
    }
    ctx.memory().write_value(usage, &value)?;
    Ok(0)
}
