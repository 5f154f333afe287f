//! Calls that a thread does not wait for, since it knows the result.
//!
//! To close a file that was opened for reading only, which nobody has locked, has no effect that
//! others could be told of other than through the sentry. So a stub that knows such a descriptor
//! ([`Known`]) leaves the call in its slot and goes on, while a worker watches its line. The worker makes
//! it when it next takes a call from there, or finds nothing else; whoever learns of anything that
//! the thread does makes it before that; and whoever closes the line makes it afterwards. So the
//! thread cannot see that its call is late. One that is left just when the line is closed may wait until
//! something is heard of the thread.
//!
//! A call that was left is made once. A thread that is kicked while it leaves one has left it if it has
//! counted it ([`Slot::posted_call`]).
//!
//! Which descriptors a stub knows of is for the sentry's kernel to say (`Thread::let_post`). What the guest
//! writes there on its own are calls that it could make, too: who must not make them has no
//! [`Poster`].

use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::layout;
use super::line::{self, KNOWN_OFFSET, Known, POSTS_OFFSET, known, post};
use super::slot::Slot;
use crate::contract::{Posted, Poster};

/// What a thread has posted.
#[derive(Default)]
pub(super) struct Posts {
    /// How many of its calls were made.
    made: AtomicU64,
    /// The turn of the last one, and one; 0 for none.
    turn: AtomicU64,
    /// Who makes them, if it may post any. Held while they are made.
    poster: Mutex<Option<Arc<dyn Poster>>>,
}

impl Slot {
    /// Whether the thread has posted something that nobody has made.
    pub(super) fn has_posted(&self) -> bool {
        self.posts_word(offset_of!(line::Posts, count)).load(Ordering::Relaxed)
            != self.posts.made.load(Ordering::Relaxed)
    }

    /// Makes what the thread has posted, or waits until somebody else has made it.
    pub(super) fn make_posts(&self) {
        if !self.has_posted() {
            return;
        }
        let poster = self.posts.poster.lock();
        let count = self.posts_word(offset_of!(line::Posts, count)).load(Ordering::Acquire);
        let made = self.posts.made.load(Ordering::Relaxed);
        // The guest may say anything.
        let left = count.wrapping_sub(made).min(line::Posts::PLACES);
        for number in (1..=left).rev().map(|back| count.wrapping_sub(back)) {
            let index = (number % line::Posts::PLACES) as usize;
            let place = offset_of!(line::Posts, places) + index * size_of::<u64>();
            let word = self.posts_word(place).load(Ordering::Relaxed);
            self.posts.turn.store((word >> post::TURN_SHIFT) + 1, Ordering::Relaxed);
            if let (Some(poster), Some(posted)) = (&*poster, decode(word)) {
                poster.make(posted);
            }
        }
        self.posts.made.store(count, Ordering::SeqCst);
    }

    /// How many were made, for the stub.
    pub(super) fn posts_made(&self) -> u64 {
        (self.posts.made.load(Ordering::Relaxed) & known::MADE) << known::MADE_SHIFT
    }

    /// The result of the call of a thread found in the stub, if it has posted that.
    pub(super) fn posted_call(&self) -> Option<u64> {
        self.make_posts();
        (self.posts.turn.load(Ordering::Relaxed) == u64::from(self.turn()) + 1).then_some(0)
    }

    /// Lets the thread post calls on the descriptor that is the result of its present call.
    pub(super) fn let_post(&self, flags: Option<u32>, poster: &mut dyn FnMut() -> Arc<dyn Poster>) {
        let flags = flags.unwrap_or(known::NO_FLAGS);
        self.posts.poster.lock().get_or_insert_with(poster);
        self.say_known(known::IS | u64::from(flags) << known::FLAGS_SHIFT);
    }

    /// The thread, which is in a call, shall not know of this descriptor any more.
    pub(super) fn end_posting_on(&self, fd: u32) {
        let place = self.memory.atomic_long(KNOWN_OFFSET + offset_of!(Known, descriptors) as u64);
        place.fetch_and(!1_u64.checked_shl(fd).unwrap_or(0), Ordering::SeqCst);
    }

    /// The thread, which is in a call, shall know of no descriptor any more.
    pub(super) fn end_posting(&self) {
        *self.posts.poster.lock() = None;
        self.memory.write(KNOWN_OFFSET + offset_of!(Known, descriptors) as u64, &0_u64);
    }

    fn posts_word(&self, field: usize) -> &AtomicU64 {
        self.memory.atomic_long(POSTS_OFFSET + field as u64)
    }
}

/// What a word says, which is the guest's.
fn decode(word: u64) -> Option<Posted> {
    let fd = (word >> post::DESCRIPTOR_SHIFT & 0xff) as i32;
    match word & post::KINDS {
        post::CLOSE => Some(Posted::Close { fd }),
        post::SET_CLOEXEC => Some(Posted::SetCloexec { fd, is_cloexec: true }),
        post::CLEAR_CLOEXEC => Some(Posted::SetCloexec { fd, is_cloexec: false }),
        _ => None,
    }
}

const _: () = assert!(layout::FAST_OFFSET < KNOWN_OFFSET && KNOWN_OFFSET.is_multiple_of(8));
