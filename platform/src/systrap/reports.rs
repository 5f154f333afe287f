//! What stubs have changed in conduits, told without a ring while a worker watches their lines.
//!
//! A ring is a switch to the sentry and back, and whoever has waited for the change might then run in
//! place of the thread that rings. A report is a word in the slot, which the worker that looks at the
//! lines sees; so does, every other millisecond, whoever waits for notifications meanwhile, and whoever
//! receives one or finds the thread gone. Whoever closes the lines looks for reports afterwards, and a
//! stub that finds its line closed behind its report takes that back and rings.

use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::conduit::{Conduit, End};
use super::layout::REPORTS_OFFSET;
use super::line::Reports;
use super::slot::Slot;

/// A conduit that was changed, and at which end.
pub(super) type Report = (Arc<Conduit>, End);

/// Tells whoever wanted to know; `true` if there was something to tell.
pub(super) fn tell(reports: &[Report]) -> bool {
    for (conduit, end) in reports {
        conduit.note_report();
        conduit.tell(*end);
    }
    !reports.is_empty()
}

impl Slot {
    /// Whether the thread has reported something that nobody has taken.
    pub(super) fn has_reported(&self) -> bool {
        let count = self.reports_word(offset_of!(Reports, count)).load(Ordering::Relaxed);
        count != self.reports_seen.load(Ordering::Relaxed)
    }

    /// Takes what the thread has reported and nobody has taken.
    pub(super) fn take_reports(&self) -> Vec<Report> {
        let count = self.reports_word(offset_of!(Reports, count)).load(Ordering::SeqCst);
        if count == self.reports_seen.load(Ordering::Relaxed) {
            return Vec::new();
        }
        // Before the places are looked at: what comes later is seen later.
        self.reports_seen.store(count, Ordering::SeqCst);
        let places = (0..Reports::PLACES).map(|index| {
            let place = self.reports_word(offset_of!(Reports, places) + index * size_of::<u64>());
            place.swap(0, Ordering::SeqCst)
        });
        places
            .filter_map(|which| Some((self.process.conduits.find(which)?, End::of(which))))
            .collect()
    }

    fn reports_word(&self, field: usize) -> &AtomicU64 {
        self.memory.atomic_long(REPORTS_OFFSET + field as u64)
    }
}
