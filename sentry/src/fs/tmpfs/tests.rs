use super::*;
use crate::memory::{IoDest, IoSource};
use crate::vfs::{AttributeChange, DirEntry, File, IoContext, NewNode, NewNodeKind, SeekFrom};
use linux_abi::fs::{FallocateFlags, OpenFlags, RenameFlags};

const IO: IoContext<'static> = IoContext { task: None, flags: OpenFlags::empty() };

fn tmpfs(options: TmpfsOptions) -> (Arc<Tmpfs>, Arc<dyn Inode>) {
    let fs = Tmpfs::with_device(DeviceId { major: 0, minor: 9 }, &options);
    let root = fs.root();
    (fs, root)
}

fn make(dir: &Arc<dyn Inode>, name: &str, kind: NewNodeKind<'_>) -> Arc<dyn Inode> {
    dir.create(name.as_bytes(), &NewNode { kind, permissions: 0o755, uid: 0, gid: 0 }).unwrap()
}

fn open(inode: &Arc<dyn Inode>) -> Box<dyn File> {
    inode.clone().open(OpenFlags::RDWR, &IO).unwrap()
}

fn write(file: &dyn File, offset: u64, data: &[u8]) -> Result<usize, Errno> {
    file.write(&mut IoSource::kernel(data), offset, &IO).map(|(count, _)| count)
}

fn read(file: &dyn File, offset: u64, len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.read(&mut IoDest::collect(&mut bytes, len), offset, &IO).unwrap();
    bytes
}

fn list(file: &dyn File, position: u64, max: usize) -> (Vec<String>, u64) {
    let mut names = Vec::new();
    let mut sink = |entry: DirEntry| {
        let fits = names.len() < max;
        if fits {
            names.push(String::from_utf8(entry.name.to_vec()).unwrap());
        }
        fits
    };
    let position = file.read_dir(position, 1, &IO, &mut sink).unwrap();
    (names, position)
}

#[test]
fn sparse_file_moves_to_a_memfd_and_keeps_its_bytes() {
    let (_fs, root) = tmpfs(TmpfsOptions::default());
    let inode = make(&root, "file", NewNodeKind::Regular);
    let file = open(&inode);
    write(&*file, 200_000, b"far").unwrap();
    assert_eq!(inode.attributes().unwrap().size, 200_003);
    let before = inode.attributes().unwrap().blocks;
    assert!(before > 0 && before < 200_000 / 512);
    let request = crate::vfs::MapRequest {
        shared: true,
        writable: true,
        executable: false,
        offset: 0,
        len: 4096,
    };
    assert!(file.map(&request).is_ok());
    assert_eq!(read(&*file, 199_999, 10), b"\0far");
    assert_eq!(file.seek(0, SeekFrom::Data(0), 0), Ok(200_000 / 4096 * 4096));
    let shrink = AttributeChange { size: Some(2), ..AttributeChange::default() };
    inode.set_attributes(&shrink).unwrap();
    write(&*file, 5, b"x").unwrap();
    assert_eq!(read(&*file, 0, 10), b"\0\0\0\0\0x");
}

#[test]
fn size_limit_is_a_short_write_and_then_enospc() {
    let (fs, root) = tmpfs(TmpfsOptions { size: Some(8192), ..TmpfsOptions::default() });
    let inode = make(&root, "file", NewNodeKind::Regular);
    let file = open(&inode);
    assert_eq!(write(&*file, 0, &[1; 20_000]), Ok(5000));
    assert_eq!(write(&*file, 5000, &[1; 3192]), Ok(3192));
    assert_eq!(write(&*file, 8192, b"x"), Err(Errno::ENOSPC));
    assert_eq!(write(&*file, 100, b"overwrite"), Ok(9));
    assert_eq!(fs.statfs().unwrap().bfree, 0);
    file.truncate(4096).unwrap();
    assert_eq!(fs.statfs().unwrap().bfree, 1);
    root.unlink(b"file", &inode).unwrap();
    drop((file, inode));
    assert_eq!(fs.statfs().unwrap().bfree, 2);
}

#[test]
fn inode_limit_is_enospc_and_freed_inodes_come_back() {
    let (_fs, root) = tmpfs(TmpfsOptions { inodes: Some(2), ..TmpfsOptions::default() });
    let first = make(&root, "a", NewNodeKind::Fifo);
    let node = NewNode { kind: NewNodeKind::Regular, permissions: 0, uid: 0, gid: 0 };
    assert_eq!(root.create(b"b", &node).err(), Some(Errno::ENOSPC));
    root.unlink(b"a", &first).unwrap();
    drop(first);
    assert!(root.create(b"b", &node).is_ok());
}

