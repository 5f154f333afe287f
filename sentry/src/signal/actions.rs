//! Signal actions of a process, `sigaction(2)`.

use linux_abi::signal::{
    NSIG, SIG_DFL, SIG_IGN, SIGABRT, SIGBUS, SIGCHLD, SIGCONT, SIGFPE, SIGILL, SIGQUIT, SIGSEGV,
    SIGSTOP, SIGSYS, SIGTRAP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH, SIGXCPU, SIGXFSZ,
    SaFlags, SigAction, SigSet,
};

use crate::sync::{Mutex, Rank};

const ACTIONS: usize = NSIG as usize - 1;

/// What a signal does when no handler is set, `signal(7)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultAction {
    Terminate,
    /// Terminate with a core dump.
    Core,
    Ignore,
    Stop,
    /// Ignored as such; its effect happens when it is sent.
    Continue,
}

/// The default action of signal `signo`.
pub const fn default_action(signo: i32) -> DefaultAction {
    match signo {
        SIGCHLD | SIGURG | SIGWINCH => DefaultAction::Ignore,
        SIGCONT => DefaultAction::Continue,
        SIGSTOP | SIGTSTP | SIGTTIN | SIGTTOU => DefaultAction::Stop,
        SIGQUIT | SIGILL | SIGTRAP | SIGABRT | SIGBUS | SIGFPE | SIGSEGV | SIGXCPU | SIGXFSZ
        | SIGSYS => DefaultAction::Core,
        _ => DefaultAction::Terminate,
    }
}

/// Whether the action discards its signal.
pub fn is_ignoring(signo: i32, action: &SigAction) -> bool {
    let by_default =
        matches!(default_action(signo), DefaultAction::Ignore | DefaultAction::Continue);
    action.handler == SIG_IGN || (action.handler == SIG_DFL && by_default)
}

/// The actions for all signals, shared by the threads of a process.
///
/// `CLONE_SIGHAND` shares the object, `fork` copies it, `execve` resets (a copy of) it.
#[derive(Debug)]
pub struct SignalActions {
    table: Mutex<[SigAction; ACTIONS]>,
}

impl Default for SignalActions {
    fn default() -> SignalActions {
        SignalActions::with([SigAction::default(); ACTIONS])
    }
}

impl SignalActions {
    fn with(table: [SigAction; ACTIONS]) -> SignalActions {
        SignalActions { table: Mutex::new(Rank::Leaf, table) }
    }

    /// The action for signal `signo`; the default action for a number that is no signal.
    pub fn get(&self, signo: i32) -> SigAction {
        self.table.lock().get(index(signo)).copied().unwrap_or_default()
    }

    /// Replaces the action for `signo`, which the caller has checked; answers with the old one.
    pub fn set(&self, signo: i32, action: SigAction) -> SigAction {
        match self.table.lock().get_mut(index(signo)) {
            Some(slot) => std::mem::replace(slot, action),
            None => SigAction::default(),
        }
    }

    /// Puts the default handler back and keeps flags and mask (`SA_RESETHAND`, forced signals).
    pub(super) fn reset_handler(&self, signo: i32) {
        if let Some(slot) = self.table.lock().get_mut(index(signo)) {
            slot.handler = SIG_DFL;
        }
    }

    /// The signals with the default action, without flags.
    pub fn plain_defaults(&self) -> SigSet {
        let table = self.table.lock();
        let mut plain = SigSet::EMPTY;
        for (signo, action) in (1..).zip(table.iter()) {
            if *action == SigAction::default() {
                plain.insert(signo);
            }
        }
        plain
    }

    /// Sets what guest code sets by itself for those of `signals` that have the plain default action.
    pub(super) fn restore(&self, signals: SigSet, restorer: u64) {
        let flags = SaFlags::RESTORER.bits();
        let mut table = self.table.lock();
        for (signo, action) in (1..).zip(table.iter_mut()) {
            if signals.contains(signo) && *action == SigAction::default() {
                (action.flags, action.restorer) = (flags, restorer);
            }
        }
    }

    /// An independent copy, for `fork`.
    pub fn copy(&self) -> SignalActions {
        SignalActions::with(*self.table.lock())
    }

    /// A copy in which only ignored signals stay ignored, for `execve` and `CLONE_CLEAR_SIGHAND`
    /// (`flush_signal_handlers`).
    pub fn copy_reset(&self) -> SignalActions {
        let fresh = SigAction::default();
        let reset = |action: SigAction| match action.handler {
            SIG_IGN => SigAction { handler: SIG_IGN, ..fresh },
            _ => fresh,
        };
        SignalActions::with(self.table.lock().map(reset))
    }

    /// The ignored and the caught signals, for `/proc/[pid]/status` (`SigIgn`, `SigCgt`).
    pub fn ignored_and_caught(&self) -> (SigSet, SigSet) {
        let table = self.table.lock();
        let mut sets = (SigSet::EMPTY, SigSet::EMPTY);
        for (signo, action) in (1..).zip(table.iter()) {
            match action.handler {
                SIG_IGN => sets.0.insert(signo),
                SIG_DFL => {}
                _ => sets.1.insert(signo),
            }
        }
        sets
    }
}

/// Position of a signal in the table; out of range for what is no signal.
fn index(signo: i32) -> usize {
    (signo as usize).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use linux_abi::signal::{SIGHUP, SIGRTMAX, SIGUSR1};

    use super::*;

    fn action(handler: u64) -> SigAction {
        SigAction { handler, flags: SaFlags::RESTART.bits(), ..SigAction::default() }
    }

    #[test]
    fn exec_keeps_only_ignored() {
        let actions = SignalActions::default();
        actions.set(SIGUSR1, action(0x1000));
        actions.set(SIGHUP, action(SIG_IGN));
        let reset = actions.copy_reset();
        assert_eq!(reset.get(SIGUSR1), SigAction::default());
        assert_eq!(reset.get(SIGHUP), SigAction { handler: SIG_IGN, ..SigAction::default() });
        assert_eq!(actions.get(SIGUSR1), action(0x1000));
    }

    #[test]
    fn numbers_out_of_range_are_harmless() {
        let actions = SignalActions::default();
        for signo in [i32::MIN, -1, 0, 65, i32::MAX] {
            actions.set(signo, action(5));
            assert_eq!(actions.get(signo).handler, SIG_DFL);
        }
        actions.set(SIGRTMAX, action(5));
        assert_eq!(actions.get(SIGRTMAX).handler, 5);
    }

    #[test]
    fn default_ignored_signals_are_ignoring() {
        assert!(is_ignoring(SIGCHLD, &action(SIG_DFL)));
        assert!(is_ignoring(SIGCONT, &action(SIG_DFL)));
        assert!(!is_ignoring(SIGCHLD, &action(0x1000)));
        assert!(!is_ignoring(SIGHUP, &action(SIG_DFL)));
        assert!(is_ignoring(SIGHUP, &action(SIG_IGN)));
    }
}
