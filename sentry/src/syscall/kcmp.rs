//! `kcmp`: whether two processes share an object of the kernel.

use std::cmp::Ordering;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::task::{
    KCMP_EPOLL_TFD, KCMP_FILE, KCMP_FILES, KCMP_FS, KCMP_IO, KCMP_SIGHAND, KCMP_SYSVSEM, KCMP_VM,
};

use super::SysResult;
use crate::task::{AccessMode, Ctx, Pid, Task, check_access};

/// `kcmp(2)`: 0 for equal, 1 for less, 2 for greater.
///
/// Errors: ESRCH, EPERM, EBADF, EINVAL; EOPNOTSUPP for `KCMP_EPOLL_TFD`.
pub fn kcmp(
    ctx: &mut Ctx,
    first: Pid,
    second: Pid,
    kind: i32,
    first_index: u64,
    second_index: u64,
) -> SysResult {
    let find = |pid| ctx.task.kernel.tasks.task(pid).ok_or(Errno::ESRCH);
    let (first, second) = (find(first)?, find(second)?);
    for task in [&first, &second] {
        check_access(&ctx.task, task, AccessMode::Read)?;
    }
    let order = match kind {
        KCMP_FILE => file(&first, first_index)?.cmp(&file(&second, second_index)?),
        KCMP_VM => memory(&first).cmp(&memory(&second)),
        KCMP_FILES => address(&first.fds()).cmp(&address(&second.fds())),
        KCMP_FS => address(&first.fs()).cmp(&address(&second.fs())),
        KCMP_SIGHAND => {
            let actions = |task: &Task| address(&task.group.actions.read());
            actions(&first).cmp(&actions(&second))
        }
        // Threads share these; processes that never used them have none, which is equal too.
        KCMP_IO | KCMP_SYSVSEM => Ordering::Equal,
        KCMP_EPOLL_TFD => return Err(Errno::EOPNOTSUPP),
        _ => return Err(Errno::EINVAL),
    };
    Ok(match order {
        Ordering::Equal => 0,
        Ordering::Less => 1,
        Ordering::Greater => 2,
    })
}

/// What tells objects apart; only its order gets out.
fn address<T: ?Sized>(object: &Arc<T>) -> usize {
    Arc::as_ptr(object).addr()
}

fn memory(task: &Task) -> u64 {
    task.mm().memory().space().id()
}

fn file(task: &Task, index: u64) -> Result<usize, Errno> {
    let fd = i32::try_from(index).map_err(|_| Errno::EBADF)?;
    Ok(address(&task.fds().get(fd)?))
}
