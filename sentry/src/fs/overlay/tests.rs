use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags, RenameFlags};
use linux_abi::time::Timespec;

use super::Overlay;
use crate::fs::tmpfs::{Tmpfs, TmpfsOptions};
use crate::memory::{IoDest, IoSource};
use crate::vfs::{
    AttributeChange, Attributes, DeviceId, DirEntry, File, FileSystem, Inode, IoContext,
    MapRequest, MapSource, NewNode, NewNodeKind, SeekFrom, TimeChange, XattrFlags,
};

type Node = Arc<dyn Inode>;

const IO: IoContext<'static> = IoContext { task: None, flags: OpenFlags::empty() };
const DEVICE: DeviceId = DeviceId { major: 0, minor: 7 };

/// An overlay, and the lower tree to compare with.
struct Fixture {
    fs: Arc<Overlay>,
    root: Node,
    lower: Node,
    upper: Arc<Tmpfs>,
}

fn tmpfs(minor: u32, options: TmpfsOptions) -> Arc<Tmpfs> {
    Tmpfs::with_device(DeviceId { major: 0, minor }, &options)
}

/// Over `dir/sub/file` ("deep"), `file` ("shallow"), `other` (the same file) and `link`.
fn fixture() -> Fixture {
    fixture_with(TmpfsOptions::default())
}

fn fixture_with(upper: TmpfsOptions) -> Fixture {
    let lower = tmpfs(1, TmpfsOptions::default());
    let below = lower.root();
    let sub = make(&make(&below, "dir", NewNodeKind::Directory), "sub", NewNodeKind::Directory);
    write(&make(&sub, "file", NewNodeKind::Regular), 0, b"deep");
    let file = make(&below, "file", NewNodeKind::Regular);
    write(&file, 0, b"shallow");
    file.xattr_set(b"user.a", b"1", XattrFlags::Any).unwrap();
    file.set_attributes(&times(1_000_000_000)).unwrap();
    below.link(b"other", &file).unwrap();
    make(&below, "link", NewNodeKind::Symlink(b"dir/sub"));
    let upper = tmpfs(2, upper);
    let fs = Overlay::new(upper.clone(), lower, DEVICE).unwrap();
    Fixture { root: fs.root(), fs, lower: below, upper }
}

fn times(sec: i64) -> AttributeChange {
    let time = Some(TimeChange::To(Timespec { sec, nsec: 9 }));
    AttributeChange { accessed: time, modified: time, ..AttributeChange::default() }
}

fn make(dir: &Node, name: &str, kind: NewNodeKind<'_>) -> Node {
    dir.create(name.as_bytes(), &new(kind)).unwrap()
}

fn new(kind: NewNodeKind<'_>) -> NewNode<'_> {
    NewNode { kind, permissions: 0o755, uid: 3, gid: 4 }
}

fn find(root: &Node, path: &str) -> Result<Node, Errno> {
    path.split('/').try_fold(root.clone(), |node, name| node.lookup(name.as_bytes()))
}

fn get(root: &Node, path: &str) -> Node {
    find(root, path).unwrap()
}

fn attributes(root: &Node, path: &str) -> Attributes {
    get(root, path).attributes().unwrap()
}

fn open(node: &Node, flags: OpenFlags) -> Box<dyn File> {
    node.clone().open(flags, &IoContext { flags, ..IO }).unwrap()
}

fn content(file: &dyn File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.read(&mut IoDest::collect(&mut bytes, 1 << 24), 0, &IO).unwrap();
    bytes
}

fn read(root: &Node, path: &str) -> Vec<u8> {
    content(&*open(&get(root, path), OpenFlags::empty()))
}

fn write(node: &Node, offset: u64, bytes: &[u8]) {
    let file = open(node, OpenFlags::RDWR);
    let end = offset + bytes.len() as u64;
    assert_eq!(file.write(&mut IoSource::kernel(bytes), offset, &IO), Ok((bytes.len(), end)));
}

fn list(dir: &Node) -> Vec<String> {
    let mut names = entries(&*open(dir, OpenFlags::empty()), 0, usize::MAX).0;
    names.retain(|name| name != "." && name != "..");
    names.sort();
    names
}

fn entries(file: &dyn File, position: u64, max: usize) -> (Vec<String>, u64) {
    let mut names = Vec::new();
    let mut sink = |entry: DirEntry| {
        let fits = names.len() < max;
        if fits {
            names.push(String::from_utf8(entry.name.to_vec()).unwrap());
        }
        fits
    };
    let next = file.read_dir(position, 1, &IO, &mut sink).unwrap();
    (names, next)
}

fn same(one: &Node, other: &Node) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
}

