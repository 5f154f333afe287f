//! Threads and processes of which a case wants that they wait before it goes on.

use super::check::check;
use super::process::{Child, fork};
use super::sys::sys;
use super::time::{now, sleep_ms};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

/// Waits until a thread or process sleeps (or is gone), and a moment longer: it was seen to sleep
/// several times in a row, so what it sleeps in is not the beginning of the call.
#[track_caller]
pub fn await_sleep(number: i32) {
    let limit = now() + Duration::from_secs(20);
    let name = format!("/proc/{number}/stat");
    let mut seen = 0;
    while seen < 6 {
        check!(now() < limit, "it does not sleep");
        let Ok(text) = std::fs::read_to_string(&name) else { return };
        let state = text.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        match state {
            Some('S') => seen += 1,
            Some('Z' | 'X') | None => return,
            Some(_) => seen = 0,
        }
        sleep_ms(3);
    }
}

/// Starts a thread and waits until it sleeps.
#[track_caller]
pub fn spawn_asleep<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let number = Arc::new(AtomicI32::new(0));
    let told = number.clone();
    let thread = std::thread::spawn(move || {
        told.store(sys!(gettid).unwrap_or(0) as i32, SeqCst);
        body()
    });
    while number.load(SeqCst) == 0 {
        sleep_ms(1);
    }
    await_sleep(number.load(SeqCst));
    thread
}

/// Forks a process and waits until it sleeps.
#[track_caller]
pub fn fork_asleep(body: impl FnOnce()) -> Child {
    let child = fork(body);
    await_sleep(child.pid);
    child
}