#[test]
fn listing_survives_changes() {
    let (_fs, root) = tmpfs(TmpfsOptions::default());
    let nodes: Vec<_> =
        (0..200).map(|index| make(&root, &format!("f{index}"), NewNodeKind::Regular)).collect();
    let dir = open(&root);
    let (first, position) = list(&*dir, 0, 100);
    assert_eq!(first[..3], [".", "..", "f0"]);
    for index in [50, 97, 98, 150] {
        root.unlink(format!("f{index}").as_bytes(), &nodes[index]).unwrap();
    }
    make(&root, "new", NewNodeKind::Regular);
    let (rest, _) = list(&*dir, position, 1000);
    assert_eq!(rest.first().map(String::as_str), Some("f99"));
    assert!(!rest.contains(&"f150".to_owned()));
    assert_eq!(rest.last().map(String::as_str), Some("new"));
}

#[test]
fn rename_replaces_exchanges_and_leaves_whiteouts() {
    let (_fs, root) = tmpfs(TmpfsOptions::default());
    let dir = make(&root, "dir", NewNodeKind::Directory);
    let other = make(&root, "other", NewNodeKind::Directory);
    let file = make(&dir, "file", NewNodeKind::Regular);
    assert_eq!(root.attributes().unwrap().links, 4);
    let rename =
        |from: &str, to: &str, flags| root.rename(from.as_bytes(), &root, to.as_bytes(), flags);
    assert_eq!(rename("other", "dir", RenameFlags::empty()), Err(Errno::ENOTEMPTY));
    assert_eq!(rename("other", "dir", RenameFlags::NOREPLACE), Err(Errno::EEXIST));
    rename("dir", "other", RenameFlags::empty()).unwrap();
    assert_eq!(root.attributes().unwrap().links, 3);
    let node = NewNode { kind: NewNodeKind::Regular, permissions: 0, uid: 0, gid: 0 };
    assert_eq!(other.create(b"late", &node).err(), Some(Errno::ENOENT));
    let plain = make(&root, "plain", NewNodeKind::Regular);
    root.rename(b"plain", &dir, b"file", RenameFlags::EXCHANGE).unwrap();
    assert_eq!(root.lookup(b"plain").unwrap().attributes().unwrap().inode, number(&file));
    assert_eq!(dir.lookup(b"file").unwrap().attributes().unwrap().inode, number(&plain));
    rename("plain", "moved", RenameFlags::WHITEOUT).unwrap();
    assert_eq!(root.lookup(b"plain").unwrap().kind(), FileKind::CharDevice);
}

fn number(inode: &Arc<dyn Inode>) -> u64 {
    inode.attributes().unwrap().inode
}

#[test]
fn links_count_and_removed_directories_are_closed() {
    let (_fs, root) = tmpfs(TmpfsOptions::default());
    let file = make(&root, "a", NewNodeKind::Regular);
    root.link(b"b", &file).unwrap();
    assert_eq!(root.link(b"b", &file), Err(Errno::EEXIST));
    assert_eq!(file.attributes().unwrap().links, 2);
    root.unlink(b"a", &file).unwrap();
    root.unlink(b"b", &file).unwrap();
    assert_eq!(file.attributes().unwrap().links, 0);
    let dir = make(&root, "dir", NewNodeKind::Directory);
    make(&dir, "x", NewNodeKind::Regular);
    assert_eq!(root.rmdir(b"dir", &dir), Err(Errno::ENOTEMPTY));
    let inner = dir.lookup(b"x").unwrap();
    dir.unlink(b"x", &inner).unwrap();
    root.rmdir(b"dir", &dir).unwrap();
    assert_eq!(dir.link(b"back", &file), Err(Errno::ENOENT));
}

#[test]
fn deep_trees_are_dropped_without_recursion() {
    let (fs, root) = tmpfs(TmpfsOptions::default());
    let mut at = root.clone();
    for _ in 0..100_000 {
        at = make(&at, "d", NewNodeKind::Directory);
    }
    drop((fs, root, at));
}

#[test]
fn fallocate_grows_and_punches() {
    let (_fs, root) = tmpfs(TmpfsOptions::default());
    let inode = make(&root, "file", NewNodeKind::Regular);
    let file = open(&inode);
    file.allocate(0, 0, 10_000).unwrap();
    assert_eq!(inode.attributes().unwrap().size, 10_000);
    file.allocate(FallocateFlags::KEEP_SIZE.bits(), 0, 90_000).unwrap();
    assert_eq!(inode.attributes().unwrap().size, 10_000);
    write(&*file, 0, &[1; 10_000]).unwrap();
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    file.allocate(punch.bits(), 100, 9_800).unwrap();
    assert_eq!(read(&*file, 99, 2), [1, 0]);
    assert_eq!(read(&*file, 9_899, 2), [0, 1]);
    let zero = FallocateFlags::ZERO_RANGE.bits();
    assert_eq!(file.allocate(zero, 0, 1), Err(Errno::EOPNOTSUPP));
}
