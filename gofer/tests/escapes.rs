//! Attempts to get out of the tree, to the kernel's own interfaces, or over the limits.

mod common;

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{ALL_NODES, DIRECTORY, Options, PLAIN, Served, serve_path, serve_raw, small_tree};
use gofer_protocol::message::{Op, RequestHeader, ResponseHeader};
use gofer_protocol::wire::{Reader, Writer};
use gofer_protocol::{
    MAX_MESSAGE_BYTES, NodeId, OpenFlags, ReadDirFlags, RenameFlags, SetAttr, Target, WalkFlags,
    transport,
};
use linux_abi::Errno;

const ROOT: NodeId = NodeId::ROOT;
const BAD_NAMES: [&[u8]; 7] = [b"..", b".", b"", b"/", b"a/b", b"../x", b"a\0b"];

fn small() -> Served {
    Served::with(Options::default(), small_tree)
}

#[test]
fn no_operation_takes_more_than_a_component() {
    let served = small();
    let client = served.client();
    let invalid = Err(Errno::EINVAL);
    let none = Default::default();
    for name in BAD_NAMES {
        assert_eq!(client.walk(ROOT, &[b"dir", name], ALL_NODES).map(drop), invalid);
        assert_eq!(client.create(ROOT, name, OpenFlags::RDWR, PLAIN).map(drop), invalid);
        assert_eq!(client.mkdir(ROOT, name, PLAIN).map(drop), invalid);
        assert_eq!(client.mknod(ROOT, name, PLAIN).map(drop), invalid);
        assert_eq!(client.symlink(ROOT, name, b"t", PLAIN).map(drop), invalid);
        assert_eq!(client.link(Target::child(ROOT, b"file"), ROOT, name).map(drop), invalid);
        assert_eq!(client.unlink(ROOT, name), invalid);
        assert_eq!(client.rmdir(ROOT, name), invalid);
        assert_eq!(client.rename(ROOT, name, ROOT, b"x", none), invalid);
        assert_eq!(client.rename(ROOT, b"file", ROOT, name, none), invalid);
        if name.is_empty() {
            continue;
        }
        let target = Target::child(ROOT, name);
        assert_eq!(client.open(target, OpenFlags::RDONLY, false).map(drop), invalid);
        assert_eq!(client.get_attr(target).map(drop), invalid);
        assert_eq!(client.set_attr(target, &SetAttr::default()).map(drop), invalid);
        assert_eq!(client.read_link(target).map(drop), invalid);
        assert_eq!(client.get_xattr(target, b"user.a").map(drop), invalid);
        assert_eq!(client.list_xattr(target).map(drop), invalid);
    }
}

#[test]
fn symlinks_out_of_the_tree_lead_nowhere() {
    let served = small();
    let client = served.client();
    for (name, target) in [(&b"abs"[..], &b"/etc"[..]), (b"up", b"../../../../etc")] {
        client.symlink(ROOT, name, target, PLAIN).unwrap();
        let names: [&[u8]; 2] = [name, b"passwd"];
        let reply = client.walk_open(ROOT, &names, ALL_NODES, OpenFlags::RDONLY).unwrap();
        assert_eq!(reply.entries.len(), 1);
        assert!(reply.opened.is_none());
        let reply = client.walk(ROOT, &names[..1], ALL_NODES).unwrap();
        let link = reply.entries[0].node.unwrap();
        let not_a_directory = Err(Errno::ENOTDIR);
        assert_eq!(client.get_attr(Target::child(link, b"passwd")).map(drop), not_a_directory);
        assert_eq!(client.mkdir(link, b"x", PLAIN).map(drop), not_a_directory);
        assert_eq!(client.unlink(link, b"passwd"), not_a_directory);
        let none = RenameFlags::empty();
        assert_eq!(client.rename(ROOT, b"file", link, b"x", none), not_a_directory);
        assert_eq!(client.read_dir_all(link, ReadDirFlags::empty()).map(drop), not_a_directory);
    }
}

