//! Sites of files that were worth a patch in some process, for those that map the same files later.
//!
//! A program that runs for a few milliseconds calls from the same places of the same libraries as the
//! one before. By the time each has been called often enough it would be over; so when the first is
//! patched ([`install`]), those go with it that were patched elsewhere.
//!
//! That instructions begin at a site is certain only where the processor has been there. Another
//! process may be hostile and have jumped into the middle of an instruction, so only sites count
//! around which nothing else can be meant: the call's number is loaded by the instruction before, or the
//! instruction behind compares the result with the errors. And the code must be the same, byte by
//! byte.
//!
//! [`install`]: super::install

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::patch::{Lead, Site};
use crate::contract::HostMapping;

/// Files of which sites are kept, and sites of each.
const FILES_MAX: usize = 32;
const SITES_MAX: usize = 48;

/// What is known of all files.
#[derive(Default)]
pub(super) struct Familiar(Mutex<VecDeque<File>>);

/// A file of the host, and its sites.
struct File {
    dev: (u32, u32),
    inode: u64,
    sites: Vec<Known>,
}

struct Known {
    /// Where in the file the instruction is.
    offset: u64,
    number: u64,
    /// The code around it, and how much of it comes before.
    code: Vec<u8>,
    before: u64,
    lead: Lead,
}

/// A site that is to be patched if its code is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) address: u64,
    pub(super) number: u64,
    pub(super) code: Vec<u8>,
    /// The address of its first byte.
    pub(super) code_start: u64,
    pub(super) lead: Lead,
}

impl Familiar {
    /// Notes that a site was patched, of whose code in the file `code` says what it was before.
    pub(super) fn note(&self, mapping: &HostMapping, site: &Site<'_>) {
        if mapping.inode == 0 || !mapping.range.contains(&site.address) || !is_beyond_doubt(site) {
            return;
        }
        let offset = site.address - mapping.range.start + mapping.offset;
        let mut files = self.0.lock();
        let place = files.iter().position(|file| file.is_of(mapping));
        // The last one used comes first.
        let mut file = place.and_then(|place| files.remove(place)).unwrap_or_else(|| File {
            dev: mapping.dev,
            inode: mapping.inode,
            sites: Vec::new(),
        });
        file.sites.retain(|known| known.offset != offset);
        if file.sites.len() < SITES_MAX {
            let before = site.address - site.code_start;
            file.sites.push(Known {
                offset,
                number: site.number,
                code: site.code.to_vec(),
                before,
                lead: Lead::find(site.code, before as usize),
            });
        }
        files.push_front(file);
        files.truncate(FILES_MAX);
    }

    /// The sites in a mapping.
    pub(super) fn sites_in(&self, mapping: &HostMapping) -> Vec<Candidate> {
        if mapping.inode == 0 || !mapping.exec {
            return Vec::new();
        }
        let files = self.0.lock();
        let Some(file) = files.iter().find(|file| file.is_of(mapping)) else { return Vec::new() };
        let bytes = mapping.range.end - mapping.range.start;
        let place = |known: &Known| {
            let at = known.offset.checked_sub(mapping.offset).filter(|&at| at < bytes)?;
            let address = mapping.range.start + at;
            let code_start = address.checked_sub(known.before)?;
            let Known { number, lead, .. } = *known;
            Some(Candidate { address, number, code: known.code.clone(), code_start, lead })
        };
        file.sites.iter().filter_map(place).collect()
    }
}

impl File {
    fn is_of(&self, mapping: &HostMapping) -> bool {
        (self.dev, self.inode) == (mapping.dev, mapping.inode)
    }
}

