//! Operations with which a thread is resumed: it goes on by itself when they are done.

use std::mem::offset_of;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;

use linux_abi::Errno;

use super::hand::put_calls;
use super::kept::Access;
use super::layout::{Call, Control, command};
use super::patch::Threads;
use super::stock::{Item, NO_DOMAIN};
use super::thread::{Position, SystrapThread};
use crate::contract::HostOp;
use crate::process::ops;

/// What becomes of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The guest gets it.
    Result,
    /// The guest gets this, unless it is an error: then the thread stays in the stub and tells.
    Value(u64),
}

impl SystrapThread {
    /// See [`Thread::resume_with`] and [`Thread::resume_unless_failed`].
    ///
    /// [`Thread::resume_with`]: crate::contract::Thread::resume_with
    /// [`Thread::resume_unless_failed`]: crate::contract::Thread::resume_unless_failed
    pub(super) fn finish_with(&mut self, op: HostOp<'_>, outcome: Outcome) -> bool {
        let Position::Stub { id, frame } = self.position else { return false };
        // A lock of all memory is more than one call.
        let is_plain = !matches!(op, HostOp::Mlockall { .. })
            && !self.slot.is_gone()
            && !self.is_stepping
            && self.registers.fs_base == self.loaded.fs_base
            && self.registers.gs_base == self.loaded.gs_base;
        let call = ops::to_call(&op, &self.supervisor.common.layout.reserved);
        let (true, Ok(call)) = (is_plain, call) else { return false };
        let file = match op {
            HostOp::Mmap { fd: Some(file), .. } => match self.access(&call, file) {
                Ok(access) => Some((file, access)),
                Err(_) => return false,
            },
            _ => None,
        };
        if !self.may_resume_with(&call) {
            return false;
        }
        if !self.slot.start_running() {
            // It still has to trap, once the operation is done.
            self.supervisor.interrupt(&self.slot);
            return false;
        }
        self.is_step_due = false;
        let mut command = command::CALLS | command::THEN_RESUME | self.load(frame);
        if let Outcome::Value(value) = outcome {
            self.slot.memory.write(offset_of!(Control, value) as u64, &value);
            command |= command::UNLESS_FAILED;
            self.unless_failed = Some(frame);
        }
        self.position = Position::Running;
        match file {
            None => {
                put_calls(
                    &self.slot.memory,
                    &[Call { number: call.number as u64, args: call.args }],
                );
                self.answer(id, command);
            }
            Some((file, access)) => {
                put_calls(&self.slot.memory, &access.calls(&call));
                match self.answer_for(id, file, access, command) {
                    // The thread is gone, and its end will be heard of.
                    Ok(()) | Err(Errno::ESRCH) => {}
                    // Its registers have been prepared for what it will not do.
                    Err(_) => self.slot.process.kill(),
                }
            }
        }
        true
    }

    /// Has a thread in the stub make a system call; answers with its result.
    ///
    /// Errors: that of the call; ESRCH when the thread is dead or elsewhere.
    pub(super) async fn make_call(&mut self, call: Call) -> Result<u64, Errno> {
        self.start_calls(&[call])?;
        let done = std::future::poll_fn(|cx| self.poll_done(cx)).await;
        self.slot.has_obeyed();
        done
    }

    /// Has a thread in the stub map a file.
    pub(super) fn start_mapping(
        &mut self,
        call: &ops::Call,
        file: BorrowedFd<'_>,
    ) -> Result<(), Errno> {
        let (id, _) = self.in_stub()?;
        let access = self.access(call, file)?;
        put_calls(&self.slot.memory, &access.calls(call));
        self.supervisor.start_obeying(&self.slot);
        let given = self.answer_for(id, file, access, command::CALLS);
        given.inspect_err(|_| self.slot.has_obeyed())
    }

    /// How the stub gets at a file for a mapping.
    ///
    /// Errors: those of `fstat(2)` and `fcntl(2)`.
    pub(super) fn access(&self, call: &ops::Call, file: BorrowedFd<'_>) -> Result<Access, Errno> {
        let process = &self.slot.process;
        let is_private = call.args[3] as i32 & libc::MAP_TYPE == libc::MAP_PRIVATE;
        match is_private && process.patching.threads() == Threads::One {
            true => {
                let access = process.kept.access(file)?;
                let domain = process.domain.load(Ordering::Relaxed);
                if let Access::New { key, .. } | Access::Early { key, .. } = access
                    && domain != NO_DOMAIN
                    && key.may_be_held()
                {
                    self.supervisor.stock.note(Item { key, domain }, file);
                }
                Ok(access)
            }
            false => Ok(Access::Once),
        }
    }

    /// Answers a thread in the stub with a command for which it needs a file.
    ///
    /// Errors: ESRCH when the thread is dead; EMFILE, and it still waits then.
    pub(super) fn answer_for(
        &self,
        id: u64,
        file: BorrowedFd<'_>,
        access: Access,
        command: u64,
    ) -> Result<(), Errno> {
        if let Access::Kept(_) | Access::Early { .. } = access {
            self.answer(id, command);
            return Ok(());
        }
        let number = self.supervisor.command_with(&self.slot, id, file, command)?;
        if let Access::New { key, .. } = access {
            self.slot.process.kept.keep(key, number);
        }
        Ok(())
    }
}
