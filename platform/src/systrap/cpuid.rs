//! `cpuid` without leaving the virtual machine.
//!
//! A hypervisor has to execute every `cpuid` of its guests, which takes microseconds, and the C
//! library's start-up makes some seventy to learn of caches. So code of programs that are started
//! again and again is mapped from a copy in which `cpuid` is another instruction as long
//! ([`CPUID_TRAP`]). It raises a signal, a fraction of that, and the stub answers from a table that
//! the sentry has made once. What depends on the processor that executes it the stub asks anew.
//!
//! The copy is shared by all processes; no code of theirs is written to. Accesses by others show
//! the file's own bytes ([`hide`]).

use std::arch::x86_64::__cpuid_count;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use iced_x86::{
    CpuidFeature, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, Register,
};
use linux_abi::Errno;
use parking_lot::Mutex;

use super::layout::{CPUID_BYTES, CPUID_TRAP, CpuidEntry, CpuidTable};
use crate::contract::PreparedCode;
use crate::host::fs;

const CPUID: [u8; 2] = [0x0f, 0xa2];

/// The table, in a memory file that all guest processes map.
pub(super) struct Cpuid {
    file: OwnedFd,
    state: Mutex<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Empty,
    Filled,
    /// Processors differ.
    Useless,
}

impl Cpuid {
    /// Errors: those of `memfd_create(2)`.
    pub(super) fn new() -> Result<Cpuid, Errno> {
        let file = fs::memfd_create("cpuid")?;
        fs::ftruncate(&file, CPUID_BYTES)?;
        Ok(Cpuid { file, state: Mutex::new(State::Empty) })
    }

    pub(super) fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// See [`Platform::prepare_code`](crate::contract::Platform::prepare_code).
    pub(super) fn prepare(&self, code: &[u8]) -> Option<PreparedCode> {
        let sites = find_sites(code);
        if sites.is_empty() || !self.is_filled() {
            return None;
        }
        let mut copy = code.to_vec();
        for site in &sites {
            copy[*site..*site + CPUID.len()].copy_from_slice(&CPUID_TRAP);
        }
        let file = fs::sealed_copy("code", &copy).ok()?;
        Some(PreparedCode { file: Arc::new(file), len: code.len() as u64, sites })
    }

    /// Asks the processor all there is to know, the first time.
    fn is_filled(&self) -> bool {
        let mut state = self.state.lock();
        if *state == State::Empty {
            *state = match ask_all() {
                Some(entries) if self.fill(&entries).is_ok() => State::Filled,
                _ => State::Useless,
            };
        }
        *state == State::Filled
    }

    fn fill(&self, entries: &[CpuidEntry]) -> Result<(), Errno> {
        let mut bytes = (entries.len() as u64).to_ne_bytes().to_vec();
        for entry in entries {
            let words = [entry.leaf, entry.subleaf].into_iter().chain(entry.registers);
            bytes.extend(words.flat_map(u32::to_ne_bytes));
        }
        match fs::pwrite(&self.file, &bytes, 0)? {
            done if done == bytes.len() => Ok(()),
            _ => Err(Errno::ENOSPC),
        }
    }
}

const _: () = assert!(size_of::<CpuidTable>() as u64 <= CPUID_BYTES);
const _: () = assert!(size_of::<CpuidEntry>() == 24 && align_of::<CpuidEntry>() <= 8);

/// Leaves that have no others below.
const PLAIN_LEAVES: [u32; 12] = [
    0x0,
    0x2,
    0x19,
    0x8000_0000,
    0x8000_0001,
    0x8000_0002,
    0x8000_0003,
    0x8000_0004,
    0x8000_0005,
    0x8000_0006,
    0x8000_0007,
    0x8000_0008,
];

/// Leaves that have, and how many of those.
const DEEP_LEAVES: [(u32, Range<u32>); 5] =
    [(0x4, 0..8), (0x7, 0..3), (0xd, 0..20), (0x14, 0..2), (0x8000_001d, 0..5)];

/// Answers that are the same on every processor; `None` if processors are of different kinds.
fn ask_all() -> Option<Vec<CpuidEntry>> {
    let (max, max_extended) = (ask(0, 0)[0], ask(0x8000_0000, 0)[0]);
    let is_known = |leaf: u32| leaf <= if leaf < 0x8000_0000 { max } else { max_extended };
    let is_hybrid = is_known(7) && ask(7, 0)[3] >> 15 & 1 != 0;
    let is_heterogeneous = is_known(0x8000_0026) && ask(0x8000_0026, 0)[0] >> 30 & 1 != 0;
    if is_hybrid || is_heterogeneous {
        return None;
    }
    let plain = PLAIN_LEAVES.into_iter().map(|leaf| (leaf, 0, CpuidEntry::ANY));
    let deep = DEEP_LEAVES
        .into_iter()
        .flat_map(|(leaf, below)| below.map(move |subleaf| (leaf, subleaf, subleaf)));
    let all = plain.chain(deep).filter(|(leaf, ..)| is_known(*leaf));
    Some(
        all.map(|(leaf, asked, subleaf)| CpuidEntry { leaf, subleaf, registers: ask(leaf, asked) })
            .collect(),
    )
}

