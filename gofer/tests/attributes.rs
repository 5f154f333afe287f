//! Attributes, extended attributes, figures of the file system, write-back.

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;

use common::{ALL_NODES, Options, PLAIN, Served, may_chown, small_tree};
use gofer_protocol::{
    NodeId, OpenFlags, ReadDirFlags, RenameFlags, SetAttr, SetTime, Target, Time, XattrFlags,
};
use linux_abi::Errno;

const ROOT: NodeId = NodeId::ROOT;
const FILE: Target<'_> = Target { node: ROOT, name: b"file" };
const LINK: Target<'_> = Target { node: ROOT, name: b"link" };

fn small() -> Served {
    Served::with(Options::default(), small_tree)
}

#[test]
fn many_nodes_are_asked_about_at_once() {
    let served = Served::with(Options::default(), small_tree);
    let client = served.client();
    let walked = client.walk(NodeId::ROOT, &[b"dir", b"sub"], ALL_NODES).unwrap();
    let nodes: Vec<NodeId> = walked.entries.iter().filter_map(|entry| entry.node).collect();
    let gone = NodeId::from_raw(12345).unwrap();
    let answers = client.get_attrs(&[nodes[1], gone, nodes[0]]).unwrap();
    let inodes: Vec<_> = answers.iter().map(|answer| answer.map(|attr| attr.ino)).collect();
    let (dir, sub) = (walked.entries[0].attr.ino, walked.entries[1].attr.ino);
    assert_eq!(inodes, [Ok(sub), Err(Errno::ESTALE), Ok(dir)]);
    assert_eq!(client.get_attrs(&[]).map(drop), Err(Errno::EINVAL));
    assert_eq!(client.get_attrs(&[gone; 65]).map(drop), Err(Errno::EINVAL));
    assert_eq!(client.get_attrs(&[gone; 64]).unwrap().len(), 64);
}

#[test]
fn attributes_agree_with_the_host() {
    let served = small();
    for name in ["file", "dir", "link", "fifo"] {
        let attr = served.client().get_attr(Target::child(ROOT, name.as_bytes())).unwrap();
        let host = fs::symlink_metadata(served.path(name)).unwrap();
        assert_eq!((attr.ino, attr.mode, attr.size), (host.ino(), host.mode(), host.size()));
        assert_eq!((attr.uid, attr.gid), (host.uid(), host.gid()));
        assert_eq!((attr.mtime.sec, attr.mtime.nsec as i64), (host.mtime(), host.mtime_nsec()));
        let dev = rustix::fs::makedev(attr.dev_major, attr.dev_minor);
        assert_eq!(
            (dev, attr.blocks, u64::from(attr.nlink)),
            (host.dev(), host.blocks(), host.nlink())
        );
    }
    let missing = served.client().get_attr(Target::child(ROOT, b"missing"));
    assert_eq!(missing, Err(Errno::ENOENT));
    assert_eq!(served.client().get_attr(Target::child(ROOT, b"..")), Err(Errno::EINVAL));
}

#[test]
fn set_mode_size_and_times() {
    let served = small();
    let set = SetAttr {
        mode: Some(0o600),
        size: Some(3),
        atime: SetTime::At(Time { sec: -5, nsec: 7 }),
        mtime: SetTime::At(Time { sec: 1_000_000_000, nsec: 999_999_999 }),
        ..SetAttr::default()
    };
    let attr = served.client().set_attr(FILE, &set).unwrap();
    assert_eq!((attr.mode, attr.size), (0o100_600, 3));
    assert_eq!(attr.atime, Time { sec: -5, nsec: 7 });
    assert_eq!(attr.mtime, Time { sec: 1_000_000_000, nsec: 999_999_999 });
    let now = SetAttr { mtime: SetTime::Now, ..SetAttr::default() };
    let later = served.client().set_attr(FILE, &now).unwrap();
    assert!(later.mtime > attr.mtime && later.atime == attr.atime);
    assert_eq!(served.client().set_attr(FILE, &SetAttr::default()), Ok(later));
    assert_eq!(fs::read(served.path("file")).unwrap(), b"sha");
}

