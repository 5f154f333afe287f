//! The filters of the sentry and of stubs: what is listed works, anything else kills.

use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use platform::filter::{Allowed, Check, sentry, stub};
use platform::{HostOp, Spawn, Trap, host};

use super::guest::{DATA, Guest, READ, park_until, spin};
use super::kind::Kind;
use super::processes::count;

/// Which forbidden call the child process makes.
const CALL_VARIABLE: &str = "PLATFORM_TEST_CALL";

/// Neither a process, nor a descriptor, nor mapped memory; nothing bad as a flag or a length.
const NOTHING: u64 = 0x7fff_fff0;

/// The host calls that only this platform's sentry needs.
fn own_calls() -> &'static [Allowed] {
    match Kind::selected() {
        Kind::Ptrace => sentry::PTRACE,
        Kind::Systrap => sentry::SYSTRAP,
    }
}

pub fn the_platform_works_under_the_sentry_filter() {
    let mut guest = Guest::new(count());
    guest.thread.registers_mut().rdi = DATA;
    sentry::install(own_calls()).expect("filter");
    guest.run_to_call();
    let mut thread = guest.spawn(Spawn::Thread);
    thread.run_to_call();
    let mut child = guest.spawn(Spawn::CopyMemory);
    child.run_to_call();
    assert_eq!(guest.read_u64(DATA), 2);
    let file = host::fs::memfd_create("file").expect("memfd");
    host::fs::pwrite(&file, &[7; 4096], 0).expect("pwrite");
    let fd = Some(file.as_fd());
    let op =
        HostOp::Mmap { addr: 0, len: 4096, prot: READ, flags: libc::MAP_SHARED, fd, offset: 0 };
    let addr = guest.op(op).expect("mmap");
    assert_eq!(guest.read_u64(addr), 0x0707_0707_0707_0707);
    assert!(guest.space.mappings().expect("maps").len() > 2);
    assert!(guest.space.usage().expect("usage").resident > 0);
    assert_eq!(guest.space.write_forced(addr, b"x"), Err(linux_abi::Errno::EFAULT));
    assert_eq!(guest.space.set_limit(libc::RLIMIT_STACK as i32, 1 << 20), Ok(()));
    let image = guest.thread.fp_state().expect("xsave");
    guest.thread.set_fp_state(&image).expect("xsave");
    guest.step();
    guest.thread.registers_mut().fs_base = DATA;
    guest.thread.registers_mut().rip = 0;
    guest.run_to_fault();
    assert!(guest.thread.cpu_time_ns().0 > 0);
    let mut spinning = Guest::on(&guest.platform, spin());
    let interrupter = spinning.thread.interrupter();
    let platform = guest.platform.clone();
    let other = std::thread::Builder::new().name("other".to_owned()).spawn(move || {
        platform.unbind_helper();
        std::thread::sleep(std::time::Duration::from_millis(5));
        interrupter.interrupt();
        platform.unpark();
    });
    assert_eq!(spinning.run(), Trap::Interrupted);
    other.expect("thread").join().expect("join");
    let platform = guest.platform.clone();
    drop((thread, child, guest, spinning));
    park_until(&*platform, || platform.thread_count() == 0);
    platform.unpark();
    platform.park(None);
    println!("{}", vec![1; 1 << 20].len());
}

/// Makes a raw system call.
fn call(number: i64, [a, b, c, d, e, f]: [u64; 6]) -> i64 {
    // SAFETY: the callers pass arguments that name nothing of this process, or kill it.
    unsafe { libc::syscall(number, a, b, c, d, e, f) }
}

