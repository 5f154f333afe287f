//! The signal frame in a thread's slot, which holds the registers of the guest while the stub
//! works: `struct rt_sigframe` (arch/x86/include/asm/sigframe.h).
//!
//! The kernel builds it on the alternate stack and reads it back at the return. The guest can
//! change it meanwhile like all of the slot, but what it holds is the guest's own state anyway:
//! the kernel checks it as it checks that of any process.

use std::ops::Range;

use linux_abi::Errno;

use super::channel::SlotMemory;
use super::layout::{SLOT_BYTES, STACK_OFFSET};
use crate::contract::{Fault, Registers};

/// In `struct ucontext`: where the alternate stack's address is, ...
const UC_STACK: u64 = 16;
/// ... the general registers of `struct sigcontext`, ...
const UC_REGISTERS: u64 = 40;
/// ... and the pointer to the floating-point state behind them.
const UC_FPSTATE: u64 = UC_REGISTERS + 23 * 8;
/// All that the kernel reads.
const UC_BYTES: u64 = UC_FPSTATE + 8 + 8 * 8 + 8;
/// The return address before it.
const PRETCODE_BYTES: u64 = 8;

/// Where `struct _fpx_sw_bytes` lies in the floating-point state: magic number, extended size,
/// features, size.
const SOFTWARE_BYTES: Range<usize> = 464..512;

/// `EFLAGS.TF`: trap after the next instruction.
pub(super) const TRAP_FLAG: u64 = 1 << 8;

/// The place of a frame: offset of its `ucontext` in the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame(u64);

/// What a frame says beside registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cause {
    pub(super) trapno: u64,
    pub(super) error_code: u64,
}

impl Frame {
    /// The frame whose context the stub says is at `address`.
    ///
    /// Errors: EFAULT if it would not lie on the slot's alternate stack.
    pub(super) fn at(slot: &SlotMemory, address: u64) -> Result<Frame, Errno> {
        let offset = address.wrapping_sub(slot.address());
        let room = STACK_OFFSET + PRETCODE_BYTES..SLOT_BYTES - UC_BYTES;
        if room.contains(&offset) && offset.is_multiple_of(8) {
            Ok(Frame(offset))
        } else {
            Err(Errno::EFAULT)
        }
    }

    pub(super) fn address(self, slot: &SlotMemory) -> u64 {
        slot.address() + self.0
    }

    /// The registers; segment bases are those of `bases`.
    pub(super) fn registers(self, slot: &SlotMemory, bases: &Registers) -> (Registers, Cause) {
        let [
            r8,
            r9,
            r10,
            r11,
            r12,
            r13,
            r14,
            r15,
            rdi,
            rsi,
            rbp,
            rbx,
            rdx,
            rax,
            rcx,
            rsp,
            rip,
            eflags,
            selectors,
            error_code,
            trapno,
            _,
            _,
        ] = slot.read::<[u64; 23]>(self.0 + UC_REGISTERS);
        let registers = Registers {
            r15,
            r14,
            r13,
            r12,
            rbp,
            rbx,
            r11,
            r10,
            r9,
            r8,
            rax,
            rcx,
            rdx,
            rsi,
            rdi,
            orig_rax: u64::MAX,
            rip,
            eflags,
            rsp,
            cs: selectors & 0xffff,
            gs: selectors >> 16 & 0xffff,
            fs: selectors >> 32 & 0xffff,
            ss: selectors >> 48,
            ds: 0,
            es: 0,
            fs_base: bases.fs_base,
            gs_base: bases.gs_base,
        };
        (registers, Cause { trapno, error_code })
    }

    /// What is in rax.
    pub(super) fn result(self, slot: &SlotMemory) -> u64 {
        slot.read(self.0 + UC_REGISTERS + 13 * 8)
    }

