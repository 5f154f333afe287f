//! What `wait4(2)` and `waitid(2)` tell a tracer (Linux: `wait_consider_task` for a tracee).

use std::sync::Arc;

use linux_abi::task::{WaitOptions, stopped_status};

use super::burial::release;
use crate::task::{Task, Tree};

/// News of a tracee.
pub(crate) struct Seen {
    /// As `wait4` gives it.
    pub status: i32,
    /// It is in a stop for its tracer, not the end.
    pub is_trapped: bool,
}

/// News of a tracee of the caller's process, consumed unless `WNOWAIT`.
pub(crate) fn take_news(tree: &mut Tree, tracee: &Arc<Task>, options: WaitOptions) -> Option<Seen> {
    let consumes = !options.contains(WaitOptions::NOWAIT);
    let ended = {
        let mut state = tracee.tracing.state.lock();
        match (state.ended, &mut state.stop) {
            (Some(status), _) => status,
            (None, Some(stop)) if stop.holds() && stop.is_unreported && !stop.is_listening => {
                stop.is_unreported = !consumes;
                return Some(Seen { status: stopped_status(stop.code), is_trapped: true });
            }
            _ => return None,
        }
    };
    let is_leader = tracee.tid() == tracee.group.pid;
    // The leading thread lasts as long as its process.
    let status = if is_leader { tracee.group.exit_status()? } else { ended };
    if !options.contains(WaitOptions::EXITED) {
        return None;
    }
    if consumes {
        release(tree, tracee);
    }
    Some(Seen { status: status as i32, is_trapped: false })
}
