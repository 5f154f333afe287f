//! System V shared memory: `shmget`, `shmat`, `shmdt`, `shmctl`.

use std::os::fd::AsFd;

use linux_abi::Errno;
use linux_abi::ipc::{
    IPC_64, IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, SHM_EXEC, SHM_HUGETLB, SHM_INFO, SHM_LOCK,
    SHM_RDONLY, SHM_REMAP, SHM_RND, SHM_STAT, SHM_STAT_ANY, SHM_UNLOCK, SHMLBA, ShmInfo,
    ShmInfoLimits, ShmidDs,
};
use linux_abi::mm::{MAP_SHARED, MapFlags, ProtFlags};
use linux_abi::task::CAP_IPC_LOCK;
use platform::HostOp;
use platform::host::fs as host_fs;

use super::SysResult;
use crate::ipc::{READ, SHMALL, SHMMAX, SHMMNI, Segment, SegmentFacts, WRITE};
use crate::memory::UserPtr;
use crate::mm::{PAGE_SIZE, page_up};
use crate::task::Ctx;

/// Permission to execute, as for [`READ`] and [`WRITE`].
const EXECUTE: u32 = 0o111;

/// `shmget(2)`.
///
/// Errors: EINVAL, ENOENT, EEXIST, EACCES, ENOSPC, ENOMEM; for huge pages EPERM or, with
/// CAP_IPC_LOCK, ENOMEM, as without reserved pages.
pub fn shmget(ctx: &mut Ctx, key: i32, size: u64, flags: u32) -> SysResult {
    let credentials = ctx.task.credentials();
    if flags & SHM_HUGETLB != 0 {
        let may = credentials.has(CAP_IPC_LOCK);
        return Err(if may { Errno::ENOMEM } else { Errno::EPERM });
    }
    let kernel = &ctx.task.kernel;
    let pid = ctx.task.pid();
    let id = kernel.ipc.shared_memory.get(kernel, key, size, flags, pid, &credentials)?;
    Ok(id as usize)
}

/// `shmat(2)`. Answers with the address.
///
/// Errors: EINVAL (id, address not aligned or in use), EACCES, ENOMEM.
pub async fn shmat(ctx: &mut Ctx, id: i32, addr: u64, flags: u32) -> SysResult {
    let addr = attach_address(addr, flags)?;
    let mut prot = ProtFlags::READ;
    let mut wanted = READ;
    if flags & SHM_RDONLY == 0 {
        prot |= ProtFlags::WRITE;
        wanted |= WRITE;
    }
    if flags & SHM_EXEC != 0 {
        prot |= ProtFlags::EXEC;
        wanted |= EXECUTE;
    }
    let kernel = ctx.task.kernel.clone();
    let memory = &kernel.ipc.shared_memory;
    let credentials = ctx.task.credentials();
    let (segment, location) = memory.attach(&kernel, id, wanted, &credentials)?;
    let mut map_flags = MapFlags::from_bits_retain(MAP_SHARED);
    if addr != 0 {
        let replaces = flags & SHM_REMAP != 0;
        map_flags |= if replaces { MapFlags::FIXED } else { MapFlags::FIXED_NOREPLACE };
    }
    let len = page_up(segment.size()).ok_or(Errno::ENOMEM)?;
    let read_only = match prot.contains(ProtFlags::WRITE) {
        true => None,
        // The host then refuses write access for ever.
        false => Some(host_fs::reopen_read_only(&kernel.proc_dir, segment.fd())?),
    };
    let fd = read_only.as_ref().map_or(segment.fd().as_fd(), AsFd::as_fd);
    let mm = ctx.task.mm();
    let _change = mm.lock_change().await;
    let op = HostOp::Mmap {
        addr,
        len,
        prot: prot.bits() as i32,
        flags: map_flags.bits() as i32,
        fd: Some(fd),
        offset: 0,
    };
    let start = ctx.host_op(op).await.map_err(|errno| match errno {
        Errno::EEXIST => Errno::EINVAL,
        errno => errno,
    })?;
    mm.change_files(|files| files.insert(start..start + len, 0, location));
    memory.note(&segment, ctx.task.pid(), true);
    Ok(start as usize)
}

/// The address to map at, 0 for any. Errors: EINVAL.
fn attach_address(addr: u64, flags: u32) -> Result<u64, Errno> {
    let is_remap = flags & SHM_REMAP != 0;
    if addr == 0 {
        return if is_remap { Err(Errno::EINVAL) } else { Ok(0) };
    }
    if addr.is_multiple_of(SHMLBA) {
        return Ok(addr);
    }
    let rounded = addr & !(SHMLBA - 1);
    let may_round = flags & SHM_RND != 0 && !(is_remap && rounded == 0);
    if may_round { Ok(rounded) } else { Err(Errno::EINVAL) }
}

