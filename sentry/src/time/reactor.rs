//! Readiness of host descriptors: standard streams that are host pipes or terminals, sockets.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::poll::{EpollEvents, PollEvents};
use platform::host::event::{Epoll, Ready};
use slab::Slab;

use crate::sync::{Mutex, Notify, Rank};

/// Watches host descriptors, and tells a [`Notify`] of each change of their readiness.
///
/// Events are edges: told once for each change, so the subscriber tries its I/O until EAGAIN
/// before it relies on the next one. A pollable state is never asked here but from the descriptor itself.
pub struct Reactor {
    watches: Arc<Watches>,
}

struct Watches {
    epoll: Epoll,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    slots: Slab<Entry>,
    /// Tells a reused slot from its former holder's late events.
    last_generation: u32,
}

struct Entry {
    generation: u32,
    target: Arc<dyn Notify>,
}

/// Keeps a descriptor watched; dropping it ends that.
pub struct Registration {
    watches: Arc<Watches>,
    fd: Arc<OwnedFd>,
    slot: usize,
}

/// Tokens are slot and generation; generation 0 is left to the owner of the epoll.
fn token(slot: usize, generation: u32) -> u64 {
    u64::from(generation) << 32 | slot as u64 & 0xffff_ffff
}

impl Reactor {
    pub(super) fn new() -> Result<Reactor, Errno> {
        let entries = Mutex::new(Rank::Leaf, Entries::default());
        Ok(Reactor { watches: Arc::new(Watches { epoll: Epoll::new()?, entries }) })
    }

    pub(super) fn epoll(&self) -> &Epoll {
        &self.watches.epoll
    }

    /// Tells `target` of changes of `events` (and always of errors and hang-ups) of `fd`. If
    /// something holds already, that is told as well.
    ///
    /// Errors: EPERM for a file that is always ready (a regular file), EEXIST if the descriptor is
    /// watched already, ENOSPC and ENOMEM of the host.
    pub fn register(
        &self,
        fd: Arc<OwnedFd>,
        events: PollEvents,
        target: Arc<dyn Notify>,
    ) -> Result<Registration, Errno> {
        let (slot, generation) = {
            let mut entries = self.watches.entries.lock();
            entries.last_generation = entries.last_generation.checked_add(1).unwrap_or(1);
            let generation = entries.last_generation;
            (entries.slots.insert(Entry { generation, target }), generation)
        };
        let wanted = EpollEvents::from_bits_retain(u32::from(events.bits())) | EpollEvents::ET;
        if let Err(errno) = self.watches.epoll.add(&fd, token(slot, generation), wanted.bits()) {
            self.watches.forget(slot);
            return Err(errno);
        }
        Ok(Registration { watches: self.watches.clone(), fd, slot })
    }

    /// Passes an event on.
    pub(super) fn dispatch(&self, event: &Ready) {
        let slot = (event.token & 0xffff_ffff) as usize;
        let target = {
            let entries = self.watches.entries.lock();
            let entry = entries.slots.get(slot);
            entry
                .filter(|entry| u64::from(entry.generation) == event.token >> 32)
                .map(|entry| entry.target.clone())
        };
        if let Some(target) = target {
            target.notify(PollEvents::from_bits_truncate(event.events as u16));
        }
    }
}

impl Watches {
    fn forget(&self, slot: usize) {
        let removed = self.entries.lock().slots.try_remove(slot);
        drop(removed);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // ENOENT cannot be: the descriptor is open, and ours until now.
        let _ = self.watches.epoll.delete(&self.fd);
        self.watches.forget(self.slot);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use platform::host;

    use super::super::Timers;
    use super::*;

    struct Forward(std::sync::Mutex<Sender<PollEvents>>);

    impl Notify for Forward {
        fn notify(&self, events: PollEvents) {
            let _ = self.0.lock().unwrap().send(events);
        }
    }

    #[test]
    fn a_pipe_tells_of_data_and_hang_up() {
        let timers = Timers::start().unwrap();
        let (reader, writer) = host::fs::pipe().unwrap();
        let (sender, events) = channel();
        let target = Arc::new(Forward(std::sync::Mutex::new(sender)));
        let reader = Arc::new(reader);
        let watch = timers.reactor().register(reader.clone(), PollEvents::IN, target.clone());
        assert!(timers.reactor().register(reader, PollEvents::IN, target).is_err());
        host::fs::write(&writer, b"x").unwrap();
        assert!(events.recv().unwrap().contains(PollEvents::IN));
        drop(writer);
        assert!(events.recv().unwrap().contains(PollEvents::HUP));
        drop(watch);
    }
}
