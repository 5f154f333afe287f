//! What the code around a `syscall` instruction allows.
//!
//! Every thread's instruction pointer must, at any time, be where an instruction begins. Of the
//! bytes that a jump overwrites, only the first may be such a place, or else the second
//! instruction's first byte must hold an `int3` whose trap can be redirected. That leaves
//!
//! - the **leading form**: the jump takes the place of one instruction of at least five bytes right
//!   *before* the syscall, which stays; where the instruction before begins is deduced
//!   ([`super::reading`]), and preferred is one that loads the call's number, which the number that
//!   was really called confirms;
//! - the **general form**: the jump takes the place of the syscall and of one instruction of at least
//!   three bytes right *after* it. That instructions begin at these two places is certain, for the
//!   processor has been at the first and goes to the second.
//!
//! The displaced instruction is copied into the trampoline as it is, so it must mean the same there.

use std::ops::Range;

use iced_x86::{
    Code, Decoder, DecoderError, DecoderOptions, FlowControl, Instruction, OpKind, Register,
};

use super::reading::{LONGEST, WINDOW, instruction_before};
use super::trampoline::SYSCALL_BYTES;
use crate::process::{USER_END, USER_START};

/// Bytes before a site's syscall instruction that a [`Site`] should have if they can be read.
pub const LOOK_BEHIND: u64 = WINDOW as u64;

/// Bytes from a site's syscall instruction on that a [`Site`] should have if they can be read.
pub const LOOK_AHEAD: u64 = SYSCALL_BYTES + LONGEST as u64;

/// Length of a jump in bytes.
pub(in crate::systrap) const JUMP_BYTES: usize = 5;

/// Number of `rt_sigreturn(2)`.
const RT_SIGRETURN: u64 = 15;

/// Addresses that user code can have.
const USER: Range<u64> = USER_START..USER_END;

/// A `syscall` instruction that trapped, and the memory around it.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// Address of the instruction.
    pub address: u64,
    /// Number of the call in `rax` when it trapped.
    pub number: u64,
    /// Address of the first byte of `code`.
    pub code_start: u64,
    /// Guest memory: [`LOOK_BEHIND`] bytes before `address` and [`LOOK_AHEAD`] bytes from there on.
    /// Less of either only if the next byte cannot be read. Existing patches may show.
    pub code: &'a [u8],
    /// What was found in the very same code before.
    pub lead: Option<Lead>,
}

/// Where in its code the instruction before a site begins, if that is certain. To find out takes far
/// longer than all else that is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lead(Option<usize>);

impl Lead {
    /// For a site at an offset in its code.
    pub fn find(code: &[u8], offset: usize) -> Lead {
        Lead(instruction_before(code, offset))
    }
}

/// Why a site stays as it is. Such a site keeps trapping, which is slow but right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// There is no syscall instruction at the address (the guest changed its code).
    NotSyscall,
    /// The address is not one of user code.
    OutOfRange,
    /// The call is `rt_sigreturn`: it needs all registers, so a jump would gain nothing, and
    /// unwinders know signal frames by the very bytes of its site.
    SignalReturn,
    /// Another patch has some of the bytes.
    Overlap,
    /// The instruction after the syscall does not end within the readable bytes.
    Unreadable,
    /// What follows the syscall is no instruction that is known here.
    Undecodable,
    /// The instruction after the syscall has fewer than three bytes.
    ShortFollower,
    /// The instruction after the syscall is a jump, call, return, trap or the like.
    ControlTransfer,
    /// The instruction after the syscall refers to memory relative to its own address.
    IpRelative,
    /// The instruction after the syscall has a `lock` prefix: programs jump behind such prefixes.
    Locked,
    /// No trampoline area within reach has room: add one and try again.
    NoSpace,
}

/// Which instruction the jump displaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// The one before the syscall.
    Leading,
    /// The syscall and the one after it.
    General,
}

/// A way to patch a site.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape<'a> {
    pub(super) form: Form,
    /// Address of the jump.
    pub(super) start: u64,
    /// What the jump overwrites.
    pub(super) original: [u8; JUMP_BYTES],
    /// The displaced instruction before the syscall, or nothing.
    pub(super) lead: &'a [u8],
    /// The displaced instruction after the syscall, or nothing.
    pub(super) follower: &'a [u8],
}

