//! File systems served by a gofer.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags, RenameFlags};
use linux_abi::time::Timespec;
use sentry::memory::IoSource;
use sentry::task::begin_operation;
use sentry::vfs::{
    AttributeChange, FileSystem, MapRequest, MapSource, NewNodeKind, SeekFrom, TimeChange,
    XattrFlags,
};

use super::common::*;

fn same(one: &Node, other: &Node) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
}

#[test]
fn walks_read_and_list() {
    for serving in [EXCLUSIVE, SHARED] {
        let served = Served::new(serving, small_tree);
        let root = served.root();
        assert_eq!(read(&root, "dir/sub/file"), b"deep");
        assert_eq!(find(&root, "dir/none").err(), Some(Errno::ENOENT));
        assert_eq!(find(&root, "file/none").err(), Some(Errno::ENOTDIR));
        let link = find(&root, "link").unwrap();
        assert_eq!(link.readlink(&PLAIN), Ok(b"dir/sub".to_vec()));
        assert_eq!(list(&root), ["dir", "file", "link"]);
        let attributes = attributes(&root, "file");
        let host = fs::metadata(served.path("file")).unwrap();
        assert_eq!((attributes.inode, attributes.size), (host.ino(), 7));
        assert_eq!(served.fs().is_volatile(), !serving.is_exclusive);
    }
}

#[test]
fn chain_answers_in_one_step_and_stops_at_links() {
    let served = Served::new(EXCLUSIVE, small_tree);
    let root = served.root();
    let chain = root.lookup_chain(&[b"dir", b"sub", b"file"], false);
    assert_eq!(chain.len(), 3);
    assert!(same(&chain[2], &find(&root, "dir/sub/file").unwrap()));
    assert_eq!(root.lookup_chain(&[b"link", b"file"], false).len(), 1);
    let prefix = root.lookup_chain(&[b"dir", b"sub", b"none", b"x"], false);
    assert_eq!(prefix.len(), 2);
    assert_eq!(prefix[1].lookup(b"none").err(), Some(Errno::ENOENT));
    make(&prefix[1], "none", NewNodeKind::Regular);
    assert!(prefix[1].lookup(b"none").is_ok());
}

#[test]
fn walk_to_open_brings_the_descriptor_along() {
    for serving in [EXCLUSIVE, SHARED] {
        let served = Served::new(serving, small_tree);
        let root = served.root();
        let chain = root.lookup_chain(&[b"dir", b"sub", b"file"], true);
        // Nothing could be opened by name now.
        fs::rename(served.path("dir"), served.path("elsewhere")).unwrap();
        assert_eq!(content(&*open(&chain[2], OpenFlags::empty()).unwrap()), b"deep");
        assert!(root.lookup_chain(&[b"none"], true).is_empty());
        assert_eq!(root.lookup_chain(&[b"link"], true).len(), 1);
        assert_eq!(root.lookup_chain(&[b"elsewhere", b"sub"], true).len(), 2);
    }
}

#[test]
fn one_host_file_is_one_inode() {
    let served = Served::new(SHARED, |root| {
        small_tree(root);
        fs::hard_link(root.join("file"), root.join("other")).unwrap();
    });
    let root = served.root();
    let file = find(&root, "file").unwrap();
    assert!(same(&file, &find(&root, "other").unwrap()));
    fs::remove_file(served.path("file")).unwrap();
    fs::remove_file(served.path("other")).unwrap();
    fs::write(served.path("file"), b"new").unwrap();
    assert!(!root.is_still(b"file", &file));
    let new = find(&root, "file").unwrap();
    assert!(!same(&file, &new), "a later file is another one, whatever its number");
    assert_eq!(read(&root, "file"), b"new");
}

