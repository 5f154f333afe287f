//! Ends: of stubs, of the platform, of the sentry.

use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use linux_abi::Errno;
use platform::{HostOp, ResumeMode, Spawn, Trap, host};

use super::guest::{DATA, Guest, READ, getpid_loop, kill, park_until, spin, wait};
use super::kind::{Kind, new_platform, try_new_platform};

fn assert_dead(guest: &mut Guest) {
    assert_eq!(guest.run(), Trap::Dead);
    assert_eq!(guest.run(), Trap::Dead);
    assert_eq!(guest.op(HostOp::Yield), Err(Errno::ESRCH));
    assert_eq!(guest.space.read(DATA, &mut [0]), Err(Errno::ESRCH));
    assert_eq!(guest.space.mappings().err(), Some(Errno::ESRCH));
    assert!(guest.try_spawn(Spawn::Thread).is_err());
    assert!(guest.try_spawn(Spawn::CopyMemory).is_err());
    assert!(guest.thread.fp_state().is_err());
    guest.thread.interrupter().interrupt();
}

pub fn a_killed_stub_is_dead() {
    let mut trapped = Guest::new(getpid_loop());
    let trapped_pid = Guest::newest_host_pid();
    trapped.run_to_call();
    let mut running = Guest::on(&trapped.platform, spin());
    let running_pid = Guest::newest_host_pid();
    running.thread.resume(ResumeMode::Run);
    kill(running_pid, libc::SIGKILL);
    assert_eq!(running.await_trap(), Trap::Dead);
    assert_dead(&mut running);
    kill(trapped_pid, libc::SIGKILL);
    assert_dead(&mut trapped);
    let platform = trapped.platform.clone();
    drop((trapped, running));
    park_until(&*platform, || platform.thread_count() == 0);
    Guest::await_host_children(1);
    // Without the template there are no more processes, but no harm either.
    kill(Guest::newest_host_pid(), libc::SIGKILL);
    assert_eq!(wait(&platform, platform.new_address_space()).err(), Some(Errno::EAGAIN));
    platform.unpark();
    platform.park(None);
    platform.park(Some(Instant::now() + Duration::from_millis(20)));
}

pub fn kills_in_the_middle_of_operations() {
    let platform = new_platform();
    let file = host::fs::memfd_create("file").expect("memfd");
    host::fs::ftruncate(&file, 4096).expect("ftruncate");
    for round in 0..200_u64 {
        let mut guest = Guest::on(&platform, getpid_loop());
        let pid = Guest::newest_host_pid();
        let _sibling = (round % 2 == 0).then(|| guest.spawn(Spawn::Thread));
        let there = platform.clone();
        let killer = std::thread::spawn(move || {
            there.unbind_helper();
            std::thread::sleep(Duration::from_micros(round * 7 % 500));
            kill(pid, libc::SIGKILL);
        });
        loop {
            let op = HostOp::Mmap {
                addr: DATA,
                len: 4096,
                prot: READ,
                flags: libc::MAP_PRIVATE | libc::MAP_FIXED,
                fd: Some(file.as_fd()),
                offset: 0,
            };
            let end = match guest.op(op) {
                Ok(_) => match guest.try_spawn(Spawn::CopyMemory) {
                    Ok(_) => continue,
                    Err(error) => error,
                },
                Err(error) => error,
            };
            assert_eq!(end, Errno::ESRCH);
            break;
        }
        killer.join().expect("join");
    }
    // Descriptors that a dead stub did not fetch are not taken for another's.
    let mut guest = Guest::on(&platform, getpid_loop());
    let other = host::fs::memfd_create("other").expect("memfd");
    host::fs::pwrite(&other, b"other", 0).expect("pwrite");
    let op = HostOp::Mmap {
        addr: 0,
        len: 4096,
        prot: READ,
        flags: libc::MAP_PRIVATE,
        fd: Some(other.as_fd()),
        offset: 0,
    };
    let addr = guest.op(op).expect("mmap");
    assert_eq!(guest.read_u64(addr) as u32, u32::from_le_bytes(*b"othe"));
    drop(guest);
    park_until(&*platform, || platform.thread_count() == 0);
}

