//! Descriptors that blank processes have from the beginning.
//!
//! A program's start maps the program, the dynamic linker, libraries, what belongs to the locale. For
//! each file the stub would have to be woken and given a descriptor of the host, which takes longer than
//! to map it; and most files are those of the programs before. So the template holds descriptors of the
//! files that were mapped by several processes lately, and what the [`Nursery`] makes of it inherits
//! them.
//!
//! A guest that leads its stub to map one without having opened it must get to nothing that it could not
//! open. So before a program runs all are closed but those that a program of the same *domain* has mapped,
//! with the same credentials and mounts ([`Thread::set_domain`]), of files that all users may read, and
//! for reading only. Files that have changed a moment ago are left out: they will be gone soon.
//!
//! [`Nursery`]: super::nursery::Nursery
//! [`Thread::set_domain`]: crate::contract::Thread::set_domain

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use parking_lot::Mutex;

use super::kept::Key;

/// So many files are remembered, ...
const FILES_MAX: usize = 64;
/// ... of which so many are held.
pub(super) const HELD_MAX: usize = 32;

/// Of a process that gets and gives nothing, and of files that no program keeps.
pub(super) const NO_DOMAIN: u32 = 0;

/// A file that programs of a domain map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) key: Key,
    pub(super) domain: u32,
}

/// Descriptors of a stub process, by what they are of.
pub(super) type Held = Vec<(Item, u64)>;

/// The files that processes have mapped, the last first.
#[derive(Default)]
pub(super) struct Stock(Mutex<Vec<Seen>>);

struct Seen {
    item: Item,
    /// From the second time on.
    file: Option<Arc<OwnedFd>>,
}

impl Stock {
    /// Notes that a process maps a file.
    pub(super) fn note(&self, item: Item, file: BorrowedFd<'_>) {
        let mut all = self.0.lock();
        let Some(place) = all.iter().position(|seen| seen.item == item) else {
            all.truncate(FILES_MAX - 1);
            all.insert(0, Seen { item, file: None });
            return;
        };
        all[..=place].rotate_right(1);
        if all[0].file.is_none() {
            all[0].file = crate::host::fs::dup(file).ok().map(Arc::new);
            let mut held = all.iter_mut().filter(|seen| seen.file.is_some());
            if let Some(oldest) = held.nth(HELD_MAX) {
                oldest.file = None;
            }
        }
    }

    /// What the template should hold.
    pub(super) fn wanted(&self) -> Vec<(Item, Arc<OwnedFd>)> {
        let all = self.0.lock();
        all.iter().filter_map(|seen| Some((seen.item, Arc::clone(seen.file.as_ref()?)))).collect()
    }
}
