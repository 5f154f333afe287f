//! Calls that threads have begun by themselves, and that wait at conduits.
//!
//! What a call depends on is judged when it begins: which file a descriptor is, whether it waits, what
//! filters say. A thread that waits in its stub holds nothing in the kernel, so whoever changes one
//! of these looks for such threads first, and leaves here what their calls have begun with. Then
//! they are kicked, and the kernel goes on with their calls ([`Trap::Waiting`]).
//!
//! That a thread waits is the guest's word. If it is not true, the guest has one call more that
//! goes by what was so before, which it could have made then.
//!
//! [`Trap::Waiting`]: crate::contract::Trap::Waiting

use std::any::Any;
use std::mem::offset_of;
use std::sync::{Arc, Weak};

use super::layout::{FAST_OFFSET, Fast, Saved, at, change};
use super::slot::Slot;
use super::supervisor::Supervisor;
use crate::contract::Begun;

/// What a call has begun with that is something else now.
pub(super) struct Remnant {
    /// Tells the call from the thread's others.
    turn: u32,
    /// Its file; without one the call was judged by filters.
    file: Option<Arc<dyn Any + Send + Sync>>,
}

/// A call that waits at a conduit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    turn: u32,
    /// See [`Fast::conduit`].
    pub(super) which: u64,
    pub(super) fd: u32,
}

/// Threads whose calls the kernel has to go on with.
#[must_use = "they are to be told"]
pub struct Disturbed {
    supervisor: Weak<Supervisor>,
    threads: Vec<Arc<Slot>>,
}

impl Disturbed {
    pub(super) fn new(supervisor: &Weak<Supervisor>, threads: Vec<Arc<Slot>>) -> Disturbed {
        Disturbed { supervisor: Weak::clone(supervisor), threads }
    }

    /// Makes them trap. Not to be called with a lock held.
    pub fn tell(self) {
        let Some(supervisor) = self.supervisor.upgrade() else { return };
        self.threads.iter().for_each(|slot| supervisor.interrupt(slot));
    }
}

impl Slot {
    /// A field of the fast block.
    fn fast(&self, field: usize) -> u64 {
        self.memory.read(FAST_OFFSET + field as u64)
    }

    /// The call of the thread that waits at a conduit, if it says so.
    pub(super) fn waiting(&self) -> Option<Waiting> {
        let waits = || self.fast(offset_of!(Fast, change)) == change::WAITING;
        let turn = self.turn();
        if !waits() {
            return None;
        }
        let fd = self.fast(offset_of!(Fast, saved) + offset_of!(Saved, rdi));
        let which = self.fast(offset_of!(Fast, conduit));
        // All of that is of one call: the next one begins by taking the first word back.
        let is_one = waits() && self.turn() == turn;
        (is_one && which & at::NUMBER != 0).then_some(Waiting { turn, which, fd: fd as u32 })
    }

    /// Keeps what a call has begun with; `false` if the same was kept before.
    pub(super) fn keep(&self, call: Waiting, file: Option<Arc<dyn Any + Send + Sync>>) -> bool {
        let mut begun = self.begun.lock();
        let is_known =
            |kept: &Remnant| kept.turn == call.turn && kept.file.is_some() == file.is_some();
        if begun.iter().any(is_known) {
            return false;
        }
        begun.push(Remnant { turn: call.turn, file });
        true
    }

    /// The thread has trapped: what its present call has begun with, if that is one that waits.
    pub(super) fn take_begun(&self, waits: bool) -> Begun {
        let kept = std::mem::take(&mut *self.begun.lock());
        let mut begun = Begun::default();
        if kept.is_empty() || !waits {
            return begun;
        }
        let turn = self.turn();
        for Remnant { file, .. } in kept.into_iter().filter(|kept| kept.turn == turn) {
            match file {
                None => begun.is_judged = true,
                Some(file) => begun.file = Some(file),
            }
        }
        begun
    }
}