#[test]
fn shared_tree_shows_changes_of_others() {
    let served = Served::new(SHARED, small_tree);
    let root = served.root();
    let node = find(&root, "file").unwrap();
    let file = open(&node, OpenFlags::empty()).unwrap();
    fs::write(served.path("file"), b"longer than before").unwrap();
    assert_eq!(node.attributes().unwrap().size, 18);
    assert_eq!(content(&*file), b"longer than before");
    drop(file);
    fs::set_permissions(served.path("file"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(node.attributes().unwrap().permissions, 0o600);
    assert!(root.is_still(b"file", &node));
    fs::remove_file(served.path("file")).unwrap();
    assert!(!root.is_still(b"file", &node));
}

#[test]
fn attributes_of_a_walk_serve_the_rest_of_the_operation() {
    let served = Served::new(SHARED, small_tree);
    let root = served.root();
    let change = |mode| {
        fs::set_permissions(served.path("file"), fs::Permissions::from_mode(mode)).unwrap();
    };
    change(0o644);
    begin_operation();
    let node = find(&root, "file").unwrap();
    change(0o600);
    assert_eq!(node.attributes().unwrap().permissions, 0o644, "not asked for again");
    begin_operation();
    assert_eq!(node.attributes().unwrap().permissions, 0o600);
    let owner_only = mode(0o400);
    node.set_attributes(&owner_only).unwrap();
    assert_eq!(node.attributes().unwrap().permissions, 0o400, "changes of ours are seen at once");
}

#[test]
fn writes_show_in_size_times_and_on_the_host() {
    for serving in [EXCLUSIVE, SHARED] {
        let served = Served::new(serving, small_tree);
        let root = served.root();
        let node = find(&root, "file").unwrap();
        let before = node.attributes().unwrap();
        let file = open(&node, OpenFlags::RDWR).unwrap();
        write_at(&*file, b"LL", 5);
        write_at(&*file, &[7; 300_000], 100);
        assert_eq!(node.attributes().unwrap().size, 300_100);
        assert!(node.attributes().unwrap().changed >= before.changed);
        file.truncate(9).unwrap();
        assert_eq!(content(&*file), b"shallLL\0\0");
        assert_eq!(fs::read(served.path("file")).unwrap(), b"shallLL\0\0");
        file.allocate(0, 0, 4096).unwrap();
        assert_eq!(node.attributes().unwrap().size, 4096);
        file.sync(true).unwrap();
        drop(file);
        assert_eq!(node.attributes().unwrap().size, 4096);
    }
}

#[test]
fn appending_tells_the_end_and_leaves_no_gaps() {
    let served = Served::new(EXCLUSIVE, small_tree);
    let node = find(&served.root(), "file").unwrap();
    let file = open(&node, OpenFlags::RDWR | OpenFlags::APPEND).unwrap();
    let flags = io(OpenFlags::APPEND);
    let append = |bytes: &[u8]| file.write(&mut IoSource::kernel(bytes), 0, &flags);
    assert_eq!(append(b"123"), Ok((3, 10)));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let (count, end) = append(b"abcd").unwrap();
                    assert_eq!(count, 4);
                    assert_eq!((end - 10) % 4, 0);
                }
            });
        }
    });
    assert_eq!(node.attributes().unwrap().size, 10 + 4 * 200);
}

#[test]
fn seeks_find_data_and_holes() {
    let served = Served::new(EXCLUSIVE, small_tree);
    let file = open_write(&served.root(), "file");
    file.truncate(0).unwrap();
    write_at(&*file, b"x", 1 << 20);
    let size = (1 << 20) + 1;
    let data = file.seek(0, SeekFrom::Data(0), size).unwrap();
    assert!(data <= 1 << 20);
    assert_eq!(file.seek(0, SeekFrom::Hole(1 << 20), size), Ok(size));
    assert_eq!(file.seek(0, SeekFrom::Data(size as i64), size), Err(Errno::ENXIO));
    assert_eq!(file.seek(3, SeekFrom::Current(-4), size), Err(Errno::EINVAL));
    assert_eq!(file.seek(3, SeekFrom::End(1), size), Ok(size + 1));
}

