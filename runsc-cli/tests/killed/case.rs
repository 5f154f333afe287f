//! A container with all traces that it could leave, and the processes below this one.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitOptions, getpid, wait};
use serde_json::{Value, json};

use crate::common::Scratch;

pub const PATIENCE: Duration = Duration::from_secs(20);

/// A state root, a bundle that sleeps, and the traces that a container of it could leave.
pub struct Case {
    pub scratch: Scratch,
    bundle: String,
    cgroup: String,
}

impl Case {
    pub fn new() -> Case {
        let scratch = Scratch::new();
        let name = scratch.path().file_name().expect("name").to_string_lossy().into_owned();
        let cgroup = format!("/runsc-test{name}");
        let path = cgroup.clone();
        let bundle = scratch.bundle("b", move |config: &mut Value| {
            config["process"]["args"] = json!(["/bin/sleep", "1000"]);
            config["linux"]["cgroupsPath"] = json!(path);
        });
        Case { scratch, bundle, cgroup }
    }

    /// Starts `do`, or a command that makes the container `c`.
    pub fn spawn(&self, command: &str) -> Child {
        let args: &[&str] = match command {
            "do" => &["do", "/bin/sleep", "1000"],
            _ => &[command, "--bundle", &self.bundle, "c"],
        };
        self.spawn_args(args)
    }

    /// Starts any command, without streams.
    pub fn spawn_args(&self, args: &[&str]) -> Child {
        let mut command = self.scratch.runsc(args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("spawn")
    }

    /// Makes and starts the container `c`.
    pub fn running() -> Case {
        let case = Case::new();
        assert!(case.spawn("create").wait().expect("wait").success());
        case.scratch.run(&["start", "c"]).succeeds();
        case
    }

    /// Waits until the container has so many processes.
    #[track_caller]
    pub fn await_processes(&self, count: usize) {
        self.await_that(&format!("{count} processes"), || {
            // One line is the heading.
            let table = self.scratch.run(&["ps", "c"]);
            (table.succeeds().stdout.lines().count() == count + 1, table.stdout.clone())
        });
    }

    /// Waits until `state` says that the container has stopped. Reaps all children.
    #[track_caller]
    pub fn await_stopped(&self) {
        self.await_that("the end of the container", || {
            reap();
            let state = self.scratch.run(&["state", "c"]).succeeds().stdout.clone();
            (state.contains("\"stopped\""), state)
        });
    }

    /// Waits until `check` holds; it also tells what to complain with.
    #[track_caller]
    fn await_that(&self, what: &str, check: impl Fn() -> (bool, String)) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (holds, text) = check();
            if holds {
                return;
            }
            assert!(Instant::now() < deadline, "no {what}: {text}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Directories of the case's cgroup that exist.
    fn cgroups(&self) -> Vec<PathBuf> {
        let mut candidates = vec![PathBuf::from(format!("/sys/fs/cgroup{}", self.cgroup))];
        for entry in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            candidates.push(entry.path().join(&self.cgroup[1..]));
        }
        candidates.retain(|path| path.exists());
        candidates
    }

    /// Waits until no descendant of this process and no trace of the case is left.
    #[track_caller]
    pub fn assert_nothing_left(&self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let has_children = reap();
            let entries = self.scratch.state_entries();
            let cgroups = self.cgroups();
            if !has_children && entries.is_empty() && cgroups.is_empty() {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{what}: left: processes {:?}, state {entries:?}, cgroups {cgroups:?}",
                children(getpid())
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Reaps dead children; whether living ones are left.
pub fn reap() -> bool {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// Waits for the end of all children, so long at most.
pub fn await_no_processes(patience: Duration) {
    let deadline = Instant::now() + patience;
    while reap() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Children of a process with their command lines.
pub fn children(parent: Pid) -> Vec<(i32, String)> {
    let parent = parent.as_raw_nonzero();
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten() {
        let list = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for pid in list.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            found.push((pid, line.replace('\0', " ")));
        }
    }
    found
}

/// Finds the sentry or the gofer among the children of a process.
pub fn find(parent: Pid, victim: &str) -> Pid {
    let image = if victim == "sentry" { " boot " } else { " gofer " };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = children(parent).into_iter().find(|(_, line)| line.contains(image));
        if let Some(pid) = found.and_then(|(pid, _)| Pid::from_raw(pid)) {
            return pid;
        }
        assert!(Instant::now() < deadline, "no {victim} below {parent:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
