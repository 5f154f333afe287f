//! Extended attributes: `setxattr`, `getxattr`, `listxattr`, `removexattr` and their relatives.

use linux_abi::Errno;
use linux_abi::fs::{
    AT_FDCWD, FileKind, InotifyMask, S_ISVTX, XATTR_LIST_MAX, XATTR_NAME_CAPS, XATTR_NAME_MAX,
    XATTR_SIZE_MAX, XattrFlags as RawFlags,
};
use linux_abi::task::{CAP_SETFCAP, CAP_SYS_ADMIN};

use super::{Fd, SysResult};
use crate::memory::UserAddr;
use crate::task::Ctx;
use crate::vfs::permission::{Want, check_inode, is_owner};
use crate::vfs::{Location, LookupFlags, XattrFlags, lookup_at, notify};

/// The value to set, as the program gives it.
struct Value {
    addr: UserAddr,
    size: usize,
    flags: u32,
}

/// Where a result goes.
struct Buffer {
    addr: UserAddr,
    size: usize,
}

fn at_path(ctx: &Ctx, path: UserAddr, lookup: LookupFlags) -> Result<Location, Errno> {
    let path = ctx.memory().read_path(path)?;
    lookup_at(&ctx.task, AT_FDCWD, &path, lookup)
}

fn at_fd(ctx: &Ctx, fd: Fd) -> Result<Location, Errno> {
    Ok(ctx.task.fds().get_usable(fd)?.location().clone())
}

/// `setxattr(2)`.
pub fn setxattr(
    ctx: &mut Ctx,
    path: UserAddr,
    name: UserAddr,
    addr: UserAddr,
    size: usize,
    flags: u32,
) -> SysResult {
    set(ctx, |ctx| at_path(ctx, path, LookupFlags::FOLLOW), name, Value { addr, size, flags })
}

/// `lsetxattr(2)`.
pub fn lsetxattr(
    ctx: &mut Ctx,
    path: UserAddr,
    name: UserAddr,
    addr: UserAddr,
    size: usize,
    flags: u32,
) -> SysResult {
    set(ctx, |ctx| at_path(ctx, path, LookupFlags::empty()), name, Value { addr, size, flags })
}

/// `fsetxattr(2)`.
pub fn fsetxattr(
    ctx: &mut Ctx,
    fd: Fd,
    name: UserAddr,
    addr: UserAddr,
    size: usize,
    flags: u32,
) -> SysResult {
    set(ctx, |ctx| at_fd(ctx, fd), name, Value { addr, size, flags })
}

/// Errors: EINVAL (flags), ERANGE (name), E2BIG, EFAULT, EROFS, EPERM, EACCES, and the file system's.
fn set(
    ctx: &Ctx,
    place: impl FnOnce(&Ctx) -> Result<Location, Errno>,
    name: UserAddr,
    value: Value,
) -> SysResult {
    let flags = RawFlags::from_bits(value.flags).ok_or(Errno::EINVAL)?;
    let name = read_name(ctx, name)?;
    if value.size > XATTR_SIZE_MAX {
        return Err(Errno::E2BIG);
    }
    let bytes = ctx.memory().read_bytes(value.addr, value.size)?;
    let place = place(ctx)?;
    place.check_writable()?;
    check_permission(ctx, &place, &name, Want::WRITE)?;
    let inode = place.inode();
    let flags = match (flags.contains(RawFlags::CREATE), flags.contains(RawFlags::REPLACE)) {
        (false, false) => XattrFlags::Any,
        (true, false) => XattrFlags::Create,
        (false, true) => XattrFlags::Replace,
        // Both can never be: there is either too much or nothing.
        (true, true) => {
            return Err(inode.xattr_get(&name).map_or_else(|errno| errno, |_| Errno::EEXIST));
        }
    };
    inode.xattr_set(&name, &bytes, flags)?;
    notify(&place, InotifyMask::ATTRIB);
    Ok(0)
}

/// `getxattr(2)`.
pub fn getxattr(
    ctx: &mut Ctx,
    path: UserAddr,
    name: UserAddr,
    addr: UserAddr,
    size: usize,
) -> SysResult {
    get(ctx, |ctx| at_path(ctx, path, LookupFlags::FOLLOW), name, &Buffer { addr, size })
}

/// `lgetxattr(2)`.
pub fn lgetxattr(
    ctx: &mut Ctx,
    path: UserAddr,
    name: UserAddr,
    addr: UserAddr,
    size: usize,
) -> SysResult {
    get(ctx, |ctx| at_path(ctx, path, LookupFlags::empty()), name, &Buffer { addr, size })
}

/// `fgetxattr(2)`.
pub fn fgetxattr(ctx: &mut Ctx, fd: Fd, name: UserAddr, addr: UserAddr, size: usize) -> SysResult {
    get(ctx, |ctx| at_fd(ctx, fd), name, &Buffer { addr, size })
}

fn get(
    ctx: &Ctx,
    place: impl FnOnce(&Ctx) -> Result<Location, Errno>,
    name: UserAddr,
    buffer: &Buffer,
) -> SysResult {
    let name = read_name(ctx, name)?;
    let place = place(ctx)?;
    check_permission(ctx, &place, &name, Want::READ)?;
    let value = place.inode().xattr_get(&name)?;
    answer(ctx, buffer, &value)
}