fn unlink(dir: &Node, name: &str) {
    dir.unlink(name.as_bytes(), &get(dir, name)).unwrap();
}

fn rename(from: &Node, old: &str, to: &Node, new: &str, flags: RenameFlags) -> Result<(), Errno> {
    from.rename(old.as_bytes(), to, new.as_bytes(), flags)
}

const NO_FLAGS: RenameFlags = RenameFlags::empty();

#[test]
fn lower_tree_shows_through() {
    let Fixture { root, fs, lower, .. } = fixture();
    assert_eq!(read(&root, "dir/sub/file"), b"deep");
    assert_eq!(get(&root, "link").readlink(&IO), Ok(b"dir/sub".to_vec()));
    assert_eq!(list(&root), ["dir", "file", "link", "other"]);
    let (seen, below) = (attributes(&root, "file"), attributes(&lower, "file"));
    assert_eq!((seen.inode, seen.size, seen.links), (below.inode, 7, 2));
    assert_eq!(seen.device, DEVICE);
    assert_eq!(get(&root, "file").xattr_get(b"user.a"), Ok(b"1".to_vec()));
    assert_eq!(find(&root, "none").err(), Some(Errno::ENOENT));
    assert_eq!(find(&root, "file/x").err(), Some(Errno::ENOTDIR));
    assert_eq!(fs.statfs().unwrap().kind as u64, linux_abi::fs::OVERLAYFS_SUPER_MAGIC);
}

#[test]
fn writing_leaves_the_lower_file_alone_and_keeps_number_and_metadata() {
    let Fixture { root, lower, .. } = fixture();
    let before = attributes(&root, "file");
    write(&get(&root, "file"), 2, b"EE");
    let after = attributes(&root, "file");
    assert_eq!(read(&root, "file"), b"shEElow");
    assert_eq!(read(&lower, "file"), b"shallow");
    assert_eq!((after.inode, after.device, after.size), (before.inode, before.device, 7));
    assert_eq!(after.accessed, before.accessed);
    assert!(after.modified > before.modified);
    assert_eq!(get(&root, "file").xattr_get(b"user.a"), Ok(b"1".to_vec()));
}

#[test]
fn hard_links_stay_links_when_the_file_changes() {
    let Fixture { root, .. } = fixture();
    assert!(same(&get(&root, "file"), &get(&root, "other")));
    write(&get(&root, "other"), 0, b"S");
    assert_eq!(read(&root, "file"), b"Shallow");
    unlink(&root, "other");
    assert_eq!(attributes(&root, "file").links, 1);
    assert_eq!(read(&root, "file"), b"Shallow");
    root.link(b"third", &get(&root, "file")).unwrap();
    assert_eq!(attributes(&root, "third").links, 2);
    assert_eq!(list(&root), ["dir", "file", "link", "third"]);
}

#[test]
fn files_opened_before_follow_the_copy() {
    let Fixture { root, .. } = fixture();
    let node = get(&root, "file");
    let (reader, writer) = (open(&node, OpenFlags::empty()), open(&node, OpenFlags::RDWR));
    assert_eq!(content(&*reader), b"shallow");
    assert_eq!(content(&*writer), b"shallow");
    writer.write(&mut IoSource::kernel(b"D"), 0, &IO).unwrap();
    assert_eq!(content(&*reader), b"Dhallow");
    let appends = IoContext { flags: OpenFlags::APPEND, ..IO };
    assert_eq!(writer.write(&mut IoSource::kernel(b"!!"), 0, &appends), Ok((2, 9)));
    assert_eq!(content(&*reader), b"Dhallow!!");
    writer.truncate(3).unwrap();
    assert_eq!(content(&*reader), b"Dha");
}

