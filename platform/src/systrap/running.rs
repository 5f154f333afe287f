//! [`Interrupter`] on systrap.

use std::sync::Arc;

use super::slot::Slot;
use super::supervisor::Supervisor;
use crate::contract::Interrupter;

/// A thread as those see it who do not own it.
pub(super) struct RunningThread {
    pub(super) supervisor: Arc<Supervisor>,
    pub(super) slot: Arc<Slot>,
}

impl Interrupter for RunningThread {
    fn interrupt(&self) {
        self.supervisor.interrupt(&self.slot);
    }

    fn process_cpu_time_ns(&self) -> u64 {
        self.slot.process.clock.read_ns()
    }

    fn keep_judgement(&self) {
        if let Some(call) = self.slot.waiting() {
            self.slot.keep(call, None);
        }
    }

    fn is_asleep(&self) -> bool {
        self.supervisor.common.state(self.slot.tid) == Some(b'S')
    }

    fn bind(&self, is_allowed: &dyn Fn(u32) -> bool) {
        // A thread that is gone runs nowhere.
        let _ = self.supervisor.watch.bind(&self.slot, is_allowed);
    }

    fn cpu_time_ns(&self) -> (u64, u64) {
        (self.supervisor.cpu_time_ns(&self.slot), 0)
    }
}