/// Whether the code around a site can be nothing but a system call.
fn is_beyond_doubt(site: &Site<'_>) -> bool {
    let at = (site.address - site.code_start) as usize;
    let (Some(before), Some(from)) = (site.code.get(..at), site.code.get(at..)) else {
        return false;
    };
    // mov eax, number; syscall
    let number = u32::try_from(site.number).unwrap_or(u32::MAX).to_le_bytes();
    let loads = before.len() >= 5
        && before[before.len() - 5] == 0xb8
        && before[before.len() - 4..] == number;
    // syscall; cmp rax, -4095 or -4096
    let compares = matches!(from, [0x0f, 0x05, 0x48, 0x3d, 0x00 | 0x01, 0xf0, 0xff, 0xff, ..]);
    from.starts_with(&[0x0f, 0x05]) && (loads || compares)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(start: u64, offset: u64) -> HostMapping {
        HostMapping {
            range: start..start + 0x2000,
            read: true,
            write: false,
            exec: true,
            shared: false,
            offset,
            dev: (0, 7),
            inode: 11,
            label: String::new(),
        }
    }

    /// mov eax, 89; syscall; ret
    const LOADS: [u8; 8] = [0xb8, 89, 0, 0, 0, 0x0f, 0x05, 0xc3];
    /// xor eax, eax; syscall; cmp rax, -4096
    const COMPARES: [u8; 10] = [0x31, 0xc0, 0x0f, 0x05, 0x48, 0x3d, 0, 0xf0, 0xff, 0xff];

    fn site(address: u64, number: u64, before: u64, code: &[u8]) -> Site<'_> {
        Site { address, number, code_start: address - before, code, lead: None }
    }

    #[test]
    fn sites_are_found_where_the_file_is_mapped_next() {
        let familiar = Familiar::default();
        familiar.note(&mapping(0x10_0000, 0x3000), &site(0x10_0105, 89, 5, &LOADS));
        familiar.note(&mapping(0x10_0000, 0x3000), &site(0x10_1002, 0, 2, &COMPARES));
        let found = familiar.sites_in(&mapping(0x70_0000, 0x2000));
        let expected = Candidate {
            address: 0x70_1105,
            number: 89,
            code: LOADS.to_vec(),
            code_start: 0x70_1100,
            lead: Lead::find(&LOADS, 5),
        };
        assert_eq!(found, [expected], "the other is not in that part of the file");
        let all = familiar.sites_in(&mapping(0x70_0000, 0x3000));
        assert_eq!(all.iter().map(|site| site.address).collect::<Vec<_>>(), [0x70_0105, 0x70_1002]);
        let other = HostMapping { inode: 12, ..mapping(0x70_0000, 0x3000) };
        assert_eq!(familiar.sites_in(&other), []);
        let data = HostMapping { exec: false, ..mapping(0x70_0000, 0x3000) };
        assert_eq!(familiar.sites_in(&data), []);
    }

    #[test]
    fn doubtful_sites_are_not_kept() {
        let familiar = Familiar::default();
        let memory = HostMapping { inode: 0, ..mapping(0x10_0000, 0) };
        familiar.note(&memory, &site(0x10_0105, 89, 5, &LOADS));
        assert_eq!(familiar.sites_in(&memory), []);
        // Another number than the one that is loaded, and no comparison.
        familiar.note(&mapping(0x10_0000, 0), &site(0x10_0105, 90, 5, &LOADS));
        familiar.note(&mapping(0x10_0000, 0), &site(0x10_0205, 0, 2, &COMPARES[..6]));
        assert_eq!(familiar.sites_in(&mapping(0x10_0000, 0)), []);
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let familiar = Familiar::default();
        for inode in 1..=2 * FILES_MAX as u64 {
            for index in 0..2 * SITES_MAX as u64 {
                let mapping = HostMapping { inode, ..mapping(0x10_0000, 0) };
                familiar.note(&mapping, &site(0x10_0005 + 16 * index, 89, 5, &LOADS));
            }
        }
        let count =
            |inode| familiar.sites_in(&HostMapping { inode, ..mapping(0x10_0000, 0) }).len();
        assert_eq!((count(1), count(2 * FILES_MAX as u64)), (0, SITES_MAX));
    }
}
