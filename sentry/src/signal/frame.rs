//! The stack frame of a signal handler, x86-64 (Linux: `x64_setup_rt_frame`).
//!
//! From high to low addresses: the red zone (128 bytes, skipped), the floating-point state at a
//! multiple of 64, and the fixed part ([`RtSigFrame`]) so that the handler starts with a stack
//! pointer as after a `call`. Programs, debuggers and unwinders know this layout.

use linux_abi::Errno;
use linux_abi::signal::{
    RED_ZONE, RtSigFrame, SaFlags, SigAction, SigContext, SigInfo, SigSet, UC_SIGCONTEXT_SS,
    UC_STRICT_RESTORE_SS, UContext,
};
use platform::Registers;
use zerocopy::IntoBytes;

use super::state::FaultFacts;
use super::{AltStack, fp_state};
use crate::memory::UserAddr;
use crate::task::Ctx;

/// Offset of the info in the frame.
const INFO_OFFSET: u64 = std::mem::offset_of!(RtSigFrame, info) as u64;
/// Offset of the context in the frame.
const CONTEXT_OFFSET: u64 = std::mem::offset_of!(RtSigFrame, ucontext) as u64;
/// Code and stack segments of 64-bit programs.
pub(super) const USER_CS: u64 = 0x33;
pub(super) const USER_SS: u64 = 0x2b;

/// Bits of the flags register.
pub(super) mod eflags {
    pub const CARRY: u64 = 1 << 0;
    pub const PARITY: u64 = 1 << 2;
    pub const ADJUST: u64 = 1 << 4;
    pub const ZERO: u64 = 1 << 6;
    pub const SIGN: u64 = 1 << 7;
    pub const TRAP: u64 = 1 << 8;
    pub const DIRECTION: u64 = 1 << 10;
    pub const OVERFLOW: u64 = 1 << 11;
    pub const RESUME: u64 = 1 << 16;
    pub const ALIGNMENT: u64 = 1 << 18;
}

/// Where the parts of a frame lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placement {
    frame: u64,
    fp_state: u64,
}

/// Writes a frame for the handler of `info` and sets the registers that enter it.
///
/// Errors: EFAULT when the frame cannot be written, does not fit on the alternate stack, or the
/// action has no restorer.
pub(super) fn push(ctx: &mut Ctx, info: &SigInfo, action: &SigAction) -> Result<(), Errno> {
    let flags = action.sa_flags();
    if !flags.contains(SaFlags::RESTORER) {
        return Err(Errno::EFAULT);
    }
    let fp_image = fp_state::to_frame(ctx.thread.fp_state()?);
    let (altstack, mask, fault) = {
        let own = ctx.task.signals.lock();
        (own.altstack(), own.saved_mask.unwrap_or(own.mask()), own.last_fault)
    };
    let registers = *ctx.thread.registers();
    let on_altstack = flags.contains(SaFlags::ONSTACK);
    let place = place(registers.rsp, &altstack, on_altstack, fp_image.len() as u64)?;

    let mut mcontext = save_registers(&registers, &fault, mask);
    mcontext.fpstate = place.fp_state;
    let frame = RtSigFrame {
        restorer: action.restorer,
        ucontext: UContext {
            flags: UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS | fp_state::context_flag(&fp_image),
            link: 0,
            stack: altstack.save(),
            mcontext,
            sigmask: mask,
        },
        info: *info,
    };
    let memory = ctx.memory();
    memory.write_exact(UserAddr(place.fp_state), &fp_image)?;
    let len = if flags.contains(SaFlags::SIGINFO) {
        frame.as_bytes().len()
    } else {
        INFO_OFFSET as usize
    };
    memory.write_exact(UserAddr(place.frame), &frame.as_bytes()[..len])?;
    enter_handler(ctx.thread.registers_mut(), info.signo, action.handler, place.frame);
    Ok(())
}

/// Finds room below the stack pointer, or on the alternate stack.
///
/// Errors: EFAULT when the alternate stack is too small.
fn place(
    rsp: u64,
    altstack: &AltStack,
    on_altstack: bool,
    fp_bytes: u64,
) -> Result<Placement, Errno> {
    let was_on = altstack.is_on(rsp);
    let below_red_zone = rsp.wrapping_sub(RED_ZONE);
    let entry = if on_altstack { altstack.entry(below_red_zone) } else { None };
    let top = entry.unwrap_or(below_red_zone);
    let fp_state = top.wrapping_sub(fp_bytes) & !63;
    let below = fp_state.wrapping_sub(size_of::<RtSigFrame>() as u64);
    let frame = (below & !15).wrapping_sub(8);
    if (was_on || entry.is_some()) && !altstack.contains(frame) {
        return Err(Errno::EFAULT);
    }
    Ok(Placement { frame, fp_state })
}