#[test]
fn set_owner() {
    let served = small();
    let set = SetAttr { uid: Some(4242), mode: Some(0o4711), ..SetAttr::default() };
    let result = served.client().set_attr(FILE, &set);
    if may_chown() {
        let attr = result.unwrap();
        assert_eq!((attr.uid, attr.gid, attr.mode & 0o7777), (4242, 0, 0o4711));
        let link = SetAttr { gid: Some(77), ..SetAttr::default() };
        assert_eq!(served.client().set_attr(LINK, &link).unwrap().gid, 77);
        assert_ne!(fs::metadata(served.path("link")).unwrap().gid(), 77);
    } else {
        assert!(matches!(result, Err(Errno::EPERM | Errno::EINVAL)));
    }
    let nobody = SetAttr { uid: Some(u32::MAX), gid: Some(u32::MAX), ..SetAttr::default() };
    assert!(served.client().set_attr(FILE, &nobody).is_ok());
}

#[test]
fn setting_never_follows_a_symlink() {
    let served = small();
    let before = fs::metadata(served.path("dir/sub")).unwrap();
    let time = Time { sec: 5, nsec: 0 };
    let set = SetAttr { mtime: SetTime::At(time), ..SetAttr::default() };
    assert_eq!(served.client().set_attr(LINK, &set).unwrap().mtime, time);
    let mode = SetAttr { mode: Some(0), ..SetAttr::default() };
    assert_eq!(served.client().set_attr(LINK, &mode), Err(Errno::EOPNOTSUPP));
    let size = SetAttr { size: Some(0), ..SetAttr::default() };
    assert_eq!(served.client().set_attr(LINK, &size), Err(Errno::EINVAL));
    let after = fs::metadata(served.path("dir/sub")).unwrap();
    assert_eq!((before.mtime(), before.mode()), (after.mtime(), after.mode()));
}

#[test]
fn bad_sizes_and_times_are_refused() {
    let served = small();
    let size = |size| SetAttr { size: Some(size), ..SetAttr::default() };
    assert_eq!(served.client().set_attr(FILE, &size(1 << 63)), Err(Errno::EINVAL));
    assert_eq!(served.client().set_attr(ROOT.into(), &size(0)), Err(Errno::EISDIR));
    assert_eq!(
        served.client().set_attr(Target::child(ROOT, b"fifo"), &size(0)),
        Err(Errno::EINVAL)
    );
    let time = Time { sec: 0, nsec: 1_000_000_000 };
    let set = SetAttr { atime: SetTime::At(time), ..SetAttr::default() };
    assert_eq!(served.client().set_attr(FILE, &set), Err(Errno::EINVAL));
    // A mode on a fifo must not open it.
    let mode = SetAttr { mode: Some(0o622), ..SetAttr::default() };
    let fifo = served.client().set_attr(Target::child(ROOT, b"fifo"), &mode).unwrap();
    assert_eq!(fifo.mode, 0o010_622);
}

#[test]
fn set_attributes_of_an_unlinked_file() {
    let served = small();
    let node = served.client().walk(ROOT, &[b"file"], ALL_NODES).unwrap().entries[0].node.unwrap();
    served.client().unlink(ROOT, b"file").unwrap();
    let set = SetAttr { mode: Some(0o611), size: Some(1), ..SetAttr::default() };
    let attr = served.client().set_attr(node.into(), &set).unwrap();
    assert_eq!((attr.mode & 0o777, attr.size, attr.nlink), (0o611, 1, 0));
}

#[test]
fn file_system_figures_and_sync() {
    let served = small();
    let stats = served.client().stat_fs(ROOT).unwrap();
    assert!(stats.block_size > 0 && stats.blocks > 0 && stats.name_max == 255);
    served.client().sync(ROOT).unwrap();
    let reply = served.client().walk(ROOT, &[b"fifo"], ALL_NODES).unwrap();
    let fifo = reply.entries[0].node.unwrap();
    assert_eq!(served.client().sync(fifo), Err(Errno::EINVAL));
}

