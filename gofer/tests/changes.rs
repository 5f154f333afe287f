//! Making, removing, renaming, linking.

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::time::{Duration, Instant};

use common::{ALL_NODES, DIRECTORY, Options, PLAIN, Served, may_chown, serve_path, small_tree};
use gofer_protocol::{NewNode, NodeId, OpenFlags, RenameFlags, SetAttr, Target, Unlinked};
use linux_abi::Errno;

const ROOT: NodeId = NodeId::ROOT;

fn small() -> Served {
    Served::with(Options::default(), small_tree)
}

#[test]
fn create_makes_and_opens() {
    let served = Served::new();
    let new = NewNode { mode: 0o640, wants_node: true, ..PLAIN };
    let (created, fd) = served.client().create(ROOT, b"f", OpenFlags::RDWR, new).unwrap();
    fs::File::from(fd).write_all(b"text").unwrap();
    assert_eq!(fs::read(served.path("f")).unwrap(), b"text");
    assert_eq!(created.attr.mode, 0o100_640);
    assert_eq!(served.client().get_attr(created.node.unwrap().into()).unwrap().size, 4);
    let again = served.client().create(ROOT, b"f", OpenFlags::RDWR, new).map(drop);
    assert_eq!(again, Err(Errno::EEXIST));
}

#[test]
fn create_does_not_follow_or_replace() {
    let served = Served::new();
    let outside = served.path("outside");
    std::os::unix::fs::symlink(&outside, served.path("dangling")).unwrap();
    let result = served.client().create(ROOT, b"dangling", OpenFlags::WRONLY, PLAIN).map(drop);
    assert_eq!(result, Err(Errno::EEXIST));
    assert!(!outside.exists());
}

#[test]
fn mode_is_not_masked() {
    let served = Served::new();
    let new = NewNode { mode: 0o666, ..PLAIN };
    let (file, _) = served.client().create(ROOT, b"f", OpenFlags::WRONLY, new).unwrap();
    assert_eq!(file.attr.mode & 0o7777, 0o666);
    let new = NewNode { mode: 0o1777, ..PLAIN };
    assert_eq!(served.client().mkdir(ROOT, b"d", new).unwrap().attr.mode & 0o7777, 0o1777);
    let new = NewNode { mode: 0o2775, ..PLAIN };
    assert_eq!(served.client().mkdir(ROOT, b"s", new).unwrap().attr.mode & 0o7777, 0o2775);
    let new = NewNode { mode: 0o010_622, ..PLAIN };
    assert_eq!(served.client().mknod(ROOT, b"p", new).unwrap().attr.mode, 0o010_622);
}

#[test]
fn owner_is_set_or_the_error_told() {
    let served = Served::new();
    let new = NewNode { mode: 0o4755, uid: 12345, gid: 54321, wants_node: false };
    let (created, _) = served.client().create(ROOT, b"f", OpenFlags::WRONLY, new).unwrap();
    let dir = served.client().mkdir(ROOT, b"d", new).unwrap();
    let link = served.client().symlink(ROOT, b"l", b"f", new).unwrap();
    let fifo = NewNode { mode: 0o010_644, ..new };
    let fifo = served.client().mknod(ROOT, b"p", fifo).unwrap();
    for created in [created, dir, link, fifo] {
        if may_chown() {
            assert_eq!(created.owner_error, None);
            assert_eq!((created.attr.uid, created.attr.gid), (12345, 54321));
        } else {
            // EINVAL: the user namespace does not have this user.
            assert!(matches!(created.owner_error, Some(Errno::EPERM | Errno::EINVAL)));
            assert_eq!(created.attr.uid, rustix::process::geteuid().as_raw());
        }
    }
    assert_eq!(created.attr.mode & 0o7777, 0o4755);
    let own = NewNode { uid: created.attr.uid, gid: created.attr.gid, ..PLAIN };
    assert_eq!(served.client().mkdir(ROOT, b"own", own).unwrap().owner_error, None);
}

#[test]
fn mkdir_and_rmdir() {
    let served = Served::new();
    let client = served.client();
    let dir = client.mkdir(ROOT, b"d", DIRECTORY).unwrap().node.unwrap();
    assert_eq!(client.mkdir(ROOT, b"d", DIRECTORY).map(drop), Err(Errno::EEXIST));
    client.mkdir(dir, b"inner", PLAIN).unwrap();
    assert_eq!(client.rmdir(ROOT, b"d"), Err(Errno::ENOTEMPTY));
    assert_eq!(client.unlink(ROOT, b"d"), Err(Errno::EISDIR));
    client.rmdir(dir, b"inner").unwrap();
    client.rmdir(ROOT, b"d").unwrap();
    assert_eq!(client.rmdir(ROOT, b"d"), Err(Errno::ENOENT));
    assert_eq!(client.mkdir(dir, b"orphan", PLAIN).map(drop), Err(Errno::ENOENT));
    assert_eq!(client.get_attr(dir.into()).unwrap().nlink, 0);
}

