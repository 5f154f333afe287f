//! Who waits for whose POSIX lock, to refuse a deadlock (EDEADLK).

use linux_abi::Errno;

use super::LockOwner;
use crate::sync::{Mutex, Rank};

/// The wait-for graph of the sandbox.
pub struct LockWaits {
    edges: Mutex<Vec<Edge>>,
}

#[derive(Clone, Copy)]
struct Edge {
    waiter: LockOwner,
    holder: LockOwner,
}

impl Default for LockWaits {
    fn default() -> LockWaits {
        LockWaits { edges: Mutex::new(Rank::Leaf, Vec::new()) }
    }
}

impl LockWaits {
    /// Notes that `waiter` waits for `holder` (once, however often it is told).
    ///
    /// Errors: EDEADLK when that closes a cycle; nothing is noted then.
    pub(super) fn add(&self, waiter: LockOwner, holder: LockOwner) -> Result<(), Errno> {
        let mut edges = self.edges.lock();
        let mut reached = vec![holder];
        let mut next = 0;
        while let Some(&owner) = reached.get(next) {
            if owner == waiter {
                return Err(Errno::EDEADLK);
            }
            let further = edges.iter().filter(|edge| edge.waiter == owner);
            for edge in further {
                if !reached.contains(&edge.holder) {
                    reached.push(edge.holder);
                }
            }
            next += 1;
        }
        if !edges.iter().any(|edge| edge.waiter == waiter && edge.holder == holder) {
            edges.push(Edge { waiter, holder });
        }
        Ok(())
    }

    /// `waiter` waits no longer.
    pub fn remove(&self, waiter: LockOwner) {
        self.edges.lock().retain(|edge| edge.waiter != waiter);
    }
}