/// A second client exchanges a directory with a link to a directory outside, as fast as it can,
/// while the first walks through it, opens, makes and lists.
#[test]
fn rename_race_does_not_escape() {
    let outside = tempfile::TempDir::new().unwrap();
    fs::write(outside.path().join("secret"), b"outside").unwrap();
    let secret = fs::metadata(outside.path().join("secret")).unwrap();
    let served = Served::with(Options::default(), |root| {
        fs::create_dir(root.join("a")).unwrap();
        fs::write(root.join("a/secret"), b"inside").unwrap();
        std::os::unix::fs::symlink(outside.path(), root.join("b")).unwrap();
    });
    let (racer, racer_thread) = serve_path(&served.path(""), Options::default());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                racer.rename(ROOT, b"a", ROOT, b"b", RenameFlags::EXCHANGE).unwrap();
            }
        });
        let end = Instant::now() + Duration::from_millis(700);
        let (mut reached, mut stopped) = (0, 0);
        while Instant::now() < end || (reached == 0 || stopped == 0) && stopped < 1_000_000 {
            let names: [&[u8]; 2] = [b"a", b"secret"];
            let flags = OpenFlags::RDWR;
            let reply = served.client().walk_open(ROOT, &names, ALL_NODES, flags).unwrap();
            for node in reply.entries.iter().filter_map(|entry| entry.node) {
                served.client().release(node);
            }
            match reply.opened {
                Some(Ok(fd)) => {
                    let stat = rustix::fs::fstat(&fd).unwrap();
                    assert_ne!((stat.st_dev, stat.st_ino), (secret.dev(), secret.ino()));
                    reached += 1;
                }
                other => {
                    assert!(other.is_none() && reply.symlink.is_some());
                    stopped += 1;
                }
            }
            let _ = served.client().get_attr(Target::child(ROOT, b"a"));
        }
        stop.store(true, Ordering::Relaxed);
        assert!(reached > 0 && stopped > 0, "the race happened: {reached} and {stopped}");
    });
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    drop(racer);
    racer_thread.join().unwrap().unwrap();
}

#[test]
fn interfaces_of_the_kernel_are_sealed() {
    let (client, thread) = serve_path(Path::new("/"), Options::default());
    let reply = client.walk(ROOT, &[b"proc", b"self"], ALL_NODES).unwrap();
    assert_eq!((reply.entries.len(), reply.error), (1, Some(Errno::EACCES)));
    assert_ne!(reply.entries[0].attr.dev(), client.root().attr.dev());
    let proc = reply.entries[0].node.unwrap();
    assert!(client.get_attr(proc.into()).is_ok());
    let sealed = Err(Errno::EACCES);
    assert_eq!(client.get_attr(Target::child(proc, b"uptime")).map(drop), sealed);
    assert_eq!(client.read_dir_all(proc, ReadDirFlags::empty()).map(drop), sealed);
    assert_eq!(client.read_link(Target::child(proc, b"self")).map(drop), sealed);
    assert_eq!(client.set_attr(proc.into(), &SetAttr::default()).map(drop), sealed);
    assert_eq!(client.list_xattr(proc.into()).map(drop), sealed);
    assert_eq!(client.sync(proc), sealed);
    drop(client);
    thread.join().unwrap().unwrap();
}

#[test]
fn mounts_are_crossed_only_if_allowed() {
    let options = Options { crosses_mounts: false, ..Options::default() };
    let (client, thread) = serve_path(Path::new("/"), options);
    let reply = client.walk(ROOT, &[b"proc"], ALL_NODES).unwrap();
    assert_eq!((reply.entries.len(), reply.error), (0, Some(Errno::EXDEV)));
    drop(client);
    thread.join().unwrap().unwrap();
}

#[test]
fn exported_procfs_is_read_only() {
    let (client, thread) = serve_path(Path::new("/proc"), Options::default());
    assert!(client.root().is_readonly);
    let reply = client.walk_open(ROOT, &[b"uptime"], ALL_NODES, OpenFlags::RDWR).unwrap();
    assert_eq!(reply.opened.unwrap().map(drop), Err(Errno::EROFS));
    drop(client);
    thread.join().unwrap().unwrap();
}

