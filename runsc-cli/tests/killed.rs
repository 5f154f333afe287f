//! `kill -9` of the command line, the sentry or the gofer at any moment leaves no process, mount,
//! cgroup or file behind.
//!
//! One test, one thread: the process adopts orphans and reaps whatever it finds.

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::Scratch;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, wait};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn nothing_is_left_behind() {
    set_child_subreaper(Some(getpid())).expect("subreaper");
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    for delay_ms in 0..30 {
        command_line_killed("do", Duration::from_millis(delay_ms));
        command_line_killed("run", Duration::from_millis(delay_ms));
        command_line_killed("create", Duration::from_millis(delay_ms));
    }
    for victim in ["sentry", "gofer"] {
        foreground_victim_killed(victim);
        container_victim_killed(victim);
    }
    let after = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    assert_eq!(mounts, after, "mounts changed");
}

struct Case {
    scratch: Scratch,
    bundle: String,
    cgroup: String,
}

impl Case {
    fn new() -> Case {
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

    fn spawn(&self, command: &str) -> std::process::Child {
        let args: &[&str] = match command {
            "do" => &["do", "/bin/sleep", "1000"],
            _ => &[command, "--bundle", &self.bundle, "c"],
        };
        let mut command = self.scratch.runsc(args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("spawn")
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
    fn assert_nothing_left(&self, what: &str) {
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
fn reap() -> bool {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// Children of a process with their command lines.
fn children(parent: Pid) -> Vec<(i32, String)> {
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
fn find(parent: Pid, victim: &str) -> Pid {
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

fn command_line_killed(command: &str, delay: Duration) {
    let case = Case::new();
    let mut child = case.spawn(command);
    std::thread::sleep(delay);
    child.kill().expect("kill");
    let status = child.wait().expect("wait");
    if command == "create" && status.success() {
        // It was faster: the container lives, and somebody deletes it.
        case.scratch.run(&["delete", "c"]).succeeds();
    } else if command == "create" {
        // It may have been killed after its last act and before it could exit; then the container
        // lives too. Cleaning up takes up to two seconds.
        let deadline = Instant::now() + Duration::from_secs(3);
        while !case.scratch.state_entries().is_empty() && Instant::now() < deadline {
            reap();
            std::thread::sleep(Duration::from_millis(5));
        }
        case.scratch.run(&["delete", "--force", "c"]).succeeds();
    }
    case.assert_nothing_left(&format!("{command} killed after {delay:?}"));
}

fn foreground_victim_killed(victim: &str) {
    for command in ["do", "run"] {
        for delay_ms in [0, 3, 10, 300] {
            let case = Case::new();
            let mut child = case.spawn(command);
            let pid = find(Pid::from_child(&child), victim);
            std::thread::sleep(Duration::from_millis(delay_ms));
            let _ = kill_process(pid, Signal::KILL);
            assert!(!child.wait().expect("wait").success(), "{command} without {victim}");
            case.assert_nothing_left(&format!("{victim} of {command} killed"));
        }
    }
}

fn container_victim_killed(victim: &str) {
    let case = Case::new();
    assert!(case.spawn("create").wait().expect("wait").success());
    case.scratch.run(&["start", "c"]).succeeds();
    let pid = find(getpid(), victim);
    kill_process(pid, Signal::KILL).expect("kill");
    let deadline = Instant::now() + PATIENCE;
    loop {
        reap();
        let state = case.scratch.run(&["state", "c"]).succeeds().stdout.clone();
        if state.contains("stopped") {
            break;
        }
        assert!(Instant::now() < deadline, "the container goes on without its {victim}");
    }
    case.scratch.run(&["delete", "c"]).succeeds();
    case.assert_nothing_left(&format!("{victim} of a container killed"));
}
