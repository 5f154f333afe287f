//! Memory policy, numa(7), on a machine with one memory node.
//!
//! Policies are checked as Linux checks them, kept and answered. With one node all of them mean
//! the same, so nothing else happens.

use linux_abi::Errno;
use linux_abi::task::CAP_SYS_NICE;

use super::SysResult;
use crate::memory::{UserAddr, UserPtr};
use crate::mm::{PAGE_SIZE, page_up};
use crate::task::{AccessMode, Ctx, MemoryPolicy, Pid, Task, check_access};
use std::sync::Arc;

const MPOL_DEFAULT: i32 = 0;
const MPOL_PREFERRED: i32 = 1;
const MPOL_BIND: i32 = 2;
const MPOL_INTERLEAVE: i32 = 3;
const MPOL_LOCAL: i32 = 4;
const MPOL_PREFERRED_MANY: i32 = 5;
const MPOL_WEIGHTED_INTERLEAVE: i32 = 6;
const MPOL_F_NUMA_BALANCING: i32 = 1 << 13;
const MPOL_F_RELATIVE_NODES: i32 = 1 << 14;
const MPOL_F_STATIC_NODES: i32 = 1 << 15;
const MODE_FLAGS: i32 = MPOL_F_NUMA_BALANCING | MPOL_F_RELATIVE_NODES | MPOL_F_STATIC_NODES;

const MPOL_F_NODE: u64 = 1;
const MPOL_F_ADDR: u64 = 2;
const MPOL_F_MEMS_ALLOWED: u64 = 4;

const MPOL_MF_STRICT: u32 = 1;
const MPOL_MF_MOVE: u32 = 2;
const MPOL_MF_MOVE_ALL: u32 = 4;

/// Nodes that a mask may name (`MAX_NUMNODES`); only node 0 exists.
const MAX_NODES: u64 = 1024;
const NODE_0: u64 = 1;

/// Reads a mask of `max_node` - 1 bits; answers with the nodes that exist, and whether others were
/// named. Errors: EINVAL, EFAULT.
fn read_nodes(ctx: &Ctx, mask: UserPtr<u64>, max_node: u64) -> Result<(u64, bool), Errno> {
    let bits = max_node.wrapping_sub(1);
    if max_node == 0 || bits == 0 || mask.is_null() {
        return Ok((0, false));
    }
    if bits > PAGE_SIZE * 8 {
        return Err(Errno::EINVAL);
    }
    let mut words = ctx.memory().read_array(mask, bits.div_ceil(64) as usize)?;
    if let (Some(last), false) = (words.last_mut(), bits.is_multiple_of(64)) {
        *last &= (1 << (bits % 64)) - 1;
    }
    let possible = (MAX_NODES / 64) as usize;
    if words.iter().skip(possible).any(|word| *word != 0) {
        return Err(Errno::EINVAL);
    }
    let has_others = words[0] & !NODE_0 != 0 || words[1..].iter().any(|word| *word != 0);
    Ok((words[0] & NODE_0, has_others))
}

/// Checks a policy (Linux: `sanitize_mpol_flags`, `mpol_new`). Errors: EINVAL.
fn policy(mode: i32, nodes: u64, has_others: bool) -> Result<MemoryPolicy, Errno> {
    let flags = mode & MODE_FLAGS;
    let plain = mode & !MODE_FLAGS;
    let is_contradiction = flags & MPOL_F_STATIC_NODES != 0 && flags & MPOL_F_RELATIVE_NODES != 0;
    let balances_wrongly = flags & MPOL_F_NUMA_BALANCING != 0 && plain != MPOL_BIND;
    if is_contradiction || balances_wrongly {
        return Err(Errno::EINVAL);
    }
    let names_none = nodes == 0 && !has_others;
    match plain {
        MPOL_DEFAULT | MPOL_LOCAL if names_none => Ok(MemoryPolicy { mode, nodes: 0 }),
        // Linux: no preference is the local node.
        MPOL_PREFERRED if names_none && flags == 0 => {
            Ok(MemoryPolicy { mode: MPOL_LOCAL, nodes: 0 })
        }
        MPOL_PREFERRED
        | MPOL_BIND
        | MPOL_INTERLEAVE
        | MPOL_PREFERRED_MANY
        | MPOL_WEIGHTED_INTERLEAVE
            if nodes != 0 =>
        {
            Ok(MemoryPolicy { mode, nodes })
        }
        _ => Err(Errno::EINVAL),
    }
}

