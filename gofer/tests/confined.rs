//! A gofer process with all of its confinement: it serves everything, and its filter kills.

mod common;

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{ALL_NODES, DIRECTORY, PLAIN, open_root, small_tree};
use gofer::{Confinement, Export, Gofer};
use gofer_protocol::{
    Client, NewNode, NodeId, OpenFlags, ReadDirFlags, RenameFlags, SetAttr, SetTime, Target,
    XattrFlags, transport,
};
use rustix::fs::{CWD, FileType, Mode};

const ROOT: NodeId = NodeId::ROOT;
/// Tells a child process of this test what to be.
const ROLE: &str = "GOFER_TEST_ROLE";
const TREE: &str = "GOFER_TEST_TREE";

/// Starts this test program once more, to run [`child`] only, with `socket` as its input.
fn start_child(role: &str, tree: &Path, socket: OwnedFd) -> Child {
    let program = std::env::current_exe().expect("this program has a path");
    Command::new(program)
        .args(["child", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(TREE, tree)
        .stdin(Stdio::from(socket))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts again")
}

/// What a child process does; no test of its own.
#[test]
#[ignore = "runs in a child process of the other tests"]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    if role == "serve" {
        return serve();
    }
    let calls = FORBIDDEN.iter().filter(|(name, _)| *name == role);
    for (_, call) in calls {
        gofer::confine::give_up_rights().expect("rights are given up");
        gofer::confine::filter_all_threads().expect("a filter is installed");
        call();
    }
}

fn serve() {
    let tree = std::env::var_os(TREE).expect("a tree is given");
    let gofer = Gofer::prepare().expect("/proc is there");
    let export = Export {
        root: open_root(Path::new(&tree)),
        is_readonly: false,
        crosses_mounts: true,
        socket: io::stdin().as_fd().try_clone_to_owned().expect("a socket is given"),
        on_settled: || {},
    };
    let serving = gofer.start(vec![export], Confinement::On).expect("the gofer starts");
    serving.run().expect("the gofer serves");
}

#[test]
fn confined_gofer_serves_everything() {
    let dir = tempfile::TempDir::new().unwrap();
    small_tree(dir.path());
    let (ours, theirs) = transport::pair().unwrap();
    let mut child = start_child("serve", dir.path(), theirs);
    let client = Client::new(ours).unwrap();
    for _ in 0..3 {
        use_everything(&client);
    }
    drop(client);
    assert!(child.wait().unwrap().success());
}

fn use_everything(client: &Client) {
    let file = Target::child(ROOT, b"new");
    let new = NewNode { wants_node: true, ..PLAIN };
    let (created, fd) = client.create(ROOT, b"new", OpenFlags::RDWR, new).unwrap();
    drop(fd);
    let dir = client.mkdir(ROOT, b"newdir", DIRECTORY).unwrap().node.unwrap();
    for (name, mode) in [(&b"p"[..], 0o010_644), (b"s", 0o140_644), (b"r", 0o100_644)] {
        client.mknod(dir, name, NewNode { mode, ..PLAIN }).unwrap();
    }
    client.symlink(dir, b"l", b"target", PLAIN).unwrap();
    assert_eq!(client.read_link(Target::child(dir, b"l")).unwrap(), b"target");
    client.link(file, dir, b"h").unwrap();
    client.link(created.node.unwrap().into(), dir, b"h2").unwrap();
    client.rename(dir, b"h", dir, b"h3", RenameFlags::empty()).unwrap();
    let set = SetAttr {
        mode: Some(0o600),
        uid: Some(created.attr.uid),
        gid: Some(created.attr.gid),
        size: Some(10),
        atime: SetTime::Now,
        mtime: SetTime::Now,
    };
    assert_eq!(client.set_attr(file, &set).unwrap().size, 10);
    let none = XattrFlags::empty();
    let _ = client.set_xattr(file, b"user.a", b"v", none);
    let _ = client.get_xattr(file, b"user.a");
    let _ = client.list_xattr(file).unwrap();
    let _ = client.remove_xattr(file, b"user.a");
    client.stat_fs(dir).unwrap();
    client.sync(dir).unwrap();
    let entries = client.read_dir_all(dir, ReadDirFlags::ATTRIBUTES).unwrap();
    assert_eq!(entries.len(), 6);
    let names: [&[u8]; 2] = [b"newdir", b"h2"];
    let reply = client.walk_open(ROOT, &names, ALL_NODES, OpenFlags::RDONLY).unwrap();
    assert!(reply.opened.unwrap().is_ok());
    client.release(reply.entries[0].node.unwrap());
    client.flush_releases();
    entries.iter().for_each(|entry| client.unlink(dir, &entry.name).unwrap());
    client.unlink(ROOT, b"new").unwrap();
    client.rmdir_quietly(ROOT, b"newdir").unwrap();
    client.await_quiet();
    assert_eq!(client.take_quiet_error(), None);
    client.release(dir);
    client.release(created.node.unwrap());
}

/// Calls that kill a confined process, each by its name.
const FORBIDDEN: &[(&str, fn())] = &[
    ("socket", || {
        let _ = rustix::net::socket(
            rustix::net::AddressFamily::INET,
            rustix::net::SocketType::STREAM,
            None,
        );
    }),
    ("execve", || drop(Command::new("/bin/true").exec())),
    ("clone", || drop(std::thread::Builder::new().spawn(|| {}))),
    ("kill", || {
        let _ = rustix::process::test_kill_process(rustix::process::getpid());
    }),
    ("create by name", || drop(fs::File::create("/tmp/gofer-test-forbidden"))),
    ("open relative to a directory", || {
        let input = io::stdin();
        let _ = rustix::fs::openat(input, c"x", rustix::fs::OFlags::PATH, Mode::empty());
    }),
    ("device", || {
        let _ = rustix::fs::mknodat(CWD, c"x", FileType::CharacterDevice, Mode::RUSR, 0);
    }),
    ("chdir", || {
        let _ = rustix::process::chdir(c"/");
    }),
    ("pipe", || drop(rustix::pipe::pipe())),
];

#[test]
fn filter_kills_what_is_not_listed() {
    for (name, _) in FORBIDDEN {
        let (_ours, theirs) = transport::pair().unwrap();
        let status = start_child(name, Path::new("/"), theirs).wait().unwrap();
        assert_eq!(status.signal(), Some(libc::SIGSYS), "{name}: {status}");
    }
}

#[test]
fn capabilities_are_dropped() {
    let dir = tempfile::TempDir::new().unwrap();
    let (ours, theirs) = transport::pair().unwrap();
    let mut child = start_child("serve", dir.path(), theirs);
    let client = Client::new(ours).unwrap();
    client.get_attr(ROOT.into()).unwrap();
    let mut gofers = 0;
    for task in fs::read_dir(format!("/proc/{}/task", child.id())).unwrap() {
        let path = task.unwrap().path();
        // The thread of the test that is run there, which serves the only export.
        if fs::read_to_string(path.join("comm")).unwrap().trim_end() != "child" {
            continue;
        }
        gofers += 1;
        let status = fs::read_to_string(path.join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            u64::from_str_radix(line.trim(), 16).unwrap()
        };
        assert_eq!(field("CapEff:") & !0x1f, 0);
        assert_eq!(field("CapPrm:") & !0x1f, 0);
        assert_eq!((field("CapInh:"), field("NoNewPrivs:"), field("Seccomp:")), (0, 1, 2));
    }
    assert_eq!(gofers, 1);
    drop(client);
    assert!(child.wait().unwrap().success());
}
