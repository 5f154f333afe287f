//! `mmap`, `munmap`, `mprotect`, `mremap`, `brk` and their kin.
//!
//! The kernel checks what only it can know (descriptors, permissions of files, mounts); the host
//! checks the rest when the caller's own thread executes the operation, with the errors of Linux.

use std::ops::Range;
use std::os::fd::AsFd;

use linux_abi::Errno;
use linux_abi::fs::OpenFlags;
use linux_abi::mm::{
    MAP_PRIVATE, MAP_SHARED, MAP_SHARED_VALIDATE, MAP_TYPE, MapFlags, MremapFlags, ProtFlags,
};
use platform::HostOp;
use platform::host::fs as host_fs;

use super::{Fd, Flow, SysResult};
use crate::memory::UserAddr;
use crate::mm::{FileMapping, Mm, PAGE_SIZE, page_up};
use crate::task::Ctx;
use crate::vfs::{FileDescription, MapRequest, MapSource};

/// Flags that are ours to interpret or that the host may not see.
const NOT_FOR_HOST: MapFlags = MapFlags::DENYWRITE
    .union(MapFlags::EXECUTABLE)
    .union(MapFlags::UNINITIALIZED)
    .union(MapFlags::SYNC)
    .union(MapFlags::ANONYMOUS);

/// `mmap(2)`.
pub async fn mmap(
    ctx: &mut Ctx,
    addr: u64,
    len: u64,
    prot: u32,
    flags: u32,
    fd: Fd,
    offset: u64,
) -> Flow {
    let map_flags = MapFlags::from_bits_retain(flags);
    if !offset.is_multiple_of(PAGE_SIZE) {
        return Flow::from(Err(Errno::EINVAL));
    }
    if !map_flags.contains(MapFlags::ANONYMOUS) {
        let mapped = map_file(ctx, addr, len, prot, flags, fd, offset).await;
        return mapped.unwrap_or_else(|errno| Flow::from(Err(errno)));
    }
    let checked = check_sharing(flags & MAP_TYPE, map_flags, false)
        .and_then(|()| refuse_huge_pages(map_flags));
    match checked {
        Err(errno) => Flow::from(Err(errno)),
        // What is mapped elsewhere stays, so there is nothing to forget.
        Ok(()) if !map_flags.contains(MapFlags::FIXED) => {
            Flow::Finish(anonymous(addr, len, prot, map_flags))
        }
        Ok(()) => {
            let mapped = map_anonymous(ctx, addr, len, prot, map_flags).await;
            mapped.unwrap_or_else(|errno| Flow::from(Err(errno)))
        }
    }
}

/// The pages of a mapping whose place the caller says, if it can be made there.
fn fixed_range(addr: u64, len: u64, flags: MapFlags) -> Option<Range<u64>> {
    let is_fixed = flags.intersects(MapFlags::FIXED | MapFlags::FIXED_NOREPLACE);
    let end = addr.checked_add(page_up(len)?)?;
    (is_fixed && addr.is_multiple_of(PAGE_SIZE)).then_some(addr..end)
}

/// Records a change of the files in a range and lets the caller's thread go on with it, its call
/// returning `value`. `false`, with nothing changed, if that cannot be.
fn finishes(
    ctx: &mut Ctx,
    mm: &Mm,
    op: HostOp<'_>,
    value: u64,
    range: Option<Range<u64>>,
    record: impl FnOnce(Range<u64>) -> Vec<FileMapping>,
) -> bool {
    let Some(range) = range.filter(|_| ctx.may_finish) else { return false };
    let before = mm.files_in(range.clone());
    let _removed = record(range);
    match ctx.finish(op, value, before) {
        Ok(()) => true,
        Err(before) => {
            mm.undo(before);
            false
        }
    }
}

async fn map_file(
    ctx: &mut Ctx,
    addr: u64,
    len: u64,
    prot: u32,
    flags: u32,
    fd: Fd,
    offset: u64,
) -> Result<Flow, Errno> {
    let map_flags = MapFlags::from_bits_retain(flags);
    let sharing = flags & MAP_TYPE;
    let file = ctx.task.fds().get(fd)?;
    if len == 0 {
        return Err(Errno::EINVAL);
    }
    refuse_huge_pages(map_flags)?;
    check_sharing(sharing, map_flags, true)?;
    let request = check_file(&file, prot, sharing, offset, len)?;
    match file.file().map(&request)? {
        MapSource::Anonymous => map_anonymous(ctx, addr, len, prot, map_flags).await,
        MapSource::Host { fd: host_fd, offset: host_offset } => {
            let read_only = match !request.writable && host_fs::is_writable(&host_fd)? {
                // The host then refuses write access for ever, also to a guest that gets at the
                // descriptor in its stub's process.
                true => Some(host_fs::reopen_read_only(&ctx.task.kernel.proc_dir, &host_fd)?),
                false => None,
            };
            let host_fd = read_only.as_ref().map_or(host_fd.as_fd(), AsFd::as_fd);
            let mm = ctx.task.mm();
            let _change = mm.lock_change().await;
            let op = HostOp::Mmap {
                addr,
                len,
                prot: prot as i32,
                flags: (map_flags & !NOT_FOR_HOST).bits() as i32,
                fd: Some(host_fd),
                offset: host_offset,
            };
            let location = file.location().clone();
            let range = fixed_range(addr, len, map_flags);
            let record =
                |range| mm.change_files(|files| files.insert(range, offset, location.clone()));
            if finishes(ctx, &mm, op, addr, range, record) {
                return Ok(Flow::Runs);
            }
            let start = ctx.host_op(op).await?;
            let end = start + page_up(len).ok_or(Errno::ENOMEM)?;
            let _removed = mm.change_files(|files| files.insert(start..end, offset, location));
            Ok(Flow::from(Ok(start as usize)))
        }
    }
}

