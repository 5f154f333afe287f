//! Times and timers.

use linux_abi::time::{Itimerspec, Itimerval, Timespec, Timeval, UTIME_NOW, UTIME_OMIT};

use super::memory::read;
use super::{Arg, ArgKind};

/// Shows times; `None` for other kinds.
pub(super) fn time(kind: ArgKind, arg: &Arg<'_>) -> Option<String> {
    let (memory, addr) = (arg.memory, arg.value());
    match kind {
        ArgKind::Timespec | ArgKind::OutTimespec => read(memory, addr).map(timespec),
        ArgKind::Timeval | ArgKind::OutTimeval => read(memory, addr).map(timeval),
        ArgKind::TimespecPair => {
            let [first, second]: [Timespec; 2] = read(memory, addr)?;
            Some(format!("[{}, {}]", file_time(first), file_time(second)))
        }
        ArgKind::TimevalPair => {
            let [first, second]: [Timeval; 2] = read(memory, addr)?;
            Some(format!("[{}, {}]", timeval(first), timeval(second)))
        }
        ArgKind::Itimerval | ArgKind::OutItimerval => {
            let timer: Itimerval = read(memory, addr)?;
            Some(timer_text(timeval(timer.interval), timeval(timer.value)))
        }
        ArgKind::Itimerspec | ArgKind::OutItimerspec => {
            let timer: Itimerspec = read(memory, addr)?;
            Some(timer_text(timespec(timer.interval), timespec(timer.value)))
        }
        _ => None,
    }
}

fn timer_text(interval: String, value: String) -> String {
    format!("{{it_interval={interval}, it_value={value}}}")
}

pub(super) fn timespec(time: Timespec) -> String {
    format!("{{tv_sec={}, tv_nsec={}}}", time.sec, time.nsec)
}

pub(super) fn timeval(time: Timeval) -> String {
    format!("{{tv_sec={}, tv_usec={}}}", time.sec, time.usec)
}

/// A time of `utimensat(2)`, which has two special values.
fn file_time(time: Timespec) -> String {
    match time.nsec {
        UTIME_NOW => "UTIME_NOW".to_owned(),
        UTIME_OMIT => "UTIME_OMIT".to_owned(),
        _ => timespec(time),
    }
}
