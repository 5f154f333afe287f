//! Permissions of System V objects, sysvipc(7).

use linux_abi::Errno;
use linux_abi::ipc::IpcPerm;
use linux_abi::task::{CAP_IPC_OWNER, CAP_SYS_ADMIN};

use super::split_id;
use crate::task::Credentials;

/// Who made an object, who owns it now, and what others may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub key: i32,
    pub uid: u32,
    pub gid: u32,
    pub creator_uid: u32,
    pub creator_gid: u32,
    /// Permission bits, and flags of the kind of object above them.
    pub mode: u32,
}

/// Permission bits for reading and writing by anybody, as [`Owner::check`] takes them.
pub const READ: u32 = 0o444;
pub const WRITE: u32 = 0o222;

impl Owner {
    /// An object made by `credentials` with the permissions in the last nine bits of `flags`.
    pub fn new(key: i32, flags: u32, credentials: &Credentials) -> Owner {
        Owner {
            key,
            uid: credentials.euid,
            gid: credentials.egid,
            creator_uid: credentials.euid,
            creator_gid: credentials.egid,
            mode: flags & 0o777,
        }
    }

    /// Checks the permissions in `wanted`, given for any class of users (Linux: `ipcperms`).
    ///
    /// # Errors
    /// EACCES.
    pub fn check(&self, credentials: &Credentials, wanted: u32) -> Result<(), Errno> {
        let requested = (wanted >> 6) | (wanted >> 3) | wanted;
        let is_owner = credentials.euid == self.creator_uid || credentials.euid == self.uid;
        let in_group = || credentials.in_group(self.creator_gid) || credentials.in_group(self.gid);
        let granted = if is_owner {
            self.mode >> 6
        } else if in_group() {
            self.mode >> 3
        } else {
            self.mode
        };
        if requested & !granted & 7 == 0 || credentials.has(CAP_IPC_OWNER) {
            Ok(())
        } else {
            Err(Errno::EACCES)
        }
    }

    /// Checks that the object may be removed or changed.
    ///
    /// # Errors
    /// EPERM.
    pub fn check_control(&self, credentials: &Credentials) -> Result<(), Errno> {
        let is_owner = credentials.euid == self.creator_uid || credentials.euid == self.uid;
        if is_owner || credentials.has(CAP_SYS_ADMIN) { Ok(()) } else { Err(Errno::EPERM) }
    }

    /// `IPC_SET`.
    ///
    /// # Errors
    /// EINVAL for ids that are none.
    pub fn change(&mut self, wanted: &IpcPerm) -> Result<(), Errno> {
        if wanted.uid == u32::MAX || wanted.gid == u32::MAX {
            return Err(Errno::EINVAL);
        }
        self.uid = wanted.uid;
        self.gid = wanted.gid;
        self.mode = (self.mode & !0o777) | (wanted.mode & 0o777);
        Ok(())
    }

    /// As `IPC_STAT` shows it for the object `id`.
    pub fn to_perm(&self, id: i32) -> IpcPerm {
        IpcPerm {
            key: self.key,
            uid: self.uid,
            gid: self.gid,
            cuid: self.creator_uid,
            cgid: self.creator_gid,
            mode: self.mode,
            seq: split_id(id).1,
            ..IpcPerm::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: u32, groups: &[u32]) -> Credentials {
        Credentials {
            euid: id,
            egid: id,
            fsgid: id,
            groups: groups.to_vec(),
            effective: 0,
            ..Credentials::root()
        }
    }

    #[test]
    fn class_decides_also_against_the_user() {
        let owner = Owner::new(1, 0o046, &user(5, &[]));
        assert_eq!(owner.check(&user(5, &[]), READ), Err(Errno::EACCES));
        assert_eq!(owner.check(&user(6, &[5]), READ), Ok(()));
        assert_eq!(owner.check(&user(6, &[5]), WRITE), Err(Errno::EACCES));
        assert_eq!(owner.check(&user(7, &[]), READ | WRITE), Ok(()));
        assert_eq!(owner.check(&Credentials::root(), READ | WRITE), Ok(()));
    }

    #[test]
    fn only_owners_control() {
        let owner = Owner::new(1, 0o666, &user(5, &[]));
        assert_eq!(owner.check_control(&user(5, &[])), Ok(()));
        assert_eq!(owner.check_control(&user(6, &[])), Err(Errno::EPERM));
    }
}
