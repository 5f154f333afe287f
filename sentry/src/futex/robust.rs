//! What a thread's end means to futexes (Linux: `exit_robust_list`, `mm_release`).

use linux_abi::Errno;
use linux_abi::futex::{FUTEX_BITSET_MATCH_ANY, FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS};
use linux_abi::task::{ROBUST_LIST_LIMIT, RobustListHead};
use platform::{HostOp, WordChange};

use super::FutexKey;
use crate::memory::{UserAddr, UserPtr};
use crate::task::{Ctx, Pid};

/// The bit of a list entry that marks a priority-inheriting futex.
const PI_BIT: u64 = 1;

/// Clears the word at `addr` in the task's memory, which may be shared memory, and wakes one of its
/// waiters. An address that is no futex wakes nobody.
pub async fn clear_address(ctx: &mut Ctx, addr: UserAddr) {
    if ctx.memory().write_exact(addr, &0_i32.to_le_bytes()).is_err() {
        return;
    }
    // There is nothing to be done about an error, nor is there on Linux.
    let _ = wake_one(ctx, addr).await;
}

/// A thread ends (or replaces its memory by `execve`): marks the robust futexes that it holds as
/// ownerless and wakes a waiter of each, `set_robust_list(2)`. The list is the guest's and may be
/// nonsense: the walk stops at the first fault, where it comes round, and after 2048 entries.
pub async fn exit_robust_list(ctx: &mut Ctx) {
    let head = ctx.task.signals.lock().take_robust_list();
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
    // An entry from which the list was followed, anew after twice as many steps: one that goes in a
    // circle comes back there, and nothing more is found (Brent).
    let (mut mark, mut next_mark) = (entry, 1);
    for step in 1..=ROBUST_LIST_LIMIT {
        if entry & !PI_BIT == head_at {
            break;
        }
        // Read before the futex is given away: its memory may be gone right after.
        let next = ctx.memory().read_value(UserPtr::<u64>::new(entry & !PI_BIT));
        if entry & !PI_BIT != pending & !PI_BIT {
            release(ctx, held(entry, false)).await?;
        }
        entry = next?;
        if entry == mark {
            break;
        }
        if step == next_mark {
            (mark, next_mark) = (entry, 2 * next_mark);
        }
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
    let change = WordChange {
        mask: FUTEX_TID_MASK,
        expected: tid as u32,
        keep: FUTEX_WAITERS,
        set: FUTEX_OWNER_DIED,
    };
    let mut has_waiters = false;
    if is_held(value, tid) {
        let old = ctx.change_word(held.addr, change).await?;
        has_waiters = change.applies(old) && !held.is_pi && old & FUTEX_WAITERS != 0;
    }
    if held.is_free(value) || has_waiters {
        // Linux: what comes of that is of no interest.
        let _ = wake_one(ctx, held.addr).await;
    }
    Ok(())
}

/// Wakes one who waits for the word at `addr`, which may lie in shared memory.
async fn wake_one(ctx: &mut Ctx, addr: UserAddr) -> Result<(), Errno> {
    if ctx.task.kernel.platform.has_native_futexes() {
        return ctx.host_op(HostOp::FutexWake { addr: addr.0 }).await.map(drop);
    }
    let table = &ctx.task.kernel.futexes;
    let key = match table.has_shared_waiters() {
        true => FutexKey::shared(ctx.memory(), addr),
        false => FutexKey::unshared(ctx.memory(), addr),
    };
    table.wake(key?, 1, FUTEX_BITSET_MATCH_ANY);
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
