//! `futex(2)` and its kin: robust lists, `futex_waitv`, `set_tid_address`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use linux_abi::Errno;
use linux_abi::futex::{
    FUTEX_32, FUTEX_BITSET_MATCH_ANY, FUTEX_CLOCK_REALTIME, FUTEX_CMD_MASK, FUTEX_CMP_REQUEUE,
    FUTEX_LOCK_PI, FUTEX_LOCK_PI2, FUTEX_PRIVATE_FLAG, FUTEX_REQUEUE, FUTEX_WAIT,
    FUTEX_WAIT_BITSET, FUTEX_WAIT_REQUEUE_PI, FUTEX_WAITV_MAX, FUTEX_WAKE, FUTEX_WAKE_BITSET,
    FUTEX_WAKE_OP, FUTEX2_PRIVATE, FutexWaitv,
};
use linux_abi::task::{CAP_SYS_PTRACE, RobustListHead};
use linux_abi::time::{CLOCK_MONOTONIC, CLOCK_REALTIME, Timespec};

use super::{SysResult, futex_pi};
use crate::futex::{self, Expected, FutexKey, WakeOperation};
use crate::memory::{UserAddr, UserPtr};
use crate::signal::{RestartBlock, set_restart};
use crate::task::{Credentials, Ctx, Task};
use crate::time::TimerClock;

/// A wait with all that its restart needs.
#[derive(Clone, Copy)]
struct WaitRequest {
    addr: UserAddr,
    value: u32,
    bitset: u32,
    is_private: bool,
    deadline: Option<(TimerClock, i64)>,
}

/// Fast user-space locking, futex(2).
///
/// Errors: ENOSYS for unknown operations; EINVAL for a misaligned address, an empty bit set, a
/// negative count or an invalid time; EFAULT; EAGAIN when the word has another value; ETIMEDOUT; EINTR;
/// for priority-inheriting operations those of [`futex::pi`].
pub async fn futex(
    ctx: &mut Ctx,
    addr: UserAddr,
    operation: i32,
    value: u32,
    timeout: u64,
    addr2: UserAddr,
    value3: u32,
) -> SysResult {
    let command = operation & FUTEX_CMD_MASK;
    let is_private = operation & FUTEX_PRIVATE_FLAG != 0;
    let is_realtime = operation & FUTEX_CLOCK_REALTIME != 0;
    let count2 = timeout as i32;
    let deadline = match command {
        FUTEX_WAIT | FUTEX_WAIT_BITSET | FUTEX_LOCK_PI | FUTEX_LOCK_PI2 | FUTEX_WAIT_REQUEUE_PI => {
            let is_realtime = is_realtime || command == FUTEX_LOCK_PI;
            read_deadline(ctx, timeout, command == FUTEX_WAIT, is_realtime)?
        }
        _ => None,
    };
    let takes_clock = matches!(command, FUTEX_WAIT_BITSET | FUTEX_WAIT_REQUEUE_PI | FUTEX_LOCK_PI2);
    if is_realtime && !takes_clock {
        return Err(Errno::ENOSYS);
    }
    match command {
        FUTEX_WAIT | FUTEX_WAIT_BITSET => {
            let bitset = if command == FUTEX_WAIT { FUTEX_BITSET_MATCH_ANY } else { value3 };
            wait(ctx, WaitRequest { addr, value, bitset, is_private, deadline }).await
        }
        FUTEX_WAKE => wake(ctx, addr, is_private, value, FUTEX_BITSET_MATCH_ANY),
        FUTEX_WAKE_BITSET => wake(ctx, addr, is_private, value, value3),
        FUTEX_REQUEUE => requeue(ctx, (addr, addr2), is_private, (value, count2), None),
        FUTEX_CMP_REQUEUE => requeue(ctx, (addr, addr2), is_private, (value, count2), Some(value3)),
        FUTEX_WAKE_OP => wake_op(ctx, (addr, addr2), is_private, (value, count2), value3),
        _ => {
            let request = futex_pi::Request {
                addrs: (addr, addr2),
                is_private,
                values: (value, value3),
                count: count2,
                deadline,
            };
            futex_pi::serve(ctx, command, request).await
        }
    }
}

/// Errors: EFAULT; EINVAL for an invalid time.
fn read_deadline(
    ctx: &Ctx,
    timeout: u64,
    is_relative: bool,
    is_realtime: bool,
) -> Result<Option<(TimerClock, i64)>, Errno> {
    let Some(ptr) = UserPtr::<Timespec>::new(timeout).non_null() else { return Ok(None) };
    let time = ctx.memory().read_value(ptr)?;
    if !time.is_valid() {
        return Err(Errno::EINVAL);
    }
    let clock = if is_realtime { TimerClock::Realtime } else { TimerClock::Monotonic };
    let start = if is_relative { clock.now_ns() } else { 0 };
    Ok(Some((clock, start.saturating_add(time.to_nanos()))))
}

