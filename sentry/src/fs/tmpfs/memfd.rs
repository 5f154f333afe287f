//! `memfd_create(2)`: a regular file without a name, and its seals.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, SealFlags};
use platform::host;

use super::Shared;
use super::content::Content;
use super::file::TmpfsFile;
use super::inode::{Data, NewInode, TmpfsInode};
use super::limits::Limits;
use crate::sync::{Rank, RwLock};
use crate::vfs::{DeviceId, FileDescription, Inode};

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

/// The seals of an open file, and adding some (`F_GET_SEALS`, `F_ADD_SEALS`).
pub struct FileSeals<'a> {
    inode: &'a TmpfsInode,
    content: &'a RwLock<Content>,
}

/// The seals of `description`'s file; none if it is not of a kind that has them (EINVAL).
pub fn file_seals(description: &FileDescription) -> Option<FileSeals<'_>> {
    let inode: &TmpfsInode = description.downcast::<TmpfsFile>()?.inode();
    Some(FileSeals { inode, content: inode.content()? })
}

impl FileSeals<'_> {
    pub fn get(&self) -> SealFlags {
        self.content.read().seals
    }

    /// Adds `seals`. The host enforces the seal against writing for mappings: it knows them.
    ///
    /// # Errors
    /// EPERM (sealed against sealing), EBUSY (mapped for writing while `WRITE` is asked for).
    pub fn add(&self, seals: SealFlags) -> Result<(), Errno> {
        let mut content = self.content.write();
        if content.seals.contains(SealFlags::SEAL) {
            return Err(Errno::EPERM);
        }
        let for_host = seals & (SealFlags::WRITE | SealFlags::FUTURE_WRITE);
        if !for_host.is_empty() {
            let fd = content.host_file(&self.inode.shared.limits)?;
            host::fs::add_seals(&*fd, for_host.bits())?;
        }
        content.seals |= seals;
        Ok(())
    }
}
