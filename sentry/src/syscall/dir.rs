//! Directories and names: `mkdir`, `unlink`, `rename`, `link`, `getdents64`, `chdir`.

use linux_abi::Errno;
use linux_abi::fs::{
    AT_FDCWD, AtFlags, Dirent, Dirent64, FileKind, InotifyMask, RenameFlags, S_IFMT, S_ISVTX,
    major, minor,
};
use linux_abi::task::{CAP_DAC_READ_SEARCH, CAP_MKNOD, CAP_SYS_CHROOT};
use zerocopy::IntoBytes;

use super::{Fd, SysResult};
use crate::memory::UserAddr;
use crate::task::Ctx;
use crate::vfs::permission::check_search;
use crate::vfs::{
    Component, DeviceId, DirEntry, Last, Location, LookupFlags, NewNodeKind, Parent, RenameEnd,
    create_entry, getcwd_path, link_entry, lookup_at, lookup_fd, notify, parent_at,
    remove_directory, remove_file, rename_entry,
};

/// Where a new name is to be made: its directory, with the checks that come before any creation.
struct Target {
    directory: Location,
    name: Component,
}

/// Finds where to make `path`.
///
/// Errors: EEXIST (also for `.`, `..` and `/`), ENOENT (a slash behind what is no directory), EROFS.
fn new_name(ctx: &Ctx, dir: i32, path: &[u8], is_directory: bool) -> Result<Target, Errno> {
    let Parent { at, last, has_slash } = parent_at(&ctx.task, dir, path)?;
    let Last::Name(name) = last else { return Err(Errno::EEXIST) };
    match at.dentry().lookup(&name) {
        Ok(_) => return Err(Errno::EEXIST),
        Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno),
    }
    if has_slash && !is_directory {
        return Err(Errno::ENOENT);
    }
    at.check_writable()?;
    Ok(Target { directory: at, name })
}

/// Makes a node of `kind` at `path`.
fn make(ctx: &Ctx, dir: i32, path: &[u8], kind: NewNodeKind<'_>, mode: u32) -> Result<(), Errno> {
    let is_directory = kind == NewNodeKind::Directory;
    let target = new_name(ctx, dir, path, is_directory)?;
    let credentials = ctx.task.credentials();
    create_entry(&credentials, &target.directory, &target.name, kind, mode)?;
    Ok(())
}

/// `mkdir(2)`.
pub fn mkdir(ctx: &mut Ctx, path: UserAddr, mode: u32) -> SysResult {
    mkdirat(ctx, Fd(AT_FDCWD), path, mode)
}

/// `mkdirat(2)`.
pub fn mkdirat(ctx: &mut Ctx, dir: Fd, path: UserAddr, mode: u32) -> SysResult {
    let path = ctx.memory().read_path(path)?;
    let mode = mode & (0o777 | S_ISVTX) & !ctx.task.fs().umask();
    make(ctx, dir.0, &path, NewNodeKind::Directory, mode)?;
    Ok(0)
}

/// `mknod(2)`.
pub fn mknod(ctx: &mut Ctx, path: UserAddr, mode: u32, device: u32) -> SysResult {
    mknodat(ctx, Fd(AT_FDCWD), path, mode, device)
}

