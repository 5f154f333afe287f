//! Who may do what with a file: mode bits and capabilities, path_resolution(7), capabilities(7).

use linux_abi::Errno;
use linux_abi::fs::{FileKind, S_ISGID, S_ISUID, S_ISVTX, S_IXGRP, S_IXUGO};
use linux_abi::task::{CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID};

use super::{Attributes, Dentry, Inode};
use crate::task::Credentials;

bitflags::bitflags! {
    /// What somebody wants to do, in the bits of `access(2)` and of a mode's last digit.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Want: u32 {
        const EXEC = 1;
        const WRITE = 2;
        const READ = 4;
    }
}

impl Want {
    /// To add, remove or rename entries of a directory.
    pub const CHANGE_ENTRIES: Want = Want::WRITE.union(Want::EXEC);
}

/// Checks `want` against mode bits and capabilities.
///
/// # Errors
/// EACCES.
pub fn check_attributes(
    attributes: &Attributes,
    credentials: &Credentials,
    want: Want,
) -> Result<(), Errno> {
    let class = if credentials.fsuid == attributes.uid {
        attributes.permissions >> 6
    } else if credentials.in_group(attributes.gid) {
        attributes.permissions >> 3
    } else {
        attributes.permissions
    };
    if want.bits() & !class & 7 == 0 || has_override(attributes, credentials, want) {
        Ok(())
    } else {
        Err(Errno::EACCES)
    }
}

/// Whether capabilities grant what the mode bits refuse.
fn has_override(attributes: &Attributes, credentials: &Credentials, want: Want) -> bool {
    let is_directory = attributes.kind == FileKind::Directory;
    let only_reads = if is_directory { !want.contains(Want::WRITE) } else { want == Want::READ };
    if only_reads && credentials.has(CAP_DAC_READ_SEARCH) {
        return true;
    }
    // Linux: nobody executes a file without any execute bit.
    let is_executable = attributes.permissions & S_IXUGO != 0;
    let can_override = is_directory || !want.contains(Want::EXEC) || is_executable;
    can_override && credentials.has(CAP_DAC_OVERRIDE)
}

/// Checks `want` for `inode`.
///
/// # Errors
/// EACCES, and those of asking for the attributes.
pub fn check_inode(inode: &dyn Inode, credentials: &Credentials, want: Want) -> Result<(), Errno> {
    if want.is_empty() {
        return Ok(());
    }
    check_attributes(&inode.ownership()?, credentials, want)
}

/// Checks that names may be looked up in a directory.
///
/// # Errors
/// EACCES.
pub fn check_search(directory: &Dentry, credentials: &Credentials) -> Result<(), Errno> {
    if credentials.has(CAP_DAC_OVERRIDE) || credentials.has(CAP_DAC_READ_SEARCH) {
        return Ok(());
    }
    check_inode(&**directory.inode(), credentials, Want::EXEC)
}

/// Whether `credentials` own the file or may act as its owner.
pub fn is_owner(attributes: &Attributes, credentials: &Credentials) -> bool {
    credentials.fsuid == attributes.uid || credentials.has(CAP_FOWNER)
}

/// Whether `credentials` may act for the group `gid` where setgid bits are concerned.
pub fn in_group_or_capable(credentials: &Credentials, gid: u32) -> bool {
    credentials.in_group(gid) || credentials.has(CAP_FSETID)
}

/// Checks that the entry `victim` of `directory` may be removed or renamed.
///
/// # Errors
/// EACCES; EPERM in a sticky directory.
pub fn check_removal(
    directory: &dyn Inode,
    victim: &dyn Inode,
    credentials: &Credentials,
) -> Result<(), Errno> {
    let directory = directory.ownership()?;
    check_attributes(&directory, credentials, Want::CHANGE_ENTRIES)?;
    let is_sticky = directory.permissions & S_ISVTX != 0;
    if is_sticky && credentials.fsuid != directory.uid {
        let victim = victim.ownership()?;
        if !is_owner(&victim, credentials) {
            return Err(Errno::EPERM);
        }
    }
    Ok(())
}

