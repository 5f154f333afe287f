//! Futexes, `futex(7)`.
//!
//! Where the platform has native ones, all who wait do so in the host and the table here is empty;
//! only the end of threads and what the host cannot do is ours then. For platforms on which the guest cannot call the host's:
//!
//! A [`FutexTable`] holds the waiters of all futexes in buckets by [`FutexKey`]; [`wait`] is how a
//! thread joins one, [`FutexTable::wake`] and [`FutexTable::requeue`] how it leaves. `robust`
//! cleans up after threads that end. Priority-inheriting futexes are another matter ([`pi`]).
//!
//! **The lock of a bucket is held while a guest's word is read.** This is the one place where guest
//! memory is touched under a lock: a waiter's comparison and its joining the queue must be one step
//! for wakers. A waker changes the word first (with plain instructions) and then takes the lock, so
//! it either finds the waiter or the waiter finds the new value. (One who is sure that nobody waits
//! in shared memory takes no lock: waiters announce themselves before they look.) The read is a bounded copy of four
//! bytes that waits for nobody who could need the lock.
//!
//! Lock order: two buckets in the order of their numbers, then a waiter's state (innermost).

mod key;
mod operation;
pub mod pi;
mod robust;
mod table;
mod wait;
mod waiter;

pub use key::FutexKey;
pub use operation::WakeOperation;
pub use robust::{clear_address, exit_robust_list};
pub use table::FutexTable;
pub use wait::{Expected, Woken, wait};
