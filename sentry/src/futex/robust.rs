//! What a thread's end means to futexes (Linux: `exit_robust_list`, `mm_release`).

use std::sync::atomic::Ordering;

use linux_abi::Errno;
use linux_abi::futex::{FUTEX_BITSET_MATCH_ANY, FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS};
use linux_abi::task::{ROBUST_LIST_LIMIT, RobustListHead};
use platform::HostOp;

use super::{FutexKey, FutexTable};
use crate::memory::{UserAddr, UserMemory, UserPtr};
use crate::task::{Ctx, Pid};

/// The bit of a list entry that marks a priority-inheriting futex.
const PI_BIT: u64 = 1;

/// Clears the word at `addr` in the task's memory, which may be shared memory, and wakes one of its
/// waiters. An address that is no futex wakes nobody.
pub async fn clear_address(ctx: &mut Ctx, addr: UserAddr) {
    if ctx.memory().write_exact(addr, &0_i32.to_le_bytes()).is_err() {
        return;
    }
    if ctx.task.kernel.platform.has_native_futexes() {
        // There is nothing to be done about an error, nor is there on Linux.
        let _ = ctx.host_op(HostOp::FutexWake { addr: addr.0 }).await;
        return;
    }
    let table = &ctx.task.kernel.futexes;
    let key = match table.has_shared_waiters() {
        true => FutexKey::shared(ctx.memory(), addr),
        false => FutexKey::unshared(ctx.memory(), addr),
    };
    if let Ok(key) = key {
        table.wake(key, 1, FUTEX_BITSET_MATCH_ANY);
    }
}

/// A thread ends (or replaces its memory by `execve`): marks the robust futexes that it holds as
/// ownerless and wakes a waiter of each, `set_robust_list(2)`. The list is the guest's and may be
/// nonsense: the walk stops at the first fault, and after 2048 entries.
pub async fn exit_robust_list(ctx: &mut Ctx) {
    let head = ctx.task.robust_list.swap(0, Ordering::Relaxed);
    if head != 0 {
        // A fault only ends the walk.
        let _ = walk(ctx, head).await;
    }
}

/// A robust futex that a thread may have held.
#[derive(Clone, Copy)]
struct Held {
    addr: UserAddr,
    is_pi: bool,
    /// The thread was about to take or release it when it ended.
    is_pending: bool,
}

async fn walk(ctx: &mut Ctx, head_at: u64) -> Result<(), Errno> {
    let head = ctx.memory().read_value(UserPtr::<RobustListHead>::new(head_at))?;
    let held = |entry: u64, is_pending: bool| Held {
        addr: UserAddr((entry & !PI_BIT).wrapping_add(head.futex_offset as u64)),
        is_pi: entry & PI_BIT != 0,
        is_pending,
    };
    let pending = head.list_op_pending;
    let mut entry = head.list.next;
    for _ in 0..ROBUST_LIST_LIMIT {
        if entry & !PI_BIT == head_at {
            break;
        }
        // Read before the futex is given away: its memory may be gone right after.
        let next = ctx.memory().read_value(UserPtr::<u64>::new(entry & !PI_BIT));
        if entry & !PI_BIT != pending & !PI_BIT {
            release(ctx, held(entry, false)).await?;
        }
        entry = next?;
    }
    match pending & !PI_BIT {
        0 => Ok(()),
        _ => release(ctx, held(pending, true)).await,
    }
}

/// Gives up one futex (Linux: `handle_futex_death`).
async fn release(ctx: &mut Ctx, held: Held) -> Result<(), Errno> {
    let tid = ctx.task.tid();
    let value: u32 = ctx.memory().read_value(held.addr.cast())?;
    if !held.is_free(value) && !is_held(value, tid) {
        return Ok(());
    }
    let addr = held.addr.0;
    if !ctx.task.kernel.platform.has_native_futexes() {
        return release_here(&ctx.task.kernel.futexes, ctx.memory(), tid, held);
    }
    let op = match is_held(value, tid) {
        true => HostOp::FutexOwnerDied { addr, owner: tid, wakes: !held.is_pi },
        false => HostOp::FutexWake { addr },
    };
    ctx.host_op(op).await.map(drop)
}

/// The same where those who wait are in our own table.
///
/// The word changes under the bucket's lock. Others may change it at the same time only by setting
/// `FUTEX_WAITERS` before they wait; if that bit is lost here, their wait sees the new value.
fn release_here(
    table: &FutexTable,
    memory: &UserMemory,
    tid: Pid,
    held: Held,
) -> Result<(), Errno> {
    let ptr = held.addr.cast::<u32>();
    let key = FutexKey::shared(memory, held.addr)?;
    let must_wake = {
        let _locked = table.lock(&key);
        // A guest read and write under a lock: see the module documentation.
        let value: u32 = memory.read_value(ptr)?;
        if is_held(value, tid) {
            let died = (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
            memory.write_value(ptr, &died)?;
        }
        let has_waiters = is_held(value, tid) && !held.is_pi && value & FUTEX_WAITERS != 0;
        held.is_free(value) || has_waiters
    };
    if must_wake {
        table.wake(key, 1, FUTEX_BITSET_MATCH_ANY);
    }
    Ok(())
}

fn is_held(value: u32, tid: Pid) -> bool {
    value & FUTEX_TID_MASK == tid as u32
}

impl Held {
    /// Whether the thread may have released it without waking anybody yet.
    fn is_free(self, value: u32) -> bool {
        self.is_pending && !self.is_pi && value == 0
    }
}
