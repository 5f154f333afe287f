//! A worker that has answered a call by the line stays with its thread for a moment: what comes next
//! most often is another call of the same thread, and to serve that without a word to the kernel's
//! queue of jobs takes half as long.

use std::sync::atomic::Ordering;

use super::super::slot::{Event, Slot};
use super::{OWN, Session, Watch};

/// How often the worker looks: for some microseconds.
const LOOKS: u32 = 200;
/// After so many calls it looks at everything else.
const CALLS: u32 = 32;

impl Session {
    /// Whether another thread has said something on its line.
    fn is_wanted_by_others(&self, slot: &Slot) -> bool {
        let slots = self.slots.read();
        slots.iter().any(|other| !std::ptr::eq(&raw const **other, slot) && other.has_said())
    }

    fn stay(&self, slot: &Slot) -> Option<Event> {
        let stayed = self.stayed.load(Ordering::Relaxed);
        if stayed >= CALLS || self.is_over.load(Ordering::Relaxed) {
            return None;
        }
        let reports = slot.reports.load(Ordering::Relaxed);
        for look in 0..LOOKS {
            if let Some(event) = slot.take_call() {
                slot.reports.fetch_add(1, Ordering::SeqCst);
                self.stayed.store(stayed + 1, Ordering::Relaxed);
                self.calls.fetch_add(1, Ordering::Relaxed);
                return Some(event);
            }
            // A report, or an event that another worker was told of.
            if slot.has_reported() || slot.reports.load(Ordering::Relaxed) != reports {
                return None;
            }
            if look % 8 == 7
                && (self.is_over.load(Ordering::Relaxed) || self.is_wanted_by_others(slot))
            {
                return None;
            }
            std::hint::spin_loop();
        }
        None
    }
}

impl Watch {
    /// Waits a moment for the next call of a thread whose last one was answered on its line just now,
    /// if the calling worker watches that.
    pub(in super::super) fn stay(&self, slot: &Slot) -> Option<Event> {
        OWN.with_borrow(|own| own.as_ref()?.stay(slot))
    }
}
