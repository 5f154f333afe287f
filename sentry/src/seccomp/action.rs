//! What a filter answers: the action, in the upper half of a word, and data for it.

use linux_abi::task::{
    SECCOMP_RET_ACTION_FULL, SECCOMP_RET_ALLOW, SECCOMP_RET_DATA, SECCOMP_RET_ERRNO,
    SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_LOG, SECCOMP_RET_TRACE,
    SECCOMP_RET_TRAP, SECCOMP_RET_USER_NOTIF,
};

/// A decoded answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    KillProcess,
    KillThread,
    /// SIGSYS with this `si_errno`.
    Trap(u16),
    /// The call fails with this error.
    Errno(u16),
    UserNotification,
    /// A tracer decides, to whom this is told.
    Trace(u16),
    Log,
    Allow,
}

impl Action {
    /// Actions that do not exist kill the process.
    pub(super) fn decode(answer: u32) -> Action {
        let data = (answer & SECCOMP_RET_DATA) as u16;
        match answer & SECCOMP_RET_ACTION_FULL {
            SECCOMP_RET_KILL_THREAD => Action::KillThread,
            SECCOMP_RET_TRAP => Action::Trap(data),
            SECCOMP_RET_ERRNO => Action::Errno(data),
            SECCOMP_RET_USER_NOTIF => Action::UserNotification,
            SECCOMP_RET_TRACE => Action::Trace(data),
            SECCOMP_RET_LOG => Action::Log,
            SECCOMP_RET_ALLOW => Action::Allow,
            _ => Action::KillProcess,
        }
    }
}

/// Whether an answer goes before another of an earlier filter: the most severe action does, which
/// is the least as a signed number.
pub(super) fn is_more_severe(one: u32, other: u32) -> bool {
    ((one & SECCOMP_RET_ACTION_FULL) as i32) < (other & SECCOMP_RET_ACTION_FULL) as i32
}

/// Whether `action` is one that filters may answer with (`SECCOMP_GET_ACTION_AVAIL`).
pub(crate) fn is_available(action: u32) -> bool {
    matches!(
        action,
        SECCOMP_RET_KILL_PROCESS
            | SECCOMP_RET_KILL_THREAD
            | SECCOMP_RET_TRAP
            | SECCOMP_RET_ERRNO
            | SECCOMP_RET_USER_NOTIF
            | SECCOMP_RET_TRACE
            | SECCOMP_RET_LOG
            | SECCOMP_RET_ALLOW
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severity_is_that_of_the_manual() {
        let order = [
            SECCOMP_RET_KILL_PROCESS,
            SECCOMP_RET_KILL_THREAD,
            SECCOMP_RET_TRAP,
            SECCOMP_RET_ERRNO,
            SECCOMP_RET_USER_NOTIF,
            SECCOMP_RET_TRACE,
            SECCOMP_RET_LOG,
            SECCOMP_RET_ALLOW,
        ];
        for pair in order.windows(2) {
            assert!(is_more_severe(pair[0], pair[1] | 7));
            assert!(!is_more_severe(pair[1], pair[0]));
            assert!(!is_more_severe(pair[0] | 1, pair[0]));
        }
    }

    #[test]
    fn unknown_actions_kill() {
        assert_eq!(Action::decode(0x1234_0000), Action::KillProcess);
        assert_eq!(Action::decode(SECCOMP_RET_ERRNO | 13), Action::Errno(13));
        assert!(!is_available(0x1234_0000));
    }
}