/// `listxattr(2)`.
pub fn listxattr(ctx: &mut Ctx, path: UserAddr, addr: UserAddr, size: usize) -> SysResult {
    list(ctx, &at_path(ctx, path, LookupFlags::FOLLOW)?, &Buffer { addr, size })
}

/// `llistxattr(2)`.
pub fn llistxattr(ctx: &mut Ctx, path: UserAddr, addr: UserAddr, size: usize) -> SysResult {
    list(ctx, &at_path(ctx, path, LookupFlags::empty())?, &Buffer { addr, size })
}

/// `flistxattr(2)`.
pub fn flistxattr(ctx: &mut Ctx, fd: Fd, addr: UserAddr, size: usize) -> SysResult {
    list(ctx, &at_fd(ctx, fd)?, &Buffer { addr, size })
}

fn list(ctx: &Ctx, place: &Location, buffer: &Buffer) -> SysResult {
    let sees_trusted = ctx.task.credentials().has(CAP_SYS_ADMIN);
    let mut names = Vec::new();
    for name in place.inode().xattr_list()? {
        if sees_trusted || !name.starts_with(b"trusted.") {
            names.extend_from_slice(&name);
            names.push(0);
        }
    }
    if names.len() > XATTR_LIST_MAX {
        return Err(Errno::E2BIG);
    }
    answer(ctx, buffer, &names)
}

/// `removexattr(2)`.
pub fn removexattr(ctx: &mut Ctx, path: UserAddr, name: UserAddr) -> SysResult {
    remove(ctx, |ctx| at_path(ctx, path, LookupFlags::FOLLOW), name)
}

/// `lremovexattr(2)`.
pub fn lremovexattr(ctx: &mut Ctx, path: UserAddr, name: UserAddr) -> SysResult {
    remove(ctx, |ctx| at_path(ctx, path, LookupFlags::empty()), name)
}

/// `fremovexattr(2)`.
pub fn fremovexattr(ctx: &mut Ctx, fd: Fd, name: UserAddr) -> SysResult {
    remove(ctx, |ctx| at_fd(ctx, fd), name)
}

fn remove(
    ctx: &Ctx,
    place: impl FnOnce(&Ctx) -> Result<Location, Errno>,
    name: UserAddr,
) -> SysResult {
    let name = read_name(ctx, name)?;
    let place = place(ctx)?;
    place.check_writable()?;
    check_permission(ctx, &place, &name, Want::WRITE)?;
    place.inode().xattr_remove(&name)?;
    notify(&place, InotifyMask::ATTRIB);
    Ok(0)
}

/// Errors: ERANGE (empty or too long), EFAULT.
fn read_name(ctx: &Ctx, name: UserAddr) -> Result<Vec<u8>, Errno> {
    let name = ctx.memory().read_cstr(name, XATTR_NAME_MAX + 1, Errno::ERANGE)?;
    if name.is_empty() { Err(Errno::ERANGE) } else { Ok(name) }
}

/// Copies a result out, or only tells its size. Errors: ERANGE (too little room), EFAULT.
fn answer(ctx: &Ctx, buffer: &Buffer, bytes: &[u8]) -> SysResult {
    if buffer.size == 0 {
        return Ok(bytes.len());
    }
    if bytes.len() > buffer.size {
        return Err(Errno::ERANGE);
    }
    ctx.memory().write_exact(buffer.addr, bytes)?;
    Ok(bytes.len())
}

/// Linux `xattr_permission` and `cap_inode_setxattr`, xattr(7).
///
/// Errors: EPERM, ENODATA, EACCES.
fn check_permission(ctx: &Ctx, place: &Location, name: &[u8], want: Want) -> Result<(), Errno> {
    let credentials = ctx.task.credentials();
    let writes = want == Want::WRITE;
    let refused = if writes { Errno::EPERM } else { Errno::ENODATA };
    let inode = place.inode();
    if name.starts_with(b"security.") {
        let needed = if name == XATTR_NAME_CAPS.as_bytes() { CAP_SETFCAP } else { CAP_SYS_ADMIN };
        return if writes && !credentials.has(needed) { Err(refused) } else { Ok(()) };
    }
    // Linux: there are access control lists where a file system keeps them, and nothing else.
    if name.starts_with(b"system.") {
        return Ok(());
    }
    if name.starts_with(b"trusted.") {
        return if credentials.has(CAP_SYS_ADMIN) { Ok(()) } else { Err(refused) };
    }
    if name.starts_with(b"user.") {
        match inode.kind() {
            FileKind::Regular => {}
            FileKind::Directory => {
                let attributes = inode.attributes()?;
                let is_sticky = attributes.permissions & S_ISVTX != 0;
                if writes && is_sticky && !is_owner(&attributes, &credentials) {
                    return Err(Errno::EPERM);
                }
            }
            _ => return Err(refused),
        }
    }
    if !name.starts_with(b"user.") {
        return Err(Errno::EOPNOTSUPP);
    }
    check_inode(&*inode, &credentials, want)
}