#[test]
fn extended_attributes() {
    let served = small();
    let client = served.client();
    let none = XattrFlags::empty();
    match client.set_xattr(FILE, b"user.a", b"value", none) {
        Err(Errno::EOPNOTSUPP) => return eprintln!("skipped: no user attributes on this tmp"),
        result => result.unwrap(),
    }
    assert_eq!(client.get_xattr(FILE, b"user.a").unwrap(), b"value");
    assert_eq!(client.set_xattr(FILE, b"user.a", b"", XattrFlags::CREATE), Err(Errno::EEXIST));
    assert_eq!(client.set_xattr(FILE, b"user.b", b"", XattrFlags::REPLACE), Err(Errno::ENODATA));
    client.set_xattr(FILE, b"user.empty", b"", none).unwrap();
    assert_eq!(client.get_xattr(FILE, b"user.empty").unwrap(), b"");
    let mut names = client.list_xattr(FILE).unwrap();
    names.sort();
    assert_eq!(names, [b"user.a".to_vec(), b"user.empty".to_vec()]);
    client.remove_xattr(FILE, b"user.a").unwrap();
    assert_eq!(client.remove_xattr(FILE, b"user.a"), Err(Errno::ENODATA));
    assert_eq!(client.get_xattr(FILE, b"user.a"), Err(Errno::ENODATA));
    client.set_xattr(ROOT.into(), b"user.dir", b"d", none).unwrap();
    assert_eq!(client.list_xattr(ROOT.into()).unwrap(), [b"user.dir".to_vec()]);
    // A symbolic link has none, and is not followed to what has.
    assert_eq!(client.set_xattr(LINK, b"user.a", b"v", none), Err(Errno::EPERM));
    assert_eq!(client.list_xattr(LINK).unwrap().len(), 0);
}

#[test]
fn privileged_extended_attributes_are_out_of_reach() {
    let served = small();
    let none = XattrFlags::empty();
    for name in [&b"trusted.overlay.opaque"[..], b"security.capability", b"security.selinux"] {
        assert_eq!(served.client().set_xattr(FILE, name, b"y", none), Err(Errno::EPERM));
        assert_eq!(served.client().remove_xattr(FILE, name), Err(Errno::EPERM));
        assert_eq!(served.client().get_xattr(FILE, name), Err(Errno::ENODATA));
    }
    for name in [&b""[..], b"user", b"other.x", b"system.nfs4_acl"] {
        assert_eq!(served.client().set_xattr(FILE, name, b"y", none), Err(Errno::EOPNOTSUPP));
    }
    let long = [b'u'; 256];
    assert_eq!(served.client().get_xattr(FILE, &long), Err(Errno::ERANGE));
    let big = vec![0; (64 << 10) + 1];
    assert_eq!(served.client().set_xattr(FILE, b"user.a", &big, none), Err(Errno::E2BIG));
    let most = vec![0; 64 << 10];
    let result = served.client().set_xattr(FILE, b"user.a", &most, none);
    assert!(matches!(result, Ok(()) | Err(Errno::ENOSPC | Errno::E2BIG | Errno::EOPNOTSUPP)));
}

#[test]
fn read_only_export_refuses_every_change() {
    let options = Options { is_readonly: true, ..Options::default() };
    let served = Served::with(options, small_tree);
    let client = served.client();
    assert!(client.root().is_readonly);
    let rdonly = OpenFlags::RDONLY;
    let rofs = Err(Errno::EROFS);
    assert_eq!(client.create(ROOT, b"n", rdonly, PLAIN).map(drop), rofs);
    assert_eq!(client.mkdir(ROOT, b"n", PLAIN).map(drop), rofs);
    assert_eq!(client.mknod(ROOT, b"n", PLAIN).map(drop), rofs);
    assert_eq!(client.symlink(ROOT, b"n", b"t", PLAIN).map(drop), rofs);
    assert_eq!(client.link(FILE, ROOT, b"n").map(drop), rofs);
    assert_eq!(client.unlink(ROOT, b"file"), rofs);
    assert_eq!(client.rmdir(ROOT, b"dir"), rofs);
    assert_eq!(client.rename(ROOT, b"file", ROOT, b"n", RenameFlags::empty()), rofs);
    assert_eq!(client.set_attr(FILE, &SetAttr::default()).map(drop), rofs);
    assert_eq!(client.set_xattr(FILE, b"user.a", b"", XattrFlags::empty()), rofs);
    assert_eq!(client.remove_xattr(FILE, b"user.a"), rofs);
    for flags in [OpenFlags::WRONLY, OpenFlags::RDWR, OpenFlags::TRUNC] {
        assert_eq!(client.open(FILE, flags, false).map(drop), rofs);
        let reply = client.walk_open(ROOT, &[b"file"], ALL_NODES, flags).unwrap();
        assert_eq!(reply.opened.unwrap().map(drop), rofs);
    }
    assert_eq!(client.open(ROOT.into(), OpenFlags::RDWR, false).map(drop), Err(Errno::EISDIR));
    assert!(client.open(FILE, rdonly, true).is_ok());
    assert_eq!(client.read_dir_all(ROOT, ReadDirFlags::empty()).unwrap().len(), 4);
}
