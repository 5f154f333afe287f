//! Costs of the primitives, printed. Build with `--release` for numbers that mean something.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use platform::{HostOp, Spawn, host};

use super::guest::{ANONYMOUS, DATA, Guest, READ, RW, getpid_loop, spin};

/// Prints best and mean of some batches: the machine may be busy.
fn measure(name: &str, rounds: u32, mut run: impl FnMut()) {
    const BATCHES: u32 = 10;
    let mut batch = || {
        let start = Instant::now();
        (0..rounds).for_each(|_| run());
        start.elapsed() / rounds
    };
    let times: Vec<_> = (0..BATCHES).map(|_| batch()).collect();
    let best = times.iter().min().copied().unwrap_or_default();
    println!("{name}: best {best:?}, mean {:?}", times.iter().sum::<Duration>() / BATCHES);
}

pub fn getpid_round_trip() {
    let mut guest = Guest::new(getpid_loop());
    let mut pid = 0;
    measure("getpid round trip", 20_000, || {
        guest.run();
        pid += 1;
        guest.thread.registers_mut().rax = pid;
    });
}

/// All share one processor: how much does a thread that never stops delay the others?
pub fn getpid_beside_a_spinner() {
    let mut guest = Guest::new(getpid_loop());
    let mut spinning = Guest::on(&guest.platform, spin());
    spinning.thread.resume(platform::ResumeMode::Run);
    measure("getpid beside a spinning process", 100, || {
        guest.run_to_call();
    });
}

pub fn mmap_munmap() {
    let mut guest = Guest::new(getpid_loop());
    measure("mmap + munmap", 5000, || {
        let map =
            HostOp::Mmap { addr: 0, len: 4096, prot: RW, flags: ANONYMOUS, fd: None, offset: 0 };
        let addr = guest.op(map).expect("mmap");
        guest.op(HostOp::Munmap { addr, len: 4096 }).expect("munmap");
    });
}

pub fn map_file() {
    let mut guest = Guest::new(getpid_loop());
    let file = host::fs::memfd_create("file").expect("memfd");
    host::fs::ftruncate(&file, 4096).expect("ftruncate");
    let flags = libc::MAP_PRIVATE | libc::MAP_FIXED;
    measure("map a file", 5000, || {
        let fd = Some(file.as_fd());
        let op = HostOp::Mmap { addr: DATA, len: 4096, prot: READ, flags, fd, offset: 0 };
        guest.op(op).expect("mmap");
    });
}

pub fn fork_and_drop() {
    let mut guest = Guest::new(getpid_loop());
    measure("fork + run to a call + drop", 500, || {
        let mut child = guest.spawn(Spawn::CopyMemory);
        child.run_to_call();
    });
}

pub fn thread_and_drop() {
    let mut guest = Guest::new(getpid_loop());
    measure("thread + run to a call + drop", 500, || {
        let mut thread = guest.spawn(Spawn::Thread);
        thread.run_to_call();
    });
}

pub fn copy_one_page() {
    let guest = Guest::new(getpid_loop());
    let mut page = vec![0; 4096];
    measure("read 4 KiB", 20_000, || {
        guest.space.read(DATA, &mut page).expect("read");
    });
}
