//! In whose name programs map files.
//!
//! Programs with the same credentials in the same mount namespace can reach the same files, so the
//! platform may give one descriptors in advance of what another has mapped.

use std::num::NonZeroU32;
use std::sync::{Arc, Weak};

use crate::sync::{Mutex, Rank};
use crate::task::{Credentials, Task};
use crate::vfs::{Mount, MountNamespace};

/// So many are told apart; programs of others get nothing in advance.
const DOMAINS_MAX: usize = 64;

/// The domains that were seen.
pub struct Domains(Mutex<Vec<Domain>>);

struct Domain {
    credentials: Credentials,
    namespace: Weak<MountNamespace>,
    /// What is mounted at its root.
    root: Weak<Mount>,
}

impl Default for Domains {
    fn default() -> Domains {
        Domains(Mutex::new(Rank::Leaf, Vec::new()))
    }
}

impl Domains {
    /// The domain of a program that `task` executes with `credentials`; `None` for one that cannot
    /// reach all that they allow.
    pub(super) fn find(&self, task: &Task, credentials: &Credentials) -> Option<NonZeroU32> {
        let fs = task.fs();
        let namespace = fs.namespace();
        let top = namespace.root();
        if task.seccomp.is_on() || !fs.root().is_same(&top) {
            return None;
        }
        let (namespace, root) = (Arc::downgrade(&namespace), Arc::downgrade(top.mount()));
        let mut all = self.0.lock();
        let is_it = |one: &Domain| {
            Weak::ptr_eq(&one.namespace, &namespace)
                && Weak::ptr_eq(&one.root, &root)
                && one.credentials == *credentials
        };
        let place = match all.iter().position(is_it) {
            Some(place) => place,
            None if all.len() == DOMAINS_MAX => return None,
            None => {
                all.push(Domain { credentials: credentials.clone(), namespace, root });
                all.len() - 1
            }
        };
        NonZeroU32::new(place as u32 + 1)
    }
}
