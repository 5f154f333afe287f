//! Keeps changes of an address space's mappings and changes of its code apart.
//!
//! Any number of threads may change mappings at the same time; whoever patches or restores code is
//! alone, since it relies on what it has read before. A [`Pass`] is the right to do so, as long as
//! it lives.

use std::sync::Arc;
use std::task::{Poll, Waker};

use parking_lot::Mutex;

/// The gate of an address space.
#[derive(Default)]
pub(super) struct Gate(Mutex<State>);

#[derive(Default)]
struct State {
    /// Passes for mappings.
    shared: usize,
    /// Whether there is one for code.
    is_closed: bool,
    waiting: Vec<Waker>,
}

/// The right to change mappings or, `is_alone`, code.
pub(super) struct Pass {
    gate: Arc<Gate>,
    is_alone: bool,
}

impl Gate {
    /// A pass for code, if nobody has any.
    pub(super) fn try_close(self: &Arc<Self>) -> Option<Pass> {
        let mut state = self.0.lock();
        if state.is_closed || state.shared > 0 {
            return None;
        }
        state.is_closed = true;
        Some(Pass { gate: Arc::clone(self), is_alone: true })
    }

    /// A pass for mappings, if nobody has one for code.
    pub(super) fn try_enter(self: &Arc<Self>) -> Option<Pass> {
        let mut state = self.0.lock();
        if state.is_closed {
            return None;
        }
        state.shared += 1;
        Some(Pass { gate: Arc::clone(self), is_alone: false })
    }

    /// Waits for a pass for code.
    pub(super) async fn close(self: &Arc<Self>) -> Pass {
        std::future::poll_fn(|cx| {
            if let Some(pass) = self.try_close() {
                return Poll::Ready(pass);
            }
            self.0.lock().waiting.push(cx.waker().clone());
            // It may have been opened before the waker was there.
            self.try_close().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.gate.0.lock();
            if self.is_alone {
                state.is_closed = false;
            } else {
                state.shared -= 1;
            }
            if state.shared > 0 {
                return;
            }
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_changes_alone() {
        let gate = Arc::new(Gate::default());
        let passes = [gate.try_enter(), gate.try_enter()];
        assert!(passes.iter().all(Option::is_some));
        assert!(gate.try_close().is_none());
        drop(passes);
        let alone = gate.try_close();
        assert!(alone.is_some() && gate.try_close().is_none() && gate.try_enter().is_none());
        drop(alone);
        assert!(gate.try_enter().is_some());
    }
}
