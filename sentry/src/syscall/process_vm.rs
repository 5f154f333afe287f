//! `process_vm_readv` and `process_vm_writev`: copying between the memories of two processes.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::IoVec;

use super::SysResult;
use crate::memory::{IoDest, IoSource, UserIoVec, UserMemory, UserPtr};
use crate::mm::Mm;
use crate::task::{AccessMode, Ctx, Pid, check_access};

/// Bytes copied at once.
const PIECE: usize = 64 << 10;

/// `process_vm_readv(2)`.
///
/// Errors: EINVAL (flags, too many pieces), EFAULT, ESRCH, EPERM.
pub fn process_vm_readv(
    ctx: &mut Ctx,
    pid: Pid,
    local: UserPtr<IoVec>,
    local_count: usize,
    remote: UserPtr<IoVec>,
    remote_count: usize,
    flags: u64,
) -> SysResult {
    let (ours, theirs) = ranges(ctx, (local, local_count), (remote, remote_count), flags)?;
    let mm = memory_of(ctx, pid)?;
    let source = IoSource::user(mm.memory(), theirs);
    copy(source, IoDest::user(ctx.memory(), ours))
}

/// `process_vm_writev(2)`. Errors: as for `process_vm_readv`.
pub fn process_vm_writev(
    ctx: &mut Ctx,
    pid: Pid,
    local: UserPtr<IoVec>,
    local_count: usize,
    remote: UserPtr<IoVec>,
    remote_count: usize,
    flags: u64,
) -> SysResult {
    let (ours, theirs) = ranges(ctx, (local, local_count), (remote, remote_count), flags)?;
    let mm = memory_of(ctx, pid)?;
    let source = IoSource::user(ctx.memory(), ours);
    copy(source, IoDest::user(mm.memory(), theirs))
}

type Ranges = (Vec<UserIoVec>, Vec<UserIoVec>);

fn ranges(
    ctx: &Ctx,
    local: (UserPtr<IoVec>, usize),
    remote: (UserPtr<IoVec>, usize),
    flags: u64,
) -> Result<Ranges, Errno> {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let memory: &UserMemory = ctx.memory();
    Ok((memory.read_iovecs(local.0, local.1)?, memory.read_iovecs(remote.0, remote.1)?))
}

/// The memory of process `pid`. Errors: ESRCH, EPERM.
fn memory_of(ctx: &Ctx, pid: Pid) -> Result<Arc<Mm>, Errno> {
    let task = ctx.task.kernel.tasks.task(pid).ok_or(Errno::ESRCH)?;
    check_access(&ctx.task, &task, AccessMode::Attach)?;
    Ok(task.mm())
}

/// Copies until either side is exhausted or faults. Errors: EFAULT if nothing was copied.
fn copy(mut source: IoSource<'_>, mut dest: IoDest<'_>) -> SysResult {
    let total = source.remaining().min(dest.remaining());
    let mut piece = vec![0; total.min(PIECE)];
    let mut done = 0;
    while done < total {
        let want = piece.len().min(total - done);
        let moved =
            source.take(&mut piece[..want]).and_then(|got| Ok((got, dest.put(&piece[..got])?)));
        match moved {
            Ok((got, put)) => {
                done += put;
                if put < want || got < want {
                    break;
                }
            }
            Err(errno) if done == 0 => return Err(errno),
            Err(_) => break,
        }
    }
    Ok(done)
}
