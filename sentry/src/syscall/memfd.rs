//! `memfd_create`: anonymous files in memory.

use linux_abi::Errno;
use linux_abi::fs::{MFD_NAME_MAX, MemfdFlags, OpenFlags, SealFlags};

use super::SysResult;
use super::anonymous::reserve;
use crate::fs::tmpfs::{Tmpfs, TmpfsOptions, new_memfd};
use crate::memory::UserAddr;
use crate::task::Ctx;
use crate::vfs::{Dentry, FileDescription, IoContext, Location};

/// `memfd_create(2)`.
///
/// Errors: EINVAL (unknown flags, both `EXEC` and `NOEXEC_SEAL`, a name that is too long), EFAULT,
/// EMFILE; ENOSYS for huge pages, as from a kernel without hugetlbfs.
pub fn memfd_create(ctx: &mut Ctx, name: UserAddr, flags: u32) -> SysResult {
    let flags = match MemfdFlags::from_bits(flags) {
        Some(flags) => flags,
        // The size of a huge page lies in bits of its own.
        None if flags & MemfdFlags::HUGETLB.bits() != 0 => MemfdFlags::HUGETLB,
        None => return Err(Errno::EINVAL),
    };
    if flags.contains(MemfdFlags::EXEC | MemfdFlags::NOEXEC_SEAL) {
        return Err(Errno::EINVAL);
    }
    let name = ctx.memory().read_cstr(name, MFD_NAME_MAX + 1, Errno::EINVAL)?;
    if flags.contains(MemfdFlags::HUGETLB) {
        return Err(Errno::ENOSYS);
    }
    let is_noexec = flags.contains(MemfdFlags::NOEXEC_SEAL);
    let (permissions, seals) = match (is_noexec, flags.contains(MemfdFlags::ALLOW_SEALING)) {
        (true, _) => (0o666, SealFlags::EXEC),
        (false, true) => (0o777, SealFlags::empty()),
        (false, false) => (0o777, SealFlags::SEAL),
    };
    let slot = reserve(&ctx.task)?;
    let kernel = &ctx.task.kernel;
    let mount =
        kernel.vfs.memory_mount(|device| Tmpfs::with_device(device, &TmpfsOptions::default()));
    let device = mount.root().inode().attributes()?.device;
    let credentials = ctx.task.credentials();
    let owner = (credentials.fsuid, credentials.fsgid);
    let inode = new_memfd(device, permissions, owner, seals);
    let io = IoContext { task: Some(&ctx.task), flags: OpenFlags::RDWR };
    let file = inode.clone().open(OpenFlags::RDWR, &io)?;
    let shown = [b"/memfd:", name.as_slice(), b" (deleted)"].concat();
    let dentry = Dentry::unattached(mount.superblock().clone(), inode, &shown);
    let place = Location::new(mount.clone(), dentry);
    let flags_kept = OpenFlags::RDWR | OpenFlags::LARGEFILE;
    let description = FileDescription::new(file, place, flags_kept);
    Ok(slot.fill(description, flags.contains(MemfdFlags::CLOEXEC)) as usize)
}