async fn map_anonymous(
    ctx: &mut Ctx,
    addr: u64,
    len: u64,
    prot: u32,
    flags: MapFlags,
) -> Result<Flow, Errno> {
    let mm = ctx.task.mm();
    let _change = mm.lock_change().await;
    let op = anonymous(addr, len, prot, flags);
    let range = fixed_range(addr, len, flags);
    let record = |range| mm.with_record(|record| record.files.remove(range));
    if finishes(ctx, &mm, op, addr, range, record) {
        return Ok(Flow::Runs);
    }
    let start = ctx.host_op(op).await?;
    if flags.contains(MapFlags::FIXED) {
        let end = start + page_up(len).ok_or(Errno::ENOMEM)?;
        let _removed = mm.with_record(|record| record.files.remove(start..end));
    }
    Ok(Flow::from(Ok(start as usize)))
}

fn anonymous(addr: u64, len: u64, prot: u32, flags: MapFlags) -> HostOp<'static> {
    let flags = ((flags & !NOT_FOR_HOST) | MapFlags::ANONYMOUS).bits() as i32;
    HostOp::Mmap { addr, len, prot: prot as i32, flags, fd: None, offset: 0 }
}

/// Linux: `MAP_SHARED_VALIDATE` refuses flags it does not know, the others ignore them.
fn check_sharing(sharing: u32, flags: MapFlags, is_file: bool) -> Result<(), Errno> {
    match sharing {
        MAP_SHARED | MAP_PRIVATE => Ok(()),
        MAP_SHARED_VALIDATE if is_file => {
            if MapFlags::from_bits(flags.bits()).is_none() || flags.contains(MapFlags::SYNC) {
                return Err(Errno::EOPNOTSUPP);
            }
            Ok(())
        }
        _ => Err(Errno::EINVAL),
    }
}

/// There are no huge page pools: as on a host without reserved pages.
fn refuse_huge_pages(flags: MapFlags) -> Result<(), Errno> {
    if flags.contains(MapFlags::HUGETLB) { Err(Errno::ENOMEM) } else { Ok(()) }
}

/// Checks that `file` may be mapped so. Errors: EBADF, EACCES, EPERM, EOVERFLOW.
fn check_file(
    file: &FileDescription,
    prot: u32,
    sharing: u32,
    offset: u64,
    len: u64,
) -> Result<MapRequest, Errno> {
    if file.flags().contains(OpenFlags::PATH) {
        return Err(Errno::EBADF);
    }
    let rounded = page_up(len).ok_or(Errno::ENOMEM)?;
    if offset.checked_add(rounded).is_none_or(|end| end > i64::MAX as u64) {
        return Err(Errno::EOVERFLOW);
    }
    let prot = ProtFlags::from_bits_retain(prot);
    let shared = sharing != MAP_PRIVATE;
    if !file.is_readable() {
        return Err(Errno::EACCES);
    }
    let writes = shared && prot.contains(ProtFlags::WRITE);
    if writes && (!file.is_writable() || file.flags().contains(OpenFlags::APPEND)) {
        return Err(Errno::EACCES);
    }
    let executable = prot.contains(ProtFlags::EXEC);
    if executable && file.location().is_noexec() {
        return Err(Errno::EPERM);
    }
    Ok(MapRequest { shared, writable: shared && file.is_writable(), executable, offset, len })
}

/// `munmap(2)`.
pub async fn munmap(ctx: &mut Ctx, addr: u64, len: u64) -> Flow {
    let range = addr..addr.saturating_add(len).saturating_add(PAGE_SIZE);
    if ctx.task.mm().with_record(|record| record.files.is_clear(range)) {
        return Flow::Finish(HostOp::Munmap { addr, len });
    }
    unmap_files(ctx, addr, len).await.unwrap_or_else(|errno| Flow::from(Err(errno)))
}

async fn unmap_files(ctx: &mut Ctx, addr: u64, len: u64) -> Result<Flow, Errno> {
    let mm = ctx.task.mm();
    let _change = mm.lock_change().await;
    let op = HostOp::Munmap { addr, len };
    let range = fixed_range(addr, len, MapFlags::FIXED);
    let record = |range| mm.with_record(|record| record.files.remove(range));
    if finishes(ctx, &mm, op, 0, range, record) {
        return Ok(Flow::Runs);
    }
    ctx.host_op(op).await?;
    let end = addr + page_up(len).ok_or(Errno::EINVAL)?;
    let _removed = mm.with_record(|record| record.files.remove(addr..end));
    Ok(Flow::from(Ok(0)))
}

