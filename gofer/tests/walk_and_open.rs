//! Finding and opening.

mod common;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use common::{ALL_NODES, Options, Served, serve_path, small_tree};
use gofer_protocol::{NodeId, OpenFlags, Target, WalkFlags};
use linux_abi::Errno;
use rustix::fs::OFlags;
use rustix::io::FdFlags;

const ROOT: NodeId = NodeId::ROOT;

fn small() -> Served {
    Served::with(Options::default(), small_tree)
}

fn contents(fd: OwnedFd) -> String {
    let mut text = String::new();
    File::from(fd).read_to_string(&mut text).expect("the file reads");
    text
}

#[test]
fn hello_tells_the_root() {
    let served = small();
    let root = served.client().root();
    assert!(root.attr.is_directory() && !root.is_readonly);
    assert_eq!(root.max_nodes, 1000);
    assert_eq!(served.client().get_attr(ROOT.into()).map(|attr| attr.ino), Ok(root.attr.ino));
}

#[test]
fn walk_reports_each_component() {
    let served = small();
    let reply =
        served.client().walk(ROOT, &[b"dir", b"sub", b"file"], WalkFlags::DIRECTORY_NODES).unwrap();
    assert_eq!(reply.entries.len(), 3);
    assert_eq!((reply.error, reply.symlink), (None, None));
    assert!(reply.opened.is_none());
    assert!(reply.entries[0].attr.is_directory() && reply.entries[0].node.is_some());
    assert!(reply.entries[2].attr.is_regular() && reply.entries[2].node.is_none());
    assert_eq!(reply.entries[2].attr.size, 4);
    let sub = reply.entries[1].node.unwrap();
    let attr = served.client().get_attr(Target::child(sub, b"file")).unwrap();
    assert_eq!(attr, reply.entries[2].attr);
}

#[test]
fn walk_without_nodes_keeps_none() {
    let served = small();
    let reply = served.client().walk(ROOT, &[b"dir", b"sub"], WalkFlags::empty()).unwrap();
    assert!(reply.entries.iter().all(|entry| entry.node.is_none()));
}

#[test]
fn walk_stops_at_missing_component() {
    let served = small();
    let reply = served.client().walk(ROOT, &[b"dir", b"nothing", b"x"], ALL_NODES).unwrap();
    assert_eq!(reply.entries.len(), 1);
    assert_eq!(reply.error, Some(Errno::ENOENT));
}

#[test]
fn walk_stops_at_file() {
    let served = small();
    let reply = served.client().walk(ROOT, &[b"file", b"x"], ALL_NODES).unwrap();
    assert_eq!(reply.entries.len(), 1);
    assert_eq!(reply.error, Some(Errno::ENOTDIR));
}

#[test]
fn walk_stops_at_symlink_and_tells_target() {
    let served = small();
    let names: [&[u8]; 2] = [b"link", b"file"];
    let reply = served.client().walk_open(ROOT, &names, ALL_NODES, OpenFlags::RDONLY).unwrap();
    assert_eq!(reply.entries.len(), 1);
    assert_eq!(reply.error, None);
    assert_eq!(reply.symlink.as_deref(), Some(&b"dir/sub"[..]));
    assert!(reply.opened.is_none());
    let reply = served.client().walk_open(ROOT, &[b"link"], ALL_NODES, OpenFlags::RDONLY).unwrap();
    assert_eq!(reply.opened.unwrap().unwrap_err(), Errno::ELOOP);
    let link = reply.entries[0].node.unwrap();
    assert_eq!(served.client().read_link(link.into()).unwrap(), b"dir/sub");
    assert_eq!(served.client().read_link(Target::child(ROOT, b"link")).unwrap(), b"dir/sub");
    assert_eq!(served.client().read_link(Target::child(ROOT, b"file")), Err(Errno::EINVAL));
    assert_eq!(served.client().read_link(ROOT.into()), Err(Errno::EINVAL));
}

#[test]
fn walk_open_is_one_step() {
    let served = small();
    let names: [&[u8]; 3] = [b"dir", b"sub", b"file"];
    let flags = WalkFlags::DIRECTORY_NODES;
    let reply = served.client().walk_open(ROOT, &names, flags, OpenFlags::RDONLY).unwrap();
    assert_eq!(contents(reply.opened.unwrap().unwrap()), "deep");
    let reply = served.client().walk_open(ROOT, &names[..2], flags, OpenFlags::RDONLY).unwrap();
    assert_eq!(reply.opened.unwrap().unwrap_err(), Errno::EISDIR);
}

#[test]
fn walk_of_no_or_too_many_names_is_refused() {
    let served = small();
    assert_eq!(served.client().walk(ROOT, &[], ALL_NODES).map(drop), Err(Errno::EINVAL));
    let many = vec![&b"a"[..]; 257];
    assert_eq!(served.client().walk(ROOT, &many, ALL_NODES).map(drop), Err(Errno::EINVAL));
    let longest = [b'n'; 256];
    let too_long = served.client().walk(ROOT, &[&longest], ALL_NODES).map(drop);
    assert_eq!(too_long, Err(Errno::ENAMETOOLONG));
}

