//! What is remembered of a process between its end and `wait4`.

use std::sync::OnceLock;

use super::{Credentials, Task, ThreadGroup};

/// Name and credentials of the last thread, for `/proc/[pid]/stat` and `status` of a zombie.
#[derive(Debug, Default)]
pub struct Obituary {
    last: OnceLock<(Vec<u8>, Credentials)>,
}

impl Obituary {
    /// Remembers `last`, the thread with which its process ends.
    pub(super) fn write(&self, last: &Task) {
        let name = last.name.lock().clone();
        // Only the first end of a process counts; there is no second one.
        let _ = self.last.set((name, (*last.credentials()).clone()));
    }
}

impl ThreadGroup {
    /// `comm` of a process that has ended; empty while it lives.
    pub fn last_name(&self) -> Vec<u8> {
        self.obituary.last.get().map(|(name, _)| name.clone()).unwrap_or_default()
    }

    /// Credentials of a process that has ended; those of nobody in particular while it lives.
    pub fn last_credentials(&self) -> Credentials {
        let nobody = || Credentials { effective: 0, permitted: 0, ..Credentials::root() };
        self.obituary.last.get().map_or_else(nobody, |(_, credentials)| credentials.clone())
    }
}
