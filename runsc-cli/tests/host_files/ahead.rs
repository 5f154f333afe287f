//! What is asked for, or made, before anybody wants it.

use std::fs;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::time::{Duration, SystemTime};

use linux_abi::Errno;
use linux_abi::fs::{OpenFlags, RenameFlags};
use linux_abi::time::Timespec;
use sentry::vfs::{
    AttributeChange, Attributes, FileSystem, MapRequest, MapSource, NewNodeKind, XattrFlags,
};

use super::common::*;

/// Ten files and as many directories, each with a file.
fn many(root: &std::path::Path) {
    for i in 0..10 {
        fs::write(root.join(format!("f{i}")), format!("content {i}")).unwrap();
        fs::create_dir(root.join(format!("d{i}"))).unwrap();
        fs::write(root.join(format!("d{i}/inner")), format!("inner {i}")).unwrap();
    }
}

/// Has the first two files and directories looked at, so that the rest is foreseen.
fn go_through(root: &Node) {
    assert_eq!(list(root).len(), 20);
    for i in 0..2 {
        assert_eq!(read(root, &format!("f{i}")), format!("content {i}").into_bytes());
        assert_eq!(list(&find(root, &format!("d{i}")).unwrap()), ["inner"]);
    }
}

#[test]
fn a_listed_directory_is_foreseen() {
    let served = Served::new(EXCLUSIVE, many);
    let root = served.root();
    go_through(&root);
    // As long as the host is not asked, what was foreseen stays.
    for i in 2..10 {
        fs::remove_file(served.path(&format!("f{i}"))).unwrap();
        fs::remove_dir_all(served.path(&format!("d{i}"))).unwrap();
    }
    for i in 2..10 {
        assert_eq!(read(&root, &format!("f{i}")), format!("content {i}").into_bytes());
        assert_eq!(list(&find(&root, &format!("d{i}")).unwrap()), ["inner"]);
    }
    assert_eq!(find(&root, "none").err(), Some(Errno::ENOENT));
}

#[test]
fn what_others_may_change_is_not_foreseen() {
    let served = Served::new(SHARED, many);
    let root = served.root();
    go_through(&root);
    fs::remove_file(served.path("f5")).unwrap();
    fs::write(served.path("f6"), b"another").unwrap();
    fs::write(served.path("late"), b"new").unwrap();
    assert_eq!(find(&root, "f5").err(), Some(Errno::ENOENT));
    assert_eq!(read(&root, "f6"), b"another");
    assert_eq!(read(&root, "late"), b"new");
}

#[test]
fn foreseen_entries_follow_our_own_changes() {
    let served = Served::new(EXCLUSIVE, |root| {
        many(root);
        fs::hard_link(root.join("f7"), root.join("d0/linked")).unwrap();
    });
    let root = served.root();
    assert_eq!(list(&root).len(), 20);
    assert_eq!(attributes(&root, "f0").size, 9);
    assert_eq!(attributes(&root, "f1").size, 9);
    // By its other name, which nobody knows of any more afterwards.
    let change = AttributeChange { permissions: Some(0o600), ..AttributeChange::default() };
    find(&root, "d0/linked").unwrap().set_attributes(&change).unwrap();
    assert_eq!(attributes(&root, "f7").permissions, 0o600);
    root.rename(b"f8", &root, b"moved", RenameFlags::empty()).unwrap();
    assert_eq!(find(&root, "f8").err(), Some(Errno::ENOENT));
    assert_eq!(read(&root, "moved"), b"content 8");
    root.rename(b"f5", &root, b"f6", RenameFlags::empty()).unwrap();
    assert_eq!(find(&root, "f5").err(), Some(Errno::ENOENT));
    assert_eq!(read(&root, "f6"), b"content 5");
    root.unlink(b"f9", &find(&root, "f9").unwrap()).unwrap();
    assert_eq!(find(&root, "f9").err(), Some(Errno::ENOENT));
    let made = make(&root, "f9", NewNodeKind::Regular);
    assert!(made.attributes().unwrap().size == 0 && attributes(&root, "f9").size == 0);
}

fn is_recent(time: Timespec) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let time = Duration::new(time.sec as u64, time.nsec as u32);
    // The host's clock for files is a coarse one.
    time + Duration::from_millis(20) > now && time < now + Duration::from_millis(20)
}

