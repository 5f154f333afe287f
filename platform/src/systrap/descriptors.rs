//! Descriptors for stubs: by a notification, whose thread the host wakes to receive them.
//!
//! Other than for an answer the host chooses the processor for that. It likes one that sleeps, which
//! takes longer than all the rest, there and back. So meanwhile all that take part are bound to the
//! present one.

use std::mem::offset_of;
use std::os::fd::BorrowedFd;

use linux_abi::Errno;

use super::hotline;
use super::layout::Control;
use super::slot::Slot;
use super::supervisor::Supervisor;
use crate::host::process::{Processors, current_cpu};

impl Supervisor {
    /// Gives the thread of a notification a descriptor; answers with its number there.
    ///
    /// Errors: ESRCH when the thread is dead; EMFILE.
    pub(super) fn give_descriptor(
        &self,
        slot: &Slot,
        id: u64,
        file: BorrowedFd<'_>,
    ) -> Result<u64, Errno> {
        let _thread = Nearby::thread(self, slot);
        let _caller = Nearby::caller(self);
        self.listener.add_descriptor(id, file)
    }

    /// Answers the thread of a notification with a command for which it needs a descriptor
    /// ([`DESCRIPTOR`]); answers with its number there.
    ///
    /// Errors: ESRCH when the thread is dead; EMFILE, and it still waits then.
    ///
    /// [`DESCRIPTOR`]: super::layout::DESCRIPTOR
    pub(super) fn command_with(
        &self,
        slot: &Slot,
        id: u64,
        file: BorrowedFd<'_>,
        command: u64,
    ) -> Result<u64, Errno> {
        let place = offset_of!(Control, command) as u64;
        slot.memory.write(place, &command);
        // The caller may go where it likes as soon as the thread has the descriptor.
        let _thread = Nearby::thread(self, slot);
        let given = self.listener.answer_with(id, file);
        given.inspect_err(|_| slot.memory.write(place, &0_u64))
    }
}

/// While it lives, somebody is bound to the processor of the caller.
enum Nearby<'a> {
    Thread(&'a Supervisor, &'a Slot),
    Caller(&'a Supervisor),
    /// It cannot be, or is anyway.
    Nobody,
}

impl<'a> Nearby<'a> {
    fn thread(supervisor: &'a Supervisor, slot: &'a Slot) -> Nearby<'a> {
        let cpu = current_cpu();
        let may_run_here = match &*slot.processors.lock() {
            Some(processors) => processors.has(cpu),
            None => supervisor.watch.processors().has(cpu),
        };
        let can_be = may_run_here && supervisor.watch.is_possible() && !hotline::is_bound();
        if can_be && Processors::only(cpu).bind(slot.tid).is_ok() {
            return Nearby::Thread(supervisor, slot);
        }
        Nearby::Nobody
    }

    fn caller(supervisor: &'a Supervisor) -> Nearby<'a> {
        let can_be = supervisor.watch.is_possible() && !hotline::is_bound();
        if can_be && Processors::only(current_cpu()).bind_caller().is_ok() {
            return Nearby::Caller(supervisor);
        }
        Nearby::Nobody
    }
}

impl Drop for Nearby<'_> {
    fn drop(&mut self) {
        match *self {
            Nearby::Thread(supervisor, slot) => supervisor.watch.unbind_thread(slot),
            Nearby::Caller(supervisor) => {
                let _ = supervisor.watch.processors().bind_caller();
            }
            Nearby::Nobody => {}
        }
    }
}
