//! Locks with a checked order, and wait queues.
//!
//! Every lock has a [`Rank`]. A thread may only take a lock of a higher rank than all it holds;
//! debug builds assert it. Locks of the same rank are never nested except through
//! [`Mutex::lock_nested`], whose caller names the rule that makes it safe.
//!
//! Order, outermost first (see [`Rank`]): deferred work → file offset → epoll turn → task tree → thread group → task → mount tree → rename →
//! descriptor table → directory → dentry → copy-up → inode → file object → pipe or socket → memory map → signal →
//! wait queue → timers → executor.
//!
//! No guard lives across an `.await`, a gofer round trip or a copy from or to guest memory unless
//! the comment at the lock says why it may.

mod async_mutex;
mod lock;
mod rank;
mod wait_queue;

pub use async_mutex::{AsyncMutex, AsyncMutexGuard};
pub use lock::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use rank::Rank;
pub use wait_queue::{Notify, Subscription, WaitQueue, wait_for, wait_for_exclusive};
