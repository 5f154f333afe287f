//! Threads found in the stub's fast code, which serves patched calls.
//!
//! Such a thread is to the guest one that is about to make its call: to make it again does no harm,
//! whatever the stub has done of it. Its registers are in its fast block, or still where they were;
//! see `stub/fast.rs` for which is when. Guest code can jump there with any registers, so all of
//! this is the guest's word.

use std::mem::offset_of;

use super::layout::{
    CHANNEL_OFFSET, FAST_BYTES, FAST_OFFSET, FAST_STACK, Fast, Header, SLOT_BYTES, Saved, change,
};
use super::region::Region;
use super::slot::Slot;
use crate::contract::Registers;
use crate::process::copy;

/// Words of a block that are read: the registers, what comes before them, and behind.
const WORDS: usize = SAVED + 4;
const SAVED: usize = size_of::<Saved>() / 8;

/// The stack pointer tells the block, as it never leaves that one's page.
const _: () = assert!(FAST_STACK < FAST_BYTES);

/// What a thread was before it entered the fast code.
pub(super) struct Caller {
    /// The guest's registers; rip, rcx and r11 are not known.
    pub(super) registers: Registers,
    /// The address of its trampoline's data.
    pub(super) info: u64,
    /// Whether all its registers are in the block.
    pub(super) is_saved: bool,
    /// The result of its call, if the stub has made that by itself.
    pub(super) made: Option<u64>,
    /// Its result once the conduit's lock says that it is made.
    pub(super) result: u64,
    /// Whether its call waits at a conduit.
    pub(super) waits: bool,
}

/// Whether a thread with these registers executes fast code, or a part of the host that this has
/// called.
pub(super) fn is_inside(region: Region, registers: &Registers) -> bool {
    let entry = |field| region.entry(field);
    let code = entry(offset_of!(Header, fast_enter))..=entry(offset_of!(Header, fast_last));
    code.contains(&registers.rip) || region.channel().contains(&registers.rsp)
}

/// Who a thread is that [`is_inside`]; `None` if the guest has jumped there on its own.
pub(super) fn caller(region: Region, slot: &Slot, found: &Registers) -> Option<Caller> {
    let entry = |field| region.entry(field);
    let switched = entry(offset_of!(Header, fast_switched));
    let is_saving = entry(offset_of!(Header, fast_enter))..entry(offset_of!(Header, fast_saved));
    if is_saving.contains(&found.rip) {
        let mut registers = *found;
        if found.rip >= switched {
            let [.., rsp, _, _, _, _, _, _, _, _] = read(slot, found.rcx)?.saved;
            registers.rsp = rsp;
        }
        let (info, is_saved) = (found.r11, false);
        return Some(Caller { registers, info, is_saved, made: None, result: 0, waits: false });
    }
    let is_restored = found.rip == entry(offset_of!(Header, fast_restored));
    let block = if is_restored { found.rcx } else { found.rsp & !(FAST_BYTES - 1) };
    let Block { info, saved, result, change } = read(slot, block)?;
    let [rax, rbx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r12, r13, r14, r15, eflags] = saved;
    let just_made = entry(offset_of!(Header, change_made))..entry(offset_of!(Header, change_noted));
    let just_changed =
        entry(offset_of!(Header, word_changed))..entry(offset_of!(Header, word_noted));
    let made = match change {
        _ if just_made.contains(&found.rip) || just_changed.contains(&found.rip) => Some(found.rax),
        change::DONE => Some(result),
        _ => None,
    };
    let registers = Registers {
        rax,
        rbx,
        rdx,
        rsi,
        rdi,
        rbp,
        rsp,
        r8,
        r9,
        r10,
        r12,
        r13,
        r14,
        r15,
        eflags,
        ..*found
    };
    let waits = change == change::WAITING;
    Some(Caller { registers, info, is_saved: true, made, result, waits })
}

/// What is read of a block.
struct Block {
    /// The address of the trampoline's data.
    info: u64,
    saved: [u64; SAVED],
    result: u64,
    change: u64,
}

fn read(slot: &Slot, block: u64) -> Option<Block> {
    const PLACE: u64 = offset_of!(Fast, info) as u64;
    const _: () = assert!(offset_of!(Fast, saved) == offset_of!(Fast, info) + 8);
    const _: () = assert!(offset_of!(Fast, change) == offset_of!(Fast, info) + (WORDS - 1) * 8);
    const _: () = assert!(offset_of!(Fast, result) + 8 == offset_of!(Fast, change));
    const _: () = assert!(CHANNEL_OFFSET.is_multiple_of(SLOT_BYTES));
    if block % SLOT_BYTES != FAST_OFFSET {
        return None;
    }
    let words: [u64; WORDS] = if block == slot.memory.address() + FAST_OFFSET {
        slot.memory.read(FAST_OFFSET + PLACE)
    } else {
        // Another thread's, found by an FS.base that user code has loaded.
        let mut bytes = [0; WORDS * 8];
        let read = copy::read(slot.tid, block.wrapping_add(PLACE), &mut bytes);
        read.ok().filter(|&len| len == bytes.len())?;
        zerocopy::transmute!(bytes)
    };
    let [info, saved @ .., _target, result, change] = words;
    Some(Block { info, saved, result, change })
}
