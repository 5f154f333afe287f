//! Attributes of files: `stat`, `statx`, `statfs`, `access`, `readlink`.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{
    AT_FDCWD, AtFlags, FileKind, Stat, StatFs, Statx, StatxMask, StatxTimestamp, makedev,
};
use linux_abi::time::Timespec;

use super::{Fd, SysResult};
use crate::memory::{UserAddr, UserPath, UserPtr};
use crate::task::{Credentials, Ctx};
use crate::vfs::permission::{Want, check_inode};
use crate::vfs::{
    Attributes, FileDescription, IoContext, Location, LookupFlags, MountOptions, PathContext,
    lookup_at, path_context,
};

/// `stat(2)`.
pub fn stat(ctx: &mut Ctx, path: UserAddr, buf: UserPtr<Stat>) -> SysResult {
    stat_path(ctx, AT_FDCWD, path, buf, LookupFlags::FOLLOW)
}

/// `lstat(2)`.
pub fn lstat(ctx: &mut Ctx, path: UserAddr, buf: UserPtr<Stat>) -> SysResult {
    stat_path(ctx, AT_FDCWD, path, buf, LookupFlags::empty())
}

/// `fstat(2)`.
pub fn fstat(ctx: &mut Ctx, fd: Fd, buf: UserPtr<Stat>) -> SysResult {
    let file = ctx.task.fds().get(fd)?;
    put_stat(ctx, buf, &file.attributes()?, file.location())
}

/// `fstatat(2)`.
pub fn newfstatat(
    ctx: &mut Ctx,
    dir: Fd,
    path: UserAddr,
    buf: UserPtr<Stat>,
    flags: u32,
) -> SysResult {
    let flags = AtFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    let known = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
    if !known.contains(flags) {
        return Err(Errno::EINVAL);
    }
    // Linux 6.11: a null path with AT_EMPTY_PATH is an empty one.
    let is_null = path.is_null() && flags.contains(AtFlags::EMPTY_PATH);
    let text = if is_null { UserPath::new() } else { ctx.memory().read_path(path)? };
    if text.is_empty() && flags.contains(AtFlags::EMPTY_PATH) && dir.0 != AT_FDCWD {
        return fstat(ctx, dir, buf);
    }
    let place = lookup_at(&ctx.task, dir.0, &text, lookup_flags(flags))?;
    put_stat(ctx, buf, &place.inode().attributes()?, &place)
}

fn lookup_flags(flags: AtFlags) -> LookupFlags {
    let mut lookup = LookupFlags::empty();
    lookup.set(LookupFlags::FOLLOW, !flags.contains(AtFlags::SYMLINK_NOFOLLOW));
    lookup.set(LookupFlags::EMPTY_PATH, flags.contains(AtFlags::EMPTY_PATH));
    lookup
}

fn stat_path(
    ctx: &Ctx,
    dir: i32,
    path: UserAddr,
    buf: UserPtr<Stat>,
    flags: LookupFlags,
) -> SysResult {
    let path = ctx.memory().read_path(path)?;
    let place = lookup_at(&ctx.task, dir, &path, flags)?;
    put_stat(ctx, buf, &place.inode().attributes()?, &place)
}

fn put_stat(ctx: &Ctx, buf: UserPtr<Stat>, attributes: &Attributes, place: &Location) -> SysResult {
    ctx.memory().write_value(buf, &to_stat(attributes, place))?;
    Ok(0)
}

/// What `fstat` will answer, if that needs no question and changes by nothing but system calls.
pub fn stat_at_hand(file: &FileDescription) -> Option<Stat> {
    let place = file.location();
    let attributes = place.dentry().inode().attributes_at_hand()?;
    Some(to_stat(&attributes, place))
}

/// `st_mode`. Linux: anonymous inodes (eventfd, epoll, …) are of no kind. The sandbox' own standard
/// streams, which live beside them, are what they are outside.
fn mode_of(attributes: &Attributes, place: &Location) -> u32 {
    let is_anonymous = place.mount().fs().name() == "anon_inodefs";
    let is_kindless = is_anonymous && !place.dentry().inode().common().opens_itself();
    let kind = if is_kindless { 0 } else { attributes.kind.mode_bits() };
    kind | attributes.permissions
}

