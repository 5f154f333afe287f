//! `kill -9` of the command line, the sentry or the gofer at any moment leaves no process, mount,
//! cgroup or file behind.
//!
//! This process adopts orphans and reaps whatever it finds, so one test runs at a time.

#[path = "killed/case.rs"]
mod case;
mod common;
#[path = "killed/deleting.rs"]
mod deleting;
#[path = "killed/executing.rs"]
mod executing;
#[path = "killed/starting.rs"]
mod starting;
#[path = "killed/together.rs"]
mod together;

use std::fs;
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::{getpid, set_child_subreaper};

common::on_each_platform! { killed_while_starting, sentry_or_gofer_killed }

/// Runs `test` while no other does, and checks that it leaves no mount behind.
fn alone(test: impl FnOnce()) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _guard = ALONE.lock().expect("what a failed test left would confuse this one");
    set_child_subreaper(Some(getpid())).expect("subreaper");
    let mounts = || fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let before = mounts();
    test();
    assert_eq!(before, mounts(), "mounts changed");
}

fn killed_while_starting() {
    alone(|| {
        for delay_ms in 0..30 {
            for command in ["do", "run", "create"] {
                starting::command_line_killed(command, Duration::from_millis(delay_ms));
            }
        }
    });
}

fn sentry_or_gofer_killed() {
    alone(|| {
        for victim in ["sentry", "gofer"] {
            starting::foreground_victim_killed(victim);
            starting::container_victim_killed(victim);
        }
    });
}

#[test]
fn killed_together_with_the_janitor() {
    alone(|| {
        for delay_ms in (0..20).chain([300]) {
            for command in ["do", "run", "create"] {
                together::killed(command, Duration::from_millis(delay_ms));
            }
        }
    });
}

#[test]
fn killed_during_exec() {
    alone(|| {
        executing::command_line_killed();
        executing::detaching_killed();
        executing::stand_in_killed();
    });
}

#[test]
fn sentry_or_gofer_killed_during_exec() {
    alone(|| {
        executing::victim_killed("sentry");
        executing::victim_killed("gofer");
    });
}

#[test]
fn killed_during_delete() {
    alone(|| {
        deleting::forced_killed();
        deleting::plain_killed();
    });
}
