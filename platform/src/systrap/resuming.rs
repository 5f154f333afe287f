//! How a thread goes on, wherever it is.

use std::mem::offset_of;

use super::frame::{Frame, TRAP_FLAG};
use super::late;
use super::layout::{Control, command};
use super::thread::{Position, SystrapThread};
use crate::contract::{Fault, Registers, ResumeMode, Trap};
use crate::process::USER_END;

/// What loading an address that is none does (`si_code` is `SI_KERNEL`).
const PROTECTION_FAULT: Fault =
    Fault { signo: libc::SIGSEGV, code: 0x80, addr: 0, trapno: 13, error_code: 0 };

/// One instruction was executed (`si_code` is `TRAP_TRACE`).
const STEPPED: Fault = Fault { signo: libc::SIGTRAP, code: 2, addr: 0, trapno: 1, error_code: 0 };

impl SystrapThread {
    /// Puts the registers where the resume will load them from; answers with the command's flags.
    pub(super) fn load(&mut self, frame: Frame) -> u64 {
        let mut flags = 0;
        let control = |field: usize| field as u64;
        if self.registers.fs_base != self.loaded.fs_base {
            flags |= command::LOAD_FS;
            self.slot.memory.write(control(offset_of!(Control, fs_base)), &self.registers.fs_base);
        }
        if self.registers.gs_base != self.loaded.gs_base {
            flags |= command::LOAD_GS;
            self.slot.memory.write(control(offset_of!(Control, gs_base)), &self.registers.gs_base);
        }
        let step = if self.is_stepping { TRAP_FLAG } else { 0 };
        let eflags = self.registers.eflags | step;
        let wanted = Registers { eflags, rip: self.leave_stub(eflags), ..self.registers };
        if wanted != self.loaded {
            frame.set_registers(&self.slot.memory, &wanted);
        }
        flags
    }

    /// What happens at a resume instead of running, if anything.
    pub(super) fn trap_without_running(&mut self, mode: ResumeMode) -> Option<Trap> {
        if self.slot.is_gone() {
            return Some(Trap::Dead);
        }
        if matches!(self.position, Position::Call { .. } | Position::Line)
            && (self.is_stepping || mode == ResumeMode::SingleStep)
        {
            // Only in a frame can the trap flag be set and cleared.
            self.start_completing();
            self.resume_then = Some(mode);
            return None;
        }
        if std::mem::take(&mut self.is_step_due) && mode == ResumeMode::SingleStep {
            return Some(Trap::Fault(Fault { addr: self.registers.rip, ..STEPPED }));
        }
        // What user code has loaded by itself may be any address.
        let is_loadable = |new: u64, old: u64| new == old || new < USER_END;
        if !is_loadable(self.registers.fs_base, self.loaded.fs_base)
            || !is_loadable(self.registers.gs_base, self.loaded.gs_base)
        {
            // A handler of the fault must be able to run, so the bad values go.
            self.registers.fs_base = self.loaded.fs_base;
            self.registers.gs_base = self.loaded.gs_base;
            return Some(Trap::Fault(PROTECTION_FAULT));
        }
        if !self.slot.start_running() {
            self.begun = self.slot.take_begun(false);
            return Some(Trap::Interrupted);
        }
        self.is_stepping = mode == ResumeMode::SingleStep;
        self.has_line = matches!(self.position, Position::Line);
        match self.position {
            Position::Call { id } => self.answer(id, self.registers.rax),
            Position::Line => {
                if self.slot.finish_call(self.registers.rax) {
                    self.supervisor.counters.note_wait();
                    late::wake(&self.slot);
                }
            }
            Position::Stub { id, frame } => {
                let flags = self.load(frame);
                self.answer(id, command::RESUME | flags);
            }
            Position::Unborn { frame } => {
                let answer = command::RESUME | self.load(frame);
                if let Some(id) = self.slot.prepare_greeting(answer) {
                    self.answer(id, answer);
                }
            }
            Position::Running => {}
        }
        self.position = Position::Running;
        None
    }
}
