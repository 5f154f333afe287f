//! Overlays over a tree that a gofer serves.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Instant;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags, RenameFlags};
use sentry::fs::overlay::Overlay;
use sentry::fs::tmpfs::{Tmpfs, TmpfsOptions};
use sentry::vfs::{AttributeChange, DeviceId, FileSystem, MapRequest, MapSource, NewNodeKind};

use super::common::*;

fn overlay(served: &Served) -> Arc<Overlay> {
    let device = |minor| DeviceId { major: 0, minor };
    let upper = Tmpfs::with_device(device(90), &TmpfsOptions::default());
    Overlay::new(upper, served.fs(), device(91)).unwrap()
}

/// Everything below a host directory: paths with their content or kind.
fn snapshot(served: &Served) -> Vec<(String, Vec<u8>, u32)> {
    let mut found = Vec::new();
    let mut work = vec![served.path("")];
    while let Some(dir) = work.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            let content = match (kind.is_dir(), kind.is_file()) {
                (true, _) => {
                    work.push(entry.path());
                    Vec::new()
                }
                (_, true) => fs::read(entry.path()).unwrap(),
                _ => fs::read_link(entry.path()).unwrap().into_os_string().into_encoded_bytes(),
            };
            let mode = fs::symlink_metadata(entry.path()).unwrap().permissions().mode();
            found.push((entry.path().to_string_lossy().into_owned(), content, mode));
        }
    }
    found.sort();
    found
}

#[test]
fn nothing_on_the_host_changes() {
    let served = Served::new(EXCLUSIVE, small_tree);
    let before = snapshot(&served);
    let fs = overlay(&served);
    let root: Node = fs.root();
    write_at(&*open_write(&root, "file"), b"other", 0);
    let mode = AttributeChange { permissions: Some(0o600), ..AttributeChange::default() };
    find(&root, "dir/sub/file").unwrap().set_attributes(&mode).unwrap();
    make(&root, "new", NewNodeKind::Directory);
    let dir = find(&root, "dir").unwrap();
    root.rename(b"dir", &find(&root, "new").unwrap(), b"moved", RenameFlags::empty()).unwrap();
    assert_eq!(read(&root, "new/moved/sub/file"), b"deep");
    root.unlink(b"link", &find(&root, "link").unwrap()).unwrap();
    assert_eq!(read(&root, "file"), b"otherow");
    assert_eq!(list(&root), ["file", "new"]);
    assert_eq!(list(&dir), ["sub"]);
    assert_eq!(before, snapshot(&served));
}

#[test]
fn chain_sees_changes_at_every_level() {
    let served = Served::new(EXCLUSIVE, small_tree);
    let fs = overlay(&served);
    let root: Node = fs.root();
    let chain = |names: &[&str]| {
        let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
        root.lookup_chain(&names, false)
    };
    assert_eq!(chain(&["dir", "sub", "file"]).len(), 3);
    assert_eq!(chain(&["link", "x"]).len(), 1);
    let sub = find(&root, "dir/sub").unwrap();
    let made = make(&sub, "d", NewNodeKind::Directory);
    make(&made, "e", NewNodeKind::Directory);
    assert_eq!(chain(&["dir", "sub", "d", "e", "none"]).len(), 4);
    sub.unlink(b"file", &find(&sub, "file").unwrap()).unwrap();
    assert_eq!(chain(&["dir", "sub", "file"]).len(), 2);
    make(&sub, "file", NewNodeKind::Directory);
    assert_eq!(chain(&["dir", "sub", "file"])[2].kind(), FileKind::Directory);
}

#[test]
fn unchanged_files_are_mapped_from_the_host() {
    let served = Served::new(EXCLUSIVE, small_tree);
    let fs = overlay(&served);
    let root: Node = fs.root();
    let request =
        MapRequest { shared: false, writable: false, executable: true, offset: 0, len: 4096 };
    let mapped = || match open_read(&root, "file").map(&request).unwrap() {
        MapSource::Host { fd, .. } => fd,
        _ => panic!("a host file is mapped by its descriptor"),
    };
    // As the cache of names does.
    let _held = find(&root, "file").unwrap();
    let (one, two) = (mapped(), mapped());
    assert_eq!(one.as_raw_fd(), two.as_raw_fd(), "the descriptor is kept");
    let flags = rustix::fs::fcntl_getfl(&one).unwrap();
    assert!(!flags.intersects(rustix::fs::OFlags::RDWR | rustix::fs::OFlags::WRONLY));
    write_at(&*open_write(&root, "file"), b"x", 0);
    assert_ne!(mapped().as_raw_fd(), one.as_raw_fd());
}

#[test]
fn readonly_export_is_a_good_lower_tree() {
    let served = Served::new(Serving { is_readonly: true, ..EXCLUSIVE }, small_tree);
    let fs = overlay(&served);
    let root: Node = fs.root();
    let file = open_write(&root, "file");
    write_at(&*file, b"S", 0);
    assert_eq!(content(&*file), b"Shallow");
    assert_eq!(find(&root, "none").err(), Some(Errno::ENOENT));
}

#[test]
fn sparse_host_files_are_copied_with_their_holes() {
    let served = Served::new(EXCLUSIVE, |root| {
        let file = fs::File::create(root.join("sparse")).unwrap();
        file.set_len(1 << 30).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"middle", 500 << 20).unwrap();
    });
    let fs = overlay(&served);
    let root: Node = fs.root();
    let started = Instant::now();
    write_at(&*open_write(&root, "sparse"), b"start", 0);
    let seen = attributes(&root, "sparse");
    assert_eq!(seen.size, 1 << 30);
    assert!(seen.blocks < 4096, "{} blocks", seen.blocks);
    assert!(started.elapsed().as_secs() < 5);
    let file = open(&find(&root, "sparse").unwrap(), OpenFlags::empty()).unwrap();
    let mut bytes = [0; 6];
    let mut dest = sentry::memory::IoDest::kernel(&mut bytes);
    file.read(&mut dest, 500 << 20, &PLAIN).unwrap();
    assert_eq!(&bytes, b"middle");
}