/// Arguments with which the call is allowed and fails.
fn harmless(checks: &[Check]) -> [u64; 6] {
    let mut args = [NOTHING; 6];
    for check in checks {
        match *check {
            Check::Is(index, value) => args[index as usize] = u64::from(value),
            Check::IsLong(index, value) => args[index as usize] = value,
            Check::IsNot(..) => {}
            Check::HasOf { arg, mask, value } => {
                let arg = &mut args[arg as usize];
                *arg = *arg & !u64::from(mask) | u64::from(value);
            }
            Check::Lacks(index, mask) => args[index as usize] &= !u64::from(mask),
            Check::LacksLong(index, mask) => args[index as usize] &= !mask,
        }
    }
    args
}

pub fn each_listed_call_is_allowed() {
    sentry::install(own_calls()).expect("filter");
    // Calls that do not come back, or not in this world; the other cases use them.
    let elsewhere = [libc::SYS_exit, libc::SYS_exit_group, libc::SYS_rt_sigreturn, libc::SYS_clone];
    for &Allowed { number, when, .. } in sentry::tables(own_calls()) {
        if elsewhere.contains(&number) {
            continue;
        }
        let always: &[&[Check]] = &[&[]];
        for checks in if when.is_empty() { always } else { when } {
            call(number, harmless(checks));
        }
    }
    // What is refused must not get through either: no path is ever opened.
    for &Allowed { number, when, .. } in sentry::REFUSED {
        let checks = when.first().copied().unwrap_or(&[]);
        assert_eq!(call(number, harmless(checks)), -1, "{number}");
        let error = std::io::Error::last_os_error().raw_os_error();
        assert_eq!(error, Some(libc::ENOSYS), "{number}");
    }
}

/// A sample of what a sentry that was taken over would like to do, on any platform.
const FORBIDDEN: &[(i64, [u64; 6])] = &[
    (libc::SYS_execve, [0; 6]),
    (libc::SYS_execveat, [0; 6]),
    (libc::SYS_fork, [0; 6]),
    (libc::SYS_vfork, [0; 6]),
    (libc::SYS_clone, [libc::SIGCHLD as u64, 0, 0, 0, 0, 0]),
    (libc::SYS_clone, [libc::CLONE_NEWUSER as u64, 0, 0, 0, 0, 0]),
    (libc::SYS_unshare, [libc::CLONE_NEWUSER as u64, 0, 0, 0, 0, 0]),
    (libc::SYS_setns, [0; 6]),
    (libc::SYS_mount, [0; 6]),
    (libc::SYS_open, [0; 6]),
    (libc::SYS_openat, [3, 0, libc::O_CREAT as u64, 0, 0, 0]),
    (libc::SYS_openat2, [0; 6]),
    (libc::SYS_socket, [libc::AF_INET as u64, 1, 0, 0, 0, 0]),
    (libc::SYS_socketpair, [libc::AF_INET as u64, 1, 0, 0, 0, 0]),
    (libc::SYS_connect, [0; 6]),
    (libc::SYS_mmap, [0, 4096, libc::PROT_EXEC as u64, 0x22, u64::MAX, 0]),
    (libc::SYS_mprotect, [0, 4096, libc::PROT_EXEC as u64, 0, 0, 0]),
    (libc::SYS_ptrace, [libc::PTRACE_ATTACH as u64, 1, 0, 0, 0, 0]),
    (libc::SYS_ptrace, [libc::PTRACE_SEIZE as u64, 1, 0, 0, 0, 0]),
    (libc::SYS_kill, [1, libc::SIGTERM as u64, 0, 0, 0, 0]),
    (libc::SYS_tgkill, [1, 1, libc::SIGTERM as u64, 0, 0, 0]),
    (libc::SYS_ioctl, [0, libc::TIOCSTI, 0, 0, 0, 0]),
    (libc::SYS_fcntl, [0, libc::F_SETOWN as u64, 0, 0, 0, 0]),
    (libc::SYS_prctl, [libc::PR_SET_DUMPABLE as u64, 1, 0, 0, 0, 0]),
    (libc::SYS_setuid, [0; 6]),
    (libc::SYS_bpf, [0; 6]),
    (libc::SYS_seccomp, [0; 6]),
    (libc::SYS_io_uring_setup, [0; 6]),
    (libc::SYS_userfaultfd, [0; 6]),
    (libc::SYS_keyctl, [0; 6]),
    // The x32 door to a call that is allowed.
    (libc::SYS_read | 0x4000_0000, [0; 6]),
];