#[test]
fn metadata_changes_do_not_copy_content() {
    let Fixture { root, lower, upper, .. } = fixture();
    let big = make(&lower, "big", NewNodeKind::Regular);
    write(&big, 0, &[1; 100_000]);
    let used = |upper: &Tmpfs| get_pages(upper);
    let before = used(&upper);
    let node = get(&root, "big");
    let owner = AttributeChange { uid: Some(77), ..AttributeChange::default() };
    node.set_attributes(&owner).unwrap();
    let seen = node.attributes().unwrap();
    assert_eq!((seen.uid, seen.size), (77, 100_000));
    assert_eq!(seen.blocks, big.attributes().unwrap().blocks);
    assert_eq!(used(&upper), before);
    assert_eq!(read(&root, "big"), [1; 100_000]);
    let modified = node.attributes().unwrap().modified;
    // Cutting copies what is left only.
    let cut = AttributeChange { size: Some(10), ..times(5) };
    node.set_attributes(&cut).unwrap();
    assert_eq!(read(&root, "big"), [1; 10]);
    assert_eq!(node.attributes().unwrap().modified.sec, 5);
    assert!(modified.sec > 5);
    assert_eq!(node.attributes().unwrap().blocks, 8);
    assert_eq!(big.attributes().unwrap().uid, 3);
}

/// Pages in use by all stores: none is linked, so the limits tell.
fn get_pages(upper: &Tmpfs) -> u64 {
    let stats = upper.statfs().unwrap();
    stats.blocks - stats.bfree
}

#[test]
fn big_and_sparse_files_are_copied_with_their_holes() {
    let Fixture { root, lower, .. } = fixture();
    let big = make(&lower, "big", NewNodeKind::Regular);
    let pattern: Vec<u8> = (0..3_000_000_u32).map(|index| (index / 7) as u8).collect();
    write(&big, 10 << 20, &pattern);
    let size = 64 << 20;
    big.set_attributes(&AttributeChange { size: Some(size), ..AttributeChange::default() })
        .unwrap();
    let node = get(&root, "big");
    write(&node, 5, b"x");
    let seen = node.attributes().unwrap();
    assert_eq!(seen.size, size);
    assert!(seen.blocks * 512 < 5 << 20, "{} blocks", seen.blocks);
    let file = open(&node, OpenFlags::empty());
    let mut bytes = vec![0; pattern.len()];
    file.read(&mut IoDest::kernel(&mut bytes), 10 << 20, &IO).unwrap();
    assert_eq!(bytes, pattern);
    assert_eq!(file.seek(0, SeekFrom::Hole(10 << 20), size).map(|hole| hole < 14 << 20), Ok(true));
}

#[test]
fn full_upper_is_an_error_that_loses_nothing() {
    let options = TmpfsOptions { size: Some(64 << 10), ..TmpfsOptions::default() };
    let Fixture { root, lower, upper, .. } = fixture_with(options);
    write(&make(&lower, "big", NewNodeKind::Regular), 0, &[1; 100_000]);
    let node = get(&root, "big");
    let file = open(&node, OpenFlags::RDWR);
    let failed = file.write(&mut IoSource::kernel(b"x"), 0, &IO);
    assert_eq!(failed, Err(Errno::ENOSPC));
    assert_eq!(get_pages(&upper), 0);
    assert_eq!(content(&*file), [1; 100_000]);
    node.set_attributes(&AttributeChange { size: Some(9), ..AttributeChange::default() }).unwrap();
    assert_eq!(content(&*file), [1; 9]);
}

#[test]
fn removed_names_stay_away_and_can_be_made_again() {
    let Fixture { root, lower, .. } = fixture();
    let dir = get(&root, "dir");
    assert_eq!(root.rmdir(b"dir", &dir), Err(Errno::ENOTEMPTY));
    let sub = get(&dir, "sub");
    unlink(&sub, "file");
    assert_eq!(find(&sub, "file").err(), Some(Errno::ENOENT));
    assert!(list(&sub).is_empty());
    dir.rmdir(b"sub", &sub).unwrap();
    assert_eq!(sub.attributes().unwrap().links, 0);
    root.rmdir(b"dir", &dir).unwrap();
    assert_eq!(list(&root), ["file", "link", "other"]);
    assert_eq!(find(&root, "dir").err(), Some(Errno::ENOENT));
    // What is made again does not show what was below.
    let made = make(&root, "dir", NewNodeKind::Directory);
    assert!(list(&made).is_empty());
    assert!(!same(&made, &dir));
    assert_eq!(find(&made, "sub").err(), Some(Errno::ENOENT));
    root.rmdir(b"dir", &made).unwrap();
    assert_eq!(find(&root, "dir").err(), Some(Errno::ENOENT));
    assert_eq!(read(&lower, "dir/sub/file"), b"deep");
    // A name that never was below leaves nothing behind.
    make(&root, "temporary", NewNodeKind::Regular);
    unlink(&root, "temporary");
    assert_eq!(find(&root, "temporary").err(), Some(Errno::ENOENT));
}

