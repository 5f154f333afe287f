//! Threads and processes that stubs were told to make, from their first word to their owner.
//!
//! A newcomer says hello by the doorbell, and waits to be adopted by who commanded it; one that
//! nobody expects is a stranger and must not live. It may be adopted even before it says hello, and
//! have its answer ready. The lock is among those that [`Supervisor`] lists.

use std::collections::HashMap;
use std::sync::Arc;

use linux_abi::Errno;

use super::channel::SlotMemory;
use super::slot::{Greeting, Process, Slot};
use super::supervisor::Supervisor;
use crate::process::{Tid, kill_process};

/// Threads that said hello and that nobody has adopted yet.
#[derive(Default)]
pub(super) struct Newcomers {
    /// What is under way that could adopt one.
    expected: usize,
    /// Notification of each, `None` for one that died.
    arrived: HashMap<Tid, Option<u64>>,
    /// There may be a process that nobody will adopt.
    has_stranger: bool,
}

impl Supervisor {
    /// A thread says that it is new; `true` if somebody waits for that.
    pub(super) fn greet(&self, tid: Tid, id: u64) -> bool {
        let mut newcomers = self.newcomers.lock();
        if let Some(slot) = self.slot(tid) {
            drop(newcomers);
            return self.welcome(&slot, id);
        }
        if newcomers.expected == 0 {
            drop(newcomers);
            self.kill_stranger(tid, id);
            return false;
        }
        newcomers.arrived.insert(tid, Some(id));
        false
    }

    /// Enters a new thread into the table, which may not have said hello yet; answers with its
    /// notification if it has.
    ///
    /// Errors: EAGAIN if it died first or is nobody new.
    pub(super) fn adopt(
        &self,
        tid: Tid,
        process: Arc<Process>,
        memory: SlotMemory,
    ) -> Result<(Arc<Slot>, Option<u64>), Errno> {
        // Held so that its hello finds the one place or the other.
        let mut newcomers = self.newcomers.lock();
        if self.slot(tid).is_some() {
            return Err(Errno::EAGAIN);
        }
        let (greeting, hello) = match newcomers.arrived.remove(&tid) {
            None => (Greeting::Awaited, None),
            Some(Some(id)) => (Greeting::Over, Some(id)),
            Some(None) => return Err(Errno::EAGAIN),
        };
        Ok((self.add(tid, process, memory, greeting), hello))
    }

    /// Announces that a newcomer will be adopted.
    pub(super) fn expect_newcomer(&self) -> Expectation<'_> {
        self.newcomers.lock().expected += 1;
        Expectation(self)
    }

    /// A process has ended that is none of ours, or not yet.
    pub(super) fn newcomer_ended(&self, tgid: Tid) {
        let mut newcomers = self.newcomers.lock();
        if newcomers.expected > 0 {
            newcomers.arrived.insert(tgid, None);
        }
    }

    /// A thread or process was made that nobody will adopt: has it killed, at the latest when
    /// nobody waits for a newcomer.
    pub(super) fn report_stranger(&self) {
        self.newcomers.lock().has_stranger = true;
    }

    /// Kills processes that nobody has adopted; nobody waits for one now.
    fn kill_strangers(&self, newcomers: &mut Newcomers) {
        if std::mem::take(&mut newcomers.has_stranger) {
            let processes = self.processes.lock();
            let children = self.children();
            let strangers = children.into_iter().filter(|pid| !processes.contains_key(pid));
            strangers.for_each(kill_process);
        }
    }
}

/// While it lives, newcomers are not strangers.
pub(super) struct Expectation<'a>(&'a Supervisor);

impl Drop for Expectation<'_> {
    fn drop(&mut self) {
        let mut newcomers = self.0.newcomers.lock();
        newcomers.expected -= 1;
        if newcomers.expected > 0 {
            return;
        }
        let left = std::mem::take(&mut newcomers.arrived);
        self.0.kill_strangers(&mut newcomers);
        drop(newcomers);
        for (tid, id) in left {
            if let Some(id) = id {
                self.0.kill_stranger(tid, id);
            }
        }
    }
}