fn save_registers(registers: &Registers, fault: &FaultFacts, mask: SigSet) -> SigContext {
    SigContext {
        r8: registers.r8,
        r9: registers.r9,
        r10: registers.r10,
        r11: registers.r11,
        r12: registers.r12,
        r13: registers.r13,
        r14: registers.r14,
        r15: registers.r15,
        rdi: registers.rdi,
        rsi: registers.rsi,
        rbp: registers.rbp,
        rbx: registers.rbx,
        rdx: registers.rdx,
        rax: registers.rax,
        rcx: registers.rcx,
        rsp: registers.rsp,
        rip: registers.rip,
        eflags: registers.eflags,
        cs: registers.cs as u16,
        gs: 0,
        fs: 0,
        ss: registers.ss as u16,
        err: fault.error_code,
        trapno: fault.trapno,
        oldmask: mask.0,
        cr2: fault.cr2,
        fpstate: 0,
        _reserved: [0; 8],
    }
}

fn enter_handler(registers: &mut Registers, signo: i32, handler: u64, frame: u64) {
    registers.rdi = signo as u64;
    registers.rsi = frame.wrapping_add(INFO_OFFSET);
    registers.rdx = frame.wrapping_add(CONTEXT_OFFSET);
    registers.rax = 0;
    registers.rip = handler;
    registers.rsp = frame;
    registers.cs = USER_CS;
    registers.ss = USER_SS;
    registers.eflags &= !(eflags::DIRECTION | eflags::TRAP | eflags::RESUME);
    // What was interrupted is saved in the frame; this is not a system call any more.
    registers.orig_rax = u64::MAX;
}

#[cfg(test)]
mod tests {
    use linux_abi::signal::{SIGUSR1, SigAltStack};

    use super::*;

    const FP_BYTES: u64 = 836;

    #[test]
    fn the_fixed_part_has_the_kernels_layout() {
        assert_eq!(size_of::<RtSigFrame>(), 440);
        assert_eq!(CONTEXT_OFFSET, 8);
        assert_eq!(INFO_OFFSET, 312);
        assert_eq!(std::mem::offset_of!(UContext, mcontext), 40);
        assert_eq!(std::mem::offset_of!(UContext, sigmask), 296);
    }

    #[test]
    fn a_handler_starts_as_after_a_call() {
        for rsp in 0x7000_0000_u64..0x7000_0040 {
            let place = place(rsp, &AltStack::default(), true, FP_BYTES).unwrap();
            assert_eq!(place.frame % 16, 8);
            assert_eq!(place.fp_state % 64, 0);
            assert!(place.frame + 440 <= place.fp_state);
            assert!(place.fp_state + FP_BYTES <= rsp - RED_ZONE);
        }
    }

    #[test]
    fn an_alternate_stack_is_used_once_and_must_hold_the_frame() {
        let mut altstack = AltStack::default();
        let stack = SigAltStack { sp: 0x10000, size: 0x2000, ..SigAltStack::default() };
        altstack.replace(&stack, 0).unwrap();
        let first = place(0x7000_0000, &altstack, true, FP_BYTES).unwrap();
        assert!(first.frame > 0x10000 && first.fp_state + FP_BYTES <= 0x12000);
        let nested = place(first.frame, &altstack, true, FP_BYTES).unwrap();
        assert!(nested.frame < first.frame && nested.frame > 0x10000);
        assert_eq!(place(0x10400, &altstack, false, FP_BYTES), Err(Errno::EFAULT));
        assert_eq!(place(0x7000_0000, &altstack, true, 0x2000), Err(Errno::EFAULT));
        let elsewhere = place(0x7000_0000, &altstack, false, FP_BYTES).unwrap();
        assert!(elsewhere.frame > 0x6000_0000);
    }

    #[test]
    fn the_handler_gets_its_arguments() {
        let mut registers = Registers { eflags: 0x10746, orig_rax: 5, ..Registers::default() };
        enter_handler(&mut registers, SIGUSR1, 0x400000, 0x7008);
        assert_eq!(registers.rdi, 10);
        assert_eq!((registers.rsi, registers.rdx), (0x7008 + 312, 0x7008 + 8));
        assert_eq!((registers.rip, registers.rsp, registers.rax), (0x400000, 0x7008, 0));
        assert_eq!(registers.eflags, 0x246);
        assert_eq!(registers.orig_rax, u64::MAX);
    }
}
