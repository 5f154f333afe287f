//! Killed while the sandbox starts or runs.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpid, kill_process};

use crate::case::{Case, find, reap};

pub fn command_line_killed(command: &str, delay: Duration) {
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

pub fn foreground_victim_killed(victim: &str) {
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

pub fn container_victim_killed(victim: &str) {
    let case = Case::running();
    let pid = find(getpid(), victim);
    kill_process(pid, Signal::KILL).expect("kill");
    case.await_stopped();
    case.scratch.run(&["delete", "c"]).succeeds();
    case.assert_nothing_left(&format!("{victim} of a container killed"));
}