#[test]
fn mknod_makes_no_devices() {
    let served = Served::new();
    let make =
        |name: &[u8], mode| served.client().mknod(ROOT, name, NewNode { mode, ..PLAIN }).map(drop);
    assert_eq!(make(b"fifo", 0o010_600), Ok(()));
    assert_eq!(make(b"socket", 0o140_600), Ok(()));
    assert_eq!(make(b"regular", 0o100_600), Ok(()));
    assert_eq!(make(b"typeless", 0o600), Ok(()));
    assert_eq!(make(b"whiteout", 0o020_600), Err(Errno::EPERM));
    assert_eq!(make(b"disk", 0o060_600), Err(Errno::EPERM));
    assert_eq!(make(b"dir", 0o040_600), Err(Errno::EINVAL));
    assert_eq!(make(b"link", 0o120_600), Err(Errno::EINVAL));
    assert!(fs::symlink_metadata(served.path("socket")).unwrap().file_type().is_socket());
    assert!(fs::symlink_metadata(served.path("typeless")).unwrap().is_file());
}

#[test]
fn symlink_targets_are_kept_as_they_are() {
    let served = Served::new();
    let client = served.client();
    for target in [&b"../../etc/passwd"[..], b"/", b"\xff", &[b'x'; 4095]] {
        client.symlink(ROOT, b"l", target, PLAIN).unwrap();
        assert_eq!(client.read_link(Target::child(ROOT, b"l")).unwrap(), target);
        client.unlink(ROOT, b"l").unwrap();
    }
    assert_eq!(client.symlink(ROOT, b"l", b"", PLAIN).map(drop), Err(Errno::ENOENT));
    assert_eq!(client.symlink(ROOT, b"l", b"a\0b", PLAIN).map(drop), Err(Errno::EINVAL));
    let long = [b'x'; 4096];
    assert_eq!(client.symlink(ROOT, b"l", &long, PLAIN).map(drop), Err(Errno::ENAMETOOLONG));
}

#[test]
fn link_by_name_and_by_node() {
    let served = small();
    let client = served.client();
    assert_eq!(client.link(Target::child(ROOT, b"file"), ROOT, b"second").unwrap().nlink, 2);
    let file = client.walk(ROOT, &[b"file"], ALL_NODES).unwrap().entries[0].node.unwrap();
    assert_eq!(client.link(file.into(), ROOT, b"third").unwrap().nlink, 3);
    assert_eq!(client.link(file.into(), ROOT, b"third"), Err(Errno::EEXIST));
    assert_eq!(client.link(Target::child(ROOT, b"dir"), ROOT, b"x"), Err(Errno::EPERM));
    let symlink = client.link(Target::child(ROOT, b"link"), ROOT, b"link2").unwrap();
    assert!(symlink.is_symlink());
    for name in [&b"file"[..], b"second", b"third"] {
        client.unlink(ROOT, name).unwrap();
    }
    assert_eq!(client.get_attr(file.into()).unwrap().nlink, 0);
    assert_eq!(client.link(file.into(), ROOT, b"fourth"), Err(Errno::ENOENT));
}

#[test]
fn unlinked_file_is_there_until_its_node_is_released() {
    let served = small();
    let client = served.client();
    let file = client.walk(ROOT, &[b"file"], ALL_NODES).unwrap().entries[0].node.unwrap();
    client.unlink(ROOT, b"file").unwrap();
    assert_eq!(client.unlink(ROOT, b"file"), Err(Errno::ENOENT));
    assert_eq!(client.open(file.into(), OpenFlags::RDONLY, false).unwrap().attr.size, 7);
}