#[test]
fn nodes_are_bounded_and_come_back() {
    let options = Options { max_nodes: 3, ..Options::default() };
    let served = Served::with(options, |root| fs::create_dir_all(root.join("1/2/3/4")).unwrap());
    let client = served.client();
    let path: [&[u8]; 4] = [b"1", b"2", b"3", b"4"];
    let reply = client.walk(ROOT, &path, ALL_NODES).unwrap();
    assert_eq!((reply.entries.len(), reply.error), (3, Some(Errno::ENFILE)));
    assert_eq!(client.mkdir(ROOT, b"new", DIRECTORY).map(drop), Err(Errno::ENFILE));
    assert!(!served.path("new").exists(), "nothing is made that could not be reported");
    assert!(client.walk(ROOT, &path, WalkFlags::empty()).unwrap().error.is_none());
    let nodes: Vec<_> = reply.entries.iter().filter_map(|entry| entry.node).collect();
    nodes.iter().for_each(|&node| client.release(node));
    client.release(ROOT);
    client.flush_releases();
    assert_eq!(client.get_attr(nodes[0].into()).map(drop), Err(Errno::ESTALE));
    let again = client.walk(ROOT, &path[..3], ALL_NODES).unwrap();
    assert_eq!(again.error, None);
    assert!(again.entries.iter().all(|entry| !nodes.contains(&entry.node.unwrap())));
    assert!(client.get_attr(ROOT.into()).is_ok());
}

#[test]
fn many_releases_go_out_on_their_own() {
    let options = Options { max_nodes: 100, ..Options::default() };
    let served = Served::with(options, small_tree);
    for _ in 0..2000 {
        let reply = served.client().walk(ROOT, &[b"dir"], ALL_NODES).unwrap();
        served.client().release(reply.entries[0].node.expect("releases keep up"));
    }
}

#[test]
fn client_serves_several_threads() {
    let served = small();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let reply = served.client().walk(ROOT, &[b"dir", b"sub"], ALL_NODES).unwrap();
                    assert_eq!(reply.entries.len(), 2);
                    reply
                        .entries
                        .iter()
                        .for_each(|entry| served.client().release(entry.node.unwrap()));
                }
            });
        }
    });
}

/// A small generator of numbers (xorshift), so that a failure can be had again.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Adds something to a message: small numbers, wild ones, names good and bad, plain noise.
fn add_noise(message: &mut Writer, numbers: &mut Numbers) {
    match numbers.below(6) {
        0 => message.fixed(&numbers.below(5)),
        1 => message.fixed(&(numbers.below(4) as u32)),
        2 => message.fixed(&numbers.next()),
        3 => message.short_bytes(BAD_NAMES[numbers.below(7) as usize]).unwrap(),
        4 => message
            .short_bytes([&b"dir"[..], b"file", b"link", b"x"][numbers.below(4) as usize])
            .unwrap(),
        _ => (0..numbers.below(40)).for_each(|_| message.bytes(&[numbers.next() as u8])),
    }
}

#[test]
fn garbage_gets_an_answer_and_no_panic() {
    let dir = tempfile::TempDir::new().unwrap();
    let export = dir.path().join("export");
    fs::create_dir(&export).unwrap();
    small_tree(&export);
    let (socket, thread) = serve_raw(&export, Options::default());
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut response = vec![0; MAX_MESSAGE_BYTES];
    for round in 0..30_000 {
        let mut message = Writer::default();
        let op = numbers.below(Op::ALL.len() as u64 + 2) as u32;
        if op == Op::Batch as u32 {
            // How many answers there are depends on what is in it.
            continue;
        }
        if numbers.below(20) != 0 {
            let is_quiet = (numbers.below(20) == 0).into();
            let (processor, reserved) = (numbers.below(5) as u32, (numbers.below(50) == 0).into());
            message.fixed(&RequestHeader { op, is_quiet, processor, reserved });
        }
        (0..numbers.below(9)).for_each(|_| add_noise(&mut message, &mut numbers));
        if message.is_empty() {
            continue;
        }
        transport::send(socket.as_fd(), message.as_bytes(), &[]).unwrap();
        let header: Option<RequestHeader> = Reader::new(message.as_bytes()).fixed().ok();
        let is_silent = |header: RequestHeader| {
            let op = Op::from_raw(header.op);
            header.reserved == 0
                && (matches!(op, Some(Op::Release | Op::Settle))
                    || (op.is_some() && header.is_quiet == 1))
        };
        if header.is_some_and(is_silent) {
            continue;
        }
        let (len, _) = transport::receive(socket.as_fd(), &mut response).unwrap();
        let answer: Result<ResponseHeader, _> = Reader::new(&response[..len]).fixed();
        assert!(answer.is_ok(), "round {round}");
    }
    let too_long = vec![1; MAX_MESSAGE_BYTES + 1];
    transport::send(socket.as_fd(), &too_long, &[]).unwrap();
    let (len, _) = transport::receive(socket.as_fd(), &mut response).unwrap();
    let answer: ResponseHeader = Reader::new(&response[..len]).fixed().unwrap();
    assert_eq!(answer.error, Errno::EMSGSIZE.raw() as u32);
    drop(socket);
    thread.join().unwrap().unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was made outside");
}