impl Shape<'_> {
    /// Returns the instructions that must be there and stay: the displaced one and the syscall.
    pub(super) fn covered(&self) -> Range<u64> {
        let len = self.lead.len() + self.follower.len();
        self.start..self.start + len as u64 + SYSCALL_BYTES
    }
}

/// Returns the ways to patch `site`, best first; at least one.
pub(super) fn shapes<'a>(site: &Site<'a>) -> Result<Vec<Shape<'a>>, Refusal> {
    if !USER.contains(&site.address) {
        return Err(Refusal::OutOfRange);
    }
    let offset = site.address.checked_sub(site.code_start).and_then(|at| usize::try_from(at).ok());
    let offset = offset.ok_or(Refusal::NotSyscall)?;
    match site.code.get(offset..) {
        Some([0x0f, 0x05, ..]) => (),
        _ => return Err(Refusal::NotSyscall),
    }
    if site.number == RT_SIGRETURN {
        return Err(Refusal::SignalReturn);
    }
    let general = general(site, offset);
    let mut shapes = Vec::from_iter(general.as_ref().ok().copied());
    if let Some((shape, loads_number)) = leading(site, offset) {
        shapes.insert(if loads_number { 0 } else { shapes.len() }, shape);
    }
    match general {
        Err(refusal) if shapes.is_empty() => Err(refusal),
        _ => Ok(shapes),
    }
}

/// Returns the leading form, and whether the displaced instruction loads the call's number.
fn leading<'a>(site: &Site<'a>, offset: usize) -> Option<(Shape<'a>, bool)> {
    let start = site.lead.unwrap_or_else(|| Lead::find(site.code, offset)).0?;
    let lead = site.code.get(start..offset)?;
    let original = *lead.first_chunk()?;
    let instruction = relocatable(lead).ok()?;
    let start = site.address.checked_sub(lead.len() as u64).filter(|start| USER.contains(start))?;
    let shape = Shape { form: Form::Leading, start, original, lead, follower: &[] };
    Some((shape, loaded_number(&instruction) == Some(site.number)))
}

/// Returns the general form.
fn general<'a>(site: &Site<'a>, offset: usize) -> Result<Shape<'a>, Refusal> {
    let code = site.code.get(offset..).ok_or(Refusal::NotSyscall)?;
    let behind = code.get(SYSCALL_BYTES as usize..).ok_or(Refusal::NotSyscall)?;
    let instruction = relocatable(behind)?;
    let follower = behind.get(..instruction.len()).ok_or(Refusal::Unreadable)?;
    let original = *code.first_chunk().ok_or(Refusal::Unreadable)?;
    if follower.len() + (SYSCALL_BYTES as usize) < JUMP_BYTES {
        return Err(Refusal::ShortFollower);
    }
    Ok(Shape { form: Form::General, start: site.address, original, lead: &[], follower })
}

/// Decodes the first instruction of `code`, if a copy of it elsewhere does the same.
fn relocatable(code: &[u8]) -> Result<Instruction, Refusal> {
    let mut decoder = Decoder::new(64, code, DecoderOptions::NONE);
    let instruction = decoder.decode();
    if instruction.is_invalid() {
        let cut = decoder.last_error() == DecoderError::NoMoreBytes;
        return Err(if cut { Refusal::Unreadable } else { Refusal::Undecodable });
    }
    if instruction.flow_control() != FlowControl::Next {
        return Err(Refusal::ControlTransfer);
    }
    if instruction.is_ip_rel_memory_operand() {
        return Err(Refusal::IpRelative);
    }
    if instruction.has_lock_prefix() {
        return Err(Refusal::Locked);
    }
    Ok(instruction)
}

/// Returns the constant that `instruction` loads into all of `rax`.
fn loaded_number(instruction: &Instruction) -> Option<u64> {
    match instruction.code() {
        Code::Mov_r32_imm32 | Code::Mov_rm64_imm32 | Code::Mov_rm32_imm32 => (),
        _ => return None,
    }
    let is_register = instruction.op0_kind() == OpKind::Register;
    let is_rax = matches!(instruction.op0_register(), Register::EAX | Register::RAX);
    (is_register && is_rax).then(|| instruction.immediate(1))
}
