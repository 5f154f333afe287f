//! Checks and outcomes: how a case fails or is skipped.
//!
//! A failed check does not unwind: it writes its message into the case's report pipe and ends the
//! process. That works the same in the case itself, in its threads, in the processes it forks and
//! in signal handlers. The runner reads the pipe; anything in it decides the outcome.

use super::errno::Errno;
use super::sys::{self, sys};
use std::fmt::{Arguments, Debug};
use std::panic::Location;
use std::sync::atomic::{AtomicI32, Ordering};

/// Exit status of a process whose check failed.
pub const FAILED: i32 = 101;

/// The write end of the report pipe.
static REPORT_FD: AtomicI32 = AtomicI32::new(-1);

/// Sets the descriptor that failures are written to.
pub fn set_report_fd(fd: i32) {
    REPORT_FD.store(fd, Ordering::Relaxed);
}

/// Reports a failure at a place in a case and ends the process.
pub fn fail_at(file: &str, line: u32, message: Arguments<'_>) -> ! {
    let file = file.rsplit_once("cases/").map_or(file, |(_, name)| name);
    report(&format!("F{file}:{line}: {message}\n"))
}

/// Reports that the case cannot run here and ends the process.
pub fn skip_with(reason: Arguments<'_>) -> ! {
    report(&format!("S{reason}\n"))
}

fn report(text: &str) -> ! {
    let fd = REPORT_FD.load(Ordering::Relaxed);
    let _ = sys!(write, fd, text.as_bytes(), text.len());
    sys::exit(FAILED)
}

/// Takes the value out of a result that must be a success.
pub trait Must<T> {
    /// Returns the value; an error fails the case at the caller's line.
    fn must(self) -> T;
}

impl<T> Must<T> for Result<T, Errno> {
    #[track_caller]
    fn must(self) -> T {
        let at = Location::caller();
        self.unwrap_or_else(|errno| {
            fail_at(at.file(), at.line(), format_args!("unexpected {errno:?}"))
        })
    }
}

impl<T> Must<T> for std::io::Result<T> {
    #[track_caller]
    fn must(self) -> T {
        let at = Location::caller();
        self.unwrap_or_else(|error| {
            fail_at(at.file(), at.line(), format_args!("unexpected {error}"))
        })
    }
}

impl<T> Must<T> for Option<T> {
    #[track_caller]
    fn must(self) -> T {
        let at = Location::caller();
        self.unwrap_or_else(|| fail_at(at.file(), at.line(), format_args!("unexpected nothing")))
    }
}

/// Compares for `check_eq!`; apart, so that each use compiles to one call.
pub fn compare<A: Debug + PartialEq<B> + ?Sized, B: Debug + ?Sized>(
    file: &str,
    line: u32,
    got: &A,
    want: &B,
    what: &str,
) {
    if got != want {
        fail_at(file, line, format_args!("{what} is {got:?}, not {want:?}"));
    }
}

/// Fails the case unless the condition holds.
macro_rules! check {
    ($condition:expr $(,)?) => {{
        let holds: bool = $condition;
        if !holds {
            $crate::support::check::fail_at(
                file!(), line!(), format_args!("not so: {}", stringify!($condition)));
        }
    }};
    ($condition:expr, $($message:tt)+) => {{
        let holds: bool = $condition;
        if !holds {
            $crate::support::check::fail_at(file!(), line!(), format_args!($($message)+));
        }
    }};
}

/// Fails the case unless the first value equals the second, the expected one.
macro_rules! check_eq {
    ($got:expr, $want:expr $(,)?) => {
        $crate::support::check::compare(file!(), line!(), &$got, &$want, stringify!($got))
    };
    ($got:expr, $want:expr, $($message:tt)+) => {
        $crate::support::check::compare(file!(), line!(), &$got, &$want, &format!($($message)+))
    };
}

/// Fails the case.
macro_rules! fail {
    ($($message:tt)+) => {
        $crate::support::check::fail_at(file!(), line!(), format_args!($($message)+))
    };
}

/// Ends the case as skipped: a privilege or kernel feature is missing here.
macro_rules! skip {
    ($($reason:tt)+) => {
        $crate::support::check::skip_with(format_args!($($reason)+))
    };
}

pub(crate) use {check, check_eq, fail, skip};