#[test]
fn rename_and_its_flags() {
    let served = small();
    let client = served.client();
    let rename = |old: &[u8], new: &[u8], flags| client.rename(ROOT, old, ROOT, new, flags);
    let inode = |name: &str| fs::symlink_metadata(served.path(name)).unwrap().ino();
    let (file, dir) = (inode("file"), inode("dir"));
    assert_eq!(rename(b"file", b"link", RenameFlags::NOREPLACE), Err(Errno::EEXIST));
    rename(b"file", b"dir", RenameFlags::EXCHANGE).unwrap();
    assert_eq!((inode("dir"), inode("file")), (file, dir));
    rename(b"dir", b"link", RenameFlags::empty()).unwrap();
    assert_eq!(inode("link"), file);
    assert_eq!(rename(b"gone", b"x", RenameFlags::empty()), Err(Errno::ENOENT));
    let whiteout = RenameFlags::from_bits_retain(4);
    assert_eq!(rename(b"link", b"x", whiteout), Err(Errno::EINVAL));
    let dir = client.walk(ROOT, &[b"file"], ALL_NODES).unwrap().entries[0].node.unwrap();
    client.rename(ROOT, b"link", dir, b"moved", RenameFlags::empty()).unwrap();
    assert_eq!(inode("file/moved"), file);
    assert_eq!(client.rename(ROOT, b"file", dir, b"x", RenameFlags::empty()), Err(Errno::EINVAL));
    // The node follows the directory to its new name.
    client.rename(ROOT, b"file", ROOT, b"renamed", RenameFlags::empty()).unwrap();
    assert_eq!(client.get_attr(Target::child(dir, b"moved")).unwrap().ino, file);
}

#[test]
fn quiet_requests_are_served_in_turn_and_tell_of_failures_later() {
    let served = Served::new();
    let client = served.client();
    for i in 0..200 {
        let name = format!("f{i}");
        drop(client.create(ROOT, name.as_bytes(), OpenFlags::RDWR, PLAIN).unwrap());
        let set = SetAttr { mode: Some(0o600), ..SetAttr::default() };
        client.set_attr_quietly(Target::child(ROOT, name.as_bytes()), &set).unwrap();
        let attr = client.get_attr(Target::child(ROOT, name.as_bytes())).unwrap();
        assert_eq!(attr.mode & 0o7777, 0o600);
        client.unlink_quietly(ROOT, name.as_bytes()).unwrap();
    }
    for i in 0..200 {
        client.mkdir(ROOT, format!("d{i}").as_bytes(), DIRECTORY).unwrap();
    }
    // More than may be under way at a time.
    for i in 0..200 {
        client.rmdir_quietly(ROOT, format!("d{i}").as_bytes()).unwrap();
    }
    client.await_quiet();
    assert!(client.is_served(client.quiet_mark()));
    assert_eq!(fs::read_dir(served.path(".")).unwrap().count(), 0);
    assert_eq!(client.take_quiet_error(), None);

    client.unlink_quietly(ROOT, b"missing").unwrap();
    let mark = client.quiet_mark();
    client.rmdir_quietly(ROOT, b"missing, too").unwrap();
    assert!(!client.is_served(mark));
    assert_eq!(client.take_quiet_error(), None);
    client.get_attr(ROOT.into()).unwrap();
    assert!(client.is_served(mark));
    assert_eq!(client.take_quiet_error(), Some(Errno::ENOENT));
    assert_eq!(client.take_quiet_error(), None);
}

#[test]
fn quiet_directories_are_used_before_they_are_made() {
    let served = Served::new();
    let client = served.client();
    let new = NewNode { mode: 0o1750, ..DIRECTORY };
    let outer = client.mkdir_quietly(ROOT, b"outer", new).unwrap().unwrap();
    let inner = client.mkdir_quietly(outer, b"inner", DIRECTORY).unwrap().unwrap();
    assert!(!served.path("outer").exists());
    // What is waited for finds them made.
    client.create(inner, b"file", OpenFlags::RDWR, PLAIN).unwrap();
    let made = fs::metadata(served.path("outer/inner")).unwrap();
    assert_eq!(client.get_attr(inner.into()).unwrap().ino, made.ino());
    assert_eq!(fs::metadata(served.path("outer")).unwrap().mode() & 0o7777, 0o1750);
    // One that is asked for is made at once; what came before may wait.
    client.unlink_quietly(inner, b"file").unwrap();
    let second = client.mkdir_quietly(ROOT, b"second", DIRECTORY).unwrap().unwrap();
    let attr = client.get_attr(second.into()).unwrap();
    assert_eq!(attr.ino, fs::metadata(served.path("second")).unwrap().ino());
    assert!(served.path("outer/inner/file").exists());
    client.make_unnamed(second, PLAIN, 1).unwrap();
    client.await_quiet();
    assert!(!served.path("outer/inner/file").exists());
    assert_eq!(client.take_quiet_error(), None);
    // A node that was given back is none any more.
    client.release(second);
    client.flush_releases();
    assert_eq!(client.get_attr(second.into()).map(drop), Err(Errno::ESTALE));
    // One that cannot be made has no node, which all who name it learn.
    let failed = client.mkdir_quietly(ROOT, b"outer", DIRECTORY).unwrap().unwrap();
    assert_eq!(client.get_attr(failed.into()).map(drop), Err(Errno::ESTALE));
    assert_eq!(client.take_quiet_error(), Some(Errno::EEXIST));
}