pub fn a_killed_process_with_threads_is_reaped() {
    let mut leader = Guest::new(spin());
    let pid = Guest::newest_host_pid();
    let mut second = leader.spawn(Spawn::Thread);
    let mut third = leader.spawn(Spawn::Thread);
    second.thread.resume(ResumeMode::Run);
    third.run_briefly();
    kill(pid, libc::SIGKILL);
    assert_eq!(second.await_trap(), Trap::Dead);
    assert_eq!(leader.op(HostOp::Yield), Err(Errno::ESRCH));
    assert_eq!(leader.run(), Trap::Dead);
    assert_eq!(third.run(), Trap::Dead);
    let platform = leader.platform.clone();
    park_until(&*platform, || platform.thread_count() == 0);
    drop((leader, second, third));
    Guest::await_host_children(1);
}

impl Guest {
    pub fn run_briefly(&mut self) {
        self.thread.resume(ResumeMode::Run);
        self.thread.interrupter().interrupt();
        assert_eq!(self.await_trap(), Trap::Interrupted);
    }
}

pub fn dropping_the_platform_leaves_nothing() {
    for _ in 0..3 {
        let mut guest = Guest::new(spin());
        let mut second = guest.spawn(Spawn::Thread);
        second.thread.resume(ResumeMode::Run);
        let child = guest.spawn(Spawn::CopyMemory);
        Guest::await_host_children(3);
        drop((guest, second, child));
        assert_eq!(Guest::host_children().len(), 0);
    }
}

pub fn only_one_platform_at_a_time() {
    let first = new_platform();
    let error = try_new_platform().err().expect("refused");
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    drop(first);
    try_new_platform().expect("again");
}

/// Another case, to be started.
fn helper(case: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("own path"));
    command.env(crate::CASE_VARIABLE, Kind::selected().case(case));
    command
}

/// Starts the next case as the first process of a pid namespace.
pub fn runs_in_a_namespace() {
    let namespaces = libc::CLONE_NEWUSER | libc::CLONE_NEWPID;
    // SAFETY: this process has one thread.
    assert_eq!(unsafe { libc::unshare(namespaces) }, 0, "{}", std::io::Error::last_os_error());
    helper("runs_forever").status().expect("spawn");
}

/// Makes stubs, tells its own pid and theirs, and runs them until it is killed.
pub fn runs_forever() {
    let mut guest = Guest::new(spin());
    let mut second = guest.spawn(Spawn::Thread);
    second.thread.resume(ResumeMode::Run);
    let mut child = guest.spawn(Spawn::CopyMemory);
    child.thread.resume(ResumeMode::Run);
    let own = std::fs::read_link("/proc/self").expect("own pid");
    let pids: Vec<_> = Guest::host_children().iter().map(i32::to_string).collect();
    println!("{} {}", own.display(), pids.join(" "));
    loop {
        guest.platform.park(None);
    }
}

pub fn a_killed_sentry_leaves_nothing() {
    // Without tracing, stubs rely on the pid namespace of which their sentry is the first process.
    let case = if Kind::is_systrap() { "runs_in_a_namespace" } else { "runs_forever" };
    let mut child = helper(case).stdout(Stdio::piped()).spawn().expect("spawn");
    let mut output = child.stdout.take().expect("a pipe");
    let mut line = Vec::new();
    let mut byte = [0];
    while output.read(&mut byte).expect("read") == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    let text = String::from_utf8(line).expect("text");
    let pids: Vec<i32> =
        text.split_ascii_whitespace().map(|pid| pid.parse().expect("a pid")).collect();
    assert_eq!(pids.len(), 1 + 3);
    kill(pids[0], libc::SIGKILL);
    child.wait().expect("wait");
    let limit = Instant::now() + Duration::from_secs(5);
    while pids.iter().any(|&pid| is_alive(pid)) {
        assert!(Instant::now() < limit, "stubs survive");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Neither gone nor a zombie that its new parent has not collected.
fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
}
