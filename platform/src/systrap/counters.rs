//! How often the ways into the sentry were taken.

use std::mem::offset_of;
use std::sync::atomic::{AtomicU64, Ordering};

use super::layout::{FAST_OFFSET, Fast};
use super::slot::{Event, Slot};
use super::supervisor::Supervisor;

#[derive(Default)]
pub(super) struct Counters {
    notified: AtomicU64,
    trapped: AtomicU64,
    signals: AtomicU64,
    commands: AtomicU64,
    waits: AtomicU64,
    kicks: AtomicU64,
    completions: AtomicU64,
    rings: AtomicU64,
    /// Calls that stubs have served for threads that are gone.
    served: AtomicU64,
}

impl Counters {
    /// Counts what a thread was heard of.
    pub(super) fn note(&self, event: &Event) {
        let counter = match event {
            Event::Call { .. } => &self.notified,
            Event::Signal { signo: libc::SIGSYS, .. } => &self.trapped,
            Event::Signal { .. } => &self.signals,
            Event::Done { .. } => &self.commands,
            Event::Hello { .. } | Event::Hotline { .. } | Event::Dead => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_wait(&self) {
        self.waits.fetch_add(1, Ordering::Relaxed);
    }

    /// A running thread was kicked because somebody wants it.
    pub(super) fn note_kick(&self) {
        self.kicks.fetch_add(1, Ordering::Relaxed);
    }

    /// A thread was kicked behind its call, as all of its registers were needed.
    pub(super) fn note_completion(&self) {
        self.completions.fetch_add(1, Ordering::Relaxed);
    }

    /// A stub has rung because of a conduit.
    pub(super) fn note_ring(&self) {
        self.rings.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds what the stub of a thread has served that is no more.
    pub(super) fn note_end(&self, slot: &Slot) {
        self.served.fetch_add(slot.served(), Ordering::Relaxed);
    }
}

impl Slot {
    /// How many calls the stub has served by itself, as the guest's memory says.
    fn served(&self) -> u64 {
        self.memory.read(FAST_OFFSET + offset_of!(Fast, served) as u64)
    }
}

impl Supervisor {
    /// See [`Platform::counters`].
    ///
    /// [`Platform::counters`]: crate::contract::Platform::counters
    pub(super) fn counters(&self) -> Vec<(&'static str, u64)> {
        let Counters { notified, trapped, signals, commands, waits, .. } = &self.counters;
        let Counters { kicks, completions, rings, served, .. } = &self.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let live = self.slots().iter().map(|slot| slot.served()).fold(0, u64::wrapping_add);
        let (watches, wake_ups) = (self.watch.opened(), self.workers.wake_ups());
        vec![
            ("system calls served in the guest", get(served).wrapping_add(live)),
            ("system calls by the hotline", self.watch.served()),
            ("hotlines opened", watches),
            ("waits at the hotline", get(waits)),
            ("system calls notified", get(notified)),
            ("system calls trapped", get(trapped)),
            ("signals and kicks", get(signals)),
            ("commands to stubs", get(commands)),
            ("wake-ups of workers by others", wake_ups),
            ("kicks of running threads", get(kicks)),
            ("kicks behind calls", get(completions)),
            ("threads woken at conduits by the sentry", self.conduits.woken()),
            ("rings because of conduits", get(rings)),
            ("changes of conduits told at the hotline", self.conduits.reported()),
        ]
    }
}