#[test]
fn quiet_renaming_replaces() {
    let served = small();
    let client = served.client();
    client.rename_quietly(ROOT, b"file", ROOT, b"other").unwrap();
    client.rename_quietly(ROOT, b"other", ROOT, b"fifo").unwrap();
    assert!(served.path("file").exists());
    client.await_quiet();
    assert_eq!(fs::read(served.path("fifo")).unwrap(), b"shallow");
    assert!(!served.path("file").exists() && !served.path("other").exists());
    assert_eq!(client.take_quiet_error(), None);
}

#[test]
fn quiet_requests_are_served_though_the_client_is_gone() {
    let dir = tempfile::TempDir::new().unwrap();
    for i in 0..30 {
        fs::write(dir.path().join(format!("f{i}")), "").unwrap();
    }
    let (client, thread) = serve_path(dir.path(), Options::default());
    for i in 0..30 {
        client.unlink_quietly(ROOT, format!("f{i}").as_bytes()).unwrap();
    }
    drop(client);
    thread.join().unwrap().unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn quiet_requests_do_not_wait_long_for_others() {
    let served = Served::with(Options::default(), |root| {
        (0..100).for_each(|i| fs::write(root.join(format!("f{i}")), b"x").unwrap());
    });
    let client = served.client();
    client.unlink_quietly(ROOT, b"f0").unwrap();
    let start = Instant::now();
    while served.path("f0").exists() {
        assert!(start.elapsed() < Duration::from_secs(10), "nobody sends it");
        std::thread::yield_now();
    }
    // A request that is waited for comes behind all of them.
    (1..100).for_each(|i| {
        client.unlink_quietly(ROOT, format!("f{i}").as_bytes()).unwrap();
    });
    assert_eq!(client.get_attr(Target::child(ROOT, b"f99")), Err(Errno::ENOENT));
    assert_eq!(fs::read_dir(served.path("")).unwrap().count(), 0);
    assert_eq!(client.take_quiet_error(), None);
}

#[test]
fn nodes_are_released_behind_quiet_requests_that_name_them() {
    let served = Served::new();
    let client = served.client();
    for i in 0..300 {
        let made = client.make_unnamed(ROOT, PLAIN, 1).unwrap().remove(0).0.node.unwrap();
        client.name_quietly(made, ROOT, format!("f{i}").as_bytes()).unwrap();
        client.release(made);
    }
    client.await_quiet();
    assert_eq!(client.take_quiet_error(), None);
    assert_eq!(fs::read_dir(served.path("")).unwrap().count(), 300);
}

#[test]
fn unnamed_files_become_files_once_they_have_a_name() {
    let served = Served::new();
    let client = served.client();
    let dir = client.mkdir(ROOT, b"d", DIRECTORY).unwrap().node.unwrap();
    let new = NewNode { mode: 0o4711, ..PLAIN };
    let mut made = client.make_unnamed(dir, new, 3).unwrap();
    assert_eq!(made.len(), 3);
    assert_eq!(fs::read_dir(served.path("d")).unwrap().count(), 0);
    let (file, fd) = made.remove(0);
    assert_eq!((file.attr.mode, file.attr.nlink, file.attr.size), (0o104711, 0, 0));
    rustix::io::write(&fd, b"content").unwrap();
    let node = file.node.unwrap();
    client.name_quietly(node, dir, b"f").unwrap();
    let attr = client.get_attr(Target::child(dir, b"f")).unwrap();
    assert_eq!((attr.ino, attr.nlink, attr.size), (file.attr.ino, 1, 7));
    assert!(attr.atime >= attr.mtime, "it was accessed when it got its name");
    assert_eq!(fs::read(served.path("d/f")).unwrap(), b"content");
    // A name that is taken, or leads elsewhere, is refused.
    for (name, error) in [(&b"f"[..], Errno::EEXIST), (b"..", Errno::EINVAL)] {
        client.name_quietly(made[0].0.node.unwrap(), dir, name).unwrap();
        client.await_quiet();
        assert_eq!(client.take_quiet_error(), Some(error));
    }
    assert_eq!(client.make_unnamed(ROOT, new, 0).err(), Some(Errno::EINVAL));
    assert_eq!(client.make_unnamed(ROOT, new, 17).err(), Some(Errno::EINVAL));
    assert_eq!(client.make_unnamed(node, new, 1).err(), Some(Errno::ENOTDIR));
    drop(made);
    let options = Options { is_readonly: true, ..Options::default() };
    let readonly = Served::with(options, |_| {});
    assert_eq!(readonly.client().make_unnamed(ROOT, new, 1).err(), Some(Errno::EROFS));
    assert_eq!(fs::read_dir(served.path("d")).unwrap().count(), 1);
}

#[test]
fn files_that_were_asked_for_ahead_come_before_later_answers() {
    let served = Served::new();
    let client = served.client();
    let (sender, receiver) = std::sync::mpsc::channel();
    let ask = |dir: NodeId, count: usize| {
        let sender = sender.clone();
        client.make_unnamed_ahead(dir, PLAIN, count, move |made| sender.send(made).unwrap())
    };
    ask(ROOT, 16).unwrap();
    ask(ROOT, 17).unwrap();
    assert!(receiver.try_recv().is_err());
    // An error of theirs is nobody else's.
    let dir = client.mkdir(ROOT, b"d", DIRECTORY).unwrap().node.unwrap();
    let made = receiver.try_recv().unwrap().unwrap();
    assert_eq!(made.len(), 16);
    assert_eq!(receiver.try_recv().unwrap().err(), Some(Errno::EINVAL));
    client.name_quietly(made[0].0.node.unwrap(), dir, b"f").unwrap();
    ask(dir, 1).unwrap();
    client.await_ahead();
    assert_eq!(receiver.try_recv().unwrap().unwrap().len(), 1);
    assert_eq!(client.get_attr(Target::child(dir, b"f")).unwrap().ino, made[0].0.attr.ino);
    // No more than may be left unread.
    let asked = (0..100).take_while(|_| ask(ROOT, 1).is_ok()).count();
    assert!((1..100).contains(&asked));
    client.await_ahead();
    assert_eq!(receiver.try_iter().filter(Result::is_ok).count(), asked);
}

#[test]
fn rest_is_told_when_no_quiet_request_has_waited_for_a_while() {
    let served = Served::new();
    let client = served.client();
    let (sender, receiver) = std::sync::mpsc::channel();
    client.when_at_rest(move || sender.send(()).unwrap());
    client.unlink_quietly(ROOT, b"missing").unwrap();
    receiver.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
    assert_eq!(receiver.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty));
}

