//! Killed while `exec` starts a process or waits for it.

use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

use crate::case::{Case, find};

const COMMAND: [&str; 3] = ["c", "/bin/sleep", "1000"];

/// The command line of `exec` is killed: its process in the container ends with it.
pub fn command_line_killed() {
    let case = Case::running();
    for delay_ms in (0..20).chain([300]) {
        let mut exec = case.spawn_args(&[&["exec"][..], &COMMAND].concat());
        std::thread::sleep(Duration::from_millis(delay_ms));
        exec.kill().expect("kill");
        exec.wait().expect("wait");
        case.await_processes(1);
    }
    end(&case, "exec killed");
}

/// `exec --detach` is killed: what it may have left behind ends with the container.
pub fn detaching_killed() {
    for delay_ms in 0..20 {
        let case = Case::running();
        let mut exec = case.spawn_args(&[&["exec", "--detach"][..], &COMMAND].concat());
        std::thread::sleep(Duration::from_millis(delay_ms));
        exec.kill().expect("kill");
        exec.wait().expect("wait");
        end(&case, &format!("exec --detach killed after {delay_ms} ms"));
    }
}

/// The process that `exec --detach` left behind is killed: the one that it stands for ends.
pub fn stand_in_killed() {
    let case = Case::running();
    let pid_file = case.scratch.path().join("pid");
    let path = pid_file.to_str().expect("UTF-8");
    let args = [&["exec", "--detach", "--pid-file", path][..], &COMMAND].concat();
    assert!(case.spawn_args(&args).wait().expect("wait").success());
    case.await_processes(2);
    let text = std::fs::read_to_string(&pid_file).expect("pid file");
    let pid = text.parse().ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
    kill_process(pid, Signal::KILL).expect("kill");
    case.await_processes(1);
    end(&case, "stand-in killed");
}

/// The sentry or the gofer is killed: `exec` ends too, and does not say that all went well, unless
/// it was detached and had ended before.
pub fn victim_killed(victim: &str) {
    for is_detached in [false, true] {
        let case = Case::running();
        let flags: &[&str] = if is_detached { &["exec", "--detach"] } else { &["exec"] };
        let mut exec = case.spawn_args(&[flags, &COMMAND].concat());
        case.await_processes(2);
        if is_detached {
            exec.wait().expect("wait");
        }
        kill_process(find(getpid(), victim), Signal::KILL).expect("kill");
        let status = exec.wait().expect("wait");
        assert_eq!(status.success(), is_detached, "{status}");
        case.await_stopped();
        case.scratch.run(&["delete", "c"]).succeeds();
        case.assert_nothing_left(&format!("{victim} killed, exec detached: {is_detached}"));
    }
}

fn end(case: &Case, what: &str) {
    case.scratch.run(&["delete", "--force", "c"]).succeeds();
    case.assert_nothing_left(what);
}