/// `mknodat(2)`.
pub fn mknodat(ctx: &mut Ctx, dir: Fd, path: UserAddr, mode: u32, device: u32) -> SysResult {
    let id = DeviceId { major: major(u64::from(device)), minor: minor(u64::from(device)) };
    let kind = match FileKind::from_mode(mode) {
        _ if mode & S_IFMT == 0 => NewNodeKind::Regular,
        Some(FileKind::Regular) => NewNodeKind::Regular,
        Some(FileKind::Fifo) => NewNodeKind::Fifo,
        Some(FileKind::Socket) => NewNodeKind::Socket,
        Some(FileKind::CharDevice) => NewNodeKind::CharDevice(id),
        Some(FileKind::BlockDevice) => NewNodeKind::BlockDevice(id),
        Some(FileKind::Directory) => return Err(Errno::EPERM),
        _ => return Err(Errno::EINVAL),
    };
    let path = ctx.memory().read_path(path)?;
    // Linux: everybody may make a whiteout, the device 0:0.
    let is_device = match kind {
        NewNodeKind::CharDevice(id) => id != DeviceId::default(),
        NewNodeKind::BlockDevice(_) => true,
        _ => false,
    };
    let permissions = mode & 0o7777 & !ctx.task.fs().umask();
    let target = new_name(ctx, dir.0, &path, false)?;
    let credentials = ctx.task.credentials();
    if is_device && !credentials.has(CAP_MKNOD) {
        return Err(Errno::EPERM);
    }
    create_entry(&credentials, &target.directory, &target.name, kind, permissions)?;
    Ok(0)
}

/// `symlink(2)`.
pub fn symlink(ctx: &mut Ctx, text: UserAddr, path: UserAddr) -> SysResult {
    symlinkat(ctx, text, Fd(AT_FDCWD), path)
}

/// `symlinkat(2)`.
pub fn symlinkat(ctx: &mut Ctx, text: UserAddr, dir: Fd, path: UserAddr) -> SysResult {
    let text = ctx.memory().read_path(text)?;
    if text.is_empty() {
        return Err(Errno::ENOENT);
    }
    let path = ctx.memory().read_path(path)?;
    make(ctx, dir.0, &path, NewNodeKind::Symlink(&text), 0o777)?;
    Ok(0)
}

/// `link(2)`.
pub fn link(ctx: &mut Ctx, old: UserAddr, new: UserAddr) -> SysResult {
    linkat(ctx, Fd(AT_FDCWD), old, Fd(AT_FDCWD), new, 0)
}

/// `linkat(2)`.
pub fn linkat(
    ctx: &mut Ctx,
    old_dir: Fd,
    old: UserAddr,
    new_dir: Fd,
    new: UserAddr,
    flags: u32,
) -> SysResult {
    let flags = AtFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if !(AtFlags::SYMLINK_FOLLOW | AtFlags::EMPTY_PATH).contains(flags) {
        return Err(Errno::EINVAL);
    }
    let old = ctx.memory().read_path(old)?;
    let new = ctx.memory().read_path(new)?;
    let credentials = ctx.task.credentials();
    let by_descriptor = old.is_empty() && flags.contains(AtFlags::EMPTY_PATH);
    if by_descriptor && !credentials.has(CAP_DAC_READ_SEARCH) {
        return Err(Errno::ENOENT);
    }
    let mut lookup = LookupFlags::empty();
    lookup.set(LookupFlags::FOLLOW, flags.contains(AtFlags::SYMLINK_FOLLOW));
    lookup.set(LookupFlags::EMPTY_PATH, flags.contains(AtFlags::EMPTY_PATH));
    let place = lookup_at(&ctx.task, old_dir.0, &old, lookup)?;
    let target = new_name(ctx, new_dir.0, &new, false)?;
    if !std::sync::Arc::ptr_eq(place.mount(), target.directory.mount()) {
        return Err(Errno::EXDEV);
    }
    link_entry(&credentials, &place, &target.directory, &target.name)?;
    Ok(0)
}

/// `unlink(2)`.
pub fn unlink(ctx: &mut Ctx, path: UserAddr) -> SysResult {
    unlinkat(ctx, Fd(AT_FDCWD), path, 0)
}

/// `rmdir(2)`.
pub fn rmdir(ctx: &mut Ctx, path: UserAddr) -> SysResult {
    unlinkat(ctx, Fd(AT_FDCWD), path, AtFlags::REMOVEDIR.bits())
}