#[test]
fn files_made_one_after_the_other_are_like_any_other() {
    let served = Served::new(EXCLUSIVE, |_| {});
    let root = served.root();
    let dir = make(&root, "dir", NewNodeKind::Directory);
    for i in 0..60 {
        let (name, text) = (format!("f{i}"), format!("content {i}"));
        let node = make(&dir, &name, NewNodeKind::Regular);
        let file = open(&node, OpenFlags::RDWR).unwrap();
        let fresh = node.attributes().unwrap();
        assert_eq!((fresh.links, fresh.size, fresh.permissions), (1, 0, 0o644));
        let times = [fresh.accessed, fresh.modified, fresh.changed];
        assert!(times.into_iter().all(is_recent), "{name}: {times:?}");
        if i % 3 != 0 {
            write_at(&*file, text.as_bytes(), 0);
        }
        let after = node.attributes().unwrap();
        if i % 3 == 1 {
            // It has been written, so nothing changes any more.
            served.fs().finish();
            let host = fs::metadata(served.path(&format!("dir/{name}"))).unwrap();
            let seen = (after.inode, after.links, after.size, after.changed.nsec);
            assert_eq!(seen, (host.ino(), host.nlink(), host.size(), host.ctime_nsec()));
            assert_eq!(after.modified.nsec, host.mtime_nsec());
        }
        let expected = if i % 3 == 0 { &b""[..] } else { text.as_bytes() };
        assert_eq!(read(&dir, &name), expected, "{name}");
        if i % 5 == 0 {
            std::thread::sleep(Duration::from_millis(3));
        }
    }
    served.fs().finish();
    for i in 0..60 {
        let host = fs::metadata(served.path(&format!("dir/f{i}"))).unwrap();
        assert_eq!((host.nlink(), host.mode() & 0o7777), (1, 0o644));
        assert!(
            host.atime() >= host.mtime() - 1
                && host.size() == attributes(&dir, &format!("f{i}")).size
        );
    }
    assert_eq!(list(&dir).len(), 60);
}

#[test]
fn new_files_are_linked_renamed_and_removed_at_once() {
    let served = Served::new(EXCLUSIVE, |_| {});
    let root = served.root();
    for i in 0..40 {
        let (name, other) = (format!("f{i}"), format!("g{i}"));
        assert_eq!(find(&root, &name).err(), Some(Errno::ENOENT));
        let node = make_with_text(&root, &name);
        match i % 4 {
            0 => {
                root.rename(name.as_bytes(), &root, other.as_bytes(), RenameFlags::empty()).unwrap()
            }
            1 => {
                root.link(other.as_bytes(), &node).unwrap();
                assert_eq!(node.attributes().unwrap().links, 2);
                root.unlink(name.as_bytes(), &node).unwrap();
                assert_eq!(node.attributes().unwrap().links, 1);
            }
            2 => {
                let file = open(&node, OpenFlags::RDWR).unwrap();
                root.unlink(name.as_bytes(), &node).unwrap();
                assert_eq!(node.attributes().unwrap().links, 0);
                assert_eq!(content(&*file), b"text");
                assert_eq!(find(&root, &name).err(), Some(Errno::ENOENT));
                make(&root, &other, NewNodeKind::Regular);
            }
            _ => {
                node.xattr_set(b"user.a", b"b", XattrFlags::Any).unwrap();
                let file = open(&node, OpenFlags::RDWR).unwrap();
                file.sync(false).unwrap();
                assert!(served.path(&name).exists(), "it lasts once it is synchronised");
                root.rename(name.as_bytes(), &root, other.as_bytes(), RenameFlags::empty())
                    .unwrap();
            }
        }
    }
    served.fs().finish();
    let expected: std::collections::BTreeSet<String> = (0..40).map(|i| format!("g{i}")).collect();
    let host = fs::read_dir(served.path("")).unwrap();
    let host = host.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(host.collect::<std::collections::BTreeSet<_>>(), expected);
    for i in (0..40).filter(|i| i % 4 != 2) {
        assert_eq!(fs::read(served.path(&format!("g{i}"))).unwrap(), b"text");
    }
}

#[test]
fn default_acl_applies_to_new_files() {
    let served = Served::new(EXCLUSIVE, |_| {});
    let root = served.root();
    let dir = make(&root, "dir", NewNodeKind::Directory);
    for i in 0..6 {
        make(&dir, &format!("before{i}"), NewNodeKind::Regular);
    }
    // Version 2; user rwx, group r-x, others nothing: tag, permissions, id.
    let entry = |tag: u16, bits: u16| {
        [&tag.to_le_bytes()[..], &bits.to_le_bytes()[..], &u32::MAX.to_le_bytes()[..]].concat()
    };
    let acl = [&2_u32.to_le_bytes()[..], &entry(1, 7), &entry(4, 5), &entry(0x20, 0)].concat();
    match dir.xattr_set(b"system.posix_acl_default", &acl, XattrFlags::Any) {
        Err(Errno::EOPNOTSUPP) => return,
        set => set.unwrap(),
    }
    for i in 0..6 {
        let made = make(&dir, &format!("after{i}"), NewNodeKind::Regular);
        assert_eq!(made.attributes().unwrap().permissions, 0o640);
    }
}

