//! Changing what a process does about a signal (Linux: `do_sigaction`).

use std::sync::Arc;

use linux_abi::signal::{SaFlags, SigAction, SigSet};

use super::actions::is_ignoring;
use crate::task::Task;

/// Flags that a program can set; the others are cleared, so that it can find out what is there.
const SETTABLE: SaFlags = SaFlags::NOCLDSTOP
    .union(SaFlags::NOCLDWAIT)
    .union(SaFlags::SIGINFO)
    .union(SaFlags::ONSTACK)
    .union(SaFlags::RESTART)
    .union(SaFlags::NODEFER)
    .union(SaFlags::RESETHAND)
    .union(SaFlags::EXPOSE_TAGBITS)
    .union(SaFlags::RESTORER);

/// Replaces the action for `signo`, which the caller has checked, and forgets pending signals that
/// the new one ignores. Answers with the action before.
pub fn set_action(task: &Arc<Task>, signo: i32, action: SigAction) -> SigAction {
    let action = SigAction {
        flags: action.flags & SETTABLE.bits(),
        mask: action.mask.difference(SigSet::UNBLOCKABLE),
        ..action
    };
    let actions = task.group.actions.read().clone();
    let threads = task.group.threads();
    let mut signals = task.group.signals.lock();
    let old = actions.set(signo, action);
    if is_ignoring(signo, &action) {
        signals.pending.discard(SigSet::of(signo));
        for thread in threads {
            thread.signals.lock_nested().pending.discard(SigSet::of(signo));
        }
    }
    old
}