async fn wait(ctx: &mut Ctx, request: WaitRequest) -> SysResult {
    if request.bitset == 0 {
        return Err(Errno::EINVAL);
    }
    let key = FutexKey::new(ctx.memory(), request.addr, request.is_private)?;
    let expected =
        Expected { key, addr: request.addr, value: request.value, bitset: request.bitset };
    let timers = &ctx.task.kernel.timers;
    let sleep = request.deadline.map(|(clock, at)| timers.sleep_until(clock, at));
    match (futex::wait(ctx, &[expected], sleep).await, request.deadline) {
        (Ok(_), _) => Ok(0),
        (Err(Errno::ERESTARTSYS), Some((clock, deadline_ns))) => {
            let block = RestartBlock::Futex {
                addr: request.addr.0,
                value: request.value,
                bitset: request.bitset,
                is_private: request.is_private,
                is_realtime: clock == TimerClock::Realtime,
                deadline_ns,
            };
            Err(set_restart(&ctx.task, block))
        }
        (Err(errno), _) => Err(errno),
    }
}

/// Goes on with an interrupted wait (`restart_syscall`).
pub(super) async fn restart_wait(ctx: &mut Ctx, block: &RestartBlock) -> SysResult {
    let RestartBlock::Futex { addr, value, bitset, is_private, is_realtime, deadline_ns } = *block
    else {
        return Err(Errno::EINTR);
    };
    let clock = if is_realtime { TimerClock::Realtime } else { TimerClock::Monotonic };
    let deadline = Some((clock, deadline_ns));
    let addr = UserAddr(addr);
    wait(ctx, WaitRequest { addr, value, bitset, is_private, deadline }).await
}

/// Errors: EINVAL if somebody waits for the word as for a priority-inheriting futex.
fn refuse_pi(ctx: &Ctx, key: &FutexKey) -> Result<(), Errno> {
    match ctx.task.kernel.futexes.pi.has_waiters(key) {
        true => Err(Errno::EINVAL),
        false => Ok(()),
    }
}

/// The key for waking. While nobody waits in shared memory its search is left out.
fn waking_key(ctx: &Ctx, addr: UserAddr, is_private: bool) -> Result<FutexKey, Errno> {
    if is_private {
        return FutexKey::private(ctx.memory(), addr);
    }
    let futexes = &ctx.task.kernel.futexes;
    if futexes.has_shared_waiters() || futexes.pi.is_used() {
        return FutexKey::shared(ctx.memory(), addr);
    }
    let key = FutexKey::unshared(ctx.memory(), addr)?;
    ctx.memory().read_value::<u32>(addr.cast())?;
    Ok(key)
}

fn wake(ctx: &Ctx, addr: UserAddr, is_private: bool, count: u32, bitset: u32) -> SysResult {
    if bitset == 0 {
        return Err(Errno::EINVAL);
    }
    let key = waking_key(ctx, addr, is_private)?;
    refuse_pi(ctx, &key)?;
    // Linux: a count below 1 wakes one.
    Ok(ctx.task.kernel.futexes.wake(key, at_least_one(count as i32), bitset))
}

fn at_least_one(count: i32) -> usize {
    count.max(1) as usize
}

fn requeue(
    ctx: &Ctx,
    (from, to): (UserAddr, UserAddr),
    is_private: bool,
    (wake, moved): (u32, i32),
    compared: Option<u32>,
) -> SysResult {
    let (Ok(wake), Ok(moved)) = (usize::try_from(wake as i32), usize::try_from(moved)) else {
        return Err(Errno::EINVAL);
    };
    let from_key = FutexKey::new(ctx.memory(), from, is_private)?;
    let to_key = FutexKey::new(ctx.memory(), to, is_private)?;
    refuse_pi(ctx, &from_key)?;
    ctx.task.kernel.futexes.requeue(from_key, to_key, (wake, moved), || {
        let Some(compared) = compared else { return Ok(()) };
        // A guest read under a lock: see the documentation of `futex`.
        let value = ctx.memory().read_value::<u32>(from.cast())?;
        if value == compared { Ok(()) } else { Err(Errno::EAGAIN) }
    })
}

