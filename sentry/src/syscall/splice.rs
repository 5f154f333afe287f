//! `splice`, `tee`, `vmsplice`: moving bytes between a pipe and something else.
//!
//! Bytes are copied once through the kernel; what a file does not take goes back to the front of
//! its pipe.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{IoVec, MAX_RW_COUNT, OpenFlags, SpliceFlags};
use linux_abi::poll::PollEvents;
use linux_abi::signal::SIGPIPE;

use super::blocking::raise;
use super::{Fd, SysResult};
use crate::fs::pipe::{Pipe, PipeFile, move_between, pipe_of, tee as tee_pipes};
use crate::memory::{IoDest, IoSource, UserPtr};
use crate::sync::wait_for;
use crate::task::Ctx;
use crate::vfs::FileDescription;

/// Bytes moved in one step.
const STEP_BYTES: usize = 64 << 10;

/// Where a side that is no pipe reads or writes.
struct FileSide {
    file: Arc<FileDescription>,
    /// The offset the program gave; none for the file's own.
    offset: Option<u64>,
}

/// `splice(2)`.
///
/// Errors: EBADF; EINVAL (no pipe, the same pipe, an append-only target, an offset where there is
/// none to set); ESPIPE (an offset for a pipe); EAGAIN; EPIPE; EFAULT.
pub async fn splice(
    ctx: &mut Ctx,
    fd_in: Fd,
    off_in: UserPtr<i64>,
    fd_out: Fd,
    off_out: UserPtr<i64>,
    len: usize,
    flags: u32,
) -> SysResult {
    let flags = SpliceFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if len == 0 {
        return Ok(0);
    }
    let len = len.min(MAX_RW_COUNT);
    let table = ctx.task.fds();
    let (input, output) = (table.get_usable(fd_in)?, table.get_usable(fd_out)?);
    drop(table);
    if !input.is_readable() || !output.is_writable() {
        return Err(Errno::EBADF);
    }
    let is_nonblocking = flags.contains(SpliceFlags::NONBLOCK);
    match (pipe_of(&input).cloned(), pipe_of(&output).cloned()) {
        (Some(from), Some(to)) => {
            no_offset(off_in)?;
            no_offset(off_out)?;
            let wait = !(is_nonblocking || input.is_nonblocking() || output.is_nonblocking());
            between_pipes(ctx, &from, &to, wait, || move_between(&from, &to, len)).await
        }
        (Some(from), None) => {
            no_offset(off_in)?;
            let mut side = FileSide::new(ctx, output, off_out)?;
            if side.file.flags().contains(OpenFlags::APPEND) {
                return Err(Errno::EINVAL);
            }
            let wait = !(is_nonblocking || input.is_nonblocking());
            let result = pipe_to_file(ctx, &from, &mut side, len, wait).await;
            side.write_back(ctx, off_out)?;
            result
        }
        (None, Some(to)) => {
            no_offset(off_out)?;
            let mut side = FileSide::new(ctx, input, off_in)?;
            let wait = !(is_nonblocking || output.is_nonblocking());
            let result = file_to_pipe(ctx, &mut side, &to, len, wait).await;
            side.write_back(ctx, off_in)?;
            result
        }
        (None, None) => Err(Errno::EINVAL),
    }
}

/// `tee(2)`. Errors: EBADF, EINVAL (not two pipes), EAGAIN, EPIPE.
pub async fn tee(ctx: &mut Ctx, fd_in: Fd, fd_out: Fd, len: usize, flags: u32) -> SysResult {
    let flags = SpliceFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if len == 0 {
        return Ok(0);
    }
    let table = ctx.task.fds();
    let (input, output) = (table.get_usable(fd_in)?, table.get_usable(fd_out)?);
    drop(table);
    if !input.is_readable() || !output.is_writable() {
        return Err(Errno::EBADF);
    }
    let from = pipe_of(&input).cloned().ok_or(Errno::EINVAL)?;
    let to = pipe_of(&output).cloned().ok_or(Errno::EINVAL)?;
    let is_nonblocking =
        flags.contains(SpliceFlags::NONBLOCK) || input.is_nonblocking() || output.is_nonblocking();
    between_pipes(ctx, &from, &to, !is_nonblocking, || tee_pipes(&from, &to, len)).await
}

