//! Measures round trips to a confined gofer process:
//! `cargo run --release -p gofer --example round_trip`.
//!
//! Prints the median and the 99th percentile in microseconds, with client and gofer left to the
//! scheduler, on one core, and on two.

use std::error::Error;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use gofer::{Confinement, Export, Gofer};
use gofer_protocol::{Client, DirPosition, NodeId, OpenFlags, ReadDirFlags, Target, WalkFlags};
use rustix::fs::{Mode, OFlags};
use rustix::thread::{CpuSet, sched_setaffinity};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const ROUNDS: usize = 20_000;
const ROOT: NodeId = NodeId::ROOT;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("serve") {
        let tree = args.next().ok_or("no tree")?;
        return serve(Path::new(&tree), args.next());
    }
    let dir = tempfile::TempDir::new()?;
    std::fs::create_dir_all(dir.path().join("a/b/c"))?;
    std::fs::write(dir.path().join("a/b/c/file"), b"text")?;
    println!("{:24} {:>16} {:>16} {:>16}", "p50 / p99 in us", "unpinned", "one core", "two cores");
    let places = [(None, None), (Some("0"), Some("0")), (Some("0"), Some("1"))];
    let columns = places.map(|(ours, theirs)| measure(dir.path(), ours, theirs));
    let columns = columns.into_iter().collect::<Result<Vec<_>>>()?;
    for (row, (name, _)) in OPERATIONS.iter().enumerate() {
        let cells = columns.iter().map(|column| format!(" {:>16}", column[row]));
        println!("{name:24}{}", cells.collect::<String>());
    }
    Ok(())
}

fn serve(tree: &Path, cpu: Option<String>) -> Result<()> {
    pin(cpu.as_deref())?;
    let gofer = Gofer::prepare()?;
    let root = rustix::fs::open(tree, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let export =
        Export { root, is_readonly: false, crosses_mounts: true, socket, on_settled: || {} };
    Ok(gofer.start(vec![export], Confinement::On)?.run()?)
}

fn pin(cpu: Option<&str>) -> Result<()> {
    let Some(cpu) = cpu else { return Ok(()) };
    let mut set = CpuSet::new();
    set.set(cpu.parse()?);
    Ok(sched_setaffinity(None, &set)?)
}

type Operation = fn(&Client) -> std::result::Result<(), linux_abi::Errno>;

const OPERATIONS: &[(&str, Operation)] = &[
    ("get_attr of a node", |client| client.get_attr(ROOT.into()).map(drop)),
    ("get_attr of an entry", |client| client.get_attr(Target::child(ROOT, b"a")).map(drop)),
    ("walk 4, no nodes", |client| {
        client.walk(ROOT, &[b"a", b"b", b"c", b"file"], WalkFlags::empty()).map(drop)
    }),
    ("walk 4 and open", |client| {
        let names: [&[u8]; 4] = [b"a", b"b", b"c", b"file"];
        client.walk_open(ROOT, &names, WalkFlags::empty(), OpenFlags::RDONLY).map(drop)
    }),
    ("list 1 entry", |client| {
        client.read_dir(ROOT, DirPosition::START, ReadDirFlags::empty()).map(drop)
    }),
];

fn measure(tree: &Path, ours: Option<&str>, theirs: Option<&str>) -> Result<Vec<String>> {
    let (client_end, gofer_end) = gofer_protocol::transport::pair()?;
    let mut gofer = Command::new(std::env::current_exe()?)
        .arg("serve")
        .arg(tree)
        .args(theirs)
        .stdin(Stdio::from(gofer_end))
        .spawn()?;
    let client = Client::new(client_end)?;
    let cells = std::thread::scope(|scope| {
        // A thread of its own, so that pinning it does not outlast this measurement.
        let cells = scope.spawn(|| {
            pin(ours).map_err(|error| error.to_string())?;
            OPERATIONS.iter().map(|(_, operation)| time(&client, *operation)).collect()
        });
        cells.join().unwrap_or_else(|_| Err("a measurement panicked".to_owned()))
    });
    drop(client);
    gofer.wait()?;
    Ok(cells?)
}

fn time(client: &Client, operation: Operation) -> std::result::Result<String, String> {
    let mut times_ns = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        operation(client).map_err(|error| error.to_string())?;
        times_ns.push(start.elapsed().as_nanos() as f64);
    }
    times_ns.sort_by(f64::total_cmp);
    let at = |share: f64| times_ns[(ROUNDS as f64 * share) as usize] / 1000.0;
    Ok(format!("{:.1} / {:.1}", at(0.5), at(0.99)))
}
