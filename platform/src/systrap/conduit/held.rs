//! The conduits that a process has in its memory, and what its threads do there.

use std::collections::BTreeMap;
use std::mem::offset_of;
use std::sync::{Arc, Weak};

use linux_abi::Errno;
use parking_lot::Mutex;

use super::super::hand::{close, put_calls};
use super::super::layout::{
    CONDUIT_BYTES, CONDUIT_OFFSET, Call, DESCRIPTOR, FAST_OFFSET, Fast, KICK, at, command, section,
};
use super::super::reports;
use super::super::slot::Slot;
use super::super::thread::SystrapThread;
use super::bytes::MEMORY_BYTES;
use super::{Conduit, Descriptors, End};
use crate::process;

/// Those of a process, by their numbers, as long as they are in use.
#[derive(Default)]
pub(in super::super) struct Conduits(Mutex<BTreeMap<u64, Weak<Conduit>>>);

impl Conduits {
    /// Those of a copy of the address space.
    pub(in super::super) fn copy(&self) -> Conduits {
        Conduits(Mutex::new(self.0.lock().clone()))
    }

    /// The one with a number as the guest says it.
    pub(in super::super) fn find(&self, number: u64) -> Option<Arc<Conduit>> {
        let number = (number & at::NUMBER).checked_sub(1)?;
        self.0.lock().get(&number)?.upgrade()
    }

    fn has(&self, conduit: &Conduit) -> bool {
        let all = self.0.lock();
        all.get(&conduit.number).is_some_and(|other| std::ptr::eq(other.as_ptr(), conduit))
    }

    /// Notes one; one that had its number is no more.
    fn add(&self, conduit: &Arc<Conduit>) {
        self.0.lock().insert(conduit.number, Arc::downgrade(conduit));
    }
}

/// A field of the fast block.
const fn field(offset: usize) -> u64 {
    FAST_OFFSET + offset as u64
}

impl Slot {
    /// The thread is no longer in the stub, or is found there: gives back what it has of a conduit.
    /// Answers with whether the call that it was making there is made, as far as that can be told.
    pub(in super::super) fn leave_conduit(&self) -> bool {
        reports::tell(&self.take_reports());
        let which = self.memory.read::<u64>(field(offset_of!(Fast, conduit)));
        if which == 0 {
            return false;
        }
        let goal = self.memory.read::<u64>(field(offset_of!(Fast, goal)));
        self.memory.write(field(offset_of!(Fast, conduit)), &0_u64);
        self.memory.write(field(offset_of!(Fast, section)), &[section::NONE, 0]);
        let end = End::of(which);
        let conduit = self.process.conduits.find(which);
        conduit.is_some_and(|conduit| conduit.leave(self.tid, end, goal))
    }

    /// Makes the slot one of a new thread, to conduits.
    pub(in super::super) fn set_token(&self) {
        self.memory
            .write(field(offset_of!(Fast, conduit)), &[0, u64::MAX, self.tid as u64, 0, 0, 0]);
    }
}

const _: () = assert!(offset_of!(Fast, goal) == offset_of!(Fast, conduit) + 8);
const _: () = assert!(offset_of!(Fast, token) == offset_of!(Fast, conduit) + 16);
const _: () = assert!(offset_of!(Fast, has_files) == offset_of!(Fast, conduit) + 24);
const _: () = assert!(offset_of!(Fast, section) == offset_of!(Fast, conduit) + 32);
const _: () = assert!(offset_of!(Fast, is_kicked) == offset_of!(Fast, conduit) + 40);
const _: () = assert!(KICK == process::KICK as u64);

impl SystrapThread {
    /// See [`Thread::map_conduit`].
    ///
    /// [`Thread::map_conduit`]: crate::contract::Thread::map_conduit
    pub(in super::super) async fn share_conduit(
        &mut self,
        conduit: &Arc<Conduit>,
    ) -> Result<(), Errno> {
        use crate::contract::Thread;
        if self.slot.process.conduits.has(conduit) {
            return Ok(());
        }
        self.complete().await?;
        let (id, _) = self.in_stub()?;
        let window = self.supervisor.region.range().start;
        let address = window + CONDUIT_OFFSET + conduit.number * CONDUIT_BYTES;
        let protection = (libc::PROT_READ | libc::PROT_WRITE) as u64;
        let flags = (libc::MAP_SHARED | libc::MAP_FIXED) as u64;
        let map = Call {
            number: libc::SYS_mmap as u64,
            args: [address, MEMORY_BYTES, protection, flags, DESCRIPTOR, 0],
        };
        put_calls(&self.slot.memory, &[map, close(DESCRIPTOR)]);
        self.supervisor.start_obeying(&self.slot);
        let file = conduit.memory.file();
        let given = self.supervisor.command_with(&self.slot, id, file, command::CALLS);
        let done = match given {
            Ok(_) => std::future::poll_fn(|cx| self.poll_done(cx)).await,
            Err(error) => Err(error),
        };
        self.slot.has_obeyed();
        if done? != address {
            return Err(Errno::ENOMEM);
        }
        self.slot.process.conduits.add(conduit);
        Ok(())
    }

    /// See [`Thread::descriptors`].
    ///
    /// [`Thread::descriptors`]: crate::contract::Thread::descriptors
    pub(in super::super) fn own_descriptors(&self) -> Descriptors {
        Descriptors::new(&self.slot.process.channel, &self.supervisor)
    }

    /// See [`Thread::use_descriptors`].
    ///
    /// [`Thread::use_descriptors`]: crate::contract::Thread::use_descriptors
    pub(in super::super) fn set_has_files(&self, has_files: bool) {
        self.slot.memory.write(field(offset_of!(Fast, has_files)), &u64::from(has_files));
    }
}
