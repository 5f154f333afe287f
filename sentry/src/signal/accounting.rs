//! How many signals each user has queued (`RLIMIT_SIGPENDING`, `getrlimit(2)`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sync::{Mutex, Rank};

/// Queued signals by real user id.
pub struct SignalAccounting {
    users: Mutex<BTreeMap<u32, Arc<AtomicU64>>>,
}

/// One queued signal (or one POSIX timer) on a user's account, until dropped.
#[derive(Debug)]
pub struct Charge(Arc<AtomicU64>);

impl Default for SignalAccounting {
    fn default() -> SignalAccounting {
        SignalAccounting { users: Mutex::new(Rank::Leaf, BTreeMap::new()) }
    }
}

impl SignalAccounting {
    /// The account of user `uid`.
    pub(super) fn user(&self, uid: u32) -> Arc<AtomicU64> {
        self.users.lock().entry(uid).or_default().clone()
    }

    /// Signals that user `uid` has queued, for `/proc/[pid]/status` (`SigQ`).
    pub fn queued(&self, uid: u32) -> u64 {
        self.user(uid).load(Ordering::Relaxed)
    }

    /// Charges user `uid`, unless that exceeds `limit`.
    pub fn charge(&self, uid: u32, limit: u64) -> Option<Charge> {
        Charge::new(&self.user(uid), limit)
    }
}

impl Charge {
    /// Adds one to `account`, unless that exceeds `limit`.
    pub(super) fn new(account: &Arc<AtomicU64>, limit: u64) -> Option<Charge> {
        let charge = Charge(account.clone());
        let before = account.fetch_add(1, Ordering::Relaxed);
        // Dropping takes the refused one back.
        (before < limit).then_some(charge)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_charged_up_to_the_limit() {
        let accounts = SignalAccounting::default();
        let first = accounts.charge(7, 2);
        let second = accounts.charge(7, 2);
        assert!(first.is_some() && second.is_some());
        assert!(accounts.charge(7, 2).is_none());
        assert!(accounts.charge(8, 2).is_some());
        drop(first);
        assert_eq!(accounts.queued(7), 1);
        assert!(accounts.charge(7, 2).is_some());
    }
}
