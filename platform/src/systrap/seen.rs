//! Threads whose every call the kernel sees: those that guest code makes of the host trap because of
//! a second filter ([`catch_all`]), and if the kernel agrees are made at the *gate*, an instruction
//! in the stub's code, by the same host thread with the same registers. Behind the gate is a
//! breakpoint, which brings the thread back.
//!
//! [`catch_all`]: crate::filter::systrap::catch_all

use std::mem::offset_of;
use std::sync::atomic::Ordering;

use linux_abi::Errno;

use super::frame::Cause;
use super::layout::{Header, command};
use super::thread::{Position, SystrapThread};
use crate::contract::{HostOp, Thread};
use crate::process::ops;

/// Lengths of `syscall` and of `int3`.
const SYSCALL_BYTES: u64 = 2;
const INT3_BYTES: u64 = 1;
/// Processor exception of `int3`.
const BREAKPOINT: u64 = 3;

impl SystrapThread {
    /// See [`Thread::catch_all`].
    pub(super) async fn install_second_filter(&mut self) -> Result<(), Errno> {
        if self.catches_all {
            return Ok(());
        }
        self.start_host_op(HostOp::CatchAll);
        std::future::poll_fn(|cx| self.poll_host_op(cx)).await?;
        self.catches_all = true;
        Ok(())
    }

    /// The call that installs it, which the stub may make until [`Slot::has_obeyed`].
    ///
    /// [`Slot::has_obeyed`]: super::slot::Slot::has_obeyed
    pub(super) fn plan_catch_all(&self) -> ops::Call {
        self.slot.asked.store(libc::SYS_seccomp, Ordering::SeqCst);
        let program = self.supervisor.region.catch_all();
        let mode = libc::SECCOMP_SET_MODE_FILTER.into();
        ops::Call { number: libc::SYS_seccomp, args: [mode, 0, program, 0, 0, 0] }
    }

    /// See [`Thread::resume_call`].
    pub(super) fn resume_at_gate(&mut self) -> bool {
        let Position::Stub { id, frame } = self.position else { return false };
        if self.slot.is_gone() || self.is_stepping {
            return false;
        }
        if !self.slot.start_running() {
            // It still has to trap.
            self.supervisor.interrupt(&self.slot);
            return false;
        }
        self.gate_behind = Some(self.registers.rip);
        self.registers.rax = self.registers.orig_rax;
        self.registers.rip = self.gate();
        let flags = self.load(frame);
        self.answer(id, command::RESUME | flags);
        self.position = Position::Running;
        true
    }

    fn gate(&self) -> u64 {
        self.supervisor.region.entry(offset_of!(Header, gate))
    }

    /// Makes the registers of a thread that has stopped at the gate those of one that has made its
    /// call where the guest made it; `true` if it has done so and nothing else has happened.
    pub(super) fn leave_gate(&mut self, signo: i32, cause: Cause) -> bool {
        let Some(behind) = self.gate_behind.take() else { return false };
        let gate = self.gate();
        let is_back = signo == libc::SIGTRAP && cause.trapno == BREAKPOINT && {
            self.registers.rip == gate + SYSCALL_BYTES + INT3_BYTES
        };
        self.registers.rip = match self.registers.rip {
            // The host has gone back to the call, or has not come to it.
            rip if rip == gate => behind.wrapping_sub(SYSCALL_BYTES),
            rip if rip == gate + SYSCALL_BYTES || is_back => behind,
            _ => return false,
        };
        // As the call would have left it.
        self.registers.rcx = behind;
        is_back
    }
}