#[test]
fn changed_objects_outlive_their_users() {
    let Fixture { root, .. } = fixture();
    write(&get(&root, "dir/sub/file"), 4, b"er");
    make(&get(&root, "dir"), "new", NewNodeKind::Fifo);
    let mode = AttributeChange { permissions: Some(0o700), ..AttributeChange::default() };
    get(&root, "dir/sub").set_attributes(&mode).unwrap();
    assert_eq!(read(&root, "dir/sub/file"), b"deeper");
    assert_eq!(list(&get(&root, "dir")), ["new", "sub"]);
    assert_eq!(attributes(&root, "dir/sub").permissions, 0o700);
    assert_eq!(get(&root, "dir/new").kind(), FileKind::Fifo);
    assert_eq!(attributes(&root, "dir/new").uid, 3);
}

#[test]
fn unlinked_files_can_be_used() {
    let Fixture { root, .. } = fixture();
    let node = get(&root, "dir/sub/file");
    let file = open(&node, OpenFlags::RDWR);
    get(&root, "dir/sub").unlink(b"file", &node).unwrap();
    file.write(&mut IoSource::kernel(b"D"), 0, &IO).unwrap();
    assert_eq!(content(&*file), b"Deep");
    assert_eq!(node.attributes().unwrap().links, 0);
    assert_eq!(find(&root, "dir/sub/file").err(), Some(Errno::ENOENT));
    let unnamed = root.create_unnamed(&new(NewNodeKind::Regular)).unwrap();
    assert_eq!(unnamed.attributes().unwrap().links, 0);
    write(&unnamed, 0, b"text");
    root.link(b"named", &unnamed).unwrap();
    assert_eq!(attributes(&root, "named").links, 1);
    assert_eq!(read(&root, "named"), b"text");
}

#[test]
fn files_are_renamed_and_replaced() {
    let Fixture { root, lower, .. } = fixture();
    let dir = get(&root, "dir");
    let node = get(&root, "file");
    rename(&root, "file", &dir, "moved", NO_FLAGS).unwrap();
    assert!(same(&node, &get(&dir, "moved")));
    assert_eq!(list(&root), ["dir", "link", "other"]);
    assert_eq!(read(&root, "dir/moved"), b"shallow");
    let made = make(&root, "new", NewNodeKind::Regular);
    assert_eq!(rename(&root, "new", &dir, "moved", RenameFlags::NOREPLACE), Err(Errno::EEXIST));
    rename(&root, "new", &dir, "moved", NO_FLAGS).unwrap();
    assert!(same(&made, &get(&dir, "moved")));
    assert_eq!(node.attributes().unwrap().links, 1);
    rename(&dir, "moved", &root, "other", NO_FLAGS).unwrap();
    assert_eq!(node.attributes().unwrap().links, 0);
    unlink(&root, "other");
    assert_eq!(find(&root, "other").err(), Some(Errno::ENOENT), "the lower one stays hidden");
    let whiteout = rename(&root, "link", &root, "l", RenameFlags::WHITEOUT);
    assert_eq!(whiteout, Err(Errno::EINVAL));
    assert_eq!(rename(&root, "none", &root, "l", NO_FLAGS), Err(Errno::ENOENT));
    assert_eq!(list(&lower), ["dir", "file", "link", "other"]);
}