/// `mprotect(2)`. The host refuses write access to a mapping of a read-only descriptor (EACCES).
pub fn mprotect(ctx: &mut Ctx, addr: u64, len: u64, prot: u32) -> Flow {
    match check_protection(ctx, addr, prot) {
        Ok(()) => Flow::Finish(HostOp::Mprotect { addr, len, prot: prot as i32 }),
        Err(errno) => Flow::from(Err(errno)),
    }
}

/// Errors: EACCES where a file may not be executed.
fn check_protection(ctx: &Ctx, addr: u64, prot: u32) -> Result<(), Errno> {
    let wanted = ProtFlags::from_bits_retain(prot);
    if wanted.contains(ProtFlags::EXEC) {
        let mapped = ctx.task.mm().with_record(|record| record.files.find(addr));
        if mapped.is_some_and(|mapping| mapping.location.is_noexec()) {
            return Err(Errno::EACCES);
        }
    }
    Ok(())
}

/// `mremap(2)`.
pub async fn mremap(
    ctx: &mut Ctx,
    addr: u64,
    old_len: u64,
    new_len: u64,
    flags: u32,
    new_addr: u64,
) -> SysResult {
    if MremapFlags::from_bits(flags).is_none() {
        return Err(Errno::EINVAL);
    }
    let mm = ctx.task.mm();
    let _change = mm.lock_change().await;
    let op = HostOp::Mremap { addr, old_len, new_len, flags: flags as i32, new_addr };
    let start = ctx.host_op(op).await?;
    let old_end = addr + page_up(old_len).ok_or(Errno::EINVAL)?;
    let rounded = page_up(new_len).ok_or(Errno::EINVAL)?;
    mm.change_files(|files| files.relocate(addr..old_end, start, rounded));
    Ok(start as usize)
}

/// `madvise(2)`, less what would reach beyond the caller: page poisoning needs a privilege that
/// no guest has, page merging would tell sandboxes about each other's memory.
pub fn madvise(_ctx: &mut Ctx, addr: u64, len: u64, advice: i32) -> Flow {
    use linux_abi::mm::{MADV_HWPOISON, MADV_MERGEABLE, MADV_SOFT_OFFLINE, MADV_UNMERGEABLE};
    match advice {
        MADV_HWPOISON | MADV_SOFT_OFFLINE => Flow::from(Err(Errno::EPERM)),
        // Linux: without CONFIG_KSM both are unknown.
        MADV_MERGEABLE | MADV_UNMERGEABLE => Flow::from(Err(Errno::EINVAL)),
        _ => Flow::Finish(HostOp::Madvise { addr, len, advice }),
    }
}

/// `msync(2)`.
pub async fn msync(ctx: &mut Ctx, addr: u64, len: u64, flags: i32) -> SysResult {
    ctx.host_op(HostOp::Msync { addr, len, flags }).await?;
    Ok(0)
}

/// `mlock(2)`.
pub async fn mlock(ctx: &mut Ctx, addr: u64, len: u64) -> SysResult {
    ctx.host_op(HostOp::Mlock { addr, len, flags: 0 }).await?;
    Ok(0)
}

/// `mlock2(2)`.
pub async fn mlock2(ctx: &mut Ctx, addr: u64, len: u64, flags: i32) -> SysResult {
    ctx.host_op(HostOp::Mlock { addr, len, flags }).await?;
    Ok(0)
}

/// `munlock(2)`.
pub async fn munlock(ctx: &mut Ctx, addr: u64, len: u64) -> SysResult {
    ctx.host_op(HostOp::Munlock { addr, len }).await?;
    Ok(0)
}

/// `mlockall(2)`.
pub async fn mlockall(ctx: &mut Ctx, flags: i32) -> SysResult {
    ctx.host_op(HostOp::Mlockall { flags }).await?;
    Ok(0)
}

/// `munlockall(2)`.
pub async fn munlockall(ctx: &mut Ctx) -> SysResult {
    ctx.host_op(HostOp::Munlockall).await?;
    Ok(0)
}

/// `mincore(2)`.
pub async fn mincore(ctx: &mut Ctx, addr: u64, len: u64, vec: UserAddr) -> SysResult {
    ctx.host_op(HostOp::Mincore { addr, len, vec: vec.0 }).await?;
    Ok(0)
}

/// `membarrier(2)`: the host runs it for the caller's process, whose threads are host threads.
pub async fn membarrier(ctx: &mut Ctx, cmd: i32, flags: u32, cpu: i32) -> SysResult {
    ctx.host_op(HostOp::Membarrier { cmd, flags, cpu }).await.map(|value| value as usize)
}

/// `brk(2)`: answers with the break in force; a failure to move it is no error.
pub fn brk(_ctx: &mut Ctx, addr: u64) -> Flow {
    Flow::Finish(HostOp::Brk { addr })
}
