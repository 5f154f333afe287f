//! Return from a signal handler, `sigreturn(2)`.

use linux_abi::Errno;
use linux_abi::signal::{RtSigFrame, SIGSEGV, SigContext, UContext};
use platform::Registers;

use super::AltStack;
use super::frame::{USER_CS, USER_SS, eflags};
use super::{force, fp_state, mask};
use crate::memory::{UserAddr, UserPtr};
use crate::task::Ctx;

/// Flags that a program may set for itself (Linux: `FIX_EFLAGS`).
pub(crate) const USER_FLAGS: u64 = eflags::ALIGNMENT
    | eflags::OVERFLOW
    | eflags::DIRECTION
    | eflags::TRAP
    | eflags::SIGN
    | eflags::ZERO
    | eflags::ADJUST
    | eflags::PARITY
    | eflags::CARRY
    | eflags::RESUME;

/// Restores what [`frame`](super::frame) saved: registers, floating-point state, mask, alternate
/// stack. A frame that cannot be read or loaded is answered with SIGSEGV.
pub async fn sigreturn(ctx: &mut Ctx) {
    // A dead thread is found out when it is resumed.
    if ctx.thread.complete().await.is_ok() && restore(ctx).is_err() {
        force::force_signal(&ctx.task, SIGSEGV);
    }
}

fn restore(ctx: &mut Ctx) -> Result<(), Errno> {
    // The handler's `ret` has taken the restorer's address off the stack.
    let frame = ctx.thread.registers().rsp.wrapping_sub(8);
    let context_at = frame.wrapping_add(std::mem::offset_of!(RtSigFrame, ucontext) as u64);
    let context = ctx.memory().read_value(UserPtr::<UContext>::new(context_at))?;
    mask::set_mask(&ctx.task, context.sigmask);
    ctx.task.signals.lock().restart = None;

    restore_registers(ctx.thread.registers_mut(), &context.mcontext);
    match context.mcontext.fpstate {
        0 => ctx.thread.reset_fp_state()?,
        addr => {
            let current = ctx.thread.fp_state()?;
            let image = fp_state::from_frame(ctx.memory(), UserAddr(addr), &current)?;
            ctx.thread.set_fp_state(&image)?;
        }
    }
    let rsp = ctx.thread.registers().rsp;
    // Linux: what the handler left there may be no stack; that is not its problem any more.
    let restore = |stack: &mut AltStack| stack.replace(&context.stack, rsp);
    let _ = ctx.task.signals.lock().change_altstack(restore);
    Ok(())
}

/// Divergence: the segments are always those of 64-bit code; Linux lets a handler return to
/// 32-bit code, which has no system calls here.
fn restore_registers(registers: &mut Registers, saved: &SigContext) {
    let flags = (registers.eflags & !USER_FLAGS) | (saved.eflags & USER_FLAGS);
    *registers = Registers {
        r8: saved.r8,
        r9: saved.r9,
        r10: saved.r10,
        r11: saved.r11,
        r12: saved.r12,
        r13: saved.r13,
        r14: saved.r14,
        r15: saved.r15,
        rdi: saved.rdi,
        rsi: saved.rsi,
        rbp: saved.rbp,
        rbx: saved.rbx,
        rdx: saved.rdx,
        rax: saved.rax,
        rcx: saved.rcx,
        rsp: saved.rsp,
        rip: saved.rip,
        eflags: flags,
        cs: USER_CS,
        ss: USER_SS,
        orig_rax: u64::MAX,
        ..*registers
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privileged_flags_and_segments_are_not_taken_over() {
        let mut registers =
            Registers { eflags: 0x202, fs_base: 7, orig_rax: 15, ..Registers::default() };
        let saved =
            SigContext { eflags: !0, cs: 0x10, ss: 0, rip: 0x1234, ..SigContext::default() };
        restore_registers(&mut registers, &saved);
        assert_eq!(registers.eflags, 0x202 | USER_FLAGS);
        assert_eq!((registers.cs, registers.ss), (USER_CS, USER_SS));
        assert_eq!((registers.rip, registers.fs_base), (0x1234, 7));
        assert_eq!(registers.orig_rax, u64::MAX);
    }
}