#[test]
fn mapping_gets_the_least_rights() {
    let served = Served::new(EXCLUSIVE, small_tree);
    let root = served.root();
    let file = open_write(&root, "file");
    let request = |shared, writable| MapRequest {
        shared,
        writable,
        executable: false,
        offset: 4096,
        len: 4096,
    };
    let is_writable = |request| match file.map(&request).unwrap() {
        MapSource::Host { fd, offset } => {
            assert_eq!(offset, 4096);
            rustix::fs::fcntl_getfl(&fd).unwrap().contains(rustix::fs::OFlags::RDWR)
        }
        _ => panic!("a host file is mapped by its descriptor"),
    };
    assert!(is_writable(request(true, true)));
    assert!(!is_writable(request(true, false)));
    assert!(!is_writable(request(false, true)));
    let reader = open_read(&root, "dir/sub/file");
    assert_eq!(reader.map(&request(true, true)).err(), Some(Errno::EACCES));
}

#[test]
fn entries_are_made_linked_renamed_and_removed() {
    for serving in [EXCLUSIVE, SHARED] {
        let served = Served::new(serving, small_tree);
        let root = served.root();
        let made = make(&root, "new", NewNodeKind::Regular);
        assert_eq!(made.attributes().unwrap().permissions, 0o644);
        assert_eq!(root.create(b"new", &new_node(NewNodeKind::Regular)).err(), Some(Errno::EEXIST));
        let file = open(&made, OpenFlags::RDWR).unwrap();
        write_at(&*file, b"text", 0);
        root.link(b"again", &made).unwrap();
        assert_eq!(made.attributes().unwrap().links, 2);
        assert!(same(&made, &find(&root, "again").unwrap()));
        let dir = make(&root, "d", NewNodeKind::Directory);
        root.rename(b"new", &dir, b"moved", RenameFlags::empty()).unwrap();
        assert_eq!(read(&root, "d/moved"), b"text");
        root.unlink(b"again", &made).unwrap();
        assert_eq!(made.attributes().unwrap().links, 1);
        assert_eq!(root.rmdir(b"d", &dir), Err(Errno::ENOTEMPTY));
        dir.unlink(b"moved", &made).unwrap();
        assert_eq!(made.attributes().unwrap().links, 0);
        made.set_attributes(&mode(0o640)).unwrap();
        assert_eq!(made.attributes().unwrap().permissions, 0o640);
        root.rmdir(b"d", &dir).unwrap();
        let link = make(&root, "l", NewNodeKind::Symlink(b"target"));
        assert_eq!(link.readlink(&PLAIN), Ok(b"target".to_vec()));
        assert_eq!(make(&root, "p", NewNodeKind::Fifo).kind(), FileKind::Fifo);
        let device = NewNodeKind::CharDevice(Default::default());
        assert_eq!(root.create(b"dev", &new_node(device)).err(), Some(Errno::EPERM));
        assert_eq!(list(&root), ["dir", "file", "l", "link", "p"]);
    }
}

fn mode(permissions: u32) -> AttributeChange {
    AttributeChange { permissions: Some(permissions), ..AttributeChange::default() }
}

