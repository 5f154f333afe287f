//! What guest code does about signals without our word, as far as the platform lets it
//! ([`GuestSignals`]): it changes its mask, and is told of actions that are the default ones.

use std::fmt;
use std::sync::Arc;

use linux_abi::signal::{SIG_DFL, SaFlags, SigAction, SigSet};
use platform::GuestSignals;

use super::SignalActions;
use super::state::{GroupSignals, TaskSignals};
use crate::task::Task;

/// A thread's mask: here, or where guest code changes it by itself.
#[derive(Default)]
pub(super) struct Mask {
    own: SigSet,
    guest: Option<Arc<dyn GuestSignals>>,
}

impl Mask {
    pub(super) fn new(own: SigSet) -> Mask {
        Mask { own, guest: None }
    }

    pub(super) fn get(&self) -> SigSet {
        match &self.guest {
            Some(guest) => SigSet(guest.mask()).difference(SigSet::UNBLOCKABLE),
            None => self.own,
        }
    }

    pub(super) fn set(&mut self, mask: SigSet) {
        self.own = mask;
        if let Some(guest) = &self.guest {
            guest.set_mask(mask.0);
        }
    }

    /// Has guest code ask before it changes the mask, or ask no more.
    pub(super) fn must_ask(&self, must: bool) {
        if let Some(guest) = &self.guest {
            guest.must_ask(must);
        }
    }

    /// Guest code changes it no more.
    pub(super) fn take_back(&mut self) {
        self.must_ask(true);
        self.own = self.get();
        self.guest = None;
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// Lets guest code of the calling thread change its mask, and know of its actions, by itself.
pub fn let_guest(task: &Arc<Task>, guest: &Arc<dyn GuestSignals>) {
    {
        let signals = task.group.signals.lock();
        let mut own = task.signals.lock_nested();
        own.mask.take_back();
        guest.set_mask(own.mask.get().0);
        own.mask.guest = Some(Arc::clone(guest));
        ask_while_pending(&signals, &own);
    }
    tell_defaults(task, guest);
}

/// Whoever has a pending signal asks before it changes its mask.
pub(super) fn ask_while_pending(signals: &GroupSignals, own: &TaskSignals) {
    let pending = signals.pending.set().union(own.pending.set());
    own.mask.must_ask(!pending.is_empty());
}

/// Takes over what guest code of the calling thread has set of its actions, and tells it which are the
/// default ones, if nobody else can change them. To be called before they are looked at by the
/// thread itself, and when they have changed.
pub fn tell_defaults(task: &Task, guest: &Arc<dyn GuestSignals>) {
    // Others that hold the actions are processes that share them, or look at them for a moment.
    let is_single = task.group.is_single();
    let is_own = |actions: &Arc<_>| is_single && Arc::strong_count(actions) == 1;
    let actions = task.group.actions.read();
    take_restored(&actions, guest);
    guest.set_defaults(if is_own(&actions) { actions.plain_defaults().0 } else { 0 });
}

/// The same when the actions are about to be shared.
pub fn hide_defaults(task: &Task, guest: &Arc<dyn GuestSignals>) {
    take_restored(&task.group.actions.read(), guest);
    guest.set_defaults(0);
}

fn take_restored(actions: &SignalActions, guest: &Arc<dyn GuestSignals>) {
    let (restored, restorer) = guest.restored();
    if restored != 0 {
        actions.restore(SigSet(restored), restorer);
    }
}

/// The action that guest code sets by itself.
pub(super) fn restored_action(restorer: u64) -> SigAction {
    SigAction {
        handler: SIG_DFL,
        flags: SaFlags::RESTORER.bits(),
        restorer,
        ..SigAction::default()
    }
}
