//! The conformance cases: a static binary that checks the kernel it runs on.
//!
//! `syscall-cases list` prints every case and the syscalls it covers; `syscall-cases run` runs
//! some or all of them and prints one line for each. It needs nothing but itself and a directory
//! for temporary files, so that it runs natively (where Linux is the oracle) and in any container.

mod support;

mod access;
mod admin;
mod change_time;
mod clock;
mod cwd;
mod dirs;
mod dup;
mod epoll;
mod eventfds;
mod exec;
mod fork;
mod futex;
mod futex_exit;
mod futex_pi;
mod futex_pi_end;
mod futex_pi_requeue;
mod futex_signal;
mod heap;
mod hostile;
mod identity;
mod inotify;
mod job_control;
mod jobs;
mod limits;
mod links;
mod locks;
mod made_in_a_row;
mod memfd;
mod memory;
mod memory_hot;
mod misc;
mod mknod;
mod mmap;
mod mqueue;
mod namespaces;
mod numa;
mod open;
mod openat2;
mod perms;
mod pipe;
mod poll;
mod prctl;
mod proc_net;
mod proc_self;
mod proc_system;
mod ptrace_attach;
mod ptrace_call;
mod ptrace_end;
mod ptrace_event;
mod ptrace_memory;
mod ptrace_registers;
mod ptrace_seize;
mod ptrace_signal;
mod ptrace_step;
mod ptrace_thread;
mod pty;
mod read_write;
mod rename;
mod sched;
mod seccomp;
mod seccomp_notify;
mod seek;
mod signal_action;
mod signal_frame;
mod signal_restart;
mod signal_send;
mod stat;
mod statfs;
mod streams;
mod system;
mod sysv;
mod tcp;
mod timers;
mod times;
mod transfer;
mod truncate;
mod udp;
mod unix_message;
mod unix_stream;
mod wait;
mod warm_bytes;
mod warm_closes;
mod warm_descriptors;
mod warm_ends;
mod warm_filters;
mod warm_flags;
mod warm_foretold;
mod warm_inherit;
mod warm_masks;
mod warm_memory;
mod warm_poll;
mod warm_results;
mod warm_signals;
mod warm_waits;
mod xattr;

use std::path::PathBuf;
use std::process::ExitCode;
use support::registry::{self, Case};
use support::runner::{self, Outcome};
use support::sys::sys;

const USAGE: &str = "\
usage: syscall-cases list
       syscall-cases run [--dir DIR] [--isolate] (--all | NAME...)

A NAME is a case (family::case) or a family. Cases work below DIR (default: /tmp).
--isolate first enters network, IPC and UTS namespaces of its own, if allowed.
Prints `ok NAME`, `FAIL NAME: file:line: message` or `skip NAME: reason` for each
case; exits with 1 if one failed.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("list") => list(),
        Some("run") => run(&args[1..]),
        // Not for users: what the exec cases start.
        Some("helper") => ExitCode::from(support::exec::helper(&args[1..]) as u8),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

fn list() -> ExitCode {
    for case in registry::all() {
        println!("{} {} {}", case.full_name(), case.limit_s, case.syscalls.join(","));
    }
    ExitCode::SUCCESS
}

fn run(args: &[String]) -> ExitCode {
    let mut base = PathBuf::from("/tmp");
    let mut names = Vec::new();
    let mut all = false;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--all" => all = true,
            "--isolate" => isolate(),
            "--dir" => match args.next() {
                Some(dir) => base = PathBuf::from(dir),
                None => return usage(),
            },
            option if option.starts_with('-') => return usage(),
            name => names.push(name),
        }
    }
    let cases = registry::all();
    let mut chosen: Vec<Case> = Vec::new();
    for name in &names {
        let before = chosen.len();
        chosen.extend(cases.iter().filter(|c| c.full_name() == *name || c.family() == *name));
        if chosen.len() == before {
            eprintln!("syscall-cases: there is no case or family {name}");
            return ExitCode::from(2);
        }
    }
    match (all, names.is_empty()) {
        (true, true) => chosen = cases,
        (false, false) => {}
        _ => return usage(),
    }
    run_cases(&chosen, &base)
}

/// Leaves the host's network, System V IPC objects and host name, where that is allowed.
fn isolate() {
    for namespace in [libc::CLONE_NEWNET, libc::CLONE_NEWIPC, libc::CLONE_NEWUTS] {
        if sys!(unshare, namespace).is_ok() && namespace == libc::CLONE_NEWNET {
            loopback_up();
        }
    }
}

/// Brings up the loopback interface of a fresh network namespace.
fn loopback_up() {
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    let flags = (libc::IFF_UP | libc::IFF_RUNNING) as u16;
    request[16..18].copy_from_slice(&flags.to_ne_bytes());
    if let Ok(socket) = sys!(socket, libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) {
        let _ = sys!(ioctl, socket, libc::SIOCSIFFLAGS, &request);
        let _ = sys!(close, socket);
    }
}

fn run_cases(cases: &[Case], base: &std::path::Path) -> ExitCode {
    let dir = base.join(format!("syscall-cases.{}", std::process::id()));
    if let Err(error) = std::fs::create_dir(&dir) {
        eprintln!("syscall-cases: making {}: {error}", dir.display());
        return ExitCode::from(2);
    }
    let _ = sys!(prctl, libc::PR_SET_CHILD_SUBREAPER, 1);
    let (mut failed, mut skipped) = (0, 0);
    for case in cases {
        let name = case.full_name();
        match runner::run(case, &dir) {
            Outcome::Ok => println!("ok {name}"),
            Outcome::Fail(message) => {
                failed += 1;
                println!("FAIL {name}: {message}");
            }
            Outcome::Skip(reason) => {
                skipped += 1;
                println!("skip {name}: {reason}");
            }
        }
    }
    let _ = std::fs::remove_dir(&dir);
    println!("# {} cases, {failed} failed, {skipped} skipped", cases.len());
    ExitCode::from(u8::from(failed > 0))
}
