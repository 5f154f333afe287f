//! Whose terminal it is.

use std::sync::{Arc, Weak};

use linux_abi::signal::{SIGCONT, SIGHUP, SigInfo};

use crate::signal::{send_to_group, send_to_process_group};
use crate::sync::{Mutex, Rank};
use crate::task::{Pid, ProcessGroup, Session, Task, ThreadGroup};

/// The session that a terminal controls, and the process group that may use it.
pub struct Control {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    session: Weak<Session>,
    leader: Weak<ThreadGroup>,
    foreground: Weak<ProcessGroup>,
    /// Kept when the group is gone: that is what `tcgetpgrp` still answers.
    foreground_id: Pid,
}

impl Default for Control {
    fn default() -> Control {
        Control { state: Mutex::new(Rank::Tty, State::default()) }
    }
}

impl Control {
    pub fn session(&self) -> Option<Arc<Session>> {
        self.state.lock().session.upgrade()
    }

    /// Whether this is the controlling terminal of `task`.
    pub fn is_of(&self, task: &Task) -> bool {
        let session = task.group.session();
        self.state.lock().session.as_ptr() == Arc::as_ptr(&session)
    }

    /// Number of the foreground process group, 0 for none.
    pub fn foreground_id(&self) -> Pid {
        self.state.lock().foreground_id
    }

    pub(super) fn is_foreground(&self, group: &Arc<ProcessGroup>) -> bool {
        self.state.lock().foreground.as_ptr() == Arc::as_ptr(group)
    }

    pub(super) fn set(
        &self,
        session: &Arc<Session>,
        leader: &Arc<ThreadGroup>,
        foreground: &Arc<ProcessGroup>,
    ) {
        *self.state.lock() = State {
            session: Arc::downgrade(session),
            leader: Arc::downgrade(leader),
            foreground: Arc::downgrade(foreground),
            foreground_id: foreground.id,
        };
    }

    pub(super) fn set_foreground(&self, group: &Arc<ProcessGroup>) {
        let mut state = self.state.lock();
        state.foreground = Arc::downgrade(group);
        state.foreground_id = group.id;
    }

    /// Belongs to nobody any more; answers with what was the foreground group.
    pub fn clear(&self) -> Option<Arc<ProcessGroup>> {
        std::mem::take(&mut *self.state.lock()).foreground.upgrade()
    }

    /// Tells the session's leader that the terminal is gone.
    pub(super) fn hang_up_leader(&self) {
        let leader = self.state.lock().leader.upgrade();
        if let Some(leader) = leader {
            for signal in [SIGHUP, SIGCONT] {
                // Standard signals always find room.
                let _ = send_to_group(&leader, SigInfo::kernel(signal));
            }
        }
    }

    /// Sends a signal to the foreground process group.
    pub fn signal_foreground(&self, signo: i32) {
        let group = self.state.lock().foreground.upgrade();
        if let Some(group) = group {
            send_to_process_group(&group, SigInfo::kernel(signo));
        }
    }
}
