//! Priority-inheriting futexes: locks whose word says who has them, `FUTEX_LOCK_PI` in futex(2).
//!
//! They are the sentry's on all platforms: the numbers in their words are the guest's, which mean
//! nothing to the host. A [`PiTable`] holds who waits for them ([`lock`]), and who waits to be moved to
//! one ([`wait_requeue`], [`requeue`]). The highest real-time priority goes first, and then who came
//! first. When a thread ends, what it has is given to others ([`PiTable::release_all`]).
//!
//! A free lock is taken and given back by instructions of the guest, between 0 and its number. So
//! whoever changes a word without `FUTEX_WAITERS` does it in one atomic step, by the caller's own
//! stub ([`HostOp::FutexChange`](platform::HostOp::FutexChange)), and no lock is held meanwhile. From
//! that bit on nobody but the owner's own calls change the word, and they do so under the table's
//! lock with plain copies (`word`). What the stub was told to do is not believed to be so still: the
//! word is read under the lock before anybody waits.
//!
//! **The table's lock is held while a guest's word is read and written**, for the same reason, and
//! within the same bounds, as that of a bucket of [`FutexTable`](super::FutexTable).
//!
//! Divergence: nobody inherits a priority, as the host schedules guest threads by its own rules; and
//! where futexes are native, `FUTEX_WAKE` and `FUTEX_REQUEUE` of a word for which somebody waits here
//! find nobody instead of failing with EINVAL.
//!
//! Lock order: the table, then a waiter's state (innermost).

mod lock;
mod requeue;
mod table;
mod waiter;
mod word;

pub use lock::{Patience, lock, unlock};
pub use requeue::{requeue, wait_requeue};
pub use table::PiTable;

use super::FutexKey;
use crate::memory::UserAddr;

/// A word as a caller names it.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    pub key: FutexKey,
    pub addr: UserAddr,
}
