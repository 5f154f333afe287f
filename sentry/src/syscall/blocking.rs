//! Reads and writes that may wait: try, wait for readiness, try again.

use linux_abi::Errno;
use linux_abi::fs::OpenFlags;
use linux_abi::poll::PollEvents;
use linux_abi::signal::{SI_USER, SIGPIPE, SIGXFSZ, SigInfo};
use linux_abi::task::{RLIM_INFINITY, RLIMIT_FSIZE};

use super::SysResult;
use super::poll::Deadline;
use crate::memory::{IoDest, IoSource};
use crate::net::socket_of;
use crate::sync::wait_for;
use crate::task::Ctx;
use crate::vfs::{File, FileDescription, IoContext, Pacing};

/// Nanoseconds of a tenth of a second, the unit of `VTIME`.
const TENTH_NS: i64 = 100_000_000;

/// Reads from a file without an offset, waiting for data if the descriptor is blocking.
///
/// # Errors
/// Those of the file; EAGAIN (non-blocking), ERESTARTSYS.
pub(super) async fn read_stream(
    ctx: &Ctx,
    description: &FileDescription,
    dest: &mut IoDest<'_>,
    io: &IoContext<'_>,
) -> SysResult {
    if socket_of(description).is_ok() {
        return super::socket::read(ctx, description, dest, io).await;
    }
    let file = description.file();
    let is_nonblocking = io.flags.contains(OpenFlags::NONBLOCK);
    if let (Some(pacing), false) = (file.pacing(), is_nonblocking) {
        return read_paced(ctx, file, dest, io, pacing).await;
    }
    let first = file.read(dest, 0, io);
    let (Err(Errno::EAGAIN), Some(queue), false) = (first, file.wait_queue(), is_nonblocking)
    else {
        return first;
    };
    let attempt = || match file.read(dest, 0, io) {
        Err(Errno::EAGAIN) => None,
        result => Some(result),
    };
    ctx.block(wait_for(queue, PollEvents::IN | PollEvents::RDNORM, attempt)).await?
}

/// Reads from a terminal in raw mode: until `VMIN` bytes have come, or `VTIME` has passed
/// (termios(3)). What was read before a signal counts.
async fn read_paced(
    ctx: &Ctx,
    file: &dyn File,
    dest: &mut IoDest<'_>,
    io: &IoContext<'_>,
    pacing: Pacing,
) -> SysResult {
    let queue = file.wait_queue().ok_or(Errno::EAGAIN)?;
    let wanted = pacing.min.clamp(1, dest.remaining().max(1));
    let mut total = 0;
    while total < wanted {
        let deadline = match pacing.tenths {
            0 if pacing.min == 0 => Deadline::Now,
            0 => Deadline::Never,
            _ if pacing.min > 0 && total == 0 => Deadline::Never,
            tenths => Deadline::in_nanoseconds(i64::from(tenths) * TENTH_NS),
        };
        let attempt = || match file.read(dest, 0, io) {
            Err(Errno::EAGAIN) => None,
            result => Some(result),
        };
        let events = PollEvents::IN | PollEvents::RDNORM;
        let waited = deadline.limit(&ctx.task.kernel.timers, wait_for(queue, events, attempt));
        match ctx.block(waited).await {
            Ok(Some(Ok(count))) if count > 0 => total += count,
            // The end, or the time is over.
            Ok(Some(Ok(_)) | None) => break,
            Ok(Some(Err(_))) | Err(_) if total > 0 => break,
            Ok(Some(Err(errno))) | Err(errno) => return Err(errno),
        }
    }
    Ok(total)
}

/// Writes to a file without an offset, waiting for room if the descriptor is blocking. What was
/// written before an error or a signal counts. A broken pipe raises SIGPIPE.
///
/// # Errors
/// Those of the file when nothing was written; EAGAIN (non-blocking), ERESTARTSYS.
pub(super) async fn write_stream(
    ctx: &Ctx,
    description: &FileDescription,
    source: &mut IoSource<'_>,
    io: &IoContext<'_>,
) -> SysResult {
    if socket_of(description).is_ok() {
        return super::socket::write(ctx, description, source, io).await;
    }
    let mut total = 0;
    let result = write_all(ctx, description, source, io, &mut total).await;
    if result == Err(Errno::EPIPE) {
        raise(ctx, SIGPIPE);
    }
    match result {
        Err(_) if total > 0 => Ok(total),
        Err(errno) => Err(errno),
        Ok(()) => Ok(total),
    }
}

async fn write_all(
    ctx: &Ctx,
    description: &FileDescription,
    source: &mut IoSource<'_>,
    io: &IoContext<'_>,
    total: &mut usize,
) -> Result<(), Errno> {
    let file = description.file();
    // Answers with whether the write is done, or with an error; `None` to wait.
    let mut attempt = |total: &mut usize| -> Option<Result<(), Errno>> {
        loop {
            match file.write(source, 0, io) {
                Ok((count, _)) => {
                    *total += count;
                    if source.remaining() == 0 || !file.writes_all() {
                        return Some(Ok(()));
                    }
                    if count == 0 {
                        return None;
                    }
                }
                Err(Errno::EAGAIN) => return None,
                Err(errno) => return Some(Err(errno)),
            }
        }
    };
    if let Some(result) = attempt(total) {
        return result;
    }
    let is_nonblocking = io.flags.contains(OpenFlags::NONBLOCK);
    let (Some(queue), false) = (file.wait_queue(), is_nonblocking) else {
        return Err(Errno::EAGAIN);
    };
    let events = PollEvents::OUT | PollEvents::WRNORM;
    ctx.block(wait_for(queue, events, || attempt(total))).await?
}

/// Sends the calling thread a signal of the kernel's own making.
pub(super) fn raise(ctx: &Ctx, signo: i32) {
    let task = &ctx.task;
    let uid = task.credentials().uid;
    let info = SigInfo::kill(signo, SI_USER, task.pid(), uid);
    // Only a full real-time queue refuses, and this is a standard signal.
    let _ = crate::signal::send_to_task(task, info);
}

/// How many bytes a write of `len` at `offset` may make a regular file grow to.
///
/// # Errors
/// EFBIG and SIGXFSZ beyond `RLIMIT_FSIZE`.
pub(super) fn limit_write(ctx: &Ctx, offset: u64, len: usize) -> Result<usize, Errno> {
    let limit = ctx.task.group.soft_limit(RLIMIT_FSIZE as usize);
    if limit == RLIM_INFINITY || len == 0 {
        return Ok(len);
    }
    if offset >= limit {
        raise(ctx, SIGXFSZ);
        return Err(Errno::EFBIG);
    }
    Ok(len.min((limit - offset) as usize))
}
