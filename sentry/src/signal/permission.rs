//! Who may signal whom, `kill(2)` and `credentials(7)` (Linux: `check_kill_permission`).

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::signal::{SIGCONT, SigInfo, is_valid_signal};
use linux_abi::task::CAP_KILL;

use crate::task::{Credentials, Task};

/// Whether credentials alone allow `sender` to signal `target`.
pub fn may_signal(sender: &Credentials, target: &Credentials) -> bool {
    let matches = |uid: u32| uid == target.uid || uid == target.suid;
    matches(sender.euid) || matches(sender.uid) || sender.has(CAP_KILL)
}

/// Checks that `sender` may send signal `signo` (0 only asks) to `target`'s process.
///
/// Errors: EINVAL for a number that is no signal; EPERM.
pub fn check_permission(sender: &Arc<Task>, target: &Task, info: &SigInfo) -> Result<(), Errno> {
    let signo = info.signo;
    if signo != 0 && !is_valid_signal(signo) {
        return Err(Errno::EINVAL);
    }
    // Linux: codes above 0 are the kernel's; a program may use them towards itself only.
    if info.code > 0 || Arc::ptr_eq(&sender.group, &target.group) {
        return Ok(());
    }
    if may_signal(&sender.credentials(), &target.credentials()) {
        return Ok(());
    }
    let same_session = || Arc::ptr_eq(&sender.group.session(), &target.group.session());
    if signo == SIGCONT && same_session() { Ok(()) } else { Err(Errno::EPERM) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(uid: u32, euid: u32, suid: u32) -> Credentials {
        Credentials { uid, euid, suid, effective: 0, ..Credentials::root() }
    }

    #[test]
    fn real_or_effective_must_match_real_or_saved() {
        assert!(may_signal(&user(5, 9, 9), &user(5, 7, 7)));
        assert!(may_signal(&user(9, 5, 9), &user(7, 7, 5)));
        assert!(!may_signal(&user(9, 9, 5), &user(5, 5, 5)));
        assert!(!may_signal(&user(5, 5, 5), &user(7, 5, 7)));
        assert!(may_signal(&Credentials::root(), &user(5, 5, 5)));
    }
}
