//! `sendfile`, `copy_file_range` and clones: bytes that go from file to file inside the kernel.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, InotifyMask, MAX_RW_COUNT, OpenFlags};
use platform::host::fs::copy_file_range as copy_file_range_of_host;

use super::attr::strip_privileges;
use super::blocking::{limit_write, write_stream};
use super::{Fd, SysResult};
use crate::memory::{IoDest, IoSource, UserPtr};
use crate::task::Ctx;
use crate::vfs::{FileDescription, is_same_inode, notify};

/// Bytes moved in one step.
const STEP_BYTES: usize = 64 << 10;
/// Most bytes of one `copy_file_range`: programs repeat it, others want to run.
const COPY_BYTES: usize = 16 << 20;

/// Why a file cannot be a clone of another (`ioctl_ficlone(2)`): no file system here has files that share
/// what they hold. In the order of Linux' `vfs_clone_file_range`.
pub fn clone_error(source: &FileDescription, target: &FileDescription) -> Errno {
    let kinds = [source, target].map(|file| file.location().kind());
    let superblocks = [source, target].map(|file| file.location().dentry().superblock());
    if !Arc::ptr_eq(superblocks[0], superblocks[1]) {
        Errno::EXDEV
    } else if kinds.contains(&FileKind::Directory) {
        Errno::EISDIR
    } else if kinds != [FileKind::Regular; 2] {
        Errno::EINVAL
    } else if !source.is_readable()
        || !target.is_writable()
        || target.flags().contains(OpenFlags::APPEND)
    {
        Errno::EBADF
    } else {
        Errno::EOPNOTSUPP
    }
}

/// One side with an offset: the program's, or the description's own.
struct Side {
    file: Arc<FileDescription>,
    given: Option<u64>,
}

impl Side {
    /// Errors: EFAULT, EINVAL (a negative offset).
    fn new(ctx: &Ctx, file: Arc<FileDescription>, offset: UserPtr<i64>) -> Result<Side, Errno> {
        let given = match offset.non_null() {
            Some(ptr) => {
                let offset = ctx.memory().read_value(ptr)?;
                Some(u64::try_from(offset).map_err(|_| Errno::EINVAL)?)
            }
            None => None,
        };
        Ok(Side { file, given })
    }

    fn position(&self) -> u64 {
        self.given.unwrap_or_else(|| self.file.offset())
    }

    /// Moves on by `count` bytes.
    fn advance(&mut self, count: usize) {
        match &mut self.given {
            Some(offset) => *offset += count as u64,
            None => {
                let offset = self.file.lock_offset();
                offset.set(offset.get() + count as u64);
            }
        }
    }

    /// Tells the program its offset. Errors: EFAULT.
    fn give_back(&self, ctx: &Ctx, ptr: UserPtr<i64>) -> Result<(), Errno> {
        match self.given {
            Some(offset) => ctx.memory().write_value(ptr, &(offset as i64)),
            None => Ok(()),
        }
    }

    /// Reads up to `max` bytes where the side stands.
    fn read(&self, ctx: &Ctx, max: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = Vec::with_capacity(max);
        let io = self.file.io(&ctx.task);
        let mut dest = IoDest::collect(&mut bytes, max);
        self.file.file().read(&mut dest, self.position(), &io)?;
        Ok(bytes)
    }

    /// Writes to a seekable file where the side stands, within the limit on file sizes.
    fn write(&self, ctx: &Ctx, bytes: &[u8]) -> SysResult {
        let position = self.position();
        let is_regular = self.file.location().kind() == FileKind::Regular;
        let room = if is_regular { limit_write(ctx, position, bytes.len())? } else { bytes.len() };
        let io = self.file.io(&ctx.task);
        let mut source = IoSource::kernel(&bytes[..room]);
        let (count, _) = self.file.file().write(&mut source, position, &io)?;
        if is_regular {
            strip_privileges(ctx, self.file.location())?;
        }
        Ok(count)
    }
}

/// `sendfile(2)`.
///
/// Errors: EBADF, ESPIPE (an offset for what has none), EINVAL (the input cannot be seeked, the
/// output appends), EAGAIN, EFAULT, and those of the files.
pub async fn sendfile(
    ctx: &mut Ctx,
    out_fd: Fd,
    in_fd: Fd,
    offset: UserPtr<i64>,
    count: usize,
) -> SysResult {
    let table = ctx.task.fds();
    let input = table.get_usable(in_fd)?;
    if !input.is_readable() {
        return Err(Errno::EBADF);
    }
    if !offset.is_null() && !input.file().is_seekable() {
        return Err(Errno::ESPIPE);
    }
    let output = table.get_usable(out_fd)?;
    drop(table);
    if !output.is_writable() {
        return Err(Errno::EBADF);
    }
    if !input.file().is_seekable() || output.flags().contains(OpenFlags::APPEND) {
        return Err(Errno::EINVAL);
    }
    if input.location().is_directory() {
        return Err(Errno::EINVAL);
    }
    let mut from = Side::new(ctx, input, offset)?;
    let mut to = Side { file: output, given: None };
    let mut total = 0;
    let result = send_all(ctx, &mut from, &mut to, count.min(MAX_RW_COUNT), &mut total).await;
    if total > 0 {
        notify(from.file.location(), InotifyMask::ACCESS);
        notify(to.file.location(), InotifyMask::MODIFY);
    }
    from.give_back(ctx, offset)?;
    match result {
        Err(errno) if total == 0 => Err(errno),
        _ => Ok(total),
    }
}