#[test]
fn listing_of_a_directory_of_ours_asks_nobody_and_is_right() {
    let served = Served::new(EXCLUSIVE, |root| fs::write(root.join("strange"), b"x").unwrap());
    let root = served.root();
    let dir = make(&root, "dir", NewNodeKind::Directory);
    for i in 0..10 {
        make(&dir, &format!("f{i}"), NewNodeKind::Regular);
    }
    let sub = make(&dir, "sub", NewNodeKind::Directory);
    let first = find(&dir, "f0").unwrap();
    dir.link(b"linked", &first).unwrap();
    dir.unlink(b"f1", &find(&dir, "f1").unwrap()).unwrap();
    dir.rename(b"f2", &root, b"away", RenameFlags::empty()).unwrap();
    dir.rename(b"f3", &dir, b"f4", RenameFlags::empty()).unwrap();
    served.fs().finish();
    let host = |dir: &str| {
        let entries = fs::read_dir(served.path(dir)).unwrap().map(|entry| entry.unwrap());
        let name = |entry: &fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut found: Vec<_> = entries.map(|entry| (name(&entry), entry.ino())).collect();
        found.sort();
        found
    };
    let ours = |node: &Node| {
        let file = open(node, OpenFlags::empty()).unwrap();
        let mut found: Vec<_> = entries(&*file, 0, usize::MAX)
            .0
            .into_iter()
            .map(|entry| (String::from_utf8(entry.name.into_owned()).unwrap(), entry.inode))
            .filter(|(name, _)| name != "." && name != "..")
            .collect();
        found.sort();
        found
    };
    // We have chosen the number of a directory that was made without waiting.
    let number = sub.attributes().unwrap().inode;
    let host = |dir: &str| -> Vec<_> {
        let known = |(name, inode)| if name == "sub" { (name, number) } else { (name, inode) };
        host(dir).into_iter().map(known).collect()
    };
    let expected = host("dir");
    assert_eq!(expected.len(), 9);
    // The host is not asked: what others do there does not show.
    fs::write(served.path("dir/late"), b"").unwrap();
    assert_eq!(ours(&dir), expected);
    fs::remove_file(served.path("dir/late")).unwrap();
    // An entry comes that nobody has looked at.
    root.rename(b"strange", &dir, b"stranger", RenameFlags::empty()).unwrap();
    assert_eq!(ours(&dir), host("dir"));
    for (name, _) in ours(&dir).into_iter().filter(|(name, _)| name != "sub") {
        dir.unlink(name.as_bytes(), &find(&dir, &name).unwrap()).unwrap();
    }
    assert_eq!(ours(&dir).len(), 1);
    assert_eq!(find(&dir, "f0").err(), Some(Errno::ENOENT));
}

#[test]
fn files_that_go_before_they_have_come_are_made_again() {
    let served = Served::new(EXCLUSIVE, |_| {});
    let root = served.root();
    let mut inodes = std::collections::BTreeSet::new();
    for i in 0..200 {
        let name = format!("f{}", i % 3);
        assert_eq!(find(&root, &name).err(), Some(Errno::ENOENT));
        let node = make(&root, &name, NewNodeKind::Regular);
        let fresh = node.attributes().unwrap();
        inodes.insert(fresh.inode);
        let seen = (fresh.links, fresh.size, fresh.permissions, fresh.blocks);
        assert_eq!(seen, (1, 0, 0o644, 0), "{i}");
        assert!([fresh.accessed, fresh.modified, fresh.changed].into_iter().all(is_recent));
        let file = open(&node, OpenFlags::RDWR).unwrap();
        assert_eq!(content(&*file), b"");
        write_at(&*file, b"text", 7);
        root.unlink(name.as_bytes(), &node).unwrap();
        match i % 4 {
            // It differs from what it was.
            0 => {
                let permissions = Some(0o600);
                let change = AttributeChange { permissions, ..AttributeChange::default() };
                node.set_attributes(&change).unwrap();
            }
            1 => node.xattr_set(b"user.a", b"b", XattrFlags::Any).unwrap(),
            2 => file.allocate(1, 0, 1 << 20).unwrap(),
            _ => {}
        }
        assert_eq!(node.attributes().unwrap().links, 0);
        assert_eq!(content(&*file), b"\0\0\0\0\0\0\0text");
        assert_eq!(node.xattr_get(b"user.a").is_ok(), i % 4 == 1);
    }
    // Some were used more than once.
    assert!(inodes.len() < 190, "{}", inodes.len());
    served.fs().finish();
    assert_eq!(fs::read_dir(served.path("")).unwrap().count(), 0);
}