/// What only the other platform may do.
const FORBIDDEN_WITH_PTRACE: &[(i64, [u64; 6])] =
    &[(libc::SYS_ioctl, [NOTHING, 0xc018_2101, 0, 0, 0, 0]), (libc::SYS_waitid, [0; 6])];
const FORBIDDEN_WITH_SYSTRAP: &[(i64, [u64; 6])] =
    &[(libc::SYS_ptrace, [libc::PTRACE_CONT as u64, 1, 0, 0, 0, 0])];

/// All that this platform's sentry must not do.
fn forbidden() -> impl Iterator<Item = &'static (i64, [u64; 6])> {
    let of_others = match Kind::selected() {
        Kind::Ptrace => FORBIDDEN_WITH_PTRACE,
        Kind::Systrap => FORBIDDEN_WITH_SYSTRAP,
    };
    FORBIDDEN.iter().chain(of_others)
}

pub fn makes_a_forbidden_call() {
    let index: usize = std::env::var(CALL_VARIABLE).expect("set").parse().expect("a number");
    let (number, args) = *forbidden().nth(index).expect("a call");
    sentry::install(own_calls()).expect("filter");
    call(number, args);
}

pub fn everything_else_kills_the_sentry() {
    for (index, forbidden) in forbidden().enumerate() {
        let status = run("makes_a_forbidden_call", index);
        assert_eq!(status.signal(), Some(libc::SIGSYS), "{forbidden:?}: {status}");
    }
}

/// Tried under the filter of stubs; the first is allowed.
const STUB_CALLS: &[(i64, [u64; 6])] = &[
    (libc::SYS_munmap, [NOTHING, 0, 0, 0, 0, 0]),
    (libc::SYS_getpid, [0; 6]),
    (libc::SYS_openat, [0; 6]),
    (libc::SYS_sendmsg, [0; 6]),
    (libc::SYS_clone, [libc::SIGCHLD as u64, 0, 0, 0, 0, 0]),
    (libc::SYS_clone3, [0; 6]),
    (libc::SYS_execve, [0; 6]),
    (libc::SYS_exit_group, [0; 6]),
];

pub fn makes_a_forbidden_stub_call() {
    let index: usize = std::env::var(CALL_VARIABLE).expect("set").parse().expect("a number");
    let (number, args) = STUB_CALLS[index];
    let program = stub::ptrace_program().expect("program");
    let prog = libc::sock_fprog {
        len: (program.len() / 8) as u16,
        filter: program.as_ptr().cast_mut().cast(),
    };
    // SAFETY: takes numbers only.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: `prog` describes a live program; the kernel takes unaligned addresses.
    assert_eq!(unsafe { libc::syscall(libc::SYS_seccomp, 1, 0, &raw const prog) }, 0);
    call(number, args);
    // Allowed so far: end with a signal of our own, by an exception, which needs no call.
    // SAFETY: ends the process.
    unsafe { std::arch::asm!("ud2") };
}

pub fn the_stub_filter_kills() {
    for (index, tried) in STUB_CALLS.iter().enumerate() {
        let expected = if index == 0 { libc::SIGILL } else { libc::SIGSYS };
        let status = run("makes_a_forbidden_stub_call", index);
        assert_eq!(status.signal(), Some(expected), "{tried:?}: {status}");
    }
}

fn run(case: &str, index: usize) -> ExitStatus {
    let program = std::env::current_exe().expect("own path");
    Command::new(program)
        .env(crate::CASE_VARIABLE, Kind::selected().case(case))
        .env(CALL_VARIABLE, index.to_string())
        .status()
        .expect("spawn")
}
