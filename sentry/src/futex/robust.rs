//! What a thread's end means to futexes (Linux: `exit_robust_list`, `mm_release`).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use linux_abi::Errno;
use linux_abi::futex::{FUTEX_BITSET_MATCH_ANY, FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS};
use linux_abi::task::{ROBUST_LIST_LIMIT, RobustListHead};

use super::{FutexKey, FutexTable};
use crate::memory::{UserAddr, UserMemory, UserPtr};
use crate::task::{Pid, Task};

/// The bit of a list entry that marks a priority-inheriting futex.
const PI_BIT: u64 = 1;

/// Wakes up to `count` waiters of the word at `addr` in the task's memory, which may be shared
/// memory. An address that is no futex wakes nobody.
pub fn wake_address(task: &Arc<Task>, addr: UserAddr, count: usize) {
    let table = &task.kernel.futexes;
    let mm = task.mm();
    let memory = mm.memory();
    let key = match table.has_shared_waiters() {
        true => FutexKey::shared(memory, addr),
        false => FutexKey::private(memory, addr),
    };
    if let Ok(key) = key {
        table.wake(key, count, FUTEX_BITSET_MATCH_ANY);
    }
}

/// A thread ends (or replaces its memory by `execve`): marks the robust futexes that it holds as
/// ownerless and wakes a waiter of each, `set_robust_list(2)`. The list is the guest's and may be
/// nonsense: the walk stops at the first fault, and after 2048 entries.
pub fn exit_robust_list(task: &Arc<Task>) {
    let head = task.robust_list.swap(0, Ordering::Relaxed);
    if head != 0 {
        // A fault only ends the walk.
        let _ = walk(&task.kernel.futexes, task.mm().memory(), task.tid(), head);
    }
}

fn walk(table: &FutexTable, memory: &UserMemory, tid: Pid, head_at: u64) -> Result<(), Errno> {
    let head = memory.read_value(UserPtr::<RobustListHead>::new(head_at))?;
    let word = |entry: u64| UserAddr((entry & !PI_BIT).wrapping_add(head.futex_offset as u64));
    let pending = head.list_op_pending;
    let mut entry = head.list.next;
    for _ in 0..ROBUST_LIST_LIMIT {
        if entry & !PI_BIT == head_at {
            break;
        }
        // Read before the futex is given away: its memory may be gone right after.
        let next = memory.read_value(UserPtr::<u64>::new(entry & !PI_BIT));
        if entry & !PI_BIT != pending & !PI_BIT {
            release(table, memory, tid, word(entry), entry & PI_BIT != 0, false)?;
        }
        entry = next?;
    }
    match pending & !PI_BIT {
        0 => Ok(()),
        _ => release(table, memory, tid, word(pending), pending & PI_BIT != 0, true),
    }
}

/// Gives up one futex (Linux: `handle_futex_death`). `is_pending`: the thread was about to take or
/// release it when it ended.
///
/// The word changes under the bucket's lock. Others may change it at the same time only by setting
/// `FUTEX_WAITERS` before they wait; if that bit is lost here, their wait sees the new value.
fn release(
    table: &FutexTable,
    memory: &UserMemory,
    tid: Pid,
    addr: UserAddr,
    is_pi: bool,
    is_pending: bool,
) -> Result<(), Errno> {
    let ptr = addr.cast::<u32>();
    let is_free = |value: u32| is_pending && !is_pi && value == 0;
    let is_held = |value: u32| value & FUTEX_TID_MASK == tid as u32;
    let value: u32 = memory.read_value(ptr)?;
    if !is_free(value) && !is_held(value) {
        return Ok(());
    }
    let key = FutexKey::shared(memory, addr)?;
    let must_wake = {
        let _locked = table.lock(&key);
        // A guest read and write under a lock: see the module documentation.
        let value: u32 = memory.read_value(ptr)?;
        if is_held(value) {
            let died = (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
            memory.write_value(ptr, &died)?;
        }
        is_free(value) || (is_held(value) && !is_pi && value & FUTEX_WAITERS != 0)
    };
    if must_wake {
        table.wake(key, 1, FUTEX_BITSET_MATCH_ANY);
    }
    Ok(())
}