/// Group and permission bits of a new node in `directory`: a setgid directory hands on its group,
/// to directories its setgid bit too.
pub fn new_group_and_mode(
    directory: &Attributes,
    credentials: &Credentials,
    kind: FileKind,
    mode: u32,
) -> (u32, u32) {
    if directory.permissions & S_ISGID == 0 {
        return (credentials.fsgid, mode);
    }
    let gid = directory.gid;
    if kind == FileKind::Directory {
        return (gid, mode | S_ISGID);
    }
    let runs_as_group = mode & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP;
    if runs_as_group && !in_group_or_capable(credentials, gid) {
        (gid, mode & !S_ISGID)
    } else {
        (gid, mode)
    }
}

/// The mode without setuid and setgid bits after the content or owner of a file has changed;
/// `None` if there are none to clear. Only regular files are run.
pub fn mode_without_privileges(attributes: &Attributes) -> Option<u32> {
    if attributes.kind != FileKind::Regular {
        return None;
    }
    let mut mode = attributes.permissions & !S_ISUID;
    // Linux: setgid without group execution means mandatory locking, and stays.
    if mode & S_IXGRP != 0 {
        mode &= !S_ISGID;
    }
    (mode != attributes.permissions).then_some(mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::{DeviceId, SimpleAttributes};

    fn attributes(kind: FileKind, permissions: u32, uid: u32, gid: u32) -> Attributes {
        SimpleAttributes::new(DeviceId::default(), 1, kind, permissions).owned_by(uid, gid).get()
    }

    fn user(uid: u32, gid: u32) -> Credentials {
        Credentials { fsuid: uid, fsgid: gid, effective: 0, ..Credentials::root() }
    }

    #[test]
    fn only_the_first_matching_class_counts() {
        let file = attributes(FileKind::Regular, 0o074, 10, 20);
        assert_eq!(check_attributes(&file, &user(10, 20), Want::READ), Err(Errno::EACCES));
        assert_eq!(check_attributes(&file, &user(11, 20), Want::all()), Ok(()));
        assert_eq!(check_attributes(&file, &user(11, 21), Want::READ), Ok(()));
        assert_eq!(check_attributes(&file, &user(11, 21), Want::WRITE), Err(Errno::EACCES));
    }

    #[test]
    fn root_runs_only_what_has_an_execute_bit() {
        let root = Credentials::root();
        let data = attributes(FileKind::Regular, 0o600, 10, 20);
        assert_eq!(check_attributes(&data, &root, Want::READ | Want::WRITE), Ok(()));
        assert_eq!(check_attributes(&data, &root, Want::EXEC), Err(Errno::EACCES));
        let program = attributes(FileKind::Regular, 0o001, 10, 20);
        assert_eq!(check_attributes(&program, &root, Want::EXEC), Ok(()));
        let directory = attributes(FileKind::Directory, 0, 10, 20);
        assert_eq!(check_attributes(&directory, &root, Want::all()), Ok(()));
    }

    #[test]
    fn setgid_directory_hands_on_its_group() {
        let directory = attributes(FileKind::Directory, 0o2777, 10, 20);
        let user = user(11, 21);
        let made = new_group_and_mode(&directory, &user, FileKind::Directory, 0o755);
        assert_eq!(made, (20, 0o2755));
        let made = new_group_and_mode(&directory, &user, FileKind::Regular, 0o2755);
        assert_eq!(made, (20, 0o755));
        let made = new_group_and_mode(&directory, &user, FileKind::Regular, 0o2644);
        assert_eq!(made, (20, 0o2644));
    }

    #[test]
    fn writing_clears_privileges() {
        let file = |mode| attributes(FileKind::Regular, mode, 0, 0);
        assert_eq!(mode_without_privileges(&file(0o6755)), Some(0o755));
        assert_eq!(mode_without_privileges(&file(0o2745)), None);
        assert_eq!(mode_without_privileges(&file(0o644)), None);
        assert_eq!(mode_without_privileges(&attributes(FileKind::Directory, 0o6777, 0, 0)), None);
    }
}
