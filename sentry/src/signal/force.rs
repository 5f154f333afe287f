//! Signals that a thread's own doing forces on it (Linux: `force_sig_info_to_task`).

use std::sync::Arc;

use linux_abi::signal::{SIG_DFL, SIG_IGN, SIGSEGV, SigInfo, SigSet};
use platform::Fault;

use super::Immunity;
use super::pending::Queued;
use crate::task::Task;

/// Turns a hardware exception of `task` into its signal. It cannot be escaped: blocked or
/// ignored, it kills.
pub fn force_fault(task: &Arc<Task>, fault: &Fault) {
    task.signals.lock().record_fault(fault);
    force_info(task, SigInfo::fault(fault.signo, fault.code, fault.addr));
}

/// Forces signal `signo` on `task` itself, without further facts.
pub fn force_signal(task: &Arc<Task>, signo: i32) {
    force_info(task, SigInfo::kernel(signo));
}

/// Forces a signal on the calling thread.
pub fn force_info(task: &Arc<Task>, info: SigInfo) {
    let signo = info.signo;
    let actions = task.group.actions.read().clone();
    {
        let mut signals = task.group.signals.lock();
        let mut own = task.signals.lock_nested();
        let handler = actions.get(signo).handler;
        let is_blocked = own.mask().contains(signo);
        if is_blocked || handler == SIG_IGN {
            actions.reset_handler(signo);
            let unblocked = own.mask().difference(SigSet::of(signo));
            own.put_mask(unblocked);
        }
        if is_blocked || matches!(handler, SIG_IGN | SIG_DFL) {
            // Nobody handles it, so even the first process dies of it, unless a debugger sees to it.
            if !task.tracing.is_traced() {
                signals.immunity = Immunity::None;
            }
        }
        if !own.pending.set().contains(signo) {
            own.add_pending(signo, Some(Queued { info, timer: None, _charge: None }));
        }
    }
    task.note_attention();
}

/// A signal frame for `signo` could not be written or read: SIGSEGV, deadly if that is what was
/// being delivered (Linux: `force_sigsegv`).
pub(super) fn force_segv(task: &Arc<Task>, signo: i32) {
    if signo == SIGSEGV {
        task.group.actions.read().reset_handler(SIGSEGV);
    }
    force_signal(task, SIGSEGV);
}
