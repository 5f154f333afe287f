//! A gofer on a temporary directory, and short ways to use inodes.

use std::borrow::Cow;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use ::gofer::Export;
use gofer_protocol::transport;
use linux_abi::Errno;
use linux_abi::fs::OpenFlags;
use rustix::fs::{Mode, OFlags};
use sentry::fs::gofer::GoferFs;
use sentry::memory::{IoDest, IoSource};
use sentry::vfs::{
    Attributes, DeviceNumbers, DirEntry, File, FileSystem, Inode, IoContext, NewNode, NewNodeKind,
};
use tempfile::TempDir;

pub type Node = Arc<dyn Inode>;

/// A temporary directory with a gofer on it.
pub struct Served {
    dir: TempDir,
    fs: Option<Arc<GoferFs>>,
    thread: Option<JoinHandle<Result<(), ::gofer::Error>>>,
}

/// How a tree is served.
#[derive(Clone, Copy)]
pub struct Serving {
    pub is_exclusive: bool,
    pub is_readonly: bool,
    pub max_nodes: usize,
}

pub const EXCLUSIVE: Serving = Serving { is_exclusive: true, is_readonly: false, max_nodes: 1000 };
pub const SHARED: Serving = Serving { is_exclusive: false, ..EXCLUSIVE };

impl Served {
    pub fn new(serving: Serving, fill: impl FnOnce(&Path)) -> Served {
        let dir = TempDir::with_prefix("host-files-").expect("a temporary directory");
        fill(dir.path());
        let (fs, thread) = serve(dir.path(), serving);
        Served { dir, fs: Some(fs), thread: Some(thread) }
    }

    pub fn fs(&self) -> Arc<GoferFs> {
        self.fs.clone().expect("it is there until the end")
    }

    pub fn root(&self) -> Node {
        self.fs().root()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.fs = None;
        // An inode that a failing test still holds keeps the connection, and the gofer, alive.
        if !std::thread::panicking() {
            let thread = self.thread.take().expect("it is joined once");
            thread.join().expect("no panic").expect("the gofer ends well");
        }
    }
}

/// Serves `path` until the file system and all its inodes are gone.
pub fn serve(
    path: &Path,
    serving: Serving,
) -> (Arc<GoferFs>, JoinHandle<Result<(), ::gofer::Error>>) {
    let (ours, theirs) = transport::pair().expect("a socket pair");
    let export = Export {
        root: open_root(path),
        is_readonly: serving.is_readonly,
        crosses_mounts: true,
        socket: theirs,
        on_settled: || {},
    };
    let body = move || ::gofer::serve_unconfined(export, serving.max_nodes);
    let thread = std::thread::spawn(body);
    let numbers = Arc::new(DeviceNumbers::default());
    let fs = GoferFs::connect(ours, numbers, serving.is_exclusive).expect("the gofer says hello");
    (fs, thread)
}

fn open_root(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("the root opens")
}

/// An I/O context of nobody.
pub fn io(flags: OpenFlags) -> IoContext<'static> {
    IoContext { task: None, flags }
}

pub const PLAIN: IoContext<'static> = IoContext { task: None, flags: OpenFlags::empty() };

/// Walks one component at a time.
pub fn find(root: &Node, path: &str) -> Result<Node, Errno> {
    path.split('/').try_fold(root.clone(), |node, name| node.lookup(name.as_bytes()))
}

pub fn attributes(root: &Node, path: &str) -> Attributes {
    find(root, path).unwrap().attributes().unwrap()
}

pub fn open(node: &Node, flags: OpenFlags) -> Result<Box<dyn File>, Errno> {
    node.clone().open(flags, &io(flags))
}

pub fn open_read(root: &Node, path: &str) -> Box<dyn File> {
    open(&find(root, path).unwrap(), OpenFlags::empty()).unwrap()
}

pub fn open_write(root: &Node, path: &str) -> Box<dyn File> {
    open(&find(root, path).unwrap(), OpenFlags::RDWR).unwrap()
}

/// The whole content.
pub fn content(file: &dyn File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.read(&mut IoDest::collect(&mut bytes, 1 << 20), 0, &PLAIN).unwrap();
    bytes
}

pub fn read(root: &Node, path: &str) -> Vec<u8> {
    content(&*open_read(root, path))
}

pub fn write_at(file: &dyn File, bytes: &[u8], offset: u64) {
    let written = file.write(&mut IoSource::kernel(bytes), offset, &PLAIN);
    assert_eq!(written, Ok((bytes.len(), offset + bytes.len() as u64)));
}

pub fn new_node(kind: NewNodeKind<'_>) -> NewNode<'_> {
    let permissions = if kind == NewNodeKind::Directory { 0o755 } else { 0o644 };
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    NewNode { kind, permissions, uid, gid }
}

pub fn make(dir: &Node, name: &str, kind: NewNodeKind<'_>) -> Node {
    dir.create(name.as_bytes(), &new_node(kind)).unwrap()
}

/// A file with four bytes.
pub fn make_with_text(dir: &Node, name: &str) -> Node {
    let node = make(dir, name, NewNodeKind::Regular);
    write_at(&*open(&node, OpenFlags::RDWR).unwrap(), b"text", 0);
    node
}

/// The entries, `.` and `..` left out, sorted.
pub fn list(dir: &Node) -> Vec<String> {
    let file = open(dir, OpenFlags::empty()).unwrap();
    let mut names: Vec<String> =
        entries(&*file, 0, usize::MAX).0.into_iter().map(name_of).collect();
    names.retain(|name| name != "." && name != "..");
    names.sort();
    names
}

pub fn name_of(entry: DirEntry) -> String {
    String::from_utf8(entry.name.into_owned()).unwrap()
}

/// At most `max` entries from `position` on, and where to go on.
pub fn entries(file: &dyn File, position: u64, max: usize) -> (Vec<DirEntry<'static>>, u64) {
    let mut found = Vec::new();
    let mut sink = |entry: DirEntry| {
        let fits = found.len() < max;
        if fits {
            let name = Cow::Owned(entry.name.into_owned());
            found.push(DirEntry { name, ..entry });
        }
        fits
    };
    let next = file.read_dir(position, 1, &PLAIN, &mut sink).unwrap();
    (found, next)
}

/// A small tree: `dir/sub/file`, `file`, `link -> dir/sub`.
pub fn small_tree(root: &Path) {
    fs::create_dir_all(root.join("dir/sub")).unwrap();
    fs::write(root.join("dir/sub/file"), b"deep").unwrap();
    fs::write(root.join("file"), b"shallow").unwrap();
    std::os::unix::fs::symlink("dir/sub", root.join("link")).unwrap();
}