#[test]
fn name_that_goes_before_it_was_given_is_not_given() {
    let served = Served::new();
    let client = served.client();
    let mut spared = 0;
    for i in 0..100 {
        let (other, _other_fd) = client.make_unnamed(ROOT, PLAIN, 1).unwrap().remove(0);
        let (made, fd) = client.make_unnamed(ROOT, PLAIN, 1).unwrap().remove(0);
        let (other, made) = (other.node.unwrap(), made.node.unwrap());
        let last = format!("f{i}");
        client.name_quietly(other, ROOT, b"other").unwrap();
        client.name_quietly(made, ROOT, b"passing").unwrap();
        if i % 2 == 0 {
            client.link_quietly(Target::from(made), ROOT, last.as_bytes()).unwrap();
        }
        let unlinked = client.unlink_quietly(ROOT, b"passing").unwrap();
        // In time, unless this thread was kept from running.
        match unlinked {
            Unlinked::Quietly => {}
            Unlinked::BeforeNamed => assert_eq!(i % 2, 1),
            Unlinked::BeforeLinked => assert_eq!(i % 2, 0),
        }
        spared += u32::from(unlinked != Unlinked::Quietly);
        client.unlink(ROOT, b"other").unwrap();
        assert_eq!(rustix::fs::fstat(&fd).unwrap().st_nlink, u64::from(i % 2 == 0));
        assert_eq!(client.take_quiet_error(), None);
        if unlinked == Unlinked::BeforeNamed {
            // It can have another name.
            client.name_quietly(made, ROOT, last.as_bytes()).unwrap();
            client.await_quiet();
        }
        assert!(!served.path("passing").exists());
        assert_eq!(served.path(&last).exists(), unlinked != Unlinked::Quietly || i % 2 == 0);
    }
    assert!(spared > 0);
}
