//! `memfd_create(2)`: a regular file without a name, and its seals.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{F_ADD_SEALS, F_GET_SEALS, FileKind, SealFlags};
use platform::host;

use super::Shared;
use super::content::Content;
use super::inode::{Data, NewInode, TmpfsInode};
use super::limits::Limits;
use crate::sync::{Rank, RwLock};
use crate::vfs::{DeviceId, Inode};

/// Makes an anonymous file owned by `uid` and `gid`; `seals` are in force from the start (`SEAL` for
/// a file that cannot be sealed).
pub fn new_memfd(
    device: DeviceId,
    permissions: u32,
    (uid, gid): (u32, u32),
    seals: SealFlags,
) -> Arc<dyn Inode> {
    let shared = Shared::new(device, Limits::new(None, None));
    let new = NewInode { kind: FileKind::Regular, permissions, uid, gid };
    shared.limits.add_inode();
    let content = RwLock::new(Rank::Inode, Content::new(seals));
    let inode = TmpfsInode::build(&shared, &new, Data::Regular(content), DeviceId::default());
    inode.clear_links();
    Arc::new(inode)
}

/// `F_GET_SEALS` and `F_ADD_SEALS`.
///
/// # Errors
/// EINVAL (another command, unknown seals), EPERM (sealed against sealing), EBUSY (mapped for
/// writing while `WRITE` is asked for).
pub(super) fn control_seals(
    inode: &TmpfsInode,
    command: i32,
    argument: u64,
) -> Result<usize, Errno> {
    let content = inode.content().ok_or(Errno::EINVAL)?;
    match command {
        F_GET_SEALS => Ok(content.read().seals.bits() as usize),
        F_ADD_SEALS => {
            let bits = u32::try_from(argument).map_err(|_| Errno::EINVAL)?;
            let seals = SealFlags::from_bits(bits).ok_or(Errno::EINVAL)?;
            add_seals(inode, content, seals).map(|()| 0)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// Adds `seals`. The host enforces those against writing for mappings: it knows them.
fn add_seals(inode: &TmpfsInode, content: &RwLock<Content>, seals: SealFlags) -> Result<(), Errno> {
    let mut content = content.write();
    if content.seals.contains(SealFlags::SEAL) {
        return Err(Errno::EPERM);
    }
    let mut seals = seals;
    // Linux: an executable file sealed so can never change otherwise either.
    if seals.contains(SealFlags::EXEC) && inode.is_executable() {
        seals |= SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::FUTURE_WRITE;
    }
    let for_host = seals & (SealFlags::WRITE | SealFlags::FUTURE_WRITE);
    if !for_host.is_empty() {
        let fd = content.host_file(&inode.shared.limits)?;
        host::fs::add_seals(&*fd, for_host.bits())?;
    }
    content.seals |= seals;
    Ok(())
}