/// `vmsplice(2)`: bytes of the caller into a pipe, or out of it.
///
/// Errors: EBADF (no pipe), EINVAL, EFAULT, EAGAIN, EPIPE.
pub async fn vmsplice(
    ctx: &mut Ctx,
    fd: Fd,
    iov: UserPtr<IoVec>,
    count: usize,
    flags: u32,
) -> SysResult {
    let flags = SpliceFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    let description = ctx.task.fds().get_usable(fd)?;
    let file = description.downcast::<PipeFile>().ok_or(Errno::EBADF)?;
    let memory = ctx.memory().clone();
    let ranges = memory.read_iovecs(iov, count)?;
    let pipe = file.pipe().clone();
    let wait = !flags.contains(SpliceFlags::NONBLOCK);
    if file.can_write() {
        let mut source = IoSource::user(&memory, ranges);
        let attempt = || pipe.write(&mut source, false);
        let result = retry(ctx, &pipe, PollEvents::OUT, wait, attempt).await;
        result.map_err(|errno| broken_pipe(ctx, errno))
    } else {
        let mut dest = IoDest::user(&memory, ranges);
        retry(ctx, &pipe, PollEvents::IN, wait, || pipe.read(&mut dest)).await
    }
}

/// Raises SIGPIPE if `errno` is EPIPE; answers with `errno`.
fn broken_pipe(ctx: &Ctx, errno: Errno) -> Errno {
    if errno == Errno::EPIPE {
        raise(ctx, SIGPIPE);
    }
    errno
}

fn no_offset(offset: UserPtr<i64>) -> Result<(), Errno> {
    if offset.is_null() { Ok(()) } else { Err(Errno::ESPIPE) }
}

/// Runs `attempt` until it does something else than EAGAIN, waiting for `events` of `pipe`.
async fn retry(
    ctx: &Ctx,
    pipe: &Pipe,
    events: PollEvents,
    wait: bool,
    mut attempt: impl FnMut() -> SysResult,
) -> SysResult {
    let mut once = || match attempt() {
        Err(Errno::EAGAIN) => None,
        result => Some(result),
    };
    if !wait {
        return once().unwrap_or(Err(Errno::EAGAIN));
    }
    ctx.block(wait_for(pipe.wait_queue(), events, once)).await?
}

async fn between_pipes(
    ctx: &Ctx,
    from: &Arc<Pipe>,
    to: &Arc<Pipe>,
    wait: bool,
    mut attempt: impl FnMut() -> SysResult,
) -> SysResult {
    loop {
        match attempt() {
            Err(Errno::EAGAIN) if wait => {}
            result => return result.map_err(|errno| broken_pipe(ctx, errno)),
        }
        // Either side may be what stands in the way.
        let readable = || from.can_read_now().then_some(());
        ctx.block(wait_for(from.wait_queue(), PollEvents::IN, readable)).await?;
        let writable = || to.can_write_now().then_some(());
        ctx.block(wait_for(to.wait_queue(), PollEvents::OUT, writable)).await?;
    }
}

async fn pipe_to_file(
    ctx: &Ctx,
    pipe: &Arc<Pipe>,
    side: &mut FileSide,
    len: usize,
    wait: bool,
) -> SysResult {
    let mut total = 0;
    while total < len {
        let mut bytes = Vec::new();
        let max = (len - total).min(STEP_BYTES);
        let attempt = || pipe.read(&mut IoDest::collect(&mut bytes, max));
        match retry(ctx, pipe, PollEvents::IN, wait && total == 0, attempt).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(_) if total > 0 => break,
            Err(errno) => return Err(errno),
        }
        let mut source = IoSource::kernel(&bytes);
        let failure = side.write_all(ctx, &mut source).await.err();
        let written = source.done();
        total += written;
        if let Some(errno) = failure {
            pipe.put_back(&bytes[written..]);
            return if total > 0 { Ok(total) } else { Err(broken_pipe(ctx, errno)) };
        }
    }
    Ok(total)
}

