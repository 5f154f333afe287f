//! Epolls that watch epolls: kept free of loops and shallow.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::poll::EP_MAX_NESTS;

use super::Epoll;
use crate::sync::{Mutex, MutexGuard, Rank};

/// Serialises additions of an epoll to an epoll, so that no two of them close a loop together.
pub struct Topology {
    lock: Mutex<()>,
}

impl Default for Topology {
    fn default() -> Topology {
        Topology { lock: Mutex::new(Rank::EpollTopology, ()) }
    }
}

impl Topology {
    /// Makes `parent` a parent of `child`; the caller adds the item before it drops the guard.
    ///
    /// Errors: ELOOP when `child` watches `parent` already, directly or through others, or when
    /// the chain of epolls would be longer than Linux allows.
    pub(super) fn check_and_link(
        &self,
        parent: &Arc<Epoll>,
        child: &Arc<Epoll>,
    ) -> Result<MutexGuard<'_, ()>, Errno> {
        let guard = self.lock.lock();
        let below = levels_below(child, parent, 1)?;
        if below + levels_above(parent) > EP_MAX_NESTS {
            return Err(Errno::ELOOP);
        }
        let mut parents = child.parents.lock();
        if !parents.iter().any(|other| other.as_ptr() == Arc::as_ptr(parent)) {
            parents.push(Arc::downgrade(parent));
        }
        drop(parents);
        Ok(guard)
    }
}

/// Levels of epolls from `from` downwards, itself included. Errors: ELOOP when `sought` is there.
fn levels_below(from: &Arc<Epoll>, sought: &Arc<Epoll>, depth: usize) -> Result<usize, Errno> {
    if Arc::ptr_eq(from, sought) || depth > EP_MAX_NESTS {
        return Err(Errno::ELOOP);
    }
    let mut levels = 1;
    for child in from.children() {
        levels = levels.max(1 + levels_below(&child, sought, depth + 1)?);
    }
    Ok(levels)
}

/// Levels of epolls from `from` upwards, itself included. There are no loops.
fn levels_above(from: &Epoll) -> usize {
    let parents: Vec<_> = {
        let mut parents = from.parents.lock();
        parents.retain(|parent| parent.strong_count() > 0);
        parents.iter().filter_map(|parent| parent.upgrade()).collect()
    };
    1 + parents.iter().map(|parent| levels_above(parent)).max().unwrap_or(0)
}
