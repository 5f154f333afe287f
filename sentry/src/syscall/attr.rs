//! Changing attributes: `chmod`, `chown`, `utimensat`, `truncate`, `umask`.

use linux_abi::Errno;
use linux_abi::fs::{AT_FDCWD, AtFlags, FileKind, S_IALLUGO, S_ISGID, S_ISUID};
use linux_abi::task::{CAP_CHOWN, CAP_FSETID};
use linux_abi::time::{Timespec, Timeval, UTIME_NOW, UTIME_OMIT};

use super::blocking::limit_write;
use super::{Fd, SysResult};
use crate::memory::{UserAddr, UserPtr};
use crate::task::Ctx;
use crate::vfs::permission::{Want, check_inode, in_group_or_capable, is_owner};
use crate::vfs::{
    AttributeChange, Location, LookupFlags, TimeChange, lookup_at, lookup_fd,
    mode_without_privileges, notify,
};

/// "No change" for `chown`.
const KEEP: u32 = u32::MAX;

/// Applies a change to what is at `place` and tells watchers.
fn apply(place: &Location, change: &AttributeChange) -> Result<(), Errno> {
    let inode = place.inode();
    if change.permissions.is_some() {
        inode.common().forget_plain();
    }
    inode.set_attributes(change)?;
    notify(place, linux_abi::fs::InotifyMask::ATTRIB);
    Ok(())
}

/// Resolves the path of a call with `AT_SYMLINK_NOFOLLOW` and `AT_EMPTY_PATH`.
fn resolve(ctx: &Ctx, dir: i32, path: UserAddr, flags: u32) -> Result<Location, Errno> {
    let flags = AtFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if !(AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH).contains(flags) {
        return Err(Errno::EINVAL);
    }
    let path = ctx.memory().read_path(path)?;
    let mut lookup = LookupFlags::empty();
    lookup.set(LookupFlags::FOLLOW, !flags.contains(AtFlags::SYMLINK_NOFOLLOW));
    lookup.set(LookupFlags::EMPTY_PATH, flags.contains(AtFlags::EMPTY_PATH));
    lookup_at(&ctx.task, dir, &path, lookup)
}

/// `chmod(2)`.
pub fn chmod(ctx: &mut Ctx, path: UserAddr, mode: u32) -> SysResult {
    change_mode(ctx, &resolve(ctx, AT_FDCWD, path, 0)?, mode)
}

/// `fchmod(2)`.
pub fn fchmod(ctx: &mut Ctx, fd: Fd, mode: u32) -> SysResult {
    let place = ctx.task.fds().get_usable(fd)?.location().clone();
    change_mode(ctx, &place, mode)
}

/// `fchmodat(2)`: the system call has no flags.
pub fn fchmodat(ctx: &mut Ctx, dir: Fd, path: UserAddr, mode: u32) -> SysResult {
    change_mode(ctx, &resolve(ctx, dir.0, path, 0)?, mode)
}

/// `fchmodat2(2)`.
pub fn fchmodat2(ctx: &mut Ctx, dir: Fd, path: UserAddr, mode: u32, flags: u32) -> SysResult {
    change_mode(ctx, &resolve(ctx, dir.0, path, flags)?, mode)
}

fn change_mode(ctx: &Ctx, place: &Location, mode: u32) -> SysResult {
    place.check_writable()?;
    if place.kind() == FileKind::Symlink {
        return Err(Errno::EOPNOTSUPP);
    }
    let attributes = place.inode().attributes()?;
    let credentials = ctx.task.credentials();
    if !is_owner(&attributes, &credentials) {
        return Err(Errno::EPERM);
    }
    let mut mode = mode & S_IALLUGO;
    if !in_group_or_capable(&credentials, attributes.gid) {
        mode &= !S_ISGID;
    }
    apply(place, &AttributeChange { permissions: Some(mode), ..AttributeChange::default() })?;
    Ok(0)
}

/// `chown(2)`.
pub fn chown(ctx: &mut Ctx, path: UserAddr, uid: u32, gid: u32) -> SysResult {
    change_owner(ctx, &resolve(ctx, AT_FDCWD, path, 0)?, uid, gid)
}

/// `lchown(2)`.
pub fn lchown(ctx: &mut Ctx, path: UserAddr, uid: u32, gid: u32) -> SysResult {
    let place = resolve(ctx, AT_FDCWD, path, AtFlags::SYMLINK_NOFOLLOW.bits())?;
    change_owner(ctx, &place, uid, gid)
}

/// `fchown(2)`.
pub fn fchown(ctx: &mut Ctx, fd: Fd, uid: u32, gid: u32) -> SysResult {
    let place = ctx.task.fds().get_usable(fd)?.location().clone();
    change_owner(ctx, &place, uid, gid)
}

/// `fchownat(2)`.
pub fn fchownat(
    ctx: &mut Ctx,
    dir: Fd,
    path: UserAddr,
    uid: u32,
    gid: u32,
    flags: u32,
) -> SysResult {
    change_owner(ctx, &resolve(ctx, dir.0, path, flags)?, uid, gid)
}

