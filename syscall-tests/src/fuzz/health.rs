//! Whether the kernel still does its work.

use crate::support::sys::{exit, fork, sys};
use std::time::{Duration, Instant};

/// Uses processes, pipes, memory and times once more.
pub fn check() -> Result<(), String> {
    let error = |what: &'static str| move |error| format!("{what}: {error:?}");
    let mut pipe = [0i32; 2];
    sys!(pipe2, &mut pipe, 0).map_err(error("pipe2"))?;
    let child = fork().map_err(error("fork"))?;
    if child == 0 {
        let _ = sys!(write, pipe[1], &b"alive"[..], 5);
        exit(7);
    }
    let mut buffer = [0u8; 8];
    let count = sys!(read, pipe[0], &mut buffer, 8).map_err(error("read"))?;
    if buffer[..count as usize] != *b"alive" {
        return Err(format!("the pipe gave {buffer:?}"));
    }
    let mut status = 0i32;
    sys!(wait4, child, &mut status, 0, 0).map_err(error("wait4"))?;
    if status != 7 << 8 {
        return Err(format!("the child ended with {status:#x}"));
    }
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(20));
    let slept = start.elapsed();
    if !(Duration::from_millis(20)..Duration::from_secs(5)).contains(&slept) {
        return Err(format!("20 ms of sleep took {slept:?}"));
    }
    std::thread::spawn(|| ()).join().map_err(|_| "a thread failed".to_owned())
}

/// What `/proc` tells of all processes.
pub fn processes() -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            let stat = std::fs::read(format!("/proc/{name}/stat")).unwrap_or_default();
            text.push_str(&String::from_utf8_lossy(&stat));
        }
    }
    text
}