/// `shmdt(2)`: unmaps what is left of the segment attached at `addr`.
///
/// Errors: EINVAL when none is.
pub async fn shmdt(ctx: &mut Ctx, addr: u64) -> SysResult {
    if !addr.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    let mm = ctx.task.mm();
    let _change = mm.lock_change().await;
    // The location keeps the segment until its pieces are unmapped.
    let (location, pieces) = mm
        .with_record(|record| {
            let first = record.files.find(addr).filter(|mapping| mapping.offset == 0)?;
            let size = first.location.dentry().inode().as_any().downcast_ref::<Segment>()?.size();
            let end = addr.checked_add(page_up(size)?)?;
            let is_piece = |start: u64, mapping: &crate::mm::FileMapping| {
                std::sync::Arc::ptr_eq(mapping.location.dentry(), first.location.dentry())
                    && mapping.offset == start - addr
            };
            let pieces: Vec<(u64, u64)> = record
                .files
                .starting_in(addr..end)
                .filter(|(start, mapping)| is_piece(*start, mapping))
                .map(|(start, mapping)| (start, mapping.end))
                .collect();
            Some((first.location, pieces))
        })
        .filter(|(_, pieces)| !pieces.is_empty())
        .ok_or(Errno::EINVAL)?;
    for (start, end) in pieces {
        ctx.host_op(HostOp::Munmap { addr: start, len: end - start }).await?;
        mm.with_record(|record| record.files.remove(start..end));
    }
    let inode = location.inode();
    if let Some(segment) = inode.as_any().downcast_ref::<Segment>() {
        ctx.task.kernel.ipc.shared_memory.note(segment, ctx.task.pid(), false);
    }
    Ok(0)
}

/// `shmctl(2)`.
pub fn shmctl(ctx: &mut Ctx, id: i32, command: i32, target: UserPtr<ShmidDs>) -> SysResult {
    if id < 0 {
        return Err(Errno::EINVAL);
    }
    let kernel = ctx.task.kernel.clone();
    let memory = &kernel.ipc.shared_memory;
    let credentials = ctx.task.credentials();
    let counted =
        |found: SegmentFacts| ShmidDs { nattch: found.segment.attachments(&kernel), ..found.facts };
    match command & !IPC_64 {
        IPC_INFO => limits(ctx, target.cast()),
        SHM_INFO => usage(ctx, target.cast()),
        IPC_STAT => {
            let facts = counted(memory.stat(id, READ, &credentials)?);
            ctx.memory().write_value(target, &facts)?;
            Ok(0)
        }
        SHM_STAT | SHM_STAT_ANY => {
            let checked = (command & !IPC_64 == SHM_STAT).then_some(&*credentials);
            let found = memory.stat_at(id, READ, checked)?;
            let full_id = found.id;
            ctx.memory().write_value(target, &counted(found))?;
            Ok(full_id as usize)
        }
        IPC_SET => {
            let wanted = ctx.memory().read_value(target)?;
            memory.change(id, &wanted.perm, &credentials)?;
            Ok(0)
        }
        IPC_RMID => {
            memory.remove(id, &credentials)?;
            Ok(0)
        }
        SHM_LOCK | SHM_UNLOCK => {
            memory.set_locked(id, command & !IPC_64 == SHM_LOCK, &credentials)?;
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}

fn limits(ctx: &Ctx, target: UserPtr<ShmInfoLimits>) -> SysResult {
    let value = ShmInfoLimits {
        shmmax: SHMMAX,
        shmmin: 1,
        shmmni: SHMMNI as u64,
        shmseg: SHMMNI as u64,
        shmall: SHMALL,
        ..ShmInfoLimits::default()
    };
    ctx.memory().write_value(target, &value)?;
    Ok(ctx.task.kernel.ipc.shared_memory.usage().1)
}

fn usage(ctx: &Ctx, target: UserPtr<ShmInfo>) -> SysResult {
    let memory = &ctx.task.kernel.ipc.shared_memory;
    let (count, highest) = memory.usage();
    let segments = memory.list();
    let pages = |found: &SegmentFacts| found.segment.size().div_ceil(PAGE_SIZE);
    let value = ShmInfo {
        used_ids: count as i32,
        shm_tot: segments.iter().map(pages).sum(),
        shm_rss: segments.iter().map(|found| found.segment.resident_pages()).sum(),
        ..ShmInfo::default()
    };
    ctx.memory().write_value(target, &value)?;
    Ok(highest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_aligned_or_rounded() {
        assert_eq!(attach_address(0, 0), Ok(0));
        assert_eq!(attach_address(0, SHM_REMAP), Err(Errno::EINVAL));
        assert_eq!(attach_address(0x5000, 0), Ok(0x5000));
        assert_eq!(attach_address(0x5001, 0), Err(Errno::EINVAL));
        assert_eq!(attach_address(0x5001, SHM_RND), Ok(0x5000));
        assert_eq!(attach_address(0x1, SHM_RND | SHM_REMAP), Err(Errno::EINVAL));
    }
}