#[test]
fn lower_directories_are_renamed_with_all_below() {
    let Fixture { root, .. } = fixture();
    let links = root.attributes().unwrap().links;
    let target = make(&root, "target", NewNodeKind::Directory);
    make(&get(&root, "dir/sub"), "added", NewNodeKind::Regular);
    rename(&root, "dir", &target, "moved", NO_FLAGS).unwrap();
    assert_eq!(read(&root, "target/moved/sub/file"), b"deep");
    assert_eq!(list(&get(&root, "target/moved/sub")), ["added", "file"]);
    assert_eq!(find(&root, "dir").err(), Some(Errno::ENOENT));
    assert_eq!(root.attributes().unwrap().links, links);
    assert_eq!(target.attributes().unwrap().links, 3);
    let empty = make(&root, "empty", NewNodeKind::Directory);
    assert_eq!(rename(&root, "empty", &target, "moved", NO_FLAGS), Err(Errno::ENOTEMPTY));
    assert_eq!(rename(&target, "moved", &root, "file", NO_FLAGS), Err(Errno::ENOTDIR));
    assert_eq!(rename(&root, "file", &root, "empty", NO_FLAGS), Err(Errno::EISDIR));
    rename(&target, "moved", &root, "empty", NO_FLAGS).unwrap();
    assert_eq!(empty.attributes().unwrap().links, 0);
    assert_eq!(read(&root, "empty/sub/file"), b"deep");
    rename(&root, "empty", &root, "dir", NO_FLAGS).unwrap();
    assert_eq!(read(&root, "dir/sub/file"), b"deep");
}

#[test]
fn exchange_swaps_and_restores() {
    let Fixture { root, .. } = fixture();
    let (dir, file) = (get(&root, "dir"), get(&root, "dir/sub/file"));
    let sub = get(&root, "dir/sub");
    rename(&sub, "file", &root, "dir", RenameFlags::EXCHANGE).unwrap();
    assert!(same(&file, &get(&root, "dir")));
    assert!(same(&dir, &get(&sub, "file")));
    assert_eq!(sub.attributes().unwrap().links, 3);
    rename(&sub, "file", &root, "dir", RenameFlags::EXCHANGE).unwrap();
    assert_eq!(read(&root, "dir/sub/file"), b"deep");
    let missing = rename(&root, "file", &root, "none", RenameFlags::EXCHANGE);
    assert_eq!(missing, Err(Errno::ENOENT));
}

#[test]
fn listing_merges_and_keeps_positions() {
    let Fixture { root, .. } = fixture();
    for index in 0..100 {
        make(&root, &format!("n{index}"), NewNodeKind::Regular);
    }
    unlink(&root, "other");
    let dir = open(&root, OpenFlags::empty());
    let (all, end) = entries(&*dir, 0, usize::MAX);
    assert_eq!(all.len(), 2 + 3 + 100);
    assert_eq!(&all[..2], [".", ".."]);
    assert_eq!(entries(&*dir, end, 9).0, [""; 0]);
    let (first, position) = entries(&*dir, 0, 10);
    unlink(&root, &first[9]);
    unlink(&root, "n99");
    let (rest, _) = entries(&*dir, position, usize::MAX);
    assert_eq!([first, rest].concat(), all);
    assert_eq!(entries(&*dir, 0, usize::MAX).0.len(), all.len() - 2);
    let mut kinds = Vec::new();
    let mut sink = |entry: DirEntry| {
        kinds.push((entry.name.to_vec(), entry.inode, entry.kind));
        true
    };
    dir.read_dir(0, 55, &IO, &mut sink).unwrap();
    assert_eq!(kinds[1], (b"..".to_vec(), 55, FileKind::Directory));
    for (name, number, kind) in &kinds[2..] {
        let node = root.lookup(name).unwrap();
        assert_eq!((*number, *kind), (node.attributes().unwrap().inode, node.kind()));
    }
}

#[test]
fn mappings_share_the_lower_file_until_it_is_written() {
    let Fixture { root, lower, .. } = fixture();
    let request =
        MapRequest { shared: false, writable: false, executable: true, offset: 0, len: 7 };
    let host_file = |node: &Node, flags| match open(node, flags).map(&request).unwrap() {
        MapSource::Host { fd, .. } => Arc::as_ptr(&fd).addr(),
        _ => panic!("a tmpfs file is mapped by its memfd"),
    };
    let node = get(&root, "file");
    let below = host_file(&get(&lower, "file"), OpenFlags::empty());
    assert_eq!(host_file(&node, OpenFlags::empty()), below);
    assert_ne!(host_file(&node, OpenFlags::RDWR), below);
    assert_ne!(host_file(&node, OpenFlags::empty()), below);
}

