//! Jumps around `cpuid`.
//!
//! The last page of a program's code mostly has room behind it. There go a table of answers, a routine
//! that looks something up in it, and for each `cpuid` a piece of code that calls the routine. The
//! instructions before the `cpuid` become a jump there; it has a copy of them.
//!
//! ```text
//! site:   <instructions>     ->  jmp piece        piece:  <instructions>
//!         cpuid                                           lea rsp, [rsp - 128]    the red zone
//! next:                                                   call routine
//!                                                         lea rsp, [rsp + 128]
//!                                                         jmp next
//! ```
//!
//! All of it is plain code, which may be interrupted anywhere. Nothing may jump to what is displaced:
//! a site with such a target, or without room, is left to the trap.

use std::collections::BTreeSet;

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction};

use super::sites::CPUID;
use crate::systrap::layout::CpuidEntry;
use crate::systrap::patch::{JUMP_BYTES, READ_BEFORE, call, instruction_before, jump};

/// Longer code is not searched for targets of jumps, which takes its time.
const SEARCHED_MAX: usize = 1 << 20;
/// Most bytes that are displaced before a `cpuid`.
const LEAD_MAX: usize = 16;
/// `lea rsp, [rsp - 128]` and back: flags stay.
const LEAVE_RED_ZONE: [u8; 5] = [0x48, 0x8d, 0x64, 0x24, 0x80];
const ENTER_RED_ZONE: [u8; 8] = [0x48, 0x8d, 0xa4, 0x24, 0x80, 0, 0, 0];

/// The routine, up to the table, which follows. It changes what `cpuid` changes.
#[rustfmt::skip]
const ROUTINE: [u8; 64] = [
    0x9c,                               // pushfq
    0x56,                               // push rsi
    0x57,                               // push rdi
    0x48, 0x8d, 0x35, 54, 0, 0, 0,      // lea rsi, [rip + table]
    0xbf, 0, 0, 0, 0,                   // mov edi, <count>
    0x3b, 0x06,                         // 1: cmp eax, [rsi]
    0x75, 0x0b,                         // jne 2f
    0x3b, 0x4e, 0x04,                   // cmp ecx, [rsi + 4]
    0x74, 0x12,                         // je 3f
    0x83, 0x7e, 0x04, 0xff,             // cmp dword ptr [rsi + 4], ANY
    0x74, 0x0c,                         // je 3f
    0x48, 0x83, 0xc6, 0x18,             // 2: add rsi, 24
    0xff, 0xcf,                         // dec edi
    0x75, 0xe9,                         // jnz 1b
    0x0f, 0xa2,                         // cpuid
    0xeb, 0x0c,                         // jmp 4f
    0x8b, 0x46, 0x08,                   // 3: mov eax, [rsi + 8]
    0x8b, 0x5e, 0x0c,                   // mov ebx, [rsi + 12]
    0x8b, 0x4e, 0x10,                   // mov ecx, [rsi + 16]
    0x8b, 0x56, 0x14,                   // mov edx, [rsi + 20]
    0x5f,                               // 4: pop rdi
    0x5e,                               // pop rsi
    0x9d,                               // popfq
    0xc3,                               // ret
    0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
];
const COUNT: usize = 11;
const _: () = assert!(size_of::<CpuidEntry>() == 24 && CpuidEntry::ANY == u32::MAX);

/// Writes detours for as many of `sites` as there is room for behind the first `used` bytes of `code`;
/// answers with those that are left.
pub(super) fn install(
    code: &mut [u8],
    used: usize,
    sites: &[usize],
    entries: &[CpuidEntry],
) -> Vec<usize> {
    let start = used.next_multiple_of(16);
    let has_room = start < code.len() && code[used..].iter().all(|&byte| byte == 0);
    if used > SEARCHED_MAX || !has_room {
        return sites.to_vec();
    }
    let mut room = routine(entries);
    if start + room.len() > code.len() {
        return sites.to_vec();
    }
    let original = code[..used].to_vec();
    let targets = targets(&original);
    let (mut left, mut free_from) = (Vec::new(), 0);
    for &site in sites {
        let next = site + CPUID.len();
        let lead = lead_before(&original, site, free_from, &targets);
        let piece =
            lead.and_then(|lead| piece(&original[lead..site], start + room.len(), start, next));
        free_from = next;
        let (Some(lead), Some(piece)) = (lead, piece) else {
            left.push(site);
            continue;
        };
        let at = start + room.len();
        if at + piece.len() > code.len() {
            left.push(site);
            continue;
        }
        let Some(jump) = jump(lead as u64, at as u64) else {
            left.push(site);
            continue;
        };
        room.extend(piece);
        code[lead..lead + JUMP_BYTES].copy_from_slice(&jump);
        if lead + JUMP_BYTES <= site {
            // Who knows another way there finds the trap.
            left.push(site);
        }
    }
    code[start..start + room.len()].copy_from_slice(&room);
    left
}

fn routine(entries: &[CpuidEntry]) -> Vec<u8> {
    let mut bytes = ROUTINE.to_vec();
    bytes[COUNT..COUNT + 4].copy_from_slice(&(entries.len() as u32).to_le_bytes());
    bytes.extend(super::to_bytes(entries));
    bytes
}

/// Where the instructions begin that make room for a jump before `site`; `None` if they cannot be
/// displaced. They begin at `free_from` at the earliest.
fn lead_before(
    code: &[u8],
    site: usize,
    free_from: usize,
    targets: &BTreeSet<usize>,
) -> Option<usize> {
    let mut lead = site;
    while site + CPUID.len() - lead < JUMP_BYTES {
        if lead < READ_BEFORE {
            return None;
        }
        let before = instruction_before(code, lead)?;
        let instruction = Decoder::new(64, &code[before..lead], DecoderOptions::NONE).decode();
        let may_move = instruction.flow_control() == FlowControl::Next
            && !instruction.is_ip_rel_memory_operand();
        if !may_move || before < free_from || site - before > LEAD_MAX {
            return None;
        }
        lead = before;
    }
    let displaced = lead + 1..(lead + JUMP_BYTES).max(site + 1);
    targets.range(displaced).next().is_none().then_some(lead)
}

/// Where code branches to, or takes addresses of.
fn targets(code: &[u8]) -> BTreeSet<usize> {
    let mut targets = BTreeSet::new();
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        let target = match instruction.flow_control() {
            FlowControl::UnconditionalBranch
            | FlowControl::ConditionalBranch
            | FlowControl::Call => instruction.near_branch_target(),
            _ if instruction.is_ip_rel_memory_operand() => instruction.ip_rel_memory_address(),
            _ => continue,
        };
        if target < code.len() as u64 {
            targets.insert(target as usize);
        }
    }
    targets
}

/// The code for a site whose displaced instructions are `lead`, at offset `at`.
fn piece(lead: &[u8], at: usize, routine: usize, next: usize) -> Option<Vec<u8>> {
    let mut bytes = lead.to_vec();
    bytes.extend(LEAVE_RED_ZONE);
    bytes.extend(call((at + bytes.len()) as u64, routine as u64)?);
    bytes.extend(ENTER_RED_ZONE);
    bytes.extend(jump((at + bytes.len()) as u64, next as u64)?);
    Some(bytes)
}
