use std::sync::Arc;

use super::*;
use crate::systrap::channel::Channel;

const START: u64 = 0x7e90_1000_0000;

struct Case {
    directory: Directory,
    channel: Arc<Channel>,
}

/// A thread's slot and what is known of it.
type Member = (SlotMemory, Listing);

impl Case {
    fn new() -> Case {
        Case { directory: Directory::default(), channel: Channel::new(START).expect("channel") }
    }

    fn member(&self) -> Member {
        (self.channel.allocate().expect("a slot"), Listing::default())
    }

    fn update(&self, (memory, listing): &mut Member, fs_base: u64) {
        self.directory.update(memory, listing, fs_base, true);
    }

    /// Whether the table leads from an FS.base to a member.
    fn leads(&self, fs_base: u64, (memory, _): &Member) -> bool {
        let block = memory.address() + FAST_OFFSET;
        let negated: u64 = memory.read(FAST_OFFSET);
        self.channel.entry(entry(fs_base)) == block && negated.wrapping_add(fs_base) == 0
    }
}

#[test]
fn entries_are_what_the_processor_computes() {
    if !std::is_x86_feature_detected!("sse4.2") {
        return;
    }
    for shift in 0..48 {
        let base = 0x9e37_79b9_7f4a_7c15_u64 >> shift;
        // SAFETY: the processor has the instruction.
        let crc = unsafe { std::arch::x86_64::_mm_crc32_u64(0, base) };
        assert_eq!(entry(base), crc as u16);
    }
}

#[test]
fn a_thread_is_found_by_its_present_base() {
    let case = Case::new();
    let mut thread = case.member();
    case.update(&mut thread, 0x1000);
    assert!(case.leads(0x1000, &thread) && thread.1.is_listed);
    case.update(&mut thread, 0x2000);
    assert!(case.leads(0x2000, &thread) && !case.leads(0x1000, &thread));
    case.directory.update(&thread.0, &mut thread.1, 0x2000, false);
    assert_eq!(case.channel.entry(entry(0x2000)), 0);
}

#[test]
fn nobody_is_found_by_a_base_that_two_have() {
    let case = Case::new();
    let (mut parent, mut child) = (case.member(), case.member());
    case.update(&mut parent, 0x1000);
    case.update(&mut child, 0x1000);
    assert_eq!(case.channel.entry(entry(0x1000)), 0);
    // Nor when the parent leaves the stub meanwhile.
    case.update(&mut parent, 0x1000);
    assert_eq!(case.channel.entry(entry(0x1000)), 0);
    case.update(&mut child, 0x3000);
    assert!(case.leads(0x3000, &child));
    case.update(&mut parent, 0x1000);
    assert!(case.leads(0x1000, &parent));
    case.update(&mut child, 0x1000);
    case.directory.remove(&child.0, &mut child.1, true);
    case.update(&mut parent, 0x1000);
    assert!(case.leads(0x1000, &parent));
}

#[test]
fn a_child_is_found_while_its_parent_rests() {
    let case = Case::new();
    let (mut parent, mut child) = (case.member(), case.member());
    case.update(&mut parent, 0x1000);
    case.directory.remove(&parent.0, &mut parent.1, false);
    assert_eq!(case.channel.entry(entry(0x1000)), 0);
    case.update(&mut child, 0x1000);
    assert!(case.leads(0x1000, &child));
    // It has left the guest for good.
    case.directory.remove(&child.0, &mut child.1, false);
    case.update(&mut parent, 0x1000);
    assert!(case.leads(0x1000, &parent));
    // Should both go on, nobody is found.
    case.directory.remove(&parent.0, &mut parent.1, false);
    let mut other = case.member();
    case.update(&mut other, 0x1000);
    case.update(&mut parent, 0x1000);
    assert_eq!(case.channel.entry(entry(0x1000)), 0);
}

#[test]
fn an_entry_is_one_threads_until_that_is_in_the_stub() {
    let case = Case::new();
    let other = (0x2000..).step_by(64).find(|&base| entry(base) == entry(0x1000));
    let other = other.expect("a base with the same entry");
    let (mut first, mut second) = (case.member(), case.member());
    case.update(&mut first, 0x1000);
    case.update(&mut second, other);
    assert!(case.leads(0x1000, &first) && !second.1.is_listed);
    // It ends, but may still be looking at the table.
    case.directory.remove(&first.0, &mut first.1, true);
    assert_eq!(case.channel.entry(entry(other)), 0);
    let mut third = case.member();
    case.update(&mut third, 0x5000);
    case.update(&mut third, other + 1);
    assert!(!second.1.is_listed);
}
