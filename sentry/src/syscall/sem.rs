//! System V semaphores: `semget`, `semop`, `semtimedop`, `semctl`.

use linux_abi::Errno;
use linux_abi::ipc::{
    GETALL, GETNCNT, GETPID, GETVAL, GETZCNT, IPC_64, IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT,
    SEM_INFO, SEM_STAT, SEM_STAT_ANY, SEMMNI, SEMMNS, SEMMSL, SEMOPM, SEMVMX, SETALL, SETVAL,
    SemInfo, Sembuf, SemidDs,
};
use linux_abi::time::Timespec;

use super::SysResult;
use crate::ipc::{Fact, Operated};
use crate::memory::UserPtr;
use crate::task::Ctx;
use crate::time::{Sleep, TimerClock, timeout};

/// `semget(2)`.
pub fn semget(ctx: &mut Ctx, key: i32, count: i32, flags: u32) -> SysResult {
    let credentials = ctx.task.credentials();
    let id = ctx.task.kernel.ipc.semaphores.get(key, count, flags, &credentials)?;
    Ok(id as usize)
}

/// `semop(2)`. Never restarted after a signal (EINTR).
pub async fn semop(ctx: &mut Ctx, id: i32, ops: UserPtr<Sembuf>, count: usize) -> SysResult {
    operate(ctx, id, ops, count, None).await
}

/// `semtimedop(2)`.
///
/// Errors: those of `semop`, EAGAIN when the time is over, EINVAL for an invalid time.
pub async fn semtimedop(
    ctx: &mut Ctx,
    id: i32,
    ops: UserPtr<Sembuf>,
    count: usize,
    limit: UserPtr<Timespec>,
) -> SysResult {
    let limit = limit.non_null().map(|ptr| ctx.memory().read_value(ptr)).transpose()?;
    operate(ctx, id, ops, count, limit).await
}

async fn operate(
    ctx: &mut Ctx,
    id: i32,
    ops: UserPtr<Sembuf>,
    count: usize,
    limit: Option<Timespec>,
) -> SysResult {
    if count == 0 || id < 0 {
        return Err(Errno::EINVAL);
    }
    if count > SEMOPM as usize {
        return Err(Errno::E2BIG);
    }
    let ops = ctx.memory().read_array(ops, count)?;
    let kernel = ctx.task.kernel.clone();
    let sleep = limit.map(|limit| deadline(ctx, limit)).transpose()?;
    let credentials = ctx.task.credentials();
    let pid = ctx.task.pid();
    let waiting = match kernel.ipc.semaphores.operate(id, ops, pid, &credentials)? {
        Operated::Done => return Ok(0),
        Operated::Waits(waiting) => waiting,
    };
    let result = match ctx.block(timeout(sleep, waiting.wait())).await {
        Ok(Some(result)) => result,
        Ok(None) => waiting.give_up(Errno::EAGAIN),
        Err(_) => waiting.give_up(Errno::EINTR),
    };
    result.map(|()| 0)
}

fn deadline(ctx: &Ctx, limit: Timespec) -> Result<Sleep, Errno> {
    if !limit.is_valid() {
        return Err(Errno::EINVAL);
    }
    let end = TimerClock::Monotonic.now_ns().saturating_add(limit.to_nanos());
    Ok(ctx.task.kernel.timers.sleep_until(TimerClock::Monotonic, end))
}

/// `semctl(2)`. The argument is an `int` or an address, by command.
pub fn semctl(ctx: &mut Ctx, id: i32, number: i32, command: i32, argument: u64) -> SysResult {
    if id < 0 {
        return Err(Errno::EINVAL);
    }
    let kernel = ctx.task.kernel.clone();
    let semaphores = &kernel.ipc.semaphores;
    let credentials = ctx.task.credentials();
    let target = UserPtr::<SemidDs>::new(argument);
    let query = |fact| semaphores.query(id, number, &credentials, fact);
    match command & !IPC_64 {
        IPC_INFO | SEM_INFO => info(ctx, command & !IPC_64, UserPtr::new(argument)),
        IPC_STAT => {
            ctx.memory().write_value(target, &semaphores.stat(id, &credentials)?)?;
            Ok(0)
        }
        SEM_STAT | SEM_STAT_ANY => {
            let checked = (command & !IPC_64 == SEM_STAT).then_some(&*credentials);
            let (found, facts) = semaphores.stat_at(id, checked)?;
            ctx.memory().write_value(target, &facts)?;
            Ok(found as usize)
        }
        GETALL => {
            let values = semaphores.values(id, &credentials)?;
            ctx.memory().write_array(target.cast(), &values)?;
            Ok(0)
        }
        GETVAL => query(Fact::Value),
        GETPID => query(Fact::Pid),
        GETNCNT => query(Fact::WaitingToGrow),
        GETZCNT => query(Fact::WaitingForZero),
        SETALL => {
            let count = semaphores.count(id, &credentials)?;
            let values: Vec<u16> = ctx.memory().read_array(target.cast(), count)?;
            let values: Vec<i32> = values.into_iter().map(i32::from).collect();
            semaphores.set_values(id, 0, &values, ctx.task.pid(), &credentials)?;
            Ok(0)
        }
        SETVAL => {
            let value = argument as i32;
            semaphores.set_values(id, number, &[value], ctx.task.pid(), &credentials)?;
            Ok(0)
        }
        IPC_SET => {
            let wanted = ctx.memory().read_value(target)?;
            semaphores.change(id, &wanted.perm, &credentials)?;
            Ok(0)
        }
        IPC_RMID => {
            semaphores.remove(id, &credentials)?;
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// `IPC_INFO` and `SEM_INFO`: limits, or what is in use.
fn info(ctx: &Ctx, command: i32, target: UserPtr<SemInfo>) -> SysResult {
    let (sets, used, highest) = ctx.task.kernel.ipc.semaphores.usage();
    let is_usage = command == SEM_INFO;
    const SEMUSZ: i32 = 20;
    let value = SemInfo {
        semmap: SEMMNS,
        semmni: SEMMNI,
        semmns: SEMMNS,
        semmnu: SEMMNS,
        semmsl: SEMMSL,
        semopm: SEMOPM,
        semume: SEMOPM,
        semusz: if is_usage { sets as i32 } else { SEMUSZ },
        semvmx: SEMVMX,
        semaem: if is_usage { used as i32 } else { SEMVMX },
    };
    ctx.memory().write_value(target, &value)?;
    Ok(highest)
}