fn to_stat(attributes: &Attributes, place: &Location) -> Stat {
    let device = |id: crate::vfs::DeviceId| makedev(id.major, id.minor);
    Stat {
        dev: device(attributes.device),
        ino: attributes.inode,
        nlink: attributes.links,
        mode: mode_of(attributes, place),
        uid: attributes.uid,
        gid: attributes.gid,
        rdev: device(attributes.rdev),
        size: attributes.size as i64,
        blksize: i64::from(attributes.block_size),
        blocks: attributes.blocks as i64,
        atime: attributes.accessed,
        mtime: attributes.modified,
        ctime: attributes.changed,
        ..Stat::default()
    }
}

/// `statx(2)`.
pub fn statx(
    ctx: &mut Ctx,
    dir: Fd,
    path: UserAddr,
    flags: u32,
    mask: u32,
    buf: UserPtr<Statx>,
) -> SysResult {
    const RESERVED: u32 = 0x8000_0000;
    const SYNC_TYPE: AtFlags = AtFlags::STATX_FORCE_SYNC.union(AtFlags::STATX_DONT_SYNC);
    let flags = AtFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    let known = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT | SYNC_TYPE;
    if mask & RESERVED != 0 || !known.contains(flags) || flags.contains(SYNC_TYPE) {
        return Err(Errno::EINVAL);
    }
    let is_null = path.is_null() && flags.contains(AtFlags::EMPTY_PATH);
    let text = if is_null { UserPath::new() } else { ctx.memory().read_path(path)? };
    let (attributes, place) =
        if text.is_empty() && flags.contains(AtFlags::EMPTY_PATH) && dir.0 != AT_FDCWD {
            let file = ctx.task.fds().get(dir)?;
            (file.attributes()?, file.location().clone())
        } else {
            let place = lookup_at(&ctx.task, dir.0, &text, lookup_flags(flags))?;
            (place.inode().attributes()?, place)
        };
    ctx.memory().write_value(buf, &to_statx(&attributes, &place))?;
    Ok(0)
}

fn to_statx(attributes: &Attributes, place: &Location) -> Statx {
    const MOUNT_ROOT: u64 = 0x2000;
    let mut mask = StatxMask::BASIC_STATS | StatxMask::MNT_ID;
    mask.set(StatxMask::BTIME, attributes.created.is_some());
    let mut value = Statx {
        mask: mask.bits(),
        blksize: attributes.block_size,
        nlink: attributes.links as u32,
        uid: attributes.uid,
        gid: attributes.gid,
        mode: mode_of(attributes, place) as u16,
        ino: attributes.inode,
        size: attributes.size,
        blocks: attributes.blocks,
        attributes_mask: MOUNT_ROOT,
        atime: timestamp(attributes.accessed),
        btime: attributes.created.map(timestamp).unwrap_or_default(),
        ctime: timestamp(attributes.changed),
        mtime: timestamp(attributes.modified),
        rdev_major: attributes.rdev.major,
        rdev_minor: attributes.rdev.minor,
        dev_major: attributes.device.major,
        dev_minor: attributes.device.minor,
        mnt_id: place.mount().id() as u64,
        ..Statx::default()
    };
    if place.is_mount_root() {
        value.attributes |= MOUNT_ROOT;
    }
    value
}

fn timestamp(time: Timespec) -> StatxTimestamp {
    StatxTimestamp { sec: time.sec, nsec: time.nsec as u32, ..StatxTimestamp::default() }
}

/// `statfs(2)`.
pub fn statfs(ctx: &mut Ctx, path: UserAddr, buf: UserPtr<StatFs>) -> SysResult {
    let path = ctx.memory().read_path(path)?;
    let place = lookup_at(&ctx.task, AT_FDCWD, &path, LookupFlags::FOLLOW)?;
    ctx.memory().write_value(buf, &place.mount().statfs()?)?;
    Ok(0)
}

/// `fstatfs(2)`.
pub fn fstatfs(ctx: &mut Ctx, fd: Fd, buf: UserPtr<StatFs>) -> SysResult {
    let file = ctx.task.fds().get(fd)?;
    ctx.memory().write_value(buf, &file.location().mount().statfs()?)?;
    Ok(0)
}

