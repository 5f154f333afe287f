//! Which descriptors of a table guest code reads and writes by itself.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use linux_abi::poll::PollEvents;
use platform::{Conduit, Descriptors, Disturbed, End, ServedFile};

use super::FileDescription;
use crate::sync::WaitQueue;

/// How guest code may read and write a file without a word to us.
pub enum SelfServed {
    /// As zero(4).
    Zero,
    /// As null(4).
    Null,
    /// Its bytes come from one conduit and go to another.
    Conduits(Conduits),
}

/// Where a file's bytes come from and go to, as far as guest code reads and writes them by itself.
#[derive(Clone, Default)]
pub struct Conduits {
    pub input: Option<Arc<Conduit>>,
    pub output: Option<Arc<Conduit>>,
}

impl Conduits {
    /// Somebody who has waited on the file's `queue` need not hear of its bytes any more, nor need
    /// anybody else if not more than `others` are left there.
    pub fn stop_watching(&self, queue: &WaitQueue, others: usize) {
        if queue.len() > others {
            return;
        }
        if let Some(input) = &self.input {
            input.unwatch(End::Reading);
        }
        if let Some(output) = &self.output {
            output.unwatch(End::Writing);
        }
        if queue.len() > others {
            // Who has come meanwhile asks again.
            queue.notify(PollEvents::IN | PollEvents::OUT);
        }
    }
}

/// A descriptor table's part: what it has told the platform.
#[derive(Default)]
pub(super) struct Told {
    /// The table of the only address space that goes by it.
    descriptors: Option<Descriptors>,
    files: BTreeMap<usize, ServedFile>,
    disturbed: Vec<Disturbed>,
}

impl Told {
    /// Has a descriptor served in an address space; `false` if that goes by another table. `owner`
    /// stands for this one.
    pub(super) fn serve(
        &mut self,
        fd: usize,
        file: ServedFile,
        descriptors: &Descriptors,
        owner: &Arc<()>,
    ) -> bool {
        let is_other = self.descriptors.as_ref().is_some_and(|own| !own.is_same(descriptors));
        if is_other || !descriptors.claim(owner) {
            return false;
        }
        self.descriptors = Some(descriptors.clone());
        self.files.insert(fd, file);
        descriptors.set(fd as i32, file);
        true
    }

    /// What was served is served in a copy of the address space as well.
    pub(super) fn adopt(&mut self, descriptors: &Descriptors, owner: &Arc<()>) -> bool {
        if self.files.is_empty() {
            return false;
        }
        let all = std::mem::take(&mut self.files);
        all.into_iter().all(|(fd, file)| self.serve(fd, file, descriptors, owner))
    }

    /// A descriptor is no longer what it was; whoever waits there goes on with that ([`Told::disturbed`]).
    pub(super) fn forget(&mut self, fd: usize, open: Option<&Arc<FileDescription>>) {
        if self.files.is_empty() {
            return;
        }
        let Some(file) = self.files.remove(&fd) else { return };
        let Some(descriptors) = &self.descriptors else { return };
        descriptors.set(fd as i32, ServedFile::NONE);
        if let Some(open) = open {
            let open: Arc<dyn Any + Send + Sync> = open.clone();
            self.disturbed.extend(descriptors.keep(fd as i32, file, &open));
        }
    }

    /// Whom [`Told::forget`] has disturbed, to be told when no lock is held any more.
    pub(super) fn disturbed(&mut self) -> Vec<Disturbed> {
        std::mem::take(&mut self.disturbed)
    }

    /// Whether an address space goes by it.
    pub(super) fn is_told_to(&self, descriptors: &Descriptors) -> bool {
        self.descriptors.as_ref().is_some_and(|own| own.is_same(descriptors))
    }

    /// For a copy of the table, which nobody goes by yet.
    pub(super) fn copy_files(&self) -> Told {
        Told { files: self.files.clone(), ..Told::default() }
    }
}