/// Divergence: the second word is read and written, not changed in one atomic step; a plain
/// instruction of another thread in between is lost.
fn wake_op(
    ctx: &Ctx,
    (one, other): (UserAddr, UserAddr),
    is_private: bool,
    (first, second): (u32, i32),
    encoded: u32,
) -> SysResult {
    let one_key = FutexKey::new(ctx.memory(), one, is_private)?;
    let other_key = FutexKey::new(ctx.memory(), other, is_private)?;
    let operation = WakeOperation::decode(encoded)?;
    refuse_pi(ctx, &one_key)?;
    refuse_pi(ctx, &other_key)?;
    let counts = (at_least_one(first as i32), at_least_one(second));
    ctx.task.kernel.futexes.wake_with(one_key, other_key, counts, || {
        let ptr = other.cast::<u32>();
        let old = ctx.memory().read_value(ptr)?;
        ctx.memory().write_value(ptr, &operation.apply(old))?;
        operation.compare(old)
    })
}

/// Waits for one of several futexes, futex_waitv(2).
///
/// Errors: EINVAL for flags, counts, sizes or clocks that are not known; otherwise as `futex`.
pub async fn futex_waitv(
    ctx: &mut Ctx,
    waiters: UserPtr<FutexWaitv>,
    count: u32,
    flags: u32,
    timeout: UserPtr<Timespec>,
    clock: i32,
) -> SysResult {
    let count = count as usize;
    if flags != 0 || count == 0 || count > FUTEX_WAITV_MAX || waiters.is_null() {
        return Err(Errno::EINVAL);
    }
    let deadline = match timeout.is_null() {
        true => None,
        false => {
            if !matches!(clock, CLOCK_REALTIME | CLOCK_MONOTONIC) {
                return Err(Errno::EINVAL);
            }
            read_deadline(ctx, timeout.addr().0, false, clock == CLOCK_REALTIME)?
        }
    };
    let list = ctx.memory().read_array(waiters, count)?;
    let valid = |one: &FutexWaitv| {
        one.flags & !FUTEX2_PRIVATE == FUTEX_32
            && one._reserved == 0
            && one.val <= u64::from(u32::MAX)
    };
    if !list.iter().all(valid) {
        return Err(Errno::EINVAL);
    }
    let expect = |one: &FutexWaitv| {
        let addr = UserAddr(one.uaddr);
        let key = FutexKey::new(ctx.memory(), addr, one.flags & FUTEX2_PRIVATE != 0)?;
        let value = one.val as u32;
        Ok(Expected { key, addr, value, bitset: FUTEX_BITSET_MATCH_ANY })
    };
    let expected = list.iter().map(expect).collect::<Result<Vec<_>, Errno>>()?;
    let timers = &ctx.task.kernel.timers;
    let sleep = deadline.map(|(clock, at)| timers.sleep_until(clock, at));
    futex::wait(ctx, &expected, sleep).await.map(|woken| woken.0)
}

/// Tells where the list of held robust futexes is, set_robust_list(2). Errors: EINVAL for another
/// size of its head.
pub fn set_robust_list(ctx: &mut Ctx, head: u64, len: usize) -> SysResult {
    if len != size_of::<RobustListHead>() {
        return Err(Errno::EINVAL);
    }
    ctx.task.signals.lock().set_robust_list(head);
    Ok(0)
}

/// Where a thread's list is, get_robust_list(2). Errors: ESRCH, EPERM, EFAULT.
pub fn get_robust_list(
    ctx: &mut Ctx,
    tid: i32,
    head: UserPtr<u64>,
    len: UserPtr<u64>,
) -> SysResult {
    let target = match tid {
        0 => ctx.task.clone(),
        _ => ctx.task.kernel.tasks.task(tid).ok_or(Errno::ESRCH)?,
    };
    if !may_inspect(&ctx.task, &target) {
        return Err(Errno::EPERM);
    }
    ctx.memory().write_value(len, &(size_of::<RobustListHead>() as u64))?;
    let list = target.signals.lock().robust_list();
    ctx.memory().write_value(head, &list)?;
    Ok(0)
}

/// `PTRACE_MODE_READ_REALCREDS`, ptrace(2).
pub(super) fn may_inspect(caller: &Arc<Task>, target: &Arc<Task>) -> bool {
    let (own, other): (Arc<Credentials>, Arc<Credentials>) =
        (caller.credentials(), target.credentials());
    let all = |id: u32, ids: [u32; 3]| ids.iter().all(|&one| one == id);
    let same = all(own.uid, [other.uid, other.euid, other.suid])
        && all(own.gid, [other.gid, other.egid, other.sgid]);
    Arc::ptr_eq(&caller.group, &target.group) || same || own.has(CAP_SYS_PTRACE)
}

/// Sets the address that is cleared and woken when the caller ends, set_tid_address(2). Answers
/// with the caller's thread number.
pub fn set_tid_address(ctx: &mut Ctx, addr: UserAddr) -> SysResult {
    ctx.task.clear_child_tid.store(addr.0, Ordering::Relaxed);
    Ok(ctx.task.tid() as usize)
}
