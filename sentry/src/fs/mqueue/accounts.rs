//! How many bytes of message queues each user has (`RLIMIT_MSGQUEUE`, getrlimit(2)).

use std::collections::HashMap;
use std::sync::Arc;

use linux_abi::Errno;

use crate::sync::{Mutex, Rank};

/// Bytes by real user id.
pub(super) struct Accounts {
    users: Mutex<HashMap<u32, u64>>,
}

/// Bytes on a user's account, until dropped.
pub(super) struct Charge {
    accounts: Arc<Accounts>,
    uid: u32,
    bytes: u64,
}

impl Default for Accounts {
    fn default() -> Accounts {
        Accounts { users: Mutex::new(Rank::Leaf, HashMap::new()) }
    }
}

impl Accounts {
    /// Charges user `uid`. Errors: EMFILE when that exceeds `limit`.
    pub fn charge(self: &Arc<Self>, uid: u32, bytes: u64, limit: u64) -> Result<Charge, Errno> {
        let mut users = self.users.lock();
        let used = users.entry(uid).or_default();
        match used.checked_add(bytes) {
            Some(sum) if sum <= limit => {
                *used = sum;
                Ok(Charge { accounts: self.clone(), uid, bytes })
            }
            _ => Err(Errno::EMFILE),
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let mut users = self.accounts.users.lock();
        if let Some(used) = users.get_mut(&self.uid) {
            *used -= self.bytes;
            if *used == 0 {
                users.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charges_are_given_back() {
        let accounts = Arc::new(Accounts::default());
        let first = accounts.charge(5, 60, 100);
        assert!(first.is_ok());
        assert!(accounts.charge(5, 60, 100).is_err());
        assert!(accounts.charge(6, 60, 100).is_ok());
        drop(first);
        assert!(accounts.charge(5, 100, 100).is_ok());
    }
}