#[test]
fn replaced_file_lives_on_while_open() {
    let served = Served::new(EXCLUSIVE, small_tree);
    let root = served.root();
    let old = find(&root, "file").unwrap();
    let open_old = open(&old, OpenFlags::empty()).unwrap();
    let new = make(&root, "new", NewNodeKind::Regular);
    root.rename(b"new", &root, b"file", RenameFlags::empty()).unwrap();
    assert!(same(&new, &find(&root, "file").unwrap()));
    assert_eq!(content(&*open_old), b"shallow");
    assert_eq!(old.attributes().unwrap().links, 0);
    old.set_attributes(&mode(0o600)).unwrap();
    assert_eq!(new.attributes().unwrap().permissions, 0o644, "not the one that has its name now");
    let no_replace = root.rename(b"file", &root, b"link", RenameFlags::NOREPLACE);
    assert_eq!(no_replace, Err(Errno::EEXIST));
    let dir = find(&root, "dir").unwrap();
    root.rename(b"file", &root, b"dir", RenameFlags::EXCHANGE).unwrap();
    assert!(same(&dir, &find(&root, "file").unwrap()));
    assert!(same(&new, &find(&root, "dir").unwrap()));
    new.set_attributes(&mode(0o606)).unwrap();
    // Nobody waits for the change of a file that is ours.
    let start = std::time::Instant::now();
    let mode = || fs::metadata(served.path("dir")).unwrap().mode() & 0o777;
    while mode() != 0o606 && start.elapsed().as_secs() < 10 {
        std::thread::yield_now();
    }
    assert_eq!(mode(), 0o606);
}

#[test]
fn attributes_are_set() {
    let served = Served::new(EXCLUSIVE, small_tree);
    let node = find(&served.root(), "file").unwrap();
    let time = Timespec { sec: 1_000_000_000, nsec: 5 };
    let change = AttributeChange {
        permissions: Some(0o700),
        size: Some(3),
        accessed: Some(TimeChange::Now),
        modified: Some(TimeChange::To(time)),
        ..AttributeChange::default()
    };
    node.set_attributes(&change).unwrap();
    let attributes = node.attributes().unwrap();
    assert_eq!((attributes.permissions, attributes.size), (0o700, 3));
    assert_eq!(attributes.modified, time);
    assert!(attributes.accessed.sec > time.sec);
    let size = AttributeChange { size: Some(3), ..AttributeChange::default() };
    assert_eq!(served.root().set_attributes(&size), Err(Errno::EISDIR));
}

#[test]
fn extended_attributes_are_kept_by_the_host() {
    let served = Served::new(EXCLUSIVE, small_tree);
    let node = find(&served.root(), "file").unwrap();
    match node.xattr_set(b"user.a", b"1", XattrFlags::Create) {
        Err(Errno::EOPNOTSUPP) => return,
        result => result.unwrap(),
    }
    assert_eq!(node.xattr_set(b"user.a", b"1", XattrFlags::Create), Err(Errno::EEXIST));
    assert_eq!(node.xattr_get(b"user.a"), Ok(b"1".to_vec()));
    assert_eq!(node.xattr_list().unwrap(), [b"user.a".to_vec()]);
    node.xattr_remove(b"user.a").unwrap();
    assert_eq!(node.xattr_get(b"user.a"), Err(Errno::ENODATA));
}

#[test]
fn nodes_are_given_back_and_found_again() {
    let serving = Serving { max_nodes: 20, ..EXCLUSIVE };
    let served = Served::new(serving, |root| {
        for outer in 0..20 {
            for inner in 0..5 {
                let dir = root.join(format!("d{outer}/e{inner}"));
                fs::create_dir_all(&dir).unwrap();
                fs::write(dir.join("file"), format!("{outer} {inner}")).unwrap();
            }
        }
    });
    let root = served.root();
    let mut held = Vec::new();
    for round in 0..2 {
        for outer in 0..20 {
            for inner in 0..5 {
                let path = format!("d{outer}/e{inner}/file");
                assert_eq!(read(&root, &path), format!("{outer} {inner}").as_bytes());
                held.push(find(&root, &format!("d{outer}/e{inner}")).unwrap());
            }
        }
        assert!(round == 1 || held.iter().all(|dir| list(dir) == ["file"]));
    }
    assert!(held.iter().all(|dir| dir.lookup(b"file").is_ok()));
}