#[test]
fn batches_of_garbage_end_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let export = dir.path().join("export");
    fs::create_dir(&export).unwrap();
    small_tree(&export);
    let (socket, thread) = serve_raw(&export, Options::default());
    let reader = socket.try_clone().unwrap();
    let answers = std::thread::spawn(move || {
        let mut response = vec![0; MAX_MESSAGE_BYTES];
        let mut count = 0;
        while let Ok((1.., _)) = transport::receive(reader.as_fd(), &mut response) {
            count += 1;
        }
        count
    });
    let mut numbers = Numbers(0x1234_5678_9abc_def1);
    for _ in 0..20_000 {
        let mut message = Writer::default();
        let batch = RequestHeader { op: Op::Batch as u32, ..RequestHeader::default() };
        message.fixed(&batch);
        for _ in 0..numbers.below(5) {
            let mut part = Writer::default();
            let op = numbers.below(Op::ALL.len() as u64 + 2) as u32;
            let is_quiet = (numbers.below(2) == 0).into();
            part.fixed(&RequestHeader { op, is_quiet, ..RequestHeader::default() });
            (0..numbers.below(6)).for_each(|_| add_noise(&mut part, &mut numbers));
            let wrong = if numbers.below(10) == 0 { numbers.below(1 << 32) as u32 } else { 0 };
            message.fixed(&(part.len() as u32 ^ wrong));
            message.bytes(part.as_bytes());
        }
        transport::send(socket.as_fd(), message.as_bytes(), &[]).unwrap();
    }
    let last = RequestHeader { op: Op::GetAttr as u32, ..RequestHeader::default() };
    let mut message = Writer::default();
    message.fixed(&last);
    transport::send(socket.as_fd(), message.as_bytes(), &[]).unwrap();
    rustix::net::shutdown(&socket, rustix::net::Shutdown::Write).unwrap();
    assert!(answers.join().unwrap() > 0);
    thread.join().unwrap().unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was made outside");
}

#[test]
fn descriptors_sent_to_the_gofer_are_dropped() {
    let served = small();
    let (socket, thread) = serve_raw(&served.path(""), Options::default());
    let mut response = vec![0; MAX_MESSAGE_BYTES];
    for _ in 0..2000 {
        transport::send(socket.as_fd(), b"nonsense", &[socket.as_fd()]).unwrap();
        transport::receive(socket.as_fd(), &mut response).unwrap();
    }
    let open = fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(open < 1000, "{open} descriptors are open");
    drop(socket);
    thread.join().unwrap().unwrap();
}

#[test]
fn gofer_that_is_gone_is_an_error() {
    let (ours, theirs) = transport::pair().unwrap();
    drop(theirs);
    assert_eq!(gofer_protocol::Client::new(ours).map(drop), Err(Errno::EIO));
    let (file, _) = std::os::unix::net::UnixStream::pair().unwrap();
    assert_eq!(gofer_protocol::Client::new(file.into()).map(drop), Err(Errno::EPROTOTYPE));
}
