//! What applies to a task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use linux_abi::task::{SECCOMP_MODE_DISABLED, SECCOMP_MODE_FILTER, SECCOMP_MODE_STRICT};

use super::Filter;
use crate::sync::{Rank, RwLock};

/// How the calls of a task are filtered.
#[derive(Clone, Default)]
pub enum Seccomp {
    #[default]
    Disabled,
    /// `read`, `write`, `exit`, `rt_sigreturn`.
    Strict,
    Filter(Arc<Filter>),
}

impl Seccomp {
    /// `SECCOMP_MODE_*`.
    pub fn mode(&self) -> u32 {
        match self {
            Seccomp::Disabled => SECCOMP_MODE_DISABLED,
            Seccomp::Strict => SECCOMP_MODE_STRICT,
            Seccomp::Filter(_) => SECCOMP_MODE_FILTER,
        }
    }

    /// The newest filter.
    pub fn filter(&self) -> Option<&Arc<Filter>> {
        match self {
            Seccomp::Filter(filter) => Some(filter),
            Seccomp::Disabled | Seccomp::Strict => None,
        }
    }

    /// Whether all calls with these numbers are allowed, whatever their arguments are.
    pub fn allows_all(&self, numbers: &[u32]) -> bool {
        match self {
            Seccomp::Disabled => true,
            Seccomp::Strict => false,
            Seccomp::Filter(filter) => numbers.iter().all(|&number| filter.always_allows(number)),
        }
    }
}

/// The same as part of a task. Changes only under the lock of the task tree, so that a new thread
/// gets what applies to its process just then.
pub struct TaskSeccomp {
    /// Whether there is anything to ask.
    is_on: AtomicBool,
    state: RwLock<Seccomp>,
}

impl TaskSeccomp {
    pub fn new(state: Seccomp) -> TaskSeccomp {
        let is_on = !matches!(state, Seccomp::Disabled);
        TaskSeccomp { is_on: AtomicBool::new(is_on), state: RwLock::new(Rank::Leaf, state) }
    }

    #[inline]
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Acquire)
    }

    pub fn get(&self) -> Seccomp {
        self.state.read().clone()
    }

    pub(super) fn with<T>(&self, look: impl FnOnce(&Seccomp) -> T) -> T {
        look(&self.state.read())
    }

    /// The task is over: its filters are nobody's any more.
    pub fn release(&self) {
        let old = std::mem::take(&mut *self.state.write());
        // A chain is dropped with no lock held.
        drop(old);
    }

    pub(super) fn set(&self, new: Seccomp) {
        let old = std::mem::replace(&mut *self.state.write(), new);
        self.is_on.store(true, Ordering::Release);
        // A chain is dropped with no lock held.
        drop(old);
    }
}