#[test]
fn extended_attributes_are_copied_and_changed() {
    let Fixture { root, lower, .. } = fixture();
    let node = get(&root, "file");
    node.xattr_set(b"user.b", b"2", XattrFlags::Create).unwrap();
    assert_eq!(node.xattr_set(b"user.a", b"", XattrFlags::Create), Err(Errno::EEXIST));
    node.xattr_remove(b"user.a").unwrap();
    assert_eq!(node.xattr_list().unwrap(), [b"user.b".to_vec()]);
    assert_eq!(node.xattr_get(b"system.posix_acl_access"), Err(Errno::EOPNOTSUPP));
    assert_eq!(get(&lower, "file").xattr_list().unwrap(), [b"user.a".to_vec()]);
    assert_eq!(read(&root, "file"), b"shallow");
}

#[test]
fn device_nodes_are_made_but_for_whiteouts() {
    let Fixture { root, .. } = fixture();
    let whiteout = NewNodeKind::CharDevice(DeviceId::default());
    assert_eq!(root.create(b"w", &new(whiteout)).err(), Some(Errno::EPERM));
    let id = DeviceId { major: 1, minor: 3 };
    make(&root, "null", NewNodeKind::CharDevice(id));
    let seen = attributes(&root, "null");
    assert_eq!((seen.kind, seen.rdev), (FileKind::CharDevice, id));
    let link = make(&root, "l", NewNodeKind::Symlink(b"there"));
    assert_eq!(link.readlink(&IO), Ok(b"there".to_vec()));
    assert_eq!((link.kind(), link.attributes().unwrap().size), (FileKind::Symlink, 5));
    assert_eq!(root.create(b"l", &new(NewNodeKind::Fifo)).err(), Some(Errno::EEXIST));
}

#[test]
fn several_lower_trees_are_merged() {
    let (top, bottom) = (tmpfs(1, TmpfsOptions::default()), tmpfs(2, TmpfsOptions::default()));
    let whiteout = NewNodeKind::CharDevice(DeviceId::default());
    for (fs, own) in [(&top, "top"), (&bottom, "bottom")] {
        let dir = make(&fs.root(), "dir", NewNodeKind::Directory);
        write(&make(&dir, "both", NewNodeKind::Regular), 0, own.as_bytes());
        make(&dir, own, NewNodeKind::Regular);
    }
    make(&top.root(), "gone", whiteout);
    make(&bottom.root(), "gone", NewNodeKind::Directory);
    let upper = tmpfs(3, TmpfsOptions::default());
    let fs = Overlay::with_lowers(upper, &[top, bottom], DEVICE).unwrap();
    let root: Node = fs.root();
    assert_eq!(list(&root), ["dir"]);
    assert_eq!(find(&root, "gone").err(), Some(Errno::ENOENT));
    assert_eq!(list(&get(&root, "dir")), ["both", "bottom", "top"]);
    assert_eq!(read(&root, "dir/both"), b"top");
    let numbers = ["bottom", "top", "both"].map(|name| attributes(&get(&root, "dir"), name).inode);
    assert!(numbers[0] != numbers[1] && numbers[1] != numbers[2]);
}

#[test]
fn deep_trees_are_dropped() {
    let Fixture { root, fs, .. } = fixture();
    let mut dir = root.clone();
    for _ in 0..20_000 {
        dir = make(&dir, "d", NewNodeKind::Directory);
    }
    drop((dir, root, fs));
}

#[test]
fn everything_goes_with_the_overlay() {
    let Fixture { root, fs, lower, upper } = fixture();
    write(&get(&root, "dir/sub/file"), 0, b"D");
    make(&get(&root, "dir"), "new", NewNodeKind::Directory);
    assert!(get(&root, "file").xattr_remove(b"user.a").is_ok());
    drop((root, fs));
    assert_eq!(Arc::strong_count(&upper), 1);
    // Held by its two names and here.
    assert_eq!(Arc::strong_count(&get(&lower, "file")), 3);
}
