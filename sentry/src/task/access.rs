//! Who may look into whose process, ptrace(2) "Ptrace access mode checking".

use std::sync::Arc;
use std::sync::atomic::Ordering;

use linux_abi::Errno;
use linux_abi::task::CAP_SYS_PTRACE;

use super::{Credentials, Task};

/// What the caller wants, and which of its ids count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessMode {
    /// `PTRACE_MODE_READ_FSCREDS`: files of `/proc`.
    ReadAsFile,
    /// `PTRACE_MODE_READ_REALCREDS`: `kcmp`, `pidfd_getfd`.
    Read,
    /// `PTRACE_MODE_ATTACH_FSCREDS`: `/proc/[pid]/mem`.
    AttachAsFile,
    /// `PTRACE_MODE_ATTACH_REALCREDS`: `process_vm_readv`, `ptrace`.
    Attach,
}

impl AccessMode {
    fn uses_file_ids(self) -> bool {
        matches!(self, AccessMode::ReadAsFile | AccessMode::AttachAsFile)
    }
}

/// `SUID_DUMP_USER`: the process may be looked into by its own user.
const DUMPABLE_BY_USER: u32 = 1;

/// Checks that `caller` may access `target` so.
///
/// # Errors
/// EPERM; callers whose manual page says EACCES translate it.
pub fn check_access(caller: &Task, target: &Task, mode: AccessMode) -> Result<(), Errno> {
    if Arc::ptr_eq(&caller.group, &target.group) {
        return Ok(());
    }
    let own = caller.credentials();
    let is_dumpable = target.group.dumpable.load(Ordering::Relaxed) == DUMPABLE_BY_USER;
    if is_allowed(&own, &target.credentials(), is_dumpable, mode) {
        Ok(())
    } else {
        Err(Errno::EPERM)
    }
}

fn is_allowed(own: &Credentials, other: &Credentials, is_dumpable: bool, mode: AccessMode) -> bool {
    if own.has(CAP_SYS_PTRACE) {
        return true;
    }
    let (uid, gid, capabilities) = if mode.uses_file_ids() {
        (own.fsuid, own.fsgid, own.effective)
    } else {
        (own.uid, own.gid, own.permitted)
    };
    let same_user = [other.uid, other.euid, other.suid].iter().all(|&id| id == uid);
    let same_group = [other.gid, other.egid, other.sgid].iter().all(|&id| id == gid);
    same_user && same_group && is_dumpable && other.permitted & !capabilities == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: u32) -> Credentials {
        Credentials {
            uid: id,
            euid: id,
            suid: id,
            fsuid: id,
            gid: id,
            egid: id,
            sgid: id,
            fsgid: id,
            effective: 0,
            permitted: 0,
            ..Credentials::root()
        }
    }

    #[test]
    fn same_user_may_look_unless_undumpable() {
        assert!(is_allowed(&user(5), &user(5), true, AccessMode::Read));
        assert!(!is_allowed(&user(5), &user(5), false, AccessMode::Read));
        assert!(!is_allowed(&user(5), &user(6), true, AccessMode::Read));
        assert!(is_allowed(&Credentials::root(), &user(6), false, AccessMode::Attach));
    }

    #[test]
    fn more_capable_targets_are_closed() {
        let capable = Credentials { permitted: 1, ..user(5) };
        assert!(!is_allowed(&user(5), &capable, true, AccessMode::ReadAsFile));
        assert!(is_allowed(&capable, &user(5), true, AccessMode::Read));
    }

    #[test]
    fn file_ids_count_for_files_only() {
        let odd = Credentials { fsuid: 6, fsgid: 6, ..user(5) };
        assert!(!is_allowed(&odd, &user(5), true, AccessMode::ReadAsFile));
        assert!(is_allowed(&odd, &user(5), true, AccessMode::Attach));
    }
}