#[test]
fn passing_names_change_their_directory_all_the_same() {
    let served = Served::new(EXCLUSIVE, |_| {});
    let root = served.root();
    let dir = make(&root, "dir", NewNodeKind::Directory);
    for i in 0..40 {
        let before = dir.attributes().unwrap().modified;
        std::thread::sleep(Duration::from_millis(12));
        let (passing, last) = (format!("tmp{i}"), format!("f{i}"));
        let node = make_with_text(&dir, &passing);
        if i % 2 == 0 {
            root.link(last.as_bytes(), &node).unwrap();
        }
        dir.unlink(passing.as_bytes(), &node).unwrap();
        let after = dir.attributes().unwrap().modified;
        assert!(is_recent(after) && after != before, "{i}: {before:?} {after:?}");
        assert_eq!(node.attributes().unwrap().links, (i + 1) % 2);
    }
    served.fs().finish();
    assert_eq!(fs::read_dir(served.path("dir")).unwrap().count(), 0);
    for i in (0..40).step_by(2) {
        let path = served.path(&format!("f{i}"));
        assert_eq!(fs::read(&path).unwrap(), b"text");
        assert_eq!(fs::metadata(&path).unwrap().nlink(), 1);
    }
}

#[test]
fn the_change_time_that_was_told_outlives_an_inode() {
    let served = Served::new(EXCLUSIVE, |_| {});
    let root = served.root();
    let dir = make(&root, "dir", NewNodeKind::Directory);
    for i in 0..40 {
        let (name, new) = (format!("f{i}"), format!("g{i}"));
        let node = make_with_text(&dir, &name);
        let written = node.attributes().unwrap();
        dir.rename(name.as_bytes(), &dir, new.as_bytes(), RenameFlags::empty()).unwrap();
        let told = node.attributes().unwrap();
        assert!(told.links == 1 && told.size == 4 && is_recent(told.changed));
        assert_eq!(told.modified, written.modified);
        drop(node);
        if i % 2 == 0 {
            served.fs().finish();
        }
        let again = find(&dir, &new).unwrap();
        let met = again.attributes().unwrap();
        let seen = |it: Attributes| (it.inode, it.links, it.size, it.modified, it.changed);
        assert_eq!(seen(met), seen(told), "{new}");
        served.fs().finish();
        assert_eq!(again.attributes().unwrap().changed, told.changed);
        // Until something happens to the file again.
        std::thread::sleep(Duration::from_millis(12));
        write_at(&*open(&again, OpenFlags::RDWR).unwrap(), b"texts", 0);
        let host = fs::metadata(served.path(&format!("dir/{new}"))).unwrap();
        assert_eq!(again.attributes().unwrap().changed.nsec, host.ctime_nsec());
        assert_ne!(again.attributes().unwrap().changed, told.changed);
    }
}

#[test]
fn a_file_is_opened_before_what_was_asked_for_quietly() {
    let served = Served::new(EXCLUSIVE, |_| {});
    let root = served.root();
    let dir = make(&root, "dir", NewNodeKind::Directory);
    for i in 0..40 {
        let (name, new) = (format!("f{i}"), format!("g{i}"));
        let node = make_with_text(&dir, &name);
        let mode = AttributeChange { permissions: Some(0o600), ..AttributeChange::default() };
        node.set_attributes(&mode).unwrap();
        dir.rename(name.as_bytes(), &dir, new.as_bytes(), RenameFlags::empty()).unwrap();
        let file = open(&node, OpenFlags::empty()).unwrap();
        let (shared, writable, executable) = (false, true, false);
        let request = MapRequest { shared, writable, executable, offset: 0, len: 4 };
        // By a descriptor of its own, for reading only.
        assert!(matches!(file.map(&request), Ok(MapSource::Host { .. })));
        assert_eq!(content(&*file), b"text");
        assert_eq!(node.attributes().unwrap().permissions, 0o600);
        if i > 8 {
            assert!(!served.path(&format!("dir/{new}")).exists(), "{new} is not there yet");
        }
        if i % 8 == 0 {
            served.fs().finish();
            let host = fs::metadata(served.path(&format!("dir/{new}"))).unwrap();
            assert_eq!(host.mode() & 0o7777, 0o600);
        }
    }
}
