//! Wake-ups that come behind everything else.
//!
//! The host lets a thread that is woken run at once, in place of its waker if both are on one processor.
//! If that is a worker which has not yet laid the thread's future down, the next call, which another
//! worker has seen, waits for it; the stub goes to sleep for that, has to be woken, and so on, with two
//! changes of context for each call. So a worker that watches no thread wakes one when it is done with
//! it ([`Platform::rest`]). One that does is on another processor than the thread.
//!
//! [`Platform::rest`]: crate::contract::Platform::rest

use std::cell::RefCell;
use std::sync::Arc;

use super::hotline;
use super::slot::Slot;

thread_local! {
    /// The thread that the calling worker has to wake.
    static LATE: RefCell<Option<Arc<Slot>>> = const { RefCell::new(None) };
}

/// Wakes a stub that waits in the host for the end of its call, which has come.
pub(super) fn wake(slot: &Arc<Slot>) {
    if hotline::is_bound() {
        slot.wake_line();
        return;
    }
    if let Some(other) = LATE.replace(Some(Arc::clone(slot))) {
        other.wake_line();
    }
}

/// Does what was put off.
pub(super) fn catch_up() {
    if let Some(slot) = LATE.take() {
        slot.wake_line();
    }
}
