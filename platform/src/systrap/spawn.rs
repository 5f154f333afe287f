//! Making guest threads and processes: the stub of an existing thread clones itself.
//!
//! The clone's number is what the parent's stub says it is, and the guest could have put another
//! one there. So it is believed only of a thread in the parent's own process, or of a process that
//! has a copy of a random word which the sentry wrote into the parent's private memory just before.

use std::mem::offset_of;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use linux_abi::Errno;

use super::calling;
use super::channel::{Channel, SlotMemory};
use super::layout::{Control, DESCRIPTOR, FAST_OFFSET, Fast, change, command};
use super::slot::{Process, Slot};
use super::thread::{Position, SystrapThread};
use crate::contract::{AddressSpace, Registers, Spawn};
use crate::filter::systrap::{CLONE_COPY, CLONE_SHARE, CLONE_THREAD};
use crate::host;
use crate::process::{Tid, copy};

/// A new thread, in its address space.
pub(super) type Spawned = (Arc<dyn AddressSpace>, Box<SystrapThread>);

/// See [`Thread::spawn`]. The new thread may not have been heard of yet.
///
/// [`Thread::spawn`]: crate::contract::Thread::spawn
pub(super) async fn spawn(parent: &mut SystrapThread, kind: Spawn) -> Result<Spawned, Errno> {
    parent.supervisor.start_obeying(&parent.slot);
    let made = make(parent, kind).await;
    parent.slot.has_obeyed();
    made
}

async fn make(parent: &mut SystrapThread, kind: Spawn) -> Result<Spawned, Errno> {
    let supervisor = Arc::clone(&parent.supervisor);
    let process = Arc::clone(&parent.slot.process);
    let (_, frame) = parent.in_stub()?;
    let (flags, channel) = match kind {
        Spawn::Thread => (CLONE_THREAD, Arc::clone(&process.channel)),
        Spawn::ShareMemory => (CLONE_SHARE, Arc::clone(&process.channel)),
        Spawn::CopyMemory => (CLONE_COPY, supervisor.channels.take()?),
    };
    if kind != Spawn::CopyMemory {
        process.patching.share();
    }
    if kind == Spawn::Thread {
        process.expect_thread();
    }
    let memory = channel.allocate()?;
    if let (Spawn::CopyMemory, Some(vdso)) = (kind, supervisor.vdso.known()) {
        channel.set_clock(vdso.clock_gettime);
    }
    frame.copy(&parent.slot.memory, &memory);
    calling::reset(&memory);
    memory.write(FAST_OFFSET + offset_of!(Fast, change) as u64, &change::NONE);
    memory.write(offset_of!(Control, context) as u64, &frame.address(&memory));
    memory.write(offset_of!(Control, command) as u64, &0_u64);
    let mark = match kind {
        Spawn::Thread => Mark::Thread,
        _ => Mark::write(parent, &parent.slot)?,
    };
    let file = (kind == Spawn::CopyMemory).then(|| channel.file());
    let expectation = supervisor.expect_newcomer();
    let result = clone(parent, flags, memory.address(), file).await;
    let tid = match result {
        Ok(tid) => tid as Tid,
        Err(error) => {
            give_back(&channel, &memory, kind);
            if error == Errno::ESRCH {
                // It may have been killed behind the clone.
                supervisor.report_stranger();
            }
            return Err(error);
        }
    };
    if let Err(error) = mark.check(&parent.slot, tid) {
        supervisor.report_stranger();
        return Err(error);
    }
    let process = match kind {
        Spawn::Thread => process,
        Spawn::ShareMemory => {
            let patching = Arc::clone(&process.patching);
            let conduits = Arc::clone(&process.conduits);
            Process::new(tid, Arc::clone(&process.memory), channel, patching, conduits)
        }
        Spawn::CopyMemory => {
            let patching = Arc::new(process.patching.copy(&channel));
            let memory = supervisor.common.new_memory(Some(patching.clone()));
            let conduits = Arc::new(process.conduits.copy());
            Process::new(tid, memory, channel, patching, conduits)
        }
    };
    let space: Arc<dyn AddressSpace> = Arc::new(supervisor.space(&process));
    // Nobody has to wait for a thread that is known to be the one.
    let (slot, hello) = supervisor.adopt(tid, process, memory).inspect_err(|_| {
        supervisor.report_stranger();
    })?;
    // The host lets a clone run where its parent does.
    let processors = parent.slot.processors.lock().clone();
    *slot.processors.lock() = processors;
    drop(expectation);
    let position = match hello {
        Some(id) => Position::Stub { id, frame },
        None => Position::Unborn { frame },
    };
    let mut child = SystrapThread::new(supervisor, slot, parent.registers, position);
    child.catches_all = parent.catches_all;
    // The frame has the parent's registers of its trap; the bases were inherited.
    child.loaded = Registers { rax: !child.registers.rax, ..parent.loaded };
    Ok((space, Box::new(child)))
}

/// Has the parent's stub make the clone and waits for its number.
async fn clone(
    parent: &mut SystrapThread,
    flags: u64,
    slot: u64,
    channel: Option<BorrowedFd<'_>>,
) -> Result<u64, Errno> {
    let (id, _) = parent.in_stub()?;
    let supervisor = &parent.supervisor;
    let args = [flags, slot, channel.map_or(u64::MAX, |_| DESCRIPTOR)];
    parent.slot.memory.write(offset_of!(Control, spawn) as u64, &args);
    parent.slot.expect_clone(flags);
    match channel {
        Some(file) => drop(supervisor.command_with(&parent.slot, id, file, command::SPAWN)?),
        None => supervisor.listener.answer(id, command::SPAWN).map_err(|_| Errno::ESRCH)?,
    }
    std::future::poll_fn(|cx| parent.poll_done(cx)).await
}

/// No thread has used the slot.
fn give_back(channel: &Channel, memory: &SlotMemory, kind: Spawn) {
    if kind != Spawn::CopyMemory {
        channel.give_back(memory.index, Tid::MAX, Tid::MAX);
    }
}

/// How a clone is known to be the parent's.
enum Mark {
    /// It is in the parent's process.
    Thread,
    /// It has this word at this address.
    Word { address: u64, word: u64 },
}

impl Mark {
    fn write(thread: &SystrapThread, parent: &Slot) -> Result<Mark, Errno> {
        let address = thread.supervisor.region.anchor(parent.memory.index);
        let word = host::random::number()?;
        match copy::write(parent.tid, address, &word.to_ne_bytes())? {
            8 => Ok(Mark::Word { address, word }),
            _ => Err(Errno::EFAULT),
        }
    }

    /// Errors: EAGAIN if the thread is not the parent's clone, which then must not live.
    fn check(self, parent: &Slot, tid: Tid) -> Result<(), Errno> {
        let is_own = match self {
            Mark::Thread => {
                // SAFETY: signal 0 only asks.
                unsafe { libc::syscall(libc::SYS_tgkill, parent.process.tgid, tid, 0) == 0 }
            }
            Mark::Word { address, word } => {
                let mut found = [0; 8];
                let read = copy::read(tid, address, &mut found);
                if tid == parent.tid || read == Ok(8) && u64::from_ne_bytes(found) != word {
                    parent.process.kill();
                }
                read == Ok(8) && u64::from_ne_bytes(found) == word
            }
        };
        if is_own { Ok(()) } else { Err(Errno::EAGAIN) }
    }
}