#[test]
fn walk_as_deep_as_it_gets() {
    let served = Served::with(Options::default(), |root| {
        std::fs::create_dir_all(root.join("d/".repeat(255))).unwrap();
        std::os::unix::fs::symlink("x".repeat(4095), root.join("d/".repeat(255) + "l")).unwrap();
    });
    let mut names = vec![&b"d"[..]; 255];
    names.push(b"l");
    let reply = served.client().walk(ROOT, &names, ALL_NODES).unwrap();
    assert_eq!((reply.entries.len(), reply.error), (256, None));
    assert_eq!(reply.symlink.unwrap().len(), 4095);
}

#[test]
fn descriptor_has_least_rights() {
    let served = small();
    let target = Target::child(ROOT, b"file");
    let opened = served.client().open(target, OpenFlags::RDONLY, false).unwrap();
    assert!(opened.node.is_none());
    assert!(rustix::io::fcntl_getfd(&opened.fd).unwrap().contains(FdFlags::CLOEXEC));
    assert!(File::from(opened.fd).write(b"x").is_err());
    let opened = served.client().open(target, OpenFlags::WRONLY, false).unwrap();
    assert!(File::from(opened.fd).read(&mut [0]).is_err());
    let flags = OpenFlags::RDWR | OpenFlags::APPEND;
    let opened = served.client().open(target, flags, true).unwrap();
    let status = rustix::fs::fcntl_getfl(&opened.fd).unwrap();
    assert!(status.contains(OFlags::RDWR | OFlags::APPEND));
    let mut file = File::from(opened.fd);
    file.write_all(b"er").unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    let node = opened.node.unwrap();
    assert_eq!(served.client().get_attr(node.into()).unwrap().size, 9);
    let opened = served.client().open(node.into(), OpenFlags::TRUNC, false);
    assert_eq!(opened.unwrap().attr.size, 0);
}

#[test]
fn only_regular_files_are_opened() {
    let served = small();
    let _socket = UnixListener::bind(served.path("socket")).unwrap();
    let open = |name: &[u8]| {
        let target = Target::child(ROOT, name);
        served.client().open(target, OpenFlags::RDONLY, false).map(drop)
    };
    assert_eq!(open(b"socket"), Err(Errno::ENXIO));
    assert_eq!(open(b"fifo"), Err(Errno::ENXIO));
    assert_eq!(open(b"link"), Err(Errno::ELOOP));
    assert_eq!(open(b"dir"), Err(Errno::EISDIR));
    assert_eq!(open(b"nothing"), Err(Errno::ENOENT));
    assert_eq!(
        served.client().open(ROOT.into(), OpenFlags::RDWR, false).map(drop),
        Err(Errno::EISDIR)
    );
    let (host, thread) = serve_path("/".as_ref(), Options::default());
    let reply = host.walk_open(ROOT, &[b"dev", b"null"], ALL_NODES, OpenFlags::RDONLY).unwrap();
    if reply.entries.len() == 2 {
        assert_eq!(reply.opened.unwrap().unwrap_err(), Errno::EACCES);
    }
    drop(host);
    thread.join().unwrap().unwrap();
}

#[test]
fn open_flags_are_checked() {
    let served = small();
    let target = Target::child(ROOT, b"file");
    for bits in [3, 0o100, 0o10000000, 0o200000, u32::MAX] {
        let flags = OpenFlags::from_bits_retain(bits);
        let result = served.client().open(target, flags, false).map(drop);
        assert_eq!(result, Err(Errno::EINVAL), "{bits:o}");
    }
}

#[test]
fn single_file_export() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("only");
    std::fs::write(&path, b"one").unwrap();
    let (client, thread) = serve_path(&path, Options::default());
    assert!(client.root().attr.is_regular());
    let opened = client.open(ROOT.into(), OpenFlags::RDWR, false).unwrap();
    assert_eq!(contents(opened.fd), "one");
    let reply = client.walk(ROOT, &[b"x"], ALL_NODES).unwrap();
    assert_eq!((reply.entries.len(), reply.error), (0, Some(Errno::ENOTDIR)));
    assert_eq!(client.read_dir_all(ROOT, Default::default()).map(drop), Err(Errno::ENOTDIR));
    assert_eq!(client.unlink(ROOT, b"x"), Err(Errno::ENOTDIR));
    assert_eq!(client.mkdir(ROOT, b"x", common::PLAIN).map(drop), Err(Errno::ENOTDIR));
    // The file that is served stays the one that was there at the start.
    std::fs::rename(&path, dir.path().join("renamed")).unwrap();
    std::fs::write(&path, b"another").unwrap();
    assert_eq!(client.get_attr(ROOT.into()).unwrap().size, 3);
    drop(client);
    thread.join().unwrap().unwrap();
}