    pub(super) fn set_registers(self, slot: &SlotMemory, new: &Registers) {
        let general = [
            new.r8, new.r9, new.r10, new.r11, new.r12, new.r13, new.r14, new.r15, new.rdi, new.rsi,
            new.rbp, new.rbx, new.rdx, new.rax, new.rcx, new.rsp, new.rip, new.eflags,
        ];
        slot.write(self.0 + UC_REGISTERS, &general);
    }

    /// Where the floating-point state of `bytes` lies. Errors: EFAULT if not on the stack.
    fn fp_offset(self, slot: &SlotMemory, bytes: usize) -> Result<u64, Errno> {
        let address: u64 = slot.read(self.0 + UC_FPSTATE);
        let offset = address.wrapping_sub(slot.address());
        let room = STACK_OFFSET..SLOT_BYTES - bytes as u64;
        if room.contains(&offset) && offset.is_multiple_of(64) {
            Ok(offset)
        } else {
            Err(Errno::EFAULT)
        }
    }

    /// The floating-point state, `bytes` long.
    pub(super) fn fp_state(self, slot: &SlotMemory, bytes: usize) -> Result<Vec<u8>, Errno> {
        let mut image = vec![0; bytes];
        slot.read_bytes(self.fp_offset(slot, bytes)?, &mut image);
        Ok(image)
    }

    /// Replaces the floating-point state, but for what tells the kernel how to read it.
    pub(super) fn set_fp_state(self, slot: &SlotMemory, image: &[u8]) -> Result<(), Errno> {
        let offset = self.fp_offset(slot, image.len())?;
        slot.write_bytes(offset, &image[..SOFTWARE_BYTES.start]);
        let rest = &image[SOFTWARE_BYTES.end..];
        slot.write_bytes(offset + SOFTWARE_BYTES.end as u64, rest);
        Ok(())
    }

    /// Length of a floating-point state that the kernel wrote, and the features it knows.
    pub(super) fn fp_format(self, slot: &SlotMemory) -> Result<(usize, u64), Errno> {
        let offset = self.fp_offset(slot, SOFTWARE_BYTES.end)?;
        let place = offset + SOFTWARE_BYTES.start as u64;
        let features = slot.read::<u64>(place + 8);
        let bytes = slot.read::<u32>(place + 16) as usize;
        if bytes >= SOFTWARE_BYTES.end && bytes as u64 <= SLOT_BYTES - offset {
            Ok((bytes, features))
        } else {
            Err(Errno::EFAULT)
        }
    }

    /// Copies the frame and all above it to the same place in another slot, as that slot's own.
    pub(super) fn copy(self, from: &SlotMemory, to: &SlotMemory) {
        let start = self.0 - PRETCODE_BYTES;
        let mut bytes = vec![0; (SLOT_BYTES - start) as usize];
        from.read_bytes(start, &mut bytes);
        to.write_bytes(start, &bytes);
        let moved = to.address().wrapping_sub(from.address());
        let fpstate: u64 = to.read(self.0 + UC_FPSTATE);
        to.write(self.0 + UC_FPSTATE, &fpstate.wrapping_add(moved));
        to.write(self.0 + UC_STACK, &(to.address() + STACK_OFFSET));
    }
}

/// `si_code` of the `siginfo` at `info` (an address).
pub(super) fn code(slot: &SlotMemory, info: u64) -> i32 {
    // siginfo_t: si_signo, si_errno, si_code.
    slot.read::<u32>(info.wrapping_sub(slot.address()).wrapping_add(8)) as i32
}

/// The fault that a frame and the `siginfo` at `info` (an address) tell of.
pub(super) fn fault(slot: &SlotMemory, signo: i32, info: u64, cause: Cause) -> Fault {
    // si_addr comes behind si_code and padding.
    let addr: u64 = slot.read(info.wrapping_sub(slot.address()).wrapping_add(16));
    let code = code(slot, info);
    const SI_KERNEL: i32 = 0x80;
    let addr = if code == SI_KERNEL { 0 } else { addr };
    Fault { signo, code, addr, trapno: cause.trapno, error_code: cause.error_code }
}
