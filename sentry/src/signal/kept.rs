//! What of a thread's state guest code changes without our word, as far as the platform lets it
//! ([`GuestState`]): the mask, the alternate stack, the list of robust futexes. And what it is told: which
//! actions are the default ones.

use std::fmt;
use std::sync::Arc;

use linux_abi::signal::SigSet;
use platform::GuestState;

use super::state::{GroupSignals, TaskSignals};
use super::{AltStack, SignalActions};
use crate::task::Task;

/// A thread's mask, stack and list: here, or where guest code changes them by itself.
#[derive(Default)]
pub(super) struct Kept {
    mask: SigSet,
    altstack: AltStack,
    robust_list: u64,
    guest: Option<Arc<dyn GuestState>>,
}

impl Kept {
    pub(super) fn new(mask: SigSet, altstack: AltStack) -> Kept {
        Kept { mask, altstack, ..Kept::default() }
    }

    pub(super) fn mask(&self) -> SigSet {
        match &self.guest {
            Some(guest) => SigSet(guest.mask()).difference(SigSet::UNBLOCKABLE),
            None => self.mask,
        }
    }

    pub(super) fn set_mask(&mut self, mask: SigSet) {
        self.mask = mask;
        if let Some(guest) = &self.guest {
            guest.set_mask(mask.0);
        }
    }

    pub(super) fn altstack(&self) -> AltStack {
        self.guest.as_ref().map_or(self.altstack, |guest| AltStack::saved(guest.stack()))
    }

    pub(super) fn set_altstack(&mut self, altstack: AltStack) {
        self.altstack = altstack;
        if let Some(guest) = &self.guest {
            guest.set_stack(altstack.save());
        }
    }

    pub(super) fn robust_list(&self) -> u64 {
        self.guest.as_ref().map_or(self.robust_list, |guest| guest.robust_list())
    }

    pub(super) fn set_robust_list(&mut self, head: u64) {
        self.robust_list = head;
        if let Some(guest) = &self.guest {
            guest.set_robust_list(head);
        }
    }

    /// Has guest code ask before it changes the mask, or ask no more.
    pub(super) fn must_ask(&self, must: bool) {
        if let Some(guest) = &self.guest {
            guest.must_ask(must);
        }
    }

    /// Guest code changes nothing any more.
    pub(super) fn take_back(&mut self) {
        self.must_ask(true);
        (self.mask, self.altstack) = (self.mask(), self.altstack());
        self.robust_list = self.robust_list();
        self.guest = None;
    }

    fn give(&mut self, guest: &Arc<dyn GuestState>) {
        self.take_back();
        guest.set_mask(self.mask.0);
        guest.set_stack(self.altstack.save());
        guest.set_robust_list(self.robust_list);
        self.guest = Some(Arc::clone(guest));
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("mask", &self.mask())
            .field("altstack", &self.altstack())
            .field("robust_list", &self.robust_list())
            .finish()
    }
}

/// Lets guest code of the calling thread change its state, and know of its actions, by itself.
pub fn let_guest(task: &Arc<Task>, guest: &Arc<dyn GuestState>) {
    {
        let signals = task.group.signals.lock();
        let mut own = task.signals.lock_nested();
        own.kept.give(guest);
        ask_while_pending(&signals, &own);
    }
    tell_defaults(task, guest);
}

/// Whoever has a pending signal asks before it changes its mask.
pub(super) fn ask_while_pending(signals: &GroupSignals, own: &TaskSignals) {
    let pending = signals.pending.set().union(own.pending.set());
    own.kept.must_ask(!pending.is_empty());
}

/// Takes over what guest code of the calling thread has set of its actions, and tells it which are the
/// default ones, if nobody else can change them. To be called before they are looked at by the
/// thread itself, and when they have changed.
pub fn tell_defaults(task: &Task, guest: &Arc<dyn GuestState>) {
    // Others that hold the actions are processes that share them, or look at them for a moment.
    let is_single = task.group.is_single();
    let is_own = |actions: &Arc<_>| is_single && Arc::strong_count(actions) == 1;
    let actions = task.group.actions.read();
    take_restored(&actions, guest);
    guest.set_defaults(if is_own(&actions) { actions.plain_defaults().0 } else { 0 });
}

/// The same when the actions are about to be shared.
pub fn hide_defaults(task: &Task, guest: &Arc<dyn GuestState>) {
    take_restored(&task.group.actions.read(), guest);
    guest.set_defaults(0);
}

fn take_restored(actions: &SignalActions, guest: &Arc<dyn GuestState>) {
    let (restored, restorer) = guest.restored();
    if restored != 0 {
        actions.restore(SigSet(restored), restorer);
    }
}
