//! Clocks and sleeping.

use super::check::Must;
use super::sys::{sys, zeroed};
use std::time::Duration;

/// Returns the monotonic clock.
pub fn now() -> Duration {
    let mut time: libc::timespec = zeroed();
    sys!(clock_gettime, libc::CLOCK_MONOTONIC, &mut time).must();
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Returns a span of time as the kernel takes it.
pub fn millis(ms: i64) -> libc::timespec {
    libc::timespec { tv_sec: ms / 1000, tv_nsec: ms % 1000 * 1_000_000 }
}

/// Sleeps; a signal does not end it.
pub fn sleep_ms(ms: i64) {
    let mut left = millis(ms);
    while sys!(nanosleep, &left, &mut left).is_err() {}
}

/// Gives other threads and processes the time to block where the case wants them. Cases must hold
/// (if only less sharply) when it is too short.
pub fn settle() {
    sleep_ms(30);
}

/// Waits until something holds, for 10 s at most: the case checks what it is about itself.
pub fn wait_for(holds: impl Fn() -> bool) {
    let limit = now() + Duration::from_secs(10);
    while !holds() && now() < limit {
        sleep_ms(1);
    }
}

/// Sleeps for good; only signals do anything.
pub fn wait_for_signals() -> ! {
    loop {
        let _ = sys!(pause);
    }
}

/// Returns how long the function took.
pub fn elapsed(body: impl FnOnce()) -> Duration {
    let start = now();
    body();
    now() - start
}

/// Returns the monotonic clock as the C library reads it: through the vDSO, where there is one.
pub fn vdso_monotonic() -> Duration {
    let mut time: libc::timespec = zeroed();
    // SAFETY: writes to the structure.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// SIGALRM, some time after the last one was handled: however long that takes, whoever is interrupted
/// gets on in between.
pub struct Alarms {
    usec: i64,
    handled: u32,
}

impl Alarms {
    /// The first one comes after so many microseconds; its handler counts, from 0.
    pub fn after(usec: i64) -> Alarms {
        let alarms = Alarms { usec, handled: 0 };
        alarms.set();
        alarms
    }

    /// Asks for the next one if the last was handled, of which `count` tells.
    pub fn go_on(&mut self, count: u32) {
        if count != self.handled {
            self.handled = count;
            self.set();
        }
    }

    fn set(&self) {
        let once = libc::itimerval {
            it_interval: zeroed(),
            it_value: libc::timeval { tv_sec: 0, tv_usec: self.usec },
        };
        sys!(setitimer, libc::ITIMER_REAL, &once, 0).must();
    }
}