async fn send_all(
    ctx: &Ctx,
    from: &mut Side,
    to: &mut Side,
    count: usize,
    total: &mut usize,
) -> Result<(), Errno> {
    let is_stream = !to.file.file().is_seekable();
    while *total < count {
        if !is_stream && let Some(copied) = copy_by_host(ctx, from, to, count - *total)? {
            *total += copied;
            continue;
        }
        let bytes = from.read(ctx, STEP_BYTES.min(count - *total))?;
        if bytes.is_empty() {
            return Ok(());
        }
        let written = if is_stream {
            let file = to.file.clone();
            write_stream(ctx, &file, &mut IoSource::kernel(&bytes), &file.io(&ctx.task)).await?
        } else {
            let written = to.write(ctx, &bytes)?;
            to.advance(written);
            written
        };
        from.advance(written);
        *total += written;
        if written < bytes.len() {
            return Ok(());
        }
    }
    Ok(())
}

/// `copy_file_range(2)`.
///
/// Errors: EBADF, EINVAL (flags, overlapping ranges, no regular files), EISDIR, EXDEV (different
/// file systems), EOVERFLOW, EFBIG, EFAULT, and those of the files.
pub fn copy_file_range(
    ctx: &mut Ctx,
    in_fd: Fd,
    in_offset: UserPtr<i64>,
    out_fd: Fd,
    out_offset: UserPtr<i64>,
    len: usize,
    flags: u32,
) -> SysResult {
    let table = ctx.task.fds();
    let (input, output) = (table.get_usable(in_fd)?, table.get_usable(out_fd)?);
    drop(table);
    let mut from = Side::new(ctx, input, in_offset)?;
    let mut to = Side::new(ctx, output, out_offset)?;
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let len = check_copy(&from, &to, len)?.min(COPY_BYTES);
    // Linux: the limit on sizes is looked at also if there is nothing to copy.
    let len = limit_write(ctx, to.position(), len.max(1))?.min(len);
    let mut total = 0;
    let result = copy_all(ctx, &mut from, &mut to, len, &mut total);
    if total > 0 {
        notify(from.file.location(), InotifyMask::ACCESS);
        notify(to.file.location(), InotifyMask::MODIFY);
    }
    from.give_back(ctx, in_offset)?;
    to.give_back(ctx, out_offset)?;
    match result {
        Err(errno) if total == 0 => Err(errno),
        _ => Ok(total),
    }
}

/// Linux `generic_copy_file_checks`: how many bytes may be copied.
fn check_copy(from: &Side, to: &Side, len: usize) -> Result<usize, Errno> {
    for side in [from, to] {
        match side.file.location().kind() {
            FileKind::Regular => {}
            FileKind::Directory => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        }
    }
    let appends = to.file.flags().contains(OpenFlags::APPEND);
    if !from.file.is_readable() || !to.file.is_writable() || appends {
        return Err(Errno::EBADF);
    }
    let (source, target) = (from.file.location(), to.file.location());
    if !source.mount().superblock().is_same(target.mount().superblock()) {
        return Err(Errno::EXDEV);
    }
    let (start, dest) = (from.position(), to.position());
    let ends_in_range =
        |start: u64| start.checked_add(len as u64).is_some_and(|end| end <= i64::MAX as u64);
    if !ends_in_range(start) || !ends_in_range(dest) {
        return Err(Errno::EOVERFLOW);
    }
    let left = from.file.attributes()?.size.saturating_sub(start);
    let len = len.min(usize::try_from(left).unwrap_or(usize::MAX));
    let is_same = is_same_inode(source.dentry().inode(), target.dentry().inode());
    if is_same && start < dest + len as u64 && dest < start + len as u64 {
        return Err(Errno::EINVAL);
    }
    Ok(len)
}

fn copy_all(
    ctx: &Ctx,
    from: &mut Side,
    to: &mut Side,
    len: usize,
    total: &mut usize,
) -> Result<(), Errno> {
    while *total < len {
        if let Some(copied) = copy_by_host(ctx, from, to, len - *total)? {
            *total += copied;
            continue;
        }
        let bytes = from.read(ctx, STEP_BYTES.min(len - *total))?;
        if bytes.is_empty() {
            return Ok(());
        }
        let written = to.write(ctx, &bytes)?;
        from.advance(written);
        to.advance(written);
        *total += written;
        if written < bytes.len() {
            return Ok(());
        }
    }
    Ok(())
}

/// Has the host copy up to `len` bytes from one of its files to another, and moves both sides on.
/// None where the host does not: the bytes then go through here.
///
/// Errors: EFBIG.
fn copy_by_host(
    ctx: &Ctx,
    from: &mut Side,
    to: &mut Side,
    len: usize,
) -> Result<Option<usize>, Errno> {
    // Written data would have to be synchronised.
    if to.file.flags().intersects(OpenFlags::SYNC | OpenFlags::DSYNC) {
        return Ok(None);
    }
    let Some(source) = from.file.file().host_bytes(false) else { return Ok(None) };
    let Some(target) = to.file.file().host_bytes(true) else { return Ok(None) };
    let left = from.file.attributes()?.size.saturating_sub(from.position());
    let len = len.min(COPY_BYTES).min(usize::try_from(left).unwrap_or(usize::MAX));
    let room = limit_write(ctx, to.position(), len)?;
    match copy_file_range_of_host(&source, from.position(), &target, to.position(), room) {
        // Nothing where there seems to be something, or an error: reading and writing tell.
        Ok(0) | Err(_) => Ok(None),
        Ok(copied) => {
            strip_privileges(ctx, to.file.location())?;
            from.advance(copied);
            to.advance(copied);
            Ok(Some(copied))
        }
    }
}