/// `set_mempolicy(2)`. Errors: EINVAL, EFAULT.
pub fn set_mempolicy(ctx: &mut Ctx, mode: i32, mask: UserPtr<u64>, max_node: u64) -> SysResult {
    let (nodes, has_others) = read_nodes(ctx, mask, max_node)?;
    ctx.task.sched.lock().memory_policy = policy(mode, nodes, has_others)?;
    Ok(0)
}

/// `get_mempolicy(2)`. Errors: EINVAL, EFAULT (also for an address where nothing is mapped).
pub fn get_mempolicy(
    ctx: &mut Ctx,
    mode: UserPtr<i32>,
    mask: UserPtr<u64>,
    max_node: u64,
    addr: u64,
    flags: u64,
) -> SysResult {
    if flags & !(MPOL_F_NODE | MPOL_F_ADDR | MPOL_F_MEMS_ALLOWED) != 0
        || (!mask.is_null() && max_node < 1)
    {
        return Err(Errno::EINVAL);
    }
    let kept = ctx.task.sched.lock().memory_policy;
    let wants_node = flags & MPOL_F_NODE != 0;
    let (value, nodes) = if flags & MPOL_F_MEMS_ALLOWED != 0 {
        if flags != MPOL_F_MEMS_ALLOWED {
            return Err(Errno::EINVAL);
        }
        (0, NODE_0)
    } else if flags & MPOL_F_ADDR != 0 {
        check_mapped(ctx, addr, addr.checked_add(1).ok_or(Errno::EFAULT)?)?;
        if wants_node { (0, kept.nodes) } else { (kept.mode, kept.nodes) }
    } else if addr != 0 {
        return Err(Errno::EINVAL);
    } else if wants_node {
        // Only interleaving has a next node.
        if kept.mode & !MODE_FLAGS != MPOL_INTERLEAVE {
            return Err(Errno::EINVAL);
        }
        (0, kept.nodes)
    } else {
        (kept.mode, kept.nodes)
    };
    if !mode.is_null() {
        ctx.memory().write_value(mode, &value)?;
    }
    if !mask.is_null() {
        write_nodes(ctx, mask, max_node, nodes)?;
    }
    Ok(0)
}

/// Writes a mask of `max_node` - 1 bits, in whole words. Errors: EINVAL, EFAULT.
fn write_nodes(ctx: &Ctx, mask: UserPtr<u64>, max_node: u64, nodes: u64) -> Result<(), Errno> {
    let words = (max_node - 1).div_ceil(64) as usize;
    if words as u64 * 8 > PAGE_SIZE {
        return Err(Errno::EINVAL);
    }
    let mut values = vec![0; words];
    if let Some(first) = values.first_mut() {
        *first = nodes;
    }
    ctx.memory().write_array(mask, &values)
}

/// Errors: EFAULT unless all of the range is mapped.
fn check_mapped(ctx: &Ctx, start: u64, end: u64) -> Result<(), Errno> {
    let mut at = start;
    for entry in ctx.task.mm().map_entries()? {
        if entry.host.range.contains(&at) {
            at = entry.host.range.end;
            if at >= end {
                return Ok(());
            }
        }
    }
    Err(Errno::EFAULT)
}

