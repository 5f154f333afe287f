//! Items of files that guest code reads and writes by itself: nobody tells of that unless asked to.
//!
//! So they are looked at whenever somebody wants events, and only whoever is about to sleep asks to
//! be told ([`Epoll::wait`](super::Epoll::wait)). While events come faster than they are fetched,
//! those who read and write have nobody to tell.

use linux_abi::poll::{EpollEvents, PollEvents};
use platform::{End, Readiness};

use crate::vfs::Conduits;

/// What an item knows of its file's conduits.
pub(super) struct Silent {
    conduits: Conduits,
    /// [`platform::Conduit::written`] of the input when it was last reported,
    seen: u64,
    /// and whether there was room then.
    was_writable: bool,
}

impl Silent {
    /// What there is now counts as not seen.
    pub(super) fn new(conduits: Conduits) -> Silent {
        let seen = conduits.input.as_ref().map_or(0, |input| !input.written());
        Silent { conduits, seen, was_writable: false }
    }

    /// Whether the file has other conduits now, or none.
    pub(super) fn is_over(&self) -> bool {
        let Conduits { input, output } = &self.conduits;
        [input, output].into_iter().flatten().any(|conduit| conduit.is_over())
    }

    /// Whether there may be something for who wants `wanted` events as `options` say. With `asks`,
    /// the file's queue hears when there is, from now on.
    pub(super) fn has_news(&self, wanted: PollEvents, options: EpollEvents, asks: bool) -> bool {
        let is_edge = options.contains(EpollEvents::ET);
        let input = self.conduits.input.as_ref().filter(|_| wanted.contains(PollEvents::IN));
        let output = self.conduits.output.as_ref().filter(|_| wanted.contains(PollEvents::OUT));
        let is_readable = input.is_some_and(|input| {
            let ready = match (asks, is_edge) {
                (false, _) => input.readiness(),
                (true, false) => input.watch(End::Reading),
                (true, true) => input.watch_next(End::Reading),
            };
            ready.is_readable && !(is_edge && input.written() == self.seen)
        });
        let is_writable = output.is_some_and(|output| {
            let Readiness { is_writable, .. } =
                if asks { output.watch(End::Writing) } else { output.readiness() };
            is_writable && !(is_edge && self.was_writable)
        });
        is_readable || is_writable
    }

    pub(super) fn conduits(&self) -> &Conduits {
        &self.conduits
    }

    /// What there is now is about to be reported.
    pub(super) fn note_seen(&mut self) {
        if let Some(input) = &self.conduits.input {
            self.seen = input.written();
        }
        let output = self.conduits.output.as_ref();
        self.was_writable = output.is_some_and(|output| output.readiness().is_writable);
    }
}
