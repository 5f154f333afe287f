//! The signal mask of a thread (Linux: `set_current_blocked`, `set_user_sigmask`).

use std::sync::Arc;

use linux_abi::signal::SigSet;

use super::kept::ask_while_pending;
use crate::task::{Task, ThreadGroup};

/// Replaces the calling thread's mask. SIGKILL and SIGSTOP cannot be blocked.
pub fn set_mask(task: &Arc<Task>, mask: SigSet) {
    change_mask(task, |own| {
        own.put_mask(mask);
    });
}

/// Replaces the calling thread's mask for the rest of this system call (`ppoll`, `pselect`,
/// `epoll_pwait`, `sigsuspend`). A handler that runs because of it still sees the new mask, and
/// the old one is back after it.
pub fn set_temporary_mask(task: &Arc<Task>, mask: SigSet) {
    change_mask(task, |own| {
        own.saved_mask = Some(own.mask());
        own.put_mask(mask);
    });
}

/// Ends [`set_temporary_mask`] when the call was not interrupted. After an interruption the mask
/// stays until signals are delivered, which restores it.
pub fn restore_mask(task: &Arc<Task>) {
    let is_saved = task.signals.lock().saved_mask.is_some();
    if is_saved {
        change_mask(task, |own| {
            if let Some(saved) = own.saved_mask.take() {
                own.put_mask(saved);
            }
        });
    }
}

/// Changes the mask and what depends on it: whether the thread has something to handle, and
/// whether another thread must take what this one blocks now.
pub(super) fn change_mask(task: &Arc<Task>, change: impl FnOnce(&mut super::TaskSignals)) {
    let (is_deliverable, given_up) = {
        let signals = task.group.signals.lock();
        let mut own = task.signals.lock_nested();
        let before = own.mask();
        change(&mut own);
        let after = own.mask().difference(SigSet::UNBLOCKABLE);
        own.put_mask(after);
        ask_while_pending(&signals, &own);
        let shared = signals.pending.set();
        let given_up = shared.intersection(own.mask().difference(before));
        (!own.pending.set().union(shared).difference(own.mask()).is_empty(), given_up)
    };
    if is_deliverable {
        task.note_attention();
    }
    if !given_up.is_empty() {
        retarget(&task.group, task, given_up);
    }
}

/// Wakes other threads that would take the process-wide signals in `set`, which `leaver` may have
/// been chosen for and will not take (Linux: `retarget_shared_pending`).
pub(super) fn retarget(group: &Arc<ThreadGroup>, leaver: &Arc<Task>, set: SigSet) {
    let threads = group.threads();
    let mut wake = Vec::new();
    {
        let signals = group.signals.lock();
        let mut left = set.intersection(signals.pending.set());
        for thread in threads.iter().filter(|thread| !Arc::ptr_eq(thread, leaver)) {
            let own = thread.signals.lock_nested();
            if own.is_exiting || left.difference(own.mask()).is_empty() {
                continue;
            }
            left = left.intersection(own.mask());
            wake.push(thread);
        }
    }
    wake.into_iter().for_each(|thread| thread.request_attention());
}