/// `unlinkat(2)`.
pub fn unlinkat(ctx: &mut Ctx, dir: Fd, path: UserAddr, flags: u32) -> SysResult {
    let flags = AtFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if !AtFlags::REMOVEDIR.contains(flags) {
        return Err(Errno::EINVAL);
    }
    let path = ctx.memory().read_path(path)?;
    let removes_directory = flags.contains(AtFlags::REMOVEDIR);
    let Parent { at, last, has_slash } = parent_at(&ctx.task, dir.0, &path)?;
    let name = match last {
        Last::Name(name) => name,
        Last::Dot if removes_directory => return Err(Errno::EINVAL),
        Last::DotDot if removes_directory => return Err(Errno::ENOTEMPTY),
        Last::Nothing if removes_directory => return Err(Errno::EBUSY),
        _ => return Err(Errno::EISDIR),
    };
    at.check_writable()?;
    let victim = at.dentry().lookup(&name)?;
    let credentials = ctx.task.credentials();
    if removes_directory {
        remove_directory(&credentials, &at, &victim)?;
    } else {
        if has_slash {
            let is_directory = victim.inode().kind() == FileKind::Directory;
            return Err(if is_directory { Errno::EISDIR } else { Errno::ENOTDIR });
        }
        remove_file(&credentials, &at, &victim)?;
    }
    Ok(0)
}

/// `rename(2)`.
pub fn rename(ctx: &mut Ctx, old: UserAddr, new: UserAddr) -> SysResult {
    renameat2(ctx, Fd(AT_FDCWD), old, Fd(AT_FDCWD), new, 0)
}

/// `renameat(2)`.
pub fn renameat(
    ctx: &mut Ctx,
    old_dir: Fd,
    old: UserAddr,
    new_dir: Fd,
    new: UserAddr,
) -> SysResult {
    renameat2(ctx, old_dir, old, new_dir, new, 0)
}

/// `renameat2(2)`.
pub fn renameat2(
    ctx: &mut Ctx,
    old_dir: Fd,
    old: UserAddr,
    new_dir: Fd,
    new: UserAddr,
    flags: u32,
) -> SysResult {
    let flags = RenameFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    let exclusive = RenameFlags::NOREPLACE | RenameFlags::WHITEOUT;
    if flags.contains(RenameFlags::EXCHANGE) && flags.intersects(exclusive) {
        return Err(Errno::EINVAL);
    }
    let old = ctx.memory().read_path(old)?;
    let new = ctx.memory().read_path(new)?;
    let from = parent_at(&ctx.task, old_dir.0, &old)?;
    let to = parent_at(&ctx.task, new_dir.0, &new)?;
    if !std::sync::Arc::ptr_eq(from.at.mount(), to.at.mount()) {
        return Err(Errno::EXDEV);
    }
    let (Last::Name(from_name), Last::Name(to_name)) = (&from.last, &to.last) else {
        let blocked = flags.contains(RenameFlags::NOREPLACE) && from_is_name(&from);
        return Err(if blocked { Errno::EEXIST } else { Errno::EBUSY });
    };
    from.at.check_writable()?;
    let credentials = ctx.task.credentials();
    let from_end = RenameEnd { directory: &from.at, name: from_name, has_slash: from.has_slash };
    let to_end = RenameEnd { directory: &to.at, name: to_name, has_slash: to.has_slash };
    let cookie = ctx.task.kernel.vfs.rename_cookie();
    rename_entry(&credentials, &from_end, &to_end, flags, cookie)?;
    Ok(0)
}

fn from_is_name(from: &Parent) -> bool {
    matches!(from.last, Last::Name(_))
}

/// `getdents64(2)`.
pub fn getdents64(ctx: &mut Ctx, fd: Fd, buf: UserAddr, size: u32) -> SysResult {
    read_entries(ctx, fd, buf, size, |entry, bytes| {
        let len = Dirent64::record_len(entry.name.len());
        let head = Dirent64 {
            ino: entry.inode,
            off: entry.next as i64,
            reclen: len as u16,
            kind: entry.kind.dirent_type(),
        };
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(&entry.name);
        len
    })
}

