//! Killed while `delete` removes a container: it can be deleted once more.

use std::time::Duration;

use crate::case::Case;

/// `delete --force` of a running container is killed.
pub fn forced_killed() {
    for step in 0..25 {
        let case = Case::running();
        killed(&case, &["delete", "--force", "c"], step);
    }
}

/// `delete` of a stopped container is killed.
pub fn plain_killed() {
    for step in 0..10 {
        let case = Case::running();
        case.scratch.run(&["kill", "c", "KILL"]).succeeds();
        case.await_stopped();
        killed(&case, &["delete", "c"], step);
    }
}

fn killed(case: &Case, command: &[&str], step: u64) {
    let delay = Duration::from_micros(step * 500);
    let mut delete = case.spawn_args(command);
    std::thread::sleep(delay);
    delete.kill().expect("kill");
    delete.wait().expect("wait");
    case.scratch.run(&["delete", "--force", "c"]).succeeds();
    case.assert_nothing_left(&format!("{command:?} killed after {delay:?}"));
}