fn ask(leaf: u32, subleaf: u32) -> [u32; 4] {
    let found = __cpuid_count(leaf, subleaf);
    [found.eax, found.ebx, found.ecx, found.edx]
}

/// Puts the file's own bytes into `bytes`, which were read at `address`, where code with these
/// `sites` was mapped at `start`.
pub(super) fn hide(start: u64, sites: &[usize], address: u64, bytes: &mut [u8]) {
    let end = address.saturating_add(bytes.len() as u64);
    for site in sites.iter().map(|site| start + *site as u64) {
        let whole = site..site + CPUID.len() as u64;
        if whole.end <= address || whole.start >= end {
            continue;
        }
        let all = whole.clone().zip(CPUID.into_iter().zip(CPUID_TRAP));
        let seen: Vec<_> = all
            .filter_map(|(at, pair)| Some((at.checked_sub(address)? as usize, pair)))
            .filter(|(at, _)| *at < bytes.len())
            .collect();
        // Something else may be there by now.
        if seen.iter().all(|(at, (_, trap))| bytes[*at] == *trap) {
            seen.iter().for_each(|(at, (own, _))| bytes[*at] = *own);
        }
    }
}

/// Offsets of `cpuid` in the code of a program.
///
/// Data among the code must stay as it is. So one counts only where everything that is executed before
/// it, wherever one starts to read, leads to it, loads the number of a leaf, and goes on as code.
fn find_sites(code: &[u8]) -> Vec<usize> {
    let candidates = memchr::memmem::find_iter(code, &CPUID);
    candidates.filter(|&at| is_instruction(code, at)).collect()
}

/// How far before a candidate reading starts, at how many places, and for how long it goes on behind.
const WINDOW: usize = 96;
const STARTS: usize = 64;
const BEHIND: usize = 6;
/// So many instructions before a `cpuid` its leaf is loaded at the latest.
const NEAR: usize = 13;
/// So many bytes before it all readings have fallen into step, so that they tell of the code.
const JUDGED: usize = 56;

fn is_instruction(code: &[u8], at: usize) -> bool {
    let Some(first) = at.checked_sub(WINDOW) else { return false };
    let readings: Vec<_> =
        (first..first + STARTS).filter_map(|start| read_up_to(code, start, at)).collect();
    let agree = readings.iter().all(Option::is_some) && readings.len() >= STARTS / 4;
    let Some(Some(loads)) = readings.first() else { return false };
    let mut behind = Decoder::new(64, &code[at..], DecoderOptions::NONE);
    let goes_on = (0..=BEHIND).map(|_| behind.decode());
    agree && *loads && goes_on.into_iter().all(|next| !next.is_invalid() && is_usual(&next))
}

/// Reads instructions from `start` to `at`: whether one of the last loads eax. `Some(None)` if they
/// lead past it, `None` if they are none.
fn read_up_to(code: &[u8], start: usize, at: usize) -> Option<Option<bool>> {
    let mut decoder = Decoder::new(64, &code[start..], DecoderOptions::NONE);
    let (mut loads, mut is_plain) = (Vec::new(), true);
    while start + decoder.position() < at {
        let before = start + decoder.position();
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            return None;
        }
        is_plain &= is_usual(&instruction) || before + JUDGED < at;
        let is_load = instruction.op0_register() == Register::EAX
            && matches!(instruction.mnemonic(), Mnemonic::Mov | Mnemonic::Xor | Mnemonic::Lea);
        loads.push(is_load);
    }
    let arrives = start + decoder.position() == at;
    Some(arrives.then(|| is_plain && loads.iter().rev().take(NEAR).any(|is_load| *is_load)))
}

/// Whether compilers make such an instruction for code that is not about numbers.
fn is_usual(instruction: &Instruction) -> bool {
    let is_usual_feature = |feature: &CpuidFeature| {
        use CpuidFeature::{
            CET_IBT, CMOV, CPUID, INTEL186, INTEL286, INTEL386, INTEL486, INTEL8086, MULTIBYTENOP,
            SSE, SSE2, X64, XSAVE,
        };
        matches!(
            feature,
            INTEL8086
                | INTEL186
                | INTEL286
                | INTEL386
                | INTEL486
                | X64
                | CMOV
                | CPUID
                | MULTIBYTENOP
                | SSE
                | SSE2
                | CET_IBT
                | XSAVE
        )
    };
    !instruction.is_privileged()
        && !instruction.is_string_instruction()
        && instruction.flow_control() != FlowControl::Interrupt
        && instruction.cpuid_features().iter().all(is_usual_feature)
}

#[cfg(test)]
#[path = "cpuid_tests.rs"]
mod tests;