async fn file_to_pipe(
    ctx: &Ctx,
    side: &mut FileSide,
    pipe: &Arc<Pipe>,
    len: usize,
    wait: bool,
) -> SysResult {
    let attempt = || pipe.room();
    let room = retry(ctx, pipe, PollEvents::OUT, wait, attempt).await;
    let room = room.map_err(|errno| broken_pipe(ctx, errno))?;
    let mut bytes = Vec::new();
    side.read_some(ctx, &mut bytes, len.min(room), wait).await?;
    pipe.push(&bytes);
    Ok(bytes.len())
}

impl FileSide {
    /// Errors: EINVAL for an offset of a file that has none, or a negative one; EFAULT.
    fn new(ctx: &Ctx, file: Arc<FileDescription>, offset: UserPtr<i64>) -> Result<FileSide, Errno> {
        let offset = match offset.non_null() {
            None => None,
            Some(_) if !file.file().is_seekable() => return Err(Errno::EINVAL),
            Some(offset) => {
                let offset = ctx.memory().read_value(offset)?;
                Some(u64::try_from(offset).map_err(|_| Errno::EINVAL)?)
            }
        };
        Ok(FileSide { file, offset })
    }

    fn write_back(&self, ctx: &Ctx, pointer: UserPtr<i64>) -> Result<(), Errno> {
        match self.offset {
            Some(offset) => ctx.memory().write_value(pointer, &(offset as i64)),
            None => Ok(()),
        }
    }

    /// Runs `transfer` at the offset; it answers with the count and the offset behind it.
    fn at_offset(
        &mut self,
        transfer: impl FnOnce(&FileDescription, u64) -> Result<(usize, u64), Errno>,
    ) -> SysResult {
        if let Some(offset) = self.offset {
            let (count, end) = transfer(&self.file, offset)?;
            self.offset = Some(end);
            return Ok(count);
        }
        if !self.file.file().is_seekable() {
            return Ok(transfer(&self.file, 0)?.0);
        }
        let guard = self.file.lock_offset();
        let (count, end) = transfer(&self.file, guard.get())?;
        guard.set(end);
        Ok(count)
    }

    /// Writes everything in `source`; what was written before an error is gone from it.
    async fn write_all(&mut self, ctx: &Ctx, source: &mut IoSource<'_>) -> Result<(), Errno> {
        while source.remaining() > 0 {
            let attempt = self
                .at_offset(|file, offset| file.file().write(source, offset, &file.io(&ctx.task)));
            match attempt {
                Ok(0) => return Err(Errno::EIO),
                Ok(_) => {}
                Err(Errno::EAGAIN) if !self.file.is_nonblocking() => {
                    self.wait_ready(ctx, PollEvents::OUT).await?;
                }
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    async fn read_some(
        &mut self,
        ctx: &Ctx,
        bytes: &mut Vec<u8>,
        max: usize,
        wait: bool,
    ) -> SysResult {
        loop {
            let attempt = self.at_offset(|file, offset| {
                let mut dest = IoDest::collect(bytes, max);
                let count = file.file().read(&mut dest, offset, &file.io(&ctx.task))?;
                Ok((count, offset + count as u64))
            });
            match attempt {
                Err(Errno::EAGAIN) if wait && !self.file.is_nonblocking() => {
                    self.wait_ready(ctx, PollEvents::IN).await?;
                }
                result => return result,
            }
        }
    }

    async fn wait_ready(&self, ctx: &Ctx, events: PollEvents) -> Result<(), Errno> {
        let file = self.file.file();
        let queue = file.wait_queue().ok_or(Errno::EAGAIN)?;
        let wanted = events | PollEvents::ERR | PollEvents::HUP;
        let ready = || file.readiness().intersects(wanted).then_some(());
        ctx.block(wait_for(queue, events, ready)).await
    }
}
