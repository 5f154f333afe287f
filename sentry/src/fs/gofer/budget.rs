//! Bounds on what inodes hold of scarce things: the gofer's nodes, host descriptors.
//!
//! Inodes queue up when they get hold of something. When too many hold one, those that came first
//! are asked to let go; one that was used since gets a second chance.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use super::inode::GoferInode;
use crate::sync::{Mutex, Rank};

/// What an inode answers that is asked to let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It holds nothing any more.
    LetGo,
    /// It needs what it holds; ask again later.
    Keeps,
}

/// A bounded number of holders.
pub(super) struct Budget {
    holders: Mutex<VecDeque<Weak<GoferInode>>>,
    limit: usize,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Budget {
        Budget { holders: Mutex::new(Rank::Leaf, VecDeque::new()), limit: limit.max(1) }
    }

    /// Whether there is room for another holder.
    pub(super) fn has_room(&self) -> bool {
        self.holders.lock().len() < self.limit
    }

    /// Adds a holder, which is not among them yet; asks others to let go if they are too many.
    pub(super) fn add(&self, holder: &Arc<GoferInode>, ask: impl Fn(&GoferInode) -> Answer) {
        let count = {
            let mut holders = self.holders.lock();
            holders.push_back(Arc::downgrade(holder));
            holders.len()
        };
        self.shed(count.saturating_sub(self.limit), ask);
    }

    pub(super) fn shed_half(&self, ask: impl Fn(&GoferInode) -> Answer) {
        let count = self.holders.lock().len();
        self.shed(count.div_ceil(2), ask);
    }

    /// Has `wanted` holders let go; gives up after asking each twice.
    fn shed(&self, wanted: usize, ask: impl Fn(&GoferInode) -> Answer) {
        if wanted == 0 {
            return;
        }
        let mut left = wanted;
        let mut asked = 2 * self.holders.lock().len();
        while left > 0 && asked > 0 {
            asked -= 1;
            let Some(weak) = self.holders.lock().pop_front() else { return };
            let Some(holder) = weak.upgrade() else {
                left -= 1;
                continue;
            };
            match ask(&holder) {
                Answer::LetGo => left -= 1,
                Answer::Keeps => self.holders.lock().push_back(weak),
            }
        }
    }
}