/// Linux `chown_common`: the owner may give a file to one of its groups; all else takes CAP_CHOWN.
fn change_owner(ctx: &Ctx, place: &Location, uid: u32, gid: u32) -> SysResult {
    place.check_writable()?;
    let attributes = place.inode().attributes()?;
    let credentials = ctx.task.credentials();
    let privileged = credentials.has(CAP_CHOWN);
    let owns = credentials.fsuid == attributes.uid;
    let uid_ok = uid == KEEP || privileged || (owns && uid == attributes.uid);
    let in_group = credentials.in_group(gid) || gid == attributes.gid;
    let gid_ok = gid == KEEP || privileged || (owns && in_group);
    if !uid_ok || !gid_ok {
        return Err(Errno::EPERM);
    }
    let mut change = AttributeChange {
        uid: (uid != KEEP).then_some(uid),
        gid: (gid != KEEP).then_some(gid),
        ..AttributeChange::default()
    };
    // Linux: even a call that changes neither owner nor group takes the bits away.
    if attributes.kind != FileKind::Directory {
        let executable_group = attributes.permissions & 0o010 != 0;
        let mut permissions = attributes.permissions & !S_ISUID;
        if executable_group || !in_group_or_capable(&credentials, attributes.gid) {
            permissions &= !S_ISGID;
        }
        change.permissions = (permissions != attributes.permissions).then_some(permissions);
    }
    apply(place, &change)?;
    Ok(0)
}

/// `umask(2)`.
pub fn umask(ctx: &mut Ctx, mask: u32) -> SysResult {
    Ok(ctx.task.fs().set_umask(mask & 0o777) as usize)
}

/// Changes times: `None` means both now.
fn change_times(ctx: &Ctx, place: &Location, times: Option<[TimeRequest; 2]>) -> SysResult {
    let (accessed, modified) = match times {
        None => (TimeRequest::Now, TimeRequest::Now),
        Some([accessed, modified]) => (accessed, modified),
    };
    if accessed == TimeRequest::Omit && modified == TimeRequest::Omit {
        return Ok(0);
    }
    place.check_writable()?;
    let attributes = place.inode().attributes()?;
    let credentials = ctx.task.credentials();
    let both_now = accessed == TimeRequest::Now && modified == TimeRequest::Now;
    if !is_owner(&attributes, &credentials) {
        if !both_now {
            return Err(Errno::EPERM);
        }
        check_inode(&*place.inode(), &credentials, Want::WRITE)?;
    }
    let change = AttributeChange {
        accessed: accessed.change(),
        modified: modified.change(),
        ..AttributeChange::default()
    };
    apply(place, &change)?;
    Ok(0)
}

/// One of the two times of a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TimeRequest {
    Now,
    Omit,
    To(Timespec),
}

impl TimeRequest {
    fn change(self) -> Option<TimeChange> {
        match self {
            TimeRequest::Now => Some(TimeChange::Now),
            TimeRequest::Omit => None,
            TimeRequest::To(time) => Some(TimeChange::To(time)),
        }
    }

    fn from_timespec(time: Timespec) -> Result<TimeRequest, Errno> {
        match time.nsec {
            UTIME_NOW => Ok(TimeRequest::Now),
            UTIME_OMIT => Ok(TimeRequest::Omit),
            0..=999_999_999 => Ok(TimeRequest::To(time)),
            _ => Err(Errno::EINVAL),
        }
    }

    fn from_timeval(time: Timeval) -> Result<TimeRequest, Errno> {
        match time.usec {
            0..=999_999 => Ok(TimeRequest::To(Timespec { sec: time.sec, nsec: time.usec * 1000 })),
            _ => Err(Errno::EINVAL),
        }
    }
}

/// `utimensat(2)`: a null path means the descriptor.
pub fn utimensat(
    ctx: &mut Ctx,
    dir: Fd,
    path: UserAddr,
    times: UserPtr<[Timespec; 2]>,
    flags: u32,
) -> SysResult {
    let times = match times.non_null() {
        None => None,
        Some(ptr) => {
            let [accessed, modified] = ctx.memory().read_value(ptr)?;
            let pair =
                [TimeRequest::from_timespec(accessed)?, TimeRequest::from_timespec(modified)?];
            Some(pair)
        }
    };
    if times == Some([TimeRequest::Omit; 2]) {
        return Ok(0);
    }
    let place = if path.is_null() && dir.0 != AT_FDCWD {
        if flags != 0 {
            return Err(Errno::EINVAL);
        }
        ctx.task.fds().get_usable(dir)?;
        lookup_fd(&ctx.task, dir.0)?
    } else {
        resolve(ctx, dir.0, path, flags)?
    };
    change_times(ctx, &place, times)
}

/// `utimes(2)`.
pub fn utimes(ctx: &mut Ctx, path: UserAddr, times: UserPtr<[Timeval; 2]>) -> SysResult {
    futimesat(ctx, Fd(AT_FDCWD), path, times)
}

