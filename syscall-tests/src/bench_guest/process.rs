//! Processes and threads.

use std::process::Command;

use crate::Primitive;

pub const ALL: &[Primitive] =
    &[("fork_wait", fork_wait), ("fork_exec_wait", fork_exec_wait), ("thread", thread)];

fn fork_wait(count: u32) {
    for _ in 0..count {
        // SAFETY: the process has one thread here, and the child only leaves.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "fork");
        if child == 0 {
            // SAFETY: ends the child without running anything else.
            unsafe { libc::_exit(0) };
        }
        let mut status = 0;
        // SAFETY: `status` is a live int.
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!((waited, status), (child, 0));
    }
}

fn fork_exec_wait(count: u32) {
    for _ in 0..count {
        let status = Command::new("/proc/self/exe").arg("--exit").status().expect("spawn");
        assert!(status.success());
    }
}

fn thread(count: u32) {
    for _ in 0..count {
        std::thread::spawn(|| {}).join().expect("join");
    }
}