/// `access(2)`.
pub fn access(ctx: &mut Ctx, path: UserAddr, mode: u32) -> SysResult {
    check_access(ctx, Fd(AT_FDCWD), path, mode, AtFlags::empty())
}

/// `faccessat(2)`: the system call has no flags.
pub fn faccessat(ctx: &mut Ctx, dir: Fd, path: UserAddr, mode: u32) -> SysResult {
    check_access(ctx, dir, path, mode, AtFlags::empty())
}

/// `faccessat2(2)`.
pub fn faccessat2(ctx: &mut Ctx, dir: Fd, path: UserAddr, mode: u32, flags: u32) -> SysResult {
    let flags = AtFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    check_access(ctx, dir, path, mode, flags)
}

fn check_access(ctx: &Ctx, dir: Fd, path: UserAddr, mode: u32, flags: AtFlags) -> SysResult {
    let known = AtFlags::EACCESS | AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
    if mode & !7 != 0 || !known.contains(flags) {
        return Err(Errno::EINVAL);
    }
    let path = ctx.memory().read_path(path)?;
    let mut credentials = ctx.task.credentials();
    if !flags.contains(AtFlags::EACCESS) {
        credentials = Arc::new(real_credentials(&credentials));
    }
    let place = lookup_as(ctx, &credentials, dir, &path, flags)?;
    let mut want = Want::empty();
    want.set(Want::READ, mode & 4 != 0);
    want.set(Want::WRITE, mode & 2 != 0);
    want.set(Want::EXEC, mode & 1 != 0);
    let kind = place.kind();
    if want.contains(Want::EXEC) && kind == FileKind::Regular && place.is_noexec() {
        return Err(Errno::EACCES);
    }
    check_inode(&*place.inode(), &credentials, want)?;
    let is_special = matches!(
        kind,
        FileKind::CharDevice | FileKind::BlockDevice | FileKind::Fifo | FileKind::Socket
    );
    let is_readonly = place.mount().options().contains(MountOptions::RDONLY);
    if want.contains(Want::WRITE) && !is_special && is_readonly {
        return Err(Errno::EROFS);
    }
    Ok(0)
}

/// The path as seen with other credentials.
fn lookup_as(
    ctx: &Ctx,
    credentials: &Arc<Credentials>,
    dir: Fd,
    path: &[u8],
    flags: AtFlags,
) -> Result<Location, Errno> {
    if path.is_empty() && flags.contains(AtFlags::EMPTY_PATH) {
        return crate::vfs::lookup_fd(&ctx.task, dir.0);
    }
    let context = path_context(&ctx.task, dir.0, path, Default::default())?;
    let context = PathContext { credentials: credentials.clone(), ..context };
    context.lookup(path, !flags.contains(AtFlags::SYMLINK_NOFOLLOW), false)
}

/// `access` asks for the real user: with the capabilities that user would have.
fn real_credentials(credentials: &Credentials) -> Credentials {
    const NO_SETUID_FIXUP: u32 = 1 << 2;
    let mut real = credentials.clone();
    real.fsuid = real.uid;
    real.fsgid = real.gid;
    if real.securebits & NO_SETUID_FIXUP == 0 {
        real.effective = if real.uid == 0 { real.permitted } else { 0 };
    }
    real
}

/// `readlink(2)`.
pub fn readlink(ctx: &mut Ctx, path: UserAddr, buf: UserAddr, size: i32) -> SysResult {
    readlinkat(ctx, Fd(AT_FDCWD), path, buf, size)
}

/// `readlinkat(2)`.
pub fn readlinkat(ctx: &mut Ctx, dir: Fd, path: UserAddr, buf: UserAddr, size: i32) -> SysResult {
    if size <= 0 {
        return Err(Errno::EINVAL);
    }
    let path = ctx.memory().read_path(path)?;
    let place = lookup_at(&ctx.task, dir.0, &path, LookupFlags::EMPTY_PATH)?;
    if place.kind() != FileKind::Symlink {
        return Err(if path.is_empty() { Errno::ENOENT } else { Errno::EINVAL });
    }
    let io = IoContext { task: Some(&ctx.task), flags: Default::default() };
    let target = place.inode().readlink(&io)?;
    let len = target.len().min(size as usize);
    ctx.memory().write_exact(buf, &target[..len])?;
    Ok(len)
}