/// `futimesat(2)`.
pub fn futimesat(
    ctx: &mut Ctx,
    dir: Fd,
    path: UserAddr,
    times: UserPtr<[Timeval; 2]>,
) -> SysResult {
    let times = match times.non_null() {
        None => None,
        Some(ptr) => {
            let [accessed, modified] = ctx.memory().read_value(ptr)?;
            Some([TimeRequest::from_timeval(accessed)?, TimeRequest::from_timeval(modified)?])
        }
    };
    let place = if path.is_null() && dir.0 != AT_FDCWD {
        ctx.task.fds().get_usable(dir)?.location().clone()
    } else {
        resolve(ctx, dir.0, path, 0)?
    };
    change_times(ctx, &place, times)
}

/// `utime(2)`.
pub fn utime(ctx: &mut Ctx, path: UserAddr, times: UserPtr<[i64; 2]>) -> SysResult {
    let times = match times.non_null() {
        None => None,
        Some(ptr) => {
            let pair = ctx.memory().read_value(ptr)?;
            Some(pair.map(|sec| TimeRequest::To(Timespec { sec, nsec: 0 })))
        }
    };
    change_times(ctx, &resolve(ctx, AT_FDCWD, path, 0)?, times)
}

/// `truncate(2)`.
pub fn truncate(ctx: &mut Ctx, path: UserAddr, size: i64) -> SysResult {
    let size = u64::try_from(size).map_err(|_| Errno::EINVAL)?;
    let place = resolve(ctx, AT_FDCWD, path, 0)?;
    match place.kind() {
        FileKind::Regular => {}
        FileKind::Directory => return Err(Errno::EISDIR),
        _ => return Err(Errno::EINVAL),
    }
    place.check_writable()?;
    let inode = place.inode();
    check_inode(&*inode, &ctx.task.credentials(), Want::WRITE)?;
    check_size(ctx, size)?;
    inode.common().begin_write()?;
    let result = set_size(&place, size);
    inode.common().end_write();
    result
}

/// `ftruncate(2)`.
pub fn ftruncate(ctx: &mut Ctx, fd: Fd, size: i64) -> SysResult {
    let size = u64::try_from(size).map_err(|_| Errno::EINVAL)?;
    let file = ctx.task.fds().get_usable(fd)?;
    if file.location().kind() != FileKind::Regular || !file.is_writable() {
        return Err(Errno::EINVAL);
    }
    check_size(ctx, size)?;
    file.file().truncate(size)?;
    strip_privileges(ctx, file.location())?;
    notify(file.location(), linux_abi::fs::InotifyMask::MODIFY);
    Ok(0)
}

/// Errors: EFBIG and SIGXFSZ when `size` is over the limit.
fn check_size(ctx: &Ctx, size: u64) -> Result<(), Errno> {
    if size > 0 {
        limit_write(ctx, size - 1, 1)?;
    }
    Ok(())
}

fn set_size(place: &Location, size: u64) -> SysResult {
    let inode = place.inode();
    let permissions = mode_without_privileges(&inode.ownership()?);
    let change = AttributeChange {
        size: Some(size),
        permissions,
        modified: Some(TimeChange::Now),
        ..AttributeChange::default()
    };
    inode.set_attributes(&change)?;
    notify(place, linux_abi::fs::InotifyMask::MODIFY);
    Ok(0)
}

/// A change of content takes setuid and setgid bits away, unless the writer may keep them.
pub(super) fn strip_privileges(ctx: &Ctx, place: &Location) -> Result<(), Errno> {
    let inode = place.dentry().inode();
    let common = inode.common();
    if common.is_plain() || ctx.task.credentials().has(CAP_FSETID) {
        return Ok(());
    }
    common.set_plain();
    if let Some(mode) = mode_without_privileges(&inode.ownership()?) {
        let change = AttributeChange { permissions: Some(mode), ..AttributeChange::default() };
        inode.set_attributes(&change)?;
    }
    Ok(())
}

/// `fallocate(2)`.
pub fn fallocate(ctx: &mut Ctx, fd: Fd, mode: u32, offset: i64, len: i64) -> SysResult {
    let file = ctx.task.fds().get_usable(fd)?;
    if offset < 0 || len <= 0 {
        return Err(Errno::EINVAL);
    }
    let end = offset.checked_add(len).ok_or(Errno::EFBIG)?;
    if !file.is_writable() {
        return Err(Errno::EBADF);
    }
    match file.location().kind() {
        FileKind::Regular => {}
        FileKind::Fifo => return Err(Errno::ESPIPE),
        FileKind::Directory => return Err(Errno::EISDIR),
        _ => return Err(Errno::ENODEV),
    }
    const KEEP_SIZE: u32 = 1;
    if mode & KEEP_SIZE == 0 {
        check_size(ctx, end as u64)?;
    }
    file.file().allocate(mode, offset as u64, len as u64)?;
    strip_privileges(ctx, file.location())?;
    Ok(0)
}
