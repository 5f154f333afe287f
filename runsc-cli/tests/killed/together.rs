//! The command line is killed together with the process that would clean up after it: the next
//! command with the same state root does.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::case::{Case, PATIENCE, await_no_processes, children};

/// Kills the command line, and before it whatever clone of it has no image of its own yet.
pub fn killed(command: &str, delay: Duration) {
    let case = Case::new();
    let mut child = case.spawn(command);
    std::thread::sleep(delay);
    let parent = Pid::from_child(&child);
    // It may not start another one meanwhile.
    let _ = kill_process(parent, Signal::STOP);
    for (pid, line) in children(parent) {
        let is_clone = !line.contains(" boot ") && !line.contains(" gofer ");
        if let Some(pid) = Pid::from_raw(pid).filter(|_| is_clone) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    child.kill().expect("kill");
    child.wait().expect("wait");
    // What is dying is not yet abandoned. A `create` may have been complete: then it lives.
    let patience = if command == "create" { Duration::from_millis(200) } else { PATIENCE };
    await_no_processes(patience);
    case.scratch.run(&["list"]).succeeds();
    if command == "create" {
        case.scratch.run(&["delete", "--force", "c"]).succeeds();
    }
    case.assert_nothing_left(&format!("{command} killed with its janitor after {delay:?}"));
}
