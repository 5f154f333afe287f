//! Directory listings.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

use common::{DIRECTORY, Options, Served, small_tree};
use gofer_protocol::{DirPosition, NodeId, ReadDirFlags, SurveyFlags, Target};
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

#[test]
fn survey_tells_of_many_entries_at_once() {
    let served = Served::with(Options::default(), |root| {
        small_tree(root);
        fs::write(root.join("dir/inner"), b"").unwrap();
        fs::create_dir(root.join("large")).unwrap();
        (0..2000).for_each(|i| fs::write(root.join(format!("large/{i:0100}")), b"").unwrap());
    });
    let client = served.client();
    let names: [&[u8]; 5] = [b"file", b"none", b"dir", b"link", b"large"];
    let plain = client.survey(ROOT, &names, SurveyFlags::empty()).unwrap();
    let errors: Vec<_> = plain.iter().map(|entry| entry.as_ref().err().copied()).collect();
    assert_eq!(errors, [None, Some(Errno::ENOENT), None, None, None]);
    for (entry, name) in plain.iter().zip(["file", "none", "dir", "link", "large"]) {
        let Ok(entry) = entry else { continue };
        let host = fs::symlink_metadata(served.path(name)).unwrap();
        assert_eq!((entry.attr.ino, entry.attr.mode), (host.ino(), host.mode()));
        assert!(entry.node.is_none() && entry.fd.is_none() && entry.listing.is_none());
    }
    let mut whole = client.survey(ROOT, &names, SurveyFlags::LIST | SurveyFlags::OPEN).unwrap();
    let large = whole.pop().unwrap().unwrap();
    assert!(large.listing.is_none(), "it does not fit");
    assert!(client.get_attr(large.node.unwrap().into()).unwrap().is_directory());
    let link = whole.pop().unwrap().unwrap();
    assert!(link.attr.is_symlink() && link.fd.is_none(), "links are not followed");
    let dir = whole.pop().unwrap().unwrap();
    let attr = client.get_attr(Target::child(dir.node.unwrap(), b"inner")).unwrap();
    assert_eq!(attr.ino, fs::metadata(served.path("dir/inner")).unwrap().ino());
    assert!(names_of(&dir.listing.unwrap()).contains(&b"inner"[..]));
    let fd = whole.swap_remove(0).unwrap().fd.unwrap();
    let mut content = [0; 16];
    let count = rustix::io::read(&fd, &mut content).unwrap();
    assert_eq!(content[..count], fs::read(served.path("file")).unwrap());
    assert_eq!(rustix::io::write(&fd, b"x"), Err(rustix::io::Errno::BADF));
}

fn names_of(entries: &[gofer_protocol::DirEntry]) -> BTreeSet<&[u8]> {
    entries.iter().map(|entry| &*entry.name).collect()
}

#[test]
fn survey_has_limits() {
    let served = many(200);
    let client = served.client();
    let all = client.read_dir_all(ROOT, ReadDirFlags::empty()).unwrap();
    let names: Vec<&[u8]> = all.iter().map(|entry| &*entry.name).collect();
    let told = client.survey(ROOT, &names, SurveyFlags::OPEN).unwrap();
    assert_eq!(told.len(), 200);
    let opened = told.iter().filter(|entry| entry.as_ref().unwrap().fd.is_some()).count();
    assert_eq!(opened, gofer_protocol::transport::MAX_DESCRIPTORS);
    assert_eq!(client.survey(ROOT, &[], SurveyFlags::OPEN).err(), Some(Errno::EINVAL));
    assert_eq!(client.survey(ROOT, &[b".."], SurveyFlags::LIST).err(), Some(Errno::EINVAL));
    let too_many = vec![&b"x"[..]; 257];
    assert_eq!(client.survey(ROOT, &too_many, SurveyFlags::OPEN).err(), Some(Errno::EINVAL));
    assert_eq!(served.client().survey(ROOT, &names, SurveyFlags::empty()).unwrap().len(), 200);
}