/// `mbind(2)`. Errors: EINVAL, EPERM, EFAULT.
pub fn mbind(
    ctx: &mut Ctx,
    start: u64,
    len: u64,
    mode: i32,
    mask: UserPtr<u64>,
    max_node: u64,
    flags: u32,
) -> SysResult {
    if flags & !(MPOL_MF_STRICT | MPOL_MF_MOVE | MPOL_MF_MOVE_ALL) != 0 {
        return Err(Errno::EINVAL);
    }
    let (nodes, has_others) = read_nodes(ctx, mask, max_node)?;
    if flags & MPOL_MF_MOVE_ALL != 0 && !ctx.task.credentials().has(CAP_SYS_NICE) {
        return Err(Errno::EPERM);
    }
    if !start.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    let end = page_up(len).and_then(|len| start.checked_add(len)).ok_or(Errno::EINVAL)?;
    if end == start {
        return Ok(0);
    }
    policy(mode, nodes, has_others)?;
    check_mapped(ctx, start, end)?;
    Ok(0)
}

/// The process whose pages are meant, 0 for the caller. Errors: ESRCH, EPERM.
fn target(ctx: &Ctx, pid: Pid) -> Result<Arc<Task>, Errno> {
    if pid == 0 {
        return Ok(ctx.task.clone());
    }
    let task = ctx.task.kernel.tasks.task(pid).ok_or(Errno::ESRCH)?;
    check_access(&ctx.task, &task, AccessMode::Read)?;
    Ok(task)
}

/// `migrate_pages(2)`: all pages are where they can be.
///
/// Errors: EINVAL, EFAULT, ESRCH, EPERM.
pub fn migrate_pages(
    ctx: &mut Ctx,
    pid: Pid,
    max_node: u64,
    old: UserPtr<u64>,
    new: UserPtr<u64>,
) -> SysResult {
    read_nodes(ctx, old, max_node)?;
    let (nodes, _) = read_nodes(ctx, new, max_node)?;
    target(ctx, pid)?;
    if nodes == 0 {
        return Err(Errno::EINVAL);
    }
    Ok(0)
}

/// Most pages that one `move_pages` looks at.
const MAX_PAGES: usize = 1 << 20;

/// `move_pages(2)`: tells that pages are on node 0.
///
/// Errors: EINVAL, EPERM, ESRCH, EFAULT, E2BIG, ENODEV (another node).
pub fn move_pages(
    ctx: &mut Ctx,
    pid: Pid,
    count: usize,
    pages: UserPtr<u64>,
    nodes: UserPtr<i32>,
    status: UserPtr<i32>,
    flags: u32,
) -> SysResult {
    if flags & !(MPOL_MF_MOVE | MPOL_MF_MOVE_ALL) != 0 {
        return Err(Errno::EINVAL);
    }
    if flags & MPOL_MF_MOVE_ALL != 0 && !ctx.task.credentials().has(CAP_SYS_NICE) {
        return Err(Errno::EPERM);
    }
    let mm = target(ctx, pid)?.mm();
    if count > MAX_PAGES {
        return Err(Errno::E2BIG);
    }
    for index in 0..count {
        let page = ctx.memory().read_value(pages.element(index))?;
        if !nodes.is_null() && ctx.memory().read_value(nodes.element(index))? != 0 {
            return Err(Errno::ENODEV);
        }
        let is_there = mm.memory().read_partial(UserAddr(page), &mut [0]).is_ok();
        let result = if is_there { 0 } else { -Errno::EFAULT.raw() };
        ctx.memory().write_value(status.element(index), &result)?;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_checked() {
        assert!(policy(MPOL_DEFAULT, 0, false).is_ok());
        assert!(policy(MPOL_DEFAULT, NODE_0, false).is_err());
        assert_eq!(policy(MPOL_PREFERRED, 0, false).unwrap().mode, MPOL_LOCAL);
        assert!(policy(MPOL_BIND, NODE_0, true).is_ok());
        assert!(policy(MPOL_BIND, 0, true).is_err());
        assert!(policy(MPOL_INTERLEAVE, 0, false).is_err());
        assert!(policy(7, NODE_0, false).is_err());
        let both = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES;
        assert!(policy(MPOL_BIND | both, NODE_0, false).is_err());
    }
}
