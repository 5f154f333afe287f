//! Runs one case: in a forked child, with its own process group, directory and time limit.

use super::check::{FAILED, set_report_fd};
use super::process::Status;
use super::registry::Case;
use super::signal::KSigaction;
use super::sys::{self, sys};
use super::time::now;
use std::ffi::CString;
use std::path::Path;
use std::time::Duration;

/// How a case ended.
pub enum Outcome {
    /// Everything held.
    Ok,
    /// Where and why not.
    Fail(String),
    /// It cannot run here, and why.
    Skip(String),
}

/// The report pipe's write end in the case's process: out of the way of the lowest free numbers.
const REPORT_FD: i32 = 900;

/// Runs a case with a directory of its own below `base`.
pub fn run(case: &Case, base: &Path) -> Outcome {
    let dir = base.join(case.name);
    if let Err(error) = std::fs::create_dir(&dir) {
        return Outcome::Fail(format!("runner: making {}: {error}", dir.display()));
    }
    let outcome = run_in(case, &dir)
        .unwrap_or_else(|errno| Outcome::Fail(format!("runner: cannot start the case: {errno:?}")));
    remove(&dir);
    outcome
}

/// Removes a case's directory, whatever permissions the case left behind.
fn remove(dir: &Path) {
    if std::fs::remove_dir_all(dir).is_ok() {
        return;
    }
    open_up(dir);
    let _ = std::fs::remove_dir_all(dir);
}

fn open_up(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let _ = std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700));
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

fn run_in(case: &Case, dir: &Path) -> Result<Outcome, super::errno::Errno> {
    let mut ends = [0i32; 2];
    sys!(pipe2, &mut ends, libc::O_CLOEXEC | libc::O_NONBLOCK)?;
    let [read, write] = ends;
    let pid = sys::fork()?;
    if pid == 0 {
        enter(dir, read, write);
        (case.run)();
        sys::exit(0);
    }
    sys!(close, write)?;
    let _ = sys!(setpgid, pid, pid);
    let status = wait(pid, Duration::from_secs(case.limit_s));
    // Whatever the case left running in its group.
    let _ = sys!(kill, -pid, libc::SIGKILL);
    if status.is_none() {
        let _ = sys!(wait4, pid, 0, 0, 0);
    }
    reap_orphans();
    let report = report(read);
    sys!(close, read)?;
    Ok(judge(case, status, &report))
}

/// Prepares the child: a known state, whatever the runner was started with.
fn enter(dir: &Path, read: i32, write: i32) {
    let _ = sys!(setpgid, 0, 0);
    let _ = sys!(dup3, write, REPORT_FD, libc::O_CLOEXEC);
    let _ = sys!(close, write);
    let _ = sys!(close, read);
    set_report_fd(REPORT_FD);
    // The Rust start-up ignores SIGPIPE and handles SIGSEGV and SIGBUS on a stack of its own.
    let default = KSigaction { handler: libc::SIG_DFL, flags: 0, restorer: 0, mask: 0 };
    for signal in 1..=64 {
        let _ = sys!(rt_sigaction, signal, &default, 0, 8);
    }
    let stack =
        libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
    let _ = sys!(sigaltstack, std::ptr::from_ref(&stack), 0);
    let _ = sys!(rt_sigprocmask, libc::SIG_SETMASK, &0u64, 0, 8);
    let _ = sys!(umask, 0o022);
    let entered = CString::new(dir.to_string_lossy().into_owned())
        .is_ok_and(|dir| sys!(chdir, dir.as_c_str()).is_ok());
    if !entered {
        super::check::fail_at(file!(), line!(), format_args!("cannot enter the directory"));
    }
}

/// Waits for the child, no longer than the limit.
fn wait(pid: i32, limit: Duration) -> Option<Status> {
    let end = now() + limit;
    let mut pause_ns = 100_000i64;
    loop {
        let mut word = 0i32;
        if sys!(wait4, pid, &mut word, libc::WNOHANG, 0) == Ok(i64::from(pid)) {
            return Some(Status::decode(word));
        }
        if now() > end {
            return None;
        }
        let pause = libc::timespec { tv_sec: 0, tv_nsec: pause_ns };
        let _ = sys!(nanosleep, &pause, 0);
        pause_ns = (pause_ns * 2).min(5_000_000);
    }
}

/// Reaps what the case left behind: the runner is a child subreaper.
fn reap_orphans() {
    for _ in 0..20 {
        match sys!(wait4, -1, 0, libc::WNOHANG, 0) {
            Ok(0) => {
                let pause = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
                let _ = sys!(nanosleep, &pause, 0);
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

/// Reads what the checks reported.
fn report(fd: i32) -> String {
    let mut buf = [0u8; 4096];
    match sys!(read, fd, &mut buf, buf.len()) {
        Ok(count) => String::from_utf8_lossy(&buf[..count as usize]).into_owned(),
        Err(_) => String::new(),
    }
}

fn judge(case: &Case, status: Option<Status>, report: &str) -> Outcome {
    // The first report is the cause; later ones come from processes that missed the first.
    let first = report.split('\n').next().unwrap_or_default();
    if let Some(message) = first.strip_prefix('F') {
        return Outcome::Fail(message.to_owned());
    }
    if let Some(reason) = first.strip_prefix('S') {
        return Outcome::Skip(reason.to_owned());
    }
    let file = format!("{}.rs", case.family());
    match status {
        Some(Status::Exited(0)) => Outcome::Ok,
        Some(Status::Exited(FAILED)) => Outcome::Fail(format!("{file}: failed without a message")),
        Some(status) => Outcome::Fail(format!("{file}: the case ended with {status:?}")),
        None => Outcome::Fail(format!("{file}: no end within {} s", case.limit_s)),
    }
}
