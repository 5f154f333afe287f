//! A gofer that serves a temporary tree from a thread of the test process.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use gofer::{Error, Export};
use gofer_protocol::{Client, NewNode, WalkFlags, transport};
use rustix::fs::{Mode, OFlags};
use tempfile::TempDir;

/// `NewNode` for what needs no particular owner.
pub const PLAIN: NewNode = NewNode { mode: 0o644, uid: u32::MAX, gid: u32::MAX, wants_node: false };
/// As [`PLAIN`], for a directory whose node is wanted.
pub const DIRECTORY: NewNode = NewNode { mode: 0o755, wants_node: true, ..PLAIN };
/// Keeps nodes of all that a walk reaches.
pub const ALL_NODES: WalkFlags = WalkFlags::DIRECTORY_NODES.union(WalkFlags::FILE_NODE);

pub struct Served {
    client: Option<Client>,
    thread: Option<JoinHandle<Result<(), Error>>>,
    dir: TempDir,
}

/// What a test wants of its export.
#[derive(Clone, Copy)]
pub struct Options {
    pub is_readonly: bool,
    pub crosses_mounts: bool,
    pub max_nodes: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { is_readonly: false, crosses_mounts: true, max_nodes: 1000 }
    }
}

impl Served {
    /// Serves an empty temporary directory.
    pub fn new() -> Served {
        Served::with(Options::default(), |_| {})
    }

    /// Serves a temporary directory that `fill` has put files into.
    pub fn with(options: Options, fill: impl FnOnce(&Path)) -> Served {
        let dir = TempDir::with_prefix("gofer-test-").expect("a temporary directory");
        fill(dir.path());
        let (client, thread) = serve_path(dir.path(), options);
        Served { client: Some(client), thread: Some(thread), dir }
    }

    pub fn client(&self) -> &Client {
        self.client.as_ref().expect("the client is there until the end")
    }

    /// The host's path of something in the tree.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.client = None;
        let thread = self.thread.take().expect("the thread is joined once");
        let result = thread.join().expect("the gofer does not panic");
        result.expect("the gofer ends well when its client leaves");
    }
}

/// Opens a path as a launcher does.
pub fn open_root(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("the root opens")
}

/// Serves a path on a raw socket.
pub fn serve_raw(path: &Path, options: Options) -> (OwnedFd, JoinHandle<Result<(), Error>>) {
    let (ours, theirs) = transport::pair().expect("a socket pair");
    let export = Export {
        root: open_root(path),
        is_readonly: options.is_readonly,
        crosses_mounts: options.crosses_mounts,
        socket: theirs,
        on_settled: || {},
    };
    let body = move || gofer::serve_unconfined(export, options.max_nodes);
    (ours, std::thread::spawn(body))
}

/// Serves a path.
pub fn serve_path(path: &Path, options: Options) -> (Client, JoinHandle<Result<(), Error>>) {
    let (socket, thread) = serve_raw(path, options);
    (Client::new(socket).expect("the gofer says hello"), thread)
}

/// Whether this process may give files to anyone: as root, but not of a user namespace that lacks
/// most users.
pub fn may_chown() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").expect("/proc is there");
    let has_all_users = map.split_whitespace().nth(2) == Some("4294967295");
    rustix::process::geteuid().is_root() && has_all_users
}

/// A small tree: `dir/sub/file`, `file`, `link -> dir/sub`, `fifo`.
pub fn small_tree(root: &Path) {
    fs::create_dir_all(root.join("dir/sub")).expect("directories");
    fs::write(root.join("dir/sub/file"), b"deep").expect("a file");
    fs::write(root.join("file"), b"shallow").expect("a file");
    std::os::unix::fs::symlink("dir/sub", root.join("link")).expect("a link");
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo"), fifo, Mode::RUSR, 0).expect("a fifo");
}
