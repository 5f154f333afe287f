//! `cpuid` without leaving the virtual machine.
//!
//! A hypervisor has to execute every `cpuid` of its guests, which takes microseconds, and the C
//! library's start-up makes some seventy to learn of caches. So code of programs that are started
//! again and again is mapped from a copy that looks answers up in a table, which the sentry has made
//! once. What depends on the processor that executes it is asked anew. Most sites become jumps to
//! code that does so ([`detour`]). Where that cannot be, `cpuid` is another instruction as long
//! ([`CPUID_TRAP`]), which raises a signal, and the stub has the table, too.
//!
//! The copy is shared by all processes; no code of theirs is written to. Accesses by others show
//! the file's own bytes ([`hide`]).

mod detour;
mod sites;

use std::arch::x86_64::__cpuid_count;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use linux_abi::Errno;
use parking_lot::Mutex;

use self::sites::{CPUID, find_sites};
use super::layout::{CPUID_BYTES, CPUID_TRAP, CpuidEntry, CpuidTable};
use crate::contract::PreparedCode;
use crate::host::fs;
use crate::process::space::{Read, Write};

/// The table, in a memory file that all guest processes map.
pub(super) struct Cpuid {
    file: OwnedFd,
    state: Mutex<State>,
}

enum State {
    Empty,
    Filled(Vec<CpuidEntry>),
    /// Processors differ.
    Useless,
}

/// Bytes of prepared code that differ from the file's.
#[derive(Debug)]
pub(crate) struct Change {
    at: usize,
    original: Vec<u8>,
    new: Vec<u8>,
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
    pub(super) fn prepare(&self, code: &[u8], used: usize) -> Option<PreparedCode> {
        let sites = find_sites(code.get(..used)?);
        if sites.is_empty() {
            return None;
        }
        let mut copy = code.to_vec();
        let mut state = self.state.lock();
        let left = detour::install(&mut copy, used, &sites, self.entries(&mut state)?);
        drop(state);
        for site in left {
            copy[site..site + CPUID.len()].copy_from_slice(&CPUID_TRAP);
        }
        let file = fs::sealed_copy("code", &copy).ok()?;
        let changes = changes(code, &copy);
        Some(PreparedCode { file: Arc::new(file), len: code.len() as u64, changes })
    }

    /// All there is to know, for which the processor is asked the first time.
    fn entries<'a>(&self, state: &'a mut State) -> Option<&'a [CpuidEntry]> {
        if let State::Empty = state {
            *state = match ask_all() {
                Some(entries) if self.fill(&entries).is_ok() => State::Filled(entries),
                _ => State::Useless,
            };
        }
        match state {
            State::Filled(entries) => Some(entries),
            _ => None,
        }
    }

    fn fill(&self, entries: &[CpuidEntry]) -> Result<(), Errno> {
        let mut bytes = (entries.len() as u64).to_ne_bytes().to_vec();
        bytes.extend(to_bytes(entries));
        match fs::pwrite(&self.file, &bytes, 0)? {
            done if done == bytes.len() => Ok(()),
            _ => Err(Errno::ENOSPC),
        }
    }
}

const _: () = assert!(size_of::<CpuidTable>() as u64 <= CPUID_BYTES);
const _: () = assert!(size_of::<CpuidEntry>() == 24 && align_of::<CpuidEntry>() <= 8);

/// Entries as they lie in a table.
fn to_bytes(entries: &[CpuidEntry]) -> impl Iterator<Item = u8> {
    let words = |entry: &CpuidEntry| [entry.leaf, entry.subleaf].into_iter().chain(entry.registers);
    entries.iter().flat_map(words).flat_map(u32::to_ne_bytes)
}

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

/// Where two versions of the code differ.
fn changes(original: &[u8], new: &[u8]) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    let pairs = original.iter().zip(new).enumerate();
    for (at, (&original, &new)) in pairs.filter(|(_, (original, new))| original != new) {
        match changes.last_mut() {
            Some(last) if last.at + last.new.len() == at => {
                last.original.push(original);
                last.new.push(new);
            }
            _ => changes.push(Change { at, original: vec![original], new: vec![new] }),
        }
    }
    changes
}

/// Puts the file's own bytes into `bytes`, which were read at `address`, where code with these
/// `changes` was mapped at `start`.
pub(super) fn hide(start: u64, changes: &[Change], address: u64, bytes: &mut [u8]) {
    for change in changes {
        let first = start + change.at as u64;
        let own = change.original.iter().zip(&change.new).zip(first..);
        let seen: Vec<_> = own
            .filter_map(|(pair, at)| Some((usize::try_from(at.checked_sub(address)?).ok()?, pair)))
            .filter(|(at, _)| *at < bytes.len())
            .collect();
        // Something else may be there by now.
        if seen.iter().all(|(at, (_, new))| bytes[*at] == **new) {
            seen.iter().for_each(|(at, (original, _))| bytes[*at] = **original);
        }
    }
}

/// Puts the file's own bytes in place of what is changed in a range, where it still is.
pub(super) fn uncover(
    start: u64,
    changes: &[Change],
    range: &Range<u64>,
    read: Read<'_>,
    write: Write<'_>,
) {
    for change in changes {
        let at = start + change.at as u64;
        let mut found = vec![0; change.new.len()];
        if at < range.end
            && at + found.len() as u64 > range.start
            && read(at, &mut found)
            && found == change.new
        {
            write(at, &change.original);
        }
    }
}

#[cfg(test)]
mod tests;
