//! What the first process is immune to, `pid_namespaces(7)`.

use linux_abi::signal::{SI_KERNEL, SI_QUEUE, SI_TKILL, SI_USER, SIGKILL, SIGSTOP, SigInfo};

use crate::task::INIT_PID;

/// To which signals that have no handler a process is immune.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Immunity {
    #[default]
    None,
    /// To those that processes of the sandbox send, but for what it does to itself alone (`raise`,
    /// `abort`).
    ///
    /// Divergence: on Linux the first process of a pid namespace is immune to the others too. This
    /// is for `do`, whose user ends any command by Ctrl-C, and gets the status that it has natively.
    Inside,
    /// To all but SIGKILL and SIGSTOP from outside, as the first process of a pid namespace.
    Full,
}

impl Immunity {
    /// Whether sending the signal has no effect (Linux: `sig_task_ignored`).
    pub(super) fn covers_sending(self, info: &SigInfo) -> bool {
        match self {
            Immunity::None => false,
            Immunity::Inside => is_by_process_inside(info),
            Immunity::Full => !(is_forced(info) && matches!(info.signo, SIGKILL | SIGSTOP)),
        }
    }

    /// Whether a signal that was sent while it was blocked, or had a handler, has no effect now
    /// (Linux: `get_signal`).
    pub(super) fn covers_acting(self, info: &SigInfo) -> bool {
        match self {
            Immunity::None => false,
            Immunity::Inside => is_by_process_inside(info),
            Immunity::Full => !matches!(info.signo, SIGKILL | SIGSTOP),
        }
    }
}

/// Whether a signal is of the kernel, or of a sender outside, who has no pid in here.
fn is_forced(info: &SigInfo) -> bool {
    info.code == SI_KERNEL || (info.code == SI_USER && info.pid() == 0)
}

fn is_by_process_inside(info: &SigInfo) -> bool {
    let is_raised = info.code == SI_TKILL && info.pid() == INIT_PID;
    matches!(info.code, SI_USER | SI_QUEUE | SI_TKILL) && info.pid() != 0 && !is_raised
}

#[cfg(test)]
mod tests {
    use linux_abi::signal::SIGTERM;

    use super::*;

    fn by(pid: i32, signo: i32) -> SigInfo {
        SigInfo::kill(signo, SI_USER, pid, 0)
    }

    #[test]
    fn full_immunity_is_that_of_linux() {
        let immune = |info| Immunity::Full.covers_sending(&info);
        assert!(immune(by(5, SIGTERM)) && immune(by(5, SIGKILL)) && immune(by(0, SIGTERM)));
        assert!(!immune(by(0, SIGKILL)));
        assert!(Immunity::Full.covers_acting(&by(0, SIGTERM)));
        assert!(!Immunity::Full.covers_acting(&by(0, SIGKILL)));
    }

    #[test]
    fn signals_from_outside_and_of_its_own_act() {
        let immune = |info| Immunity::Inside.covers_sending(&info);
        assert!(immune(by(5, SIGTERM)) && immune(by(5, SIGKILL)) && immune(by(INIT_PID, SIGTERM)));
        assert!(!immune(by(0, SIGTERM)) && !immune(SigInfo::kernel(SIGTERM)));
        let raised = |pid| SigInfo::kill(SIGTERM, SI_TKILL, pid, 0);
        assert!(immune(raised(5)) && !immune(raised(INIT_PID)));
        assert!(!Immunity::None.covers_sending(&by(5, SIGTERM)));
    }
}
