//! Running this binary again: argument lists, and the helper that reports what a new program sees.

use super::check::Must;
use super::errno::Errno;
use super::files::{cstr, pipe, read_all};
use super::process::{Child, Status, fork, self_exe};
use super::sys::{self, sys, zeroed};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fmt::Write;

/// A null-terminated array of strings, as `execve` takes it.
pub struct Strings {
    _strings: Vec<CString>,
    pointers: Vec<usize>,
}

impl Strings {
    /// Makes the array.
    #[track_caller]
    pub fn new<S: AsRef<str>>(texts: &[S]) -> Strings {
        let strings: Vec<CString> = texts.iter().map(|text| cstr(text.as_ref())).collect();
        let mut pointers: Vec<usize> = strings.iter().map(|s| s.as_ptr() as usize).collect();
        pointers.push(0);
        Strings { _strings: strings, pointers }
    }

    /// Returns the array of pointers.
    pub fn pointers(&self) -> &[usize] {
        &self.pointers
    }
}

/// Replaces the program; returns only the error.
#[track_caller]
pub fn exec(path: &CStr, args: &[&str], env: &[&str]) -> Errno {
    let (args, env) = (Strings::new(args), Strings::new(env));
    match sys!(execve, path, args.pointers(), env.pointers()) {
        Err(errno) => errno,
        Ok(_) => Errno(0),
    }
}

/// Starts `helper NAME…` of this binary in a child, after running the function in it; returns the
/// child and the read end of a pipe that is its standard output.
#[track_caller]
pub fn start_helper(args: &[&str], before: impl FnOnce()) -> (Child, i32) {
    let exe = self_exe();
    let mut line = vec!["syscall-cases", "helper"];
    line.extend(args);
    let (read, write) = pipe();
    let child = fork(|| {
        sys!(dup2, write, 1).must();
        sys!(close, write).must();
        sys!(close, read).must();
        before();
        let errno = exec(&exe, &line, &["PATH=/bin", "CASE=yes"]);
        super::check::fail!("execve of the helper: {errno:?}");
    });
    sys!(close, write).must();
    (child, read)
}

/// Runs `helper NAME…` to its end: its status and its output.
#[track_caller]
pub fn run_helper(args: &[&str], before: impl FnOnce()) -> (Status, String) {
    let (child, read) = start_helper(args, before);
    let output = String::from_utf8_lossy(&read_all(read)).into_owned();
    sys!(close, read).must();
    (child.wait(), output)
}

/// Runs the `state` helper: what a new program finds, by name.
#[track_caller]
pub fn state_after_exec(before: impl FnOnce()) -> BTreeMap<String, String> {
    let (status, output) = run_helper(&["state"], before);
    super::check::check_eq!(status, Status::Exited(0));
    let pairs = output.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The hidden subcommand: `helper NAME ARGS…`.
pub fn helper(args: &[String]) -> i32 {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["exit", status] => status.parse().unwrap_or(99),
        ["state", ..] => print(&state()),
        ["args", ref rest @ ..] => print(&rest.join("|")),
        ["env"] => {
            let all: Vec<String> = std::env::vars().map(|(k, v)| format!("{k}={v}")).collect();
            print(&all.join("|"))
        }
        ["caps"] => print(&format!("caps={:x}\n", super::process::effective())),
        ["file", path] => print(&std::fs::read_to_string(path).unwrap_or_default()),
        ["copy"] => copy(),
        ["pause"] => {
            print("ready\n");
            super::time::wait_for_signals()
        }
        ["argc-bytes"] => {
            print(&format!("{}", std::env::args().map(|a| a.len() + 1).sum::<usize>()))
        }
        _ => 98,
    }
}

fn print(text: &str) -> i32 {
    let mut done = 0;
    while done < text.len() {
        match sys!(write, 1, &text.as_bytes()[done..], text.len() - done) {
            Ok(count) => done += count as usize,
            Err(_) => return 97,
        }
    }
    0
}

/// Copies its input to its output.
fn copy() -> i32 {
    let mut bytes = [0u8; 5000];
    loop {
        match sys!(read, 0, &mut bytes, bytes.len()) {
            Ok(0) => return 0,
            Ok(count) => super::stream::write_all(1, &bytes[..count as usize]),
            Err(_) => return 96,
        }
    }
}

/// Describes the process, a line for each thing.
fn state() -> String {
    let mut out = String::new();
    let number = |result: sys::Result| result.unwrap_or(-1);
    let numbers = [
        ("pid", number(sys!(getpid))),
        ("tid", number(sys!(gettid))),
        ("ppid", number(sys!(getppid))),
        ("pgid", number(sys!(getpgid, 0))),
        ("sid", number(sys!(getsid, 0))),
        ("uid", number(sys!(getuid))),
        ("euid", number(sys!(geteuid))),
        ("gid", number(sys!(getgid))),
        ("egid", number(sys!(getegid))),
        ("umask", number(sys!(umask, 0))),
        ("dumpable", number(sys!(prctl, libc::PR_GET_DUMPABLE))),
        ("keepcaps", number(sys!(prctl, libc::PR_GET_KEEPCAPS))),
        ("nnp", number(sys!(prctl, libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0))),
        ("alarm", number(sys!(alarm, 0))),
        ("nice", number(sys!(getpriority, libc::PRIO_PROCESS, 0))),
    ];
    for (name, value) in numbers {
        let _ = writeln!(out, "{name}={value}");
    }
    let mut death_signal = 0i32;
    let _ = sys!(prctl, libc::PR_GET_PDEATHSIG, &mut death_signal);
    let (mut mask, mut pending) = (0u64, 0u64);
    let _ = sys!(rt_sigprocmask, 0, 0, &mut mask, 8);
    let _ = sys!(rt_sigpending, &mut pending, 8);
    let _ = writeln!(out, "pdeathsig={death_signal}\nmask={mask:x}\npending={pending:x}");
    let fds: Vec<String> = (0..1024)
        .filter(|fd| sys!(fcntl, *fd, libc::F_GETFD).is_ok())
        .map(|f| f.to_string())
        .collect();
    let _ = writeln!(out, "fds={}", fds.join(","));
    let _ = writeln!(out, "ignored={:x}", dispositions());
    let mut comm = [0u8; 16];
    let _ = sys!(prctl, libc::PR_GET_NAME, &mut comm);
    let comm = String::from_utf8_lossy(&comm).trim_end_matches('\0').to_owned();
    let cwd = std::env::current_dir().map(|d| d.display().to_string()).unwrap_or_default();
    let mut nofile: libc::rlimit = zeroed();
    let _ = sys!(getrlimit, libc::RLIMIT_NOFILE, &mut nofile);
    let _ = writeln!(out, "comm={comm}\ncwd={cwd}\nnofile={}", nofile.rlim_cur);
    for (name, key) in [("secure", libc::AT_SECURE), ("pagesz", libc::AT_PAGESZ)] {
        let _ = writeln!(out, "{name}={}", sys::auxiliary(key));
    }
    out
}

/// Returns the set of ignored signals. The Rust start-up itself ignores SIGPIPE.
fn dispositions() -> u64 {
    let mut ignored = 0;
    for signal in 1..=64 {
        let mut action: super::signal::KSigaction = zeroed();
        let _ = sys!(rt_sigaction, signal, 0, &mut action, 8);
        if action.handler == libc::SIG_IGN {
            ignored |= 1u64 << (signal - 1);
        }
    }
    ignored
}