/// `getdents(2)`: the type is the last byte of each record.
pub fn getdents(ctx: &mut Ctx, fd: Fd, buf: UserAddr, size: u32) -> SysResult {
    read_entries(ctx, fd, buf, size, |entry, bytes| {
        let len = Dirent::record_len(entry.name.len());
        let head = Dirent { ino: entry.inode, off: entry.next as i64, reclen: len as u16 };
        let start = bytes.len();
        bytes.extend_from_slice(&head.as_bytes()[..18]);
        bytes.extend_from_slice(&entry.name);
        bytes.resize(start + len - 1, 0);
        bytes.push(entry.kind.dirent_type());
        len
    })
}

/// Most directories need no more for a listing.
const LISTING_BYTES: usize = 512;

/// Reads entries into a buffer of at most `size` bytes. `encode` appends a record and answers
/// with its full length, to which it is padded.
///
/// Errors: EBADF, ENOTDIR, EINVAL (not even one entry fits), EFAULT.
fn read_entries(
    ctx: &Ctx,
    fd: Fd,
    buf: UserAddr,
    size: u32,
    encode: impl Fn(&DirEntry, &mut Vec<u8>) -> usize,
) -> SysResult {
    let file = ctx.task.fds().get_usable(fd)?;
    if !file.location().is_directory() {
        return Err(Errno::ENOTDIR);
    }
    let size = (size as usize).min(1 << 20);
    let mut bytes = Vec::with_capacity(size.min(LISTING_BYTES));
    let mut overflowed = false;
    let offset = file.lock_offset();
    if file.location().dentry().is_deleted() {
        return Err(Errno::ENOENT);
    }
    let parent = file.location().dentry().parent_inode_number()?;
    let io = file.io(&ctx.task);
    let next = file.file().read_dir(offset.get(), parent, &io, &mut |entry| {
        let start = bytes.len();
        let len = encode(&entry, &mut bytes);
        if start + len > size {
            bytes.truncate(start);
            overflowed = true;
            return false;
        }
        bytes.resize(start + len, 0);
        true
    })?;
    if bytes.is_empty() && overflowed {
        return Err(Errno::EINVAL);
    }
    ctx.memory().write_exact(buf, &bytes)?;
    offset.set(next);
    notify(file.location(), InotifyMask::ACCESS);
    Ok(bytes.len())
}

/// `chdir(2)`.
pub fn chdir(ctx: &mut Ctx, path: UserAddr) -> SysResult {
    let path = ctx.memory().read_path(path)?;
    crate::vfs::chdir(&ctx.task, &path)?;
    Ok(0)
}

/// `fchdir(2)`.
pub fn fchdir(ctx: &mut Ctx, fd: Fd) -> SysResult {
    let place = ctx.task.fds().get(fd)?.location().clone();
    if !place.is_directory() {
        return Err(Errno::ENOTDIR);
    }
    check_search(place.dentry(), &ctx.task.credentials())?;
    ctx.task.fs().set_cwd(place);
    Ok(0)
}

/// `chroot(2)`.
pub fn chroot(ctx: &mut Ctx, path: UserAddr) -> SysResult {
    let path = ctx.memory().read_path(path)?;
    let flags = LookupFlags::FOLLOW | LookupFlags::DIRECTORY;
    let place = lookup_at(&ctx.task, AT_FDCWD, &path, flags)?;
    let credentials = ctx.task.credentials();
    check_search(place.dentry(), &credentials)?;
    if !credentials.has(CAP_SYS_CHROOT) {
        return Err(Errno::EPERM);
    }
    ctx.task.fs().set_root(place);
    ctx.thread.set_domain(None);
    Ok(0)
}

/// `getcwd(2)`: answers with the length including the NUL.
pub fn getcwd(ctx: &mut Ctx, buf: UserAddr, size: usize) -> SysResult {
    let cwd = lookup_fd(&ctx.task, AT_FDCWD)?;
    let mut path = getcwd_path(&cwd, &ctx.task.fs().root())?;
    path.push(0);
    if path.len() > size {
        return Err(Errno::ERANGE);
    }
    ctx.memory().write_exact(buf, &path)?;
    Ok(path.len())
}
