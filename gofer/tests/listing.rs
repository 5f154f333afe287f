//! Directory listings.

mod common;

use std::collections::BTreeSet;
use std::fs;

use common::{DIRECTORY, Options, Served, small_tree};
use gofer_protocol::{DirPosition, NodeId, ReadDirFlags};
use linux_abi::Errno;

const ROOT: NodeId = NodeId::ROOT;

fn many(count: usize) -> Served {
    Served::with(Options::default(), |root| {
        for index in 0..count {
            fs::write(root.join(format!("file-with-a-longer-name-{index}")), b"").unwrap();
        }
    })
}

fn names(entries: &[gofer_protocol::DirEntry]) -> BTreeSet<Vec<u8>> {
    entries.iter().map(|entry| entry.name.clone()).collect()
}

#[test]
fn entries_have_kind_inode_and_attributes() {
    let served = Served::with(Options::default(), small_tree);
    let entries = served.client().read_dir_all(ROOT, ReadDirFlags::ATTRIBUTES).unwrap();
    let expected = ["dir", "fifo", "file", "link"].map(|name| name.as_bytes().to_vec());
    assert_eq!(names(&entries), BTreeSet::from(expected));
    for entry in &entries {
        let attr = entry.attr.unwrap();
        assert_eq!(entry.ino, attr.ino);
        assert_eq!(u32::from(entry.kind), attr.file_type() >> 12);
    }
    let plain = served.client().read_dir(ROOT, DirPosition::START, ReadDirFlags::empty()).unwrap();
    assert!(plain.next.is_none(), "a short listing takes one round trip");
    assert!(plain.entries.iter().all(|entry| entry.attr.is_none()));
}

#[test]
fn empty_directory_has_no_entries() {
    let served = Served::new();
    let chunk = served.client().read_dir(ROOT, DirPosition::START, ReadDirFlags::empty()).unwrap();
    assert!(chunk.entries.is_empty() && chunk.next.is_none());
    let dir = served.client().mkdir(ROOT, b"d", DIRECTORY).unwrap().node.unwrap();
    served.client().rmdir(ROOT, b"d").unwrap();
    let chunk = served.client().read_dir(dir, DirPosition::START, ReadDirFlags::empty());
    assert!(chunk.is_ok_and(|chunk| chunk.entries.is_empty()) || chunk_is_gone(&served, dir));
}

/// Some file systems say ENOENT for a directory that was removed.
fn chunk_is_gone(served: &Served, dir: NodeId) -> bool {
    let chunk = served.client().read_dir(dir, DirPosition::START, ReadDirFlags::empty());
    chunk.map(drop) == Err(Errno::ENOENT)
}

#[test]
fn ten_thousand_entries_each_once() {
    let served = many(10_000);
    for flags in [ReadDirFlags::empty(), ReadDirFlags::ATTRIBUTES] {
        let entries = served.client().read_dir_all(ROOT, flags).unwrap();
        assert_eq!(entries.len(), 10_000);
        assert_eq!(names(&entries).len(), 10_000);
    }
}

#[test]
fn any_offset_resumes_without_its_stream() {
    let served = many(3000);
    let all = served.client().read_dir_all(ROOT, ReadDirFlags::empty()).unwrap();
    let position = DirPosition { stream: 0, offset: all[1234].offset };
    let chunk = served.client().read_dir(ROOT, position, ReadDirFlags::empty()).unwrap();
    assert_eq!(chunk.entries[0].name, all[1235].name);
    let last = DirPosition { stream: 0, offset: all[2999].offset };
    let chunk = served.client().read_dir(ROOT, last, ReadDirFlags::empty()).unwrap();
    assert!(chunk.entries.is_empty() && chunk.next.is_none());
}

#[test]
fn more_listings_than_streams_all_complete() {
    let served = many(5000);
    let mut listings: Vec<_> = (0..40).map(|_| (Vec::new(), Some(DirPosition::START))).collect();
    while listings.iter().any(|(_, next)| next.is_some()) {
        for (entries, next) in &mut listings {
            let Some(position) = *next else { continue };
            let mut chunk =
                served.client().read_dir(ROOT, position, ReadDirFlags::empty()).unwrap();
            entries.append(&mut chunk.entries);
            *next = chunk.next;
        }
    }
    for (entries, _) in &listings {
        assert_eq!((entries.len(), names(entries).len()), (5000, 5000));
    }
}

#[test]
fn entries_that_stay_are_listed_while_others_go() {
    let served = many(6000);
    let first = served.client().read_dir(ROOT, DirPosition::START, ReadDirFlags::empty()).unwrap();
    for index in (0..6000).step_by(2) {
        fs::remove_file(served.path(&format!("file-with-a-longer-name-{index}"))).unwrap();
    }
    let mut seen = first.entries;
    let mut next = first.next;
    while let Some(position) = next {
        let mut chunk = served.client().read_dir(ROOT, position, ReadDirFlags::ATTRIBUTES).unwrap();
        seen.append(&mut chunk.entries);
        next = chunk.next;
    }
    let seen = names(&seen);
    let stayed = (1..6000).step_by(2);
    let missing = stayed
        .filter(|index| !seen.contains(format!("file-with-a-longer-name-{index}").as_bytes()));
    assert_eq!(missing.count(), 0);
}

#[test]
fn nonsense_positions_do_no_harm() {
    let served = many(10);
    for offset in [u64::MAX, 1 << 63] {
        let position = DirPosition { stream: 77, offset };
        let result = served.client().read_dir(ROOT, position, ReadDirFlags::empty()).map(drop);
        assert_eq!(result, Err(Errno::EINVAL));
    }
    let flags = ReadDirFlags::from_bits_retain(2);
    let result = served.client().read_dir(ROOT, DirPosition::START, flags).map(drop);
    assert_eq!(result, Err(Errno::EINVAL));
}
