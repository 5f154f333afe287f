//! Bounds on what inodes hold of scarce things: the gofer's nodes, host descriptors.
//!
//! Inodes queue up when they get hold of something. When too many hold one, those that came first
//! are asked to let go; one that was used since gets a second chance. One that is dropped leaves the
//! queue, so that what is in it lives, but for what is being dropped.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use super::inode::GoferInode;
use super::row::{NOWHERE, Row};
use crate::sync::{Mutex, Rank};

/// What an inode answers that is asked to let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It holds nothing any more.
    LetGo,
    /// It needs what it holds; ask again later.
    Keeps,
}

/// Where an inode stands in the queue of a budget. Changes with that locked only.
pub(super) struct Seat(AtomicU32);

impl Default for Seat {
    fn default() -> Seat {
        Seat(AtomicU32::new(NOWHERE))
    }
}

impl Seat {
    fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Where it was; it is nowhere now.
    pub(super) fn take(&self) -> u32 {
        self.0.swap(NOWHERE, Ordering::Relaxed)
    }

    pub(super) fn set(&self, at: u32) {
        self.0.store(at, Ordering::Relaxed);
    }
}

/// A bounded number of holders.
pub(super) struct Budget {
    holders: Mutex<Row<Weak<GoferInode>>>,
    limit: usize,
    /// That of an inode in this queue.
    seat: fn(&GoferInode) -> &Seat,
}

impl Budget {
    pub(super) fn new(limit: usize, seat: fn(&GoferInode) -> &Seat) -> Budget {
        Budget { holders: Mutex::new(Rank::Leaf, Row::default()), limit: limit.max(1), seat }
    }

    /// Whether there is room for another holder.
    pub(super) fn has_room(&self) -> bool {
        self.holders.lock().len() < self.limit
    }

    /// Adds a holder, unless it is among them; asks others to let go if they are too many.
    pub(super) fn add(&self, holder: &Arc<GoferInode>, ask: impl Fn(&GoferInode) -> Answer) {
        let count = {
            let mut holders = self.holders.lock();
            self.put_last(&mut holders, holder);
            holders.len()
        };
        self.shed(count.saturating_sub(self.limit), ask);
    }

    /// Removes a holder that is being dropped.
    pub(super) fn leave(&self, holder: &GoferInode) {
        // Nobody gives it one any more.
        let seat = (self.seat)(holder).get();
        if seat == NOWHERE {
            return;
        }
        let mut holders = self.holders.lock();
        // It was taken out if another has the seat.
        if holders.get(seat).is_some_and(|weak| std::ptr::eq(weak.as_ptr(), holder)) {
            holders.remove(seat);
        }
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
            let holder = {
                let mut holders = self.holders.lock();
                let Some(weak) = holders.pop() else { return };
                let holder = weak.upgrade();
                if let Some(holder) = &holder {
                    (self.seat)(holder).take();
                }
                holder
            };
            let Some(holder) = holder else {
                left -= 1;
                continue;
            };
            match ask(&holder) {
                Answer::LetGo => left -= 1,
                Answer::Keeps => self.put_last(&mut self.holders.lock(), &holder),
            }
        }
    }

    fn put_last(&self, holders: &mut Row<Weak<GoferInode>>, holder: &Arc<GoferInode>) {
        let seat = (self.seat)(holder);
        if seat.get() == NOWHERE {
            seat.set(holders.push(Arc::downgrade(holder)));
        }
    }
}
