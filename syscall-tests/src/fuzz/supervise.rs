//! The first process: starts children, buries them, and ends everything.

use crate::health;
use crate::rng::Rng;
use crate::run::{self, Counters};
use crate::support::sys::{exit, fork, sys};
use crate::{Options, support::errno::Errno};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long a child may live.
const CHILD_LIFETIME: Duration = Duration::from_secs(4);
/// How long killed processes may take to end.
const END_DEADLINE: Duration = Duration::from_secs(20);
/// Where the children's directories are: on the root file system, and on a tmpfs.
const SCRATCH: [&str; 2] = ["/tmp/fuzz", "/dev/shm/fuzz"];
/// Bytes a file may have, or a few processes fill the machine's memory.
const FILE_BYTES: u64 = 2 << 20;
/// Processes of an ordinary user.
const PROCESSES: u64 = 60;
/// Bytes of memory of a process.
const MEMORY_BYTES: u64 = 1 << 30;

/// A child that is running.
struct Child {
    pid: i32,
    started: Instant,
}

/// Runs children until the time is up.
pub fn run(options: &Options) -> ExitCode {
    let counters = Counters::new();
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let mut children: Vec<Child> = Vec::new();
    let mut ends = BTreeMap::new();
    let mut started = 0;
    while Instant::now() < end {
        while children.len() < options.processes.max(1) {
            let seed = options.seed.wrapping_mul(1_000_003).wrapping_add(started);
            started += 1;
            match fork() {
                Ok(0) => {
                    prepare(seed);
                    run::child(options, &counters, seed);
                }
                Ok(pid) => children.push(Child { pid, started: Instant::now() }),
                Err(error) => {
                    println!("syscall-fuzz: cannot fork: {error:?}");
                    return ExitCode::from(3);
                }
            }
        }
        bury(&mut children, &mut ends);
        for child in &children {
            if child.started.elapsed() > CHILD_LIFETIME {
                let _ = sys!(kill, child.pid, libc::SIGKILL);
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    if let Err(survivors) = end_all() {
        println!("syscall-fuzz: processes that do not end:\n{survivors}");
        return ExitCode::from(4);
    }
    if let Err(problem) = health::check() {
        println!("syscall-fuzz: after the calls: {problem}");
        return ExitCode::from(5);
    }
    if options.stats {
        counters.print();
        println!("wait statuses of the children: {ends:x?}");
    }
    let (seed, calls) = (options.seed, counters.total());
    println!("syscall-fuzz: seed {seed}: {started} children, {calls} calls, all ended");
    ExitCode::SUCCESS
}

/// Reaps whatever has ended.
fn bury(children: &mut Vec<Child>, ends: &mut BTreeMap<i32, u64>) {
    let mut status = 0i32;
    while let Ok(pid @ 1..) = sys!(wait4, -1, &mut status, libc::WNOHANG | libc::__WALL, 0) {
        let before = children.len();
        children.retain(|child| i64::from(child.pid) != pid);
        if children.len() != before {
            *ends.entry(status).or_default() += 1;
        }
    }
}

/// Kills every other process and waits for all of them; tells which are left after a while.
fn end_all() -> Result<(), String> {
    let deadline = Instant::now() + END_DEADLINE;
    loop {
        let _ = sys!(kill, -1, libc::SIGKILL);
        let mut status = 0i32;
        match sys!(wait4, -1, &mut status, libc::WNOHANG | libc::__WALL, 0) {
            Err(Errno(libc::ECHILD)) => return Ok(()),
            Ok(1..) => {}
            _ if Instant::now() > deadline => return Err(health::processes()),
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Makes a child harmless to the supervisor: it may not write its memory, and its own memory,
/// files and processes are bounded.
fn prepare(seed: u64) {
    let rng = Rng::new(seed ^ 0x77);
    let parent = rng.pick(&SCRATCH);
    let directory = format!("{parent}/{seed}");
    let _ = std::fs::remove_dir_all(parent);
    let _ = std::fs::create_dir_all(&directory);
    let _ = std::env::set_current_dir(&directory);
    // Output goes nowhere, or into a pipe that nobody reads.
    if let Ok(null) = sys!(open, c"/dev/null", libc::O_RDWR, 0) {
        for fd in 0..3 {
            let _ = sys!(dup2, null, fd);
        }
    }
    for (resource, limit) in [
        (libc::RLIMIT_FSIZE, FILE_BYTES),
        (libc::RLIMIT_AS, MEMORY_BYTES),
        (libc::RLIMIT_NPROC, PROCESSES),
        (libc::RLIMIT_CORE, 0),
    ] {
        let _ = sys!(setrlimit, resource, &[limit, limit][..]);
    }
    match rng.below(3) {
        // As root without the capabilities to trace, to exceed limits and to change clocks.
        0 => {
            let header = [0x2008_0522u32, 0];
            let kept = !(1u32 << 19 | 1 << 24 | 1 << 25);
            let data = [kept, kept, 0, 0x1ff, 0x1ff, 0];
            let _ = sys!(capset, &header[..], &data[..]);
        }
        _ => {
            open_to_all(&directory);
            let id = 1000 + rng.below(3);
            let _ = sys!(setgroups, 0, 0);
            let _ = sys!(setresgid, id, id, id);
            let _ = sys!(setresuid, id, id, id);
            let _ = sys!(prctl, libc::PR_SET_DUMPABLE, 1, 0, 0, 0);
        }
    }
    if sys!(geteuid) == Ok(0) && rng.one_in(50) {
        exit(0);
    }
}

fn open_to_all(directory: &str) {
    use std::os::unix::fs::PermissionsExt;
    let _ = std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777));
}
