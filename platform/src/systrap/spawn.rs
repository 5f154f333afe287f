//! Making guest threads and processes: the stub of an existing thread clones itself.
//!
//! The clone's number is what the parent's stub says it is, and the guest could have put another
//! one there. So it is believed only of a thread in the parent's own process, or of a process in the
//! parent's process group: each stub process has one of its own, into which nobody gets but by
//! being cloned, and leaves that of its parent when it has been adopted.

use std::mem::offset_of;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use linux_abi::Errno;

use super::calling;
use super::channel::{Channel, SlotMemory};
use super::layout::{Control, DESCRIPTOR, FAST_OFFSET, Fast, change, command};
use super::slot::{Process, Slot};
use super::thread::{Position, SystrapThread};
use crate::contract::{AddressSpace, Layout, Registers, Spawn};
use crate::filter::systrap::{CLONE_COPY, CLONE_SHARE, CLONE_THREAD};
use crate::host;
use crate::process::{Tid, ask_for, ops};

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
    match kind {
        Spawn::Thread => process.expect_thread(),
        // Most wait for the end of such a child before they go on.
        Spawn::ShareMemory => parent.rest(),
        Spawn::CopyMemory => {}
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
    let is_process = u64::from(kind != Spawn::Thread);
    memory.write(offset_of!(Control, birth) as u64, &[is_process, 0, 0]);
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
    if !is_own(&parent.slot, tid, kind) {
        supervisor.report_stranger();
        return Err(Errno::EAGAIN);
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
            let child = Process::new(tid, memory, channel, patching, conduits);
            child.held.lock().clone_from(&process.held.lock());
            child
        }
    };
    if kind != Spawn::Thread {
        process.domain.store(parent.slot.process.domain.load(Ordering::Relaxed), Ordering::Relaxed);
    }
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
    let keeps_others = u64::from(!parent.slot.process.held.lock().is_empty());
    let args = [flags, slot, channel.map_or(u64::MAX, |_| DESCRIPTOR), keeps_others];
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

/// See [`Thread::write_at_birth`]. The stub looks when it has been welcomed.
///
/// [`Thread::write_at_birth`]: crate::contract::Thread::write_at_birth
pub(super) fn write_at_birth(slot: &SlotMemory, addr: u64, word: u32, layout: &Layout) -> bool {
    let size = size_of_val(&word) as u64;
    if addr == 0 || !addr.is_multiple_of(size) || !ops::is_clear(addr, size, &layout.reserved) {
        return false;
    }
    let place = (offset_of!(Control, birth) + size_of::<u64>()) as u64;
    slot.write::<[u64; 2]>(place, &[addr, word.into()]);
    true
}

/// Whether the clone `tid` is the parent's.
fn is_own(parent: &Slot, tid: Tid, kind: Spawn) -> bool {
    let tgid = parent.process.tgid;
    match kind {
        Spawn::Thread => ask_for(tgid, tid).is_ok(),
        Spawn::ShareMemory | Spawn::CopyMemory => {
            ask_for(tid, tid).is_ok() && host::process::group(tid) == Ok(tgid)
        }
    }
}
