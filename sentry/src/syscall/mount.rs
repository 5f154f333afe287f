//! `mount`, `umount2`, `pivot_root`.

use linux_abi::Errno;
use linux_abi::fs::{AT_FDCWD, MS_MGC_MSK, MS_MGC_VAL, MountFlags, UmountFlags};
use linux_abi::task::CAP_SYS_ADMIN;

use super::SysResult;
use crate::fs::new_file_system;
use crate::memory::UserAddr;
use crate::task::Ctx;
use crate::vfs::{BindRequest, Location, LookupFlags, MountOptions, lookup_at};

/// Changes of how mounts propagate between namespaces.
const PROPAGATION: MountFlags = MountFlags::SHARED
    .union(MountFlags::PRIVATE)
    .union(MountFlags::SLAVE)
    .union(MountFlags::UNBINDABLE);

/// `mount(2)`.
///
/// Errors: EFAULT, those of the path, EPERM (no CAP_SYS_ADMIN), EINVAL, ENODEV (unknown file
/// system), ENOTDIR, ELOOP.
pub fn mount(
    ctx: &mut Ctx,
    source: UserAddr,
    target: UserAddr,
    fs_type: UserAddr,
    flags: u64,
    data: UserAddr,
) -> SysResult {
    let read = |addr: UserAddr| -> Result<Option<Vec<u8>>, Errno> {
        if addr.is_null() {
            return Ok(None);
        }
        ctx.memory().read_cstr(addr, 4096, Errno::EINVAL).map(Some)
    };
    let fs_type = read(fs_type)?;
    let source = read(source)?;
    let data = read(data)?.unwrap_or_default();
    let place = directory(ctx, target, LookupFlags::FOLLOW)?;
    check_privilege(ctx)?;
    let flags = if flags & MS_MGC_MSK == MS_MGC_VAL { flags & !MS_MGC_MSK } else { flags };
    let flags = MountFlags::from_bits_truncate(flags);
    if flags.contains(MountFlags::REMOUNT) {
        return remount(&place, flags);
    }
    if flags.contains(MountFlags::BIND) {
        return bind(ctx, source.as_deref(), &place, flags);
    }
    if flags.intersects(PROPAGATION) {
        return change_propagation(&place, flags);
    }
    if flags.contains(MountFlags::MOVE) {
        let from = from_source(ctx, source.as_deref())?;
        ctx.task.fs().namespace().move_mount(&from, &place)?;
        return Ok(0);
    }
    let fs_type = fs_type.ok_or(Errno::EINVAL)?;
    let fs = new_file_system(&ctx.task.kernel, &fs_type, &data)?;
    let source = source.unwrap_or_else(|| b"none".to_vec());
    ctx.task.fs().namespace().mount(&place, fs, options_of(flags), source)?;
    Ok(0)
}

/// Errors: EPERM.
fn check_privilege(ctx: &Ctx) -> Result<(), Errno> {
    if ctx.task.credentials().has(CAP_SYS_ADMIN) { Ok(()) } else { Err(Errno::EPERM) }
}

fn directory(ctx: &Ctx, path: UserAddr, flags: LookupFlags) -> Result<Location, Errno> {
    let path = ctx.memory().read_path(path)?;
    lookup_at(&ctx.task, AT_FDCWD, &path, flags)
}

fn from_source(ctx: &Ctx, source: Option<&[u8]>) -> Result<Location, Errno> {
    let path = source.filter(|path| !path.is_empty()).ok_or(Errno::EINVAL)?;
    lookup_at(&ctx.task, AT_FDCWD, path, LookupFlags::FOLLOW)
}

/// Options of a mount out of the flags of `mount(2)`, which share their numbers.
fn options_of(flags: MountFlags) -> MountOptions {
    MountOptions::from_bits_truncate(flags.bits() as u32)
}

/// Changes the options of a mount. There is no difference between mount and file system here:
/// file systems have no options that could change later.
fn remount(place: &Location, flags: MountFlags) -> SysResult {
    if !place.is_mount_root() {
        return Err(Errno::EINVAL);
    }
    place.mount().set_options(options_of(flags));
    Ok(0)
}

fn bind(ctx: &Ctx, source: Option<&[u8]>, place: &Location, flags: MountFlags) -> SysResult {
    let from = from_source(ctx, source)?;
    let request =
        BindRequest { is_recursive: flags.contains(MountFlags::REC), ..BindRequest::default() };
    ctx.task.fs().namespace().bind(&from, place, request)?;
    Ok(0)
}

/// All mounts are private; a slave without a master is private too. Sharing is refused.
fn change_propagation(place: &Location, flags: MountFlags) -> SysResult {
    let kinds = flags & PROPAGATION;
    let is_single = kinds.bits().is_power_of_two();
    let is_served = kinds == MountFlags::PRIVATE || kinds == MountFlags::SLAVE;
    if is_single && is_served && place.is_mount_root() { Ok(0) } else { Err(Errno::EINVAL) }
}

/// `umount2(2)`.
///
/// Errors: EINVAL (flags, no mount point), EPERM, EBUSY, and those of the path.
pub fn umount2(ctx: &mut Ctx, target: UserAddr, flags: u32) -> SysResult {
    let flags = UmountFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    let follow = !flags.contains(UmountFlags::NOFOLLOW);
    let lookup = if follow { LookupFlags::FOLLOW } else { LookupFlags::empty() };
    let place = directory(ctx, target, lookup)?;
    check_privilege(ctx)?;
    if flags.contains(UmountFlags::EXPIRE) {
        return Err(Errno::EINVAL);
    }
    let detach = flags.contains(UmountFlags::DETACH);
    ctx.task.fs().namespace().unmount(&place, detach)?;
    Ok(0)
}

/// `pivot_root(2)`.
///
/// Errors: EPERM, EINVAL (no mount points), EBUSY (on the current root), ENOTDIR, and those of the
/// paths.
pub fn pivot_root(ctx: &mut Ctx, new_root: UserAddr, put_old: UserAddr) -> SysResult {
    check_privilege(ctx)?;
    let flags = LookupFlags::FOLLOW | LookupFlags::DIRECTORY;
    let new = directory(ctx, new_root, flags)?;
    let old = directory(ctx, put_old, flags)?;
    let fs = ctx.task.fs();
    let root = fs.root();
    let namespace = fs.namespace();
    namespace.pivot_root(&new, &old, &root)?;
    for group in ctx.task.kernel.tasks.groups() {
        for thread in group.threads() {
            thread.fs().move_from(&root, &new);
        }
    }
    Ok(0)
}