#[test]
fn deep_tree_is_dropped_and_walked() {
    let served = Served::new(EXCLUSIVE, |_| {});
    let mut dir = served.root();
    for _ in 0..3000 {
        dir = make(&dir, "d", NewNodeKind::Directory);
    }
    drop(dir);
    let chain = served.root().lookup_chain(&[&b"d"[..]; 200], false);
    assert_eq!(chain.len(), 200);
    assert!(served.root().lookup_chain(&[&b"d"[..]; 300], false).is_empty());
}

#[test]
fn listing_has_stable_positions() {
    let served = Served::new(EXCLUSIVE, |root| {
        for index in 0..2000 {
            fs::write(root.join(format!("a-file-with-a-long-name-{index}")), b"").unwrap();
        }
    });
    let root = served.root();
    let dir = open(&root, OpenFlags::empty()).unwrap();
    let (all, end) = entries(&*dir, 0, usize::MAX);
    assert_eq!(all.len(), 2002);
    assert_eq!(all.last().unwrap().next, end);
    let (rest, _) = entries(&*dir, all[999].next, 3);
    assert_eq!(rest[0].name, all[1000].name);
    // Removing while reading neither skips nor repeats.
    let mut position = 0;
    let mut removed = 0;
    loop {
        let (part, next) = entries(&*dir, position, 100);
        for entry in part.iter().filter(|entry| !entry.name.starts_with(b".")) {
            let node = root.lookup(&entry.name).unwrap();
            root.unlink(&entry.name, &node).unwrap();
            removed += 1;
        }
        if part.is_empty() {
            break;
        }
        position = next;
    }
    assert_eq!(removed, 2000);
    assert_eq!(list(&root), [""; 0]);
}

/// What somebody else does in an exclusive tree shows when we ask the host.
#[test]
fn listings_are_kept_until_something_changes() {
    let served = Served::new(EXCLUSIVE, small_tree);
    let root = served.root();
    let dir = find(&root, "dir").unwrap();
    assert_eq!(list(&dir), ["sub"]);
    fs::write(served.path("dir/secret"), b"").unwrap();
    assert_eq!(list(&dir), ["sub"]);
    let made = make(&dir, "made", NewNodeKind::Regular);
    assert_eq!(list(&dir), ["made", "secret", "sub"]);
    dir.unlink(b"made", &made).unwrap();
    assert_eq!(list(&dir), ["secret", "sub"]);
    let secret = find(&dir, "secret").unwrap();
    dir.rename(b"secret", &root, b"told", RenameFlags::empty()).unwrap();
    assert_eq!(list(&dir), ["sub"]);
    assert_eq!(list(&root), ["dir", "file", "link", "told"]);
    root.unlink(b"told", &secret).unwrap();
    // A listing that is being read goes on as it began.
    let file = open(&root, OpenFlags::empty()).unwrap();
    let (first, next) = entries(&*file, 0, 3);
    assert_eq!(first.len(), 3);
    make(&root, "late", NewNodeKind::Regular);
    assert_eq!(entries(&*file, next, usize::MAX).0.len(), 2);
    assert_eq!(entries(&*file, 0, usize::MAX).0.len(), 6);
}

