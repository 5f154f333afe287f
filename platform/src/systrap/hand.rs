//! A thread in the stub, on loan to code that has it make system calls.

use std::mem::offset_of;
use std::sync::Arc;

use linux_abi::Errno;

use super::channel::SlotMemory;
use super::layout::{CALLS_MAX, Call, Control, command};
use super::slot::{Event, Slot};
use super::supervisor::Supervisor;
use crate::process::procfs::ProcessMemory;

/// The call that closes a descriptor of a stub process.
pub(super) fn close(number: u64) -> Call {
    Call { number: libc::SYS_close as u64, args: [number, 0, 0, 0, 0, 0] }
}

/// The call that closes all of them.
pub(super) fn close_all() -> Call {
    Call { number: libc::SYS_close_range as u64, args: [0, u32::MAX.into(), 0, 0, 0, 0] }
}

/// A thread in the stub. Its owner does nothing with it meanwhile.
pub(super) struct Hand {
    pub(super) supervisor: Arc<Supervisor>,
    pub(super) slot: Arc<Slot>,
    /// Its notification.
    pub(super) id: u64,
    /// Of its process, once it was written to.
    memory: Option<ProcessMemory>,
}

impl Hand {
    pub(super) fn new(supervisor: Arc<Supervisor>, slot: Arc<Slot>, id: u64) -> Hand {
        Hand { supervisor, slot, id, memory: None }
    }

    /// The memory of its process. Errors: ENOSYS without a procfs; ESRCH.
    pub(super) fn memory(&mut self) -> Result<&ProcessMemory, Errno> {
        let memory = match self.memory.take() {
            Some(memory) => memory,
            None => {
                let procfs = self.supervisor.common.procfs.read();
                procfs.as_ref().ok_or(Errno::ENOSYS)?.memory(self.slot.tid)?
            }
        };
        Ok(self.memory.insert(memory))
    }

    /// Has the thread make a call; answers with its result.
    ///
    /// Errors: ESRCH when the thread is dead, or says what it cannot say; those of the call.
    pub(super) async fn call(&mut self, number: i64, args: [u64; 6]) -> Result<u64, Errno> {
        put_calls(&self.slot.memory, &[Call { number: number as u64, args }]);
        self.supervisor.start_obeying(&self.slot);
        let answered = self.supervisor.listener.answer(self.id, command::CALLS);
        answered.map_err(|_| Errno::ESRCH)?;
        let event = self.slot.next_event().await;
        self.slot.has_obeyed();
        match event {
            Event::Done { id, result } => {
                self.id = id;
                to_result(result)
            }
            Event::Dead => Err(Errno::ESRCH),
            _ => {
                self.slot.process.kill();
                Err(Errno::ESRCH)
            }
        }
    }
}

/// Writes down what the stub shall call.
pub(super) fn put_calls(memory: &SlotMemory, calls: &[Call]) {
    let count = calls.len().min(CALLS_MAX);
    memory.write(offset_of!(Control, call_count) as u64, &(count as u64));
    for (index, call) in calls[..count].iter().enumerate() {
        let [a, b, c, d, e, f] = call.args;
        let place = offset_of!(Control, calls) + index * size_of::<Call>();
        memory.write(place as u64, &[call.number, a, b, c, d, e, f]);
    }
}

/// What a system call returned in a register.
pub(super) fn to_result(rax: u64) -> Result<u64, Errno> {
    match rax as i64 {
        error @ -4095..=-1 => Err(Errno::from_raw(-error as i32)),
        _ => Ok(rax),
    }
}
