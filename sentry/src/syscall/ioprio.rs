//! `ioprio_get` and `ioprio_set`: kept and answered; the host schedules I/O by its own rules.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::task::{CAP_SYS_ADMIN, CAP_SYS_NICE};

use super::SysResult;
use crate::task::{Ctx, Pid, Task};

const IOPRIO_WHO_PROCESS: i32 = 1;
const IOPRIO_WHO_PGRP: i32 = 2;
const IOPRIO_WHO_USER: i32 = 3;

const CLASS_SHIFT: u32 = 13;
const CLASS_NONE: i32 = 0;
const CLASS_RT: i32 = 1;
const CLASS_BE: i32 = 2;
const CLASS_IDLE: i32 = 3;
/// Checks a class and level for the caller. Errors: EINVAL, EPERM.
fn check(ctx: &Ctx, priority: i32) -> Result<(), Errno> {
    let level = priority & ((1 << CLASS_SHIFT) - 1);
    let own = ctx.task.credentials();
    match priority >> CLASS_SHIFT {
        CLASS_RT if !own.has(CAP_SYS_ADMIN) && !own.has(CAP_SYS_NICE) => Err(Errno::EPERM),
        CLASS_RT | CLASS_BE | CLASS_IDLE => Ok(()),
        CLASS_NONE if level == 0 => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

/// The threads that are meant. Errors: EINVAL, ESRCH.
fn targets(ctx: &Ctx, which: i32, who: Pid) -> Result<Vec<Arc<Task>>, Errno> {
    let tasks = &ctx.task.kernel.tasks;
    let found: Vec<Arc<Task>> = match which {
        IOPRIO_WHO_PROCESS if who == 0 => vec![ctx.task.clone()],
        IOPRIO_WHO_PROCESS => tasks.task(who).into_iter().collect(),
        IOPRIO_WHO_PGRP => {
            let own = || Some(ctx.task.group.process_group());
            let group = if who == 0 { own() } else { tasks.process_group(who) };
            let members = group.map(|group| group.members()).unwrap_or_default();
            members.iter().flat_map(|member| member.threads()).collect()
        }
        IOPRIO_WHO_USER => {
            let uid = if who == 0 { ctx.task.credentials().uid } else { who as u32 };
            let threads = tasks.groups().into_iter().flat_map(|group| group.threads());
            threads.filter(|task| task.credentials().uid == uid).collect()
        }
        _ => return Err(Errno::EINVAL),
    };
    if found.is_empty() { Err(Errno::ESRCH) } else { Ok(found) }
}

/// `ioprio_set(2)`.
///
/// Errors: EINVAL, EPERM, ESRCH.
pub fn ioprio_set(ctx: &mut Ctx, which: i32, who: Pid, priority: i32) -> SysResult {
    check(ctx, priority)?;
    let own = ctx.task.credentials();
    for task in targets(ctx, which, who)? {
        let other = task.credentials();
        let is_owner = other.uid == own.euid || other.uid == own.uid;
        if !is_owner && !own.has(CAP_SYS_NICE) {
            return Err(Errno::EPERM);
        }
        task.sched.lock().io_priority = priority as u16;
    }
    Ok(0)
}

/// `ioprio_get(2)`: of several threads, the highest priority.
///
/// Errors: EINVAL, ESRCH.
pub fn ioprio_get(ctx: &mut Ctx, which: i32, who: Pid) -> SysResult {
    let priorities = targets(ctx, which, who)?;
    let of = |task: &Arc<Task>| task.sched.lock().io_priority;
    // A lower number is a higher priority, but for "none", which counts as the middle.
    let order = |priority: &u16| if *priority == 0 { 2 << CLASS_SHIFT | 4 } else { *priority };
    let best = priorities.iter().map(of).min_by_key(order).unwrap_or(0);
    Ok(usize::from(best))
}