#[test]
fn the_names_in_a_directory_of_ours_are_known() {
    let served = Served::new(EXCLUSIVE, small_tree);
    let root = served.root();
    let dir = make(&root, "new", NewNodeKind::Directory);
    fs::write(served.path("new/secret"), b"").unwrap();
    let lacks = |name: &str| {
        assert!(dir.lookup_chain(&[name.as_bytes()], false).is_empty(), "{name}");
        assert_eq!(find(&dir, name).err(), Some(Errno::ENOENT), "{name}");
    };
    lacks("secret");
    let made = make(&dir, "a", NewNodeKind::Regular);
    assert!(same(&made, &find(&dir, "a").unwrap()));
    dir.link(b"b", &made).unwrap();
    dir.unlink(b"a", &made).unwrap();
    lacks("a");
    dir.rename(b"b", &dir, b"c", RenameFlags::empty()).unwrap();
    lacks("b");
    drop(made);
    assert_eq!(find(&dir, "c").unwrap().kind(), FileKind::Regular);
    // Nobody has looked at this one before.
    root.rename(b"file", &dir, b"file", RenameFlags::empty()).unwrap();
    assert_eq!(read(&dir, "file"), b"shallow");
    dir.rename(b"file", &root, b"dir", RenameFlags::EXCHANGE).unwrap();
    assert_eq!(find(&dir, "file").unwrap().kind(), FileKind::Directory);
    make(&dir, "d", NewNodeKind::Directory);
    make(&dir, "l", NewNodeKind::Symlink(b"d"));
    make(&dir, "p", NewNodeKind::Fifo);
    for name in ["d", "l", "p"] {
        assert!(find(&dir, name).is_ok(), "{name}");
    }
    lacks("secret");
    // After a failure nothing is taken for granted.
    let long = [b'x'; 300];
    let failed = dir.create(&long, &new_node(NewNodeKind::Regular));
    assert_eq!(failed.err(), Some(Errno::ENAMETOOLONG));
    assert!(find(&dir, "secret").is_ok());
}

#[test]
fn ownership_outlasts_changes_of_entries() {
    for serving in [EXCLUSIVE, SHARED] {
        let served = Served::new(serving, small_tree);
        let root = served.root();
        let dir = find(&root, "dir").unwrap();
        let before = dir.ownership().unwrap().permissions;
        make(&dir, "new", NewNodeKind::Regular);
        assert_eq!(dir.ownership().unwrap().permissions, before);
        dir.set_attributes(&mode(0o711)).unwrap();
        assert_eq!(dir.ownership().unwrap().permissions, 0o711);
        make(&dir, "newer", NewNodeKind::Directory);
        assert_eq!(dir.ownership().unwrap().permissions, 0o711);
        assert_eq!(dir.attributes().unwrap().links, 4);
    }
}

#[test]
fn single_file_is_a_root() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hosts");
    fs::write(&path, b"127.0.0.1 localhost").unwrap();
    for serving in [EXCLUSIVE, SHARED] {
        let (fs, thread) = serve(&path, serving);
        let root: Node = fs.root();
        assert_eq!(root.kind(), FileKind::Regular);
        let file = open(&root, OpenFlags::RDWR).unwrap();
        assert_eq!(content(&*file), b"127.0.0.1 localhost");
        write_at(&*file, b"1", 0);
        assert_eq!(root.attributes().unwrap().size, 19);
        assert_eq!(root.lookup(b"x").err(), Some(Errno::ENOTDIR));
        drop((file, root, fs));
        thread.join().unwrap().unwrap();
    }
}

#[test]
fn readonly_export_refuses_changes() {
    let serving = Serving { is_readonly: true, ..EXCLUSIVE };
    let served = Served::new(serving, small_tree);
    let root = served.root();
    let node = find(&root, "file").unwrap();
    assert!(served.fs().is_readonly());
    assert_eq!(read(&root, "file"), b"shallow");
    assert_eq!(open(&node, OpenFlags::RDWR).err(), Some(Errno::EROFS));
    assert_eq!(root.create(b"x", &new_node(NewNodeKind::Regular)).err(), Some(Errno::EROFS));
    assert_eq!(root.unlink(b"file", &node), Err(Errno::EROFS));
    assert_eq!(node.set_attributes(&mode(0o600)), Err(Errno::EROFS));
    let size = AttributeChange { size: Some(0), ..AttributeChange::default() };
    assert_eq!(node.set_attributes(&size), Err(Errno::EROFS));
}

#[test]
fn gofer_that_is_gone_is_an_error() {
    let (ours, theirs) = gofer_protocol::transport::pair().unwrap();
    drop(theirs);
    let numbers = Arc::default();
    let result = sentry::fs::gofer::GoferFs::connect(ours, numbers, true);
    assert_eq!(result.err(), Some(Errno::EIO));
}
