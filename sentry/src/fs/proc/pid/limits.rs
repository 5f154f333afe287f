//! `/proc/[pid]/limits`.

use std::fmt::Write;

use linux_abi::Errno;
use linux_abi::task::{
    RLIM_INFINITY, RLIMIT_AS, RLIMIT_CORE, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_LOCKS,
    RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_RSS,
    RLIMIT_RTPRIO, RLIMIT_RTTIME, RLIMIT_SIGPENDING, RLIMIT_STACK,
};

use crate::fs::proc::subject::Subject;
use crate::vfs::IoContext;

const NAMES: [(u32, &str, &str); 16] = [
    (RLIMIT_CPU, "Max cpu time", "seconds"),
    (RLIMIT_FSIZE, "Max file size", "bytes"),
    (RLIMIT_DATA, "Max data size", "bytes"),
    (RLIMIT_STACK, "Max stack size", "bytes"),
    (RLIMIT_CORE, "Max core file size", "bytes"),
    (RLIMIT_RSS, "Max resident set", "bytes"),
    (RLIMIT_NPROC, "Max processes", "processes"),
    (RLIMIT_NOFILE, "Max open files", "files"),
    (RLIMIT_MEMLOCK, "Max locked memory", "bytes"),
    (RLIMIT_AS, "Max address space", "bytes"),
    (RLIMIT_LOCKS, "Max file locks", "locks"),
    (RLIMIT_SIGPENDING, "Max pending signals", "signals"),
    (RLIMIT_MSGQUEUE, "Max msgqueue size", "bytes"),
    (RLIMIT_NICE, "Max nice priority", ""),
    (RLIMIT_RTPRIO, "Max realtime priority", ""),
    (RLIMIT_RTTIME, "Max realtime timeout", "us"),
];

/// The table of limits, in Linux' columns.
pub(super) fn limits(subject: &Subject, _: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    let limits = *subject.group()?.limits.lock();
    let mut text =
        "Limit                     Soft Limit           Hard Limit           Units     \n"
            .to_owned();
    for (resource, name, unit) in NAMES {
        let limit = limits[resource as usize];
        let (soft, hard) = (shown(limit.cur), shown(limit.max));
        let end = if unit.is_empty() { "\n".to_owned() } else { format!("{unit:<10}\n") };
        write!(text, "{name:<25} {soft:<20} {hard:<20} {end}").map_err(|_| Errno::EIO)?;
    }
    Ok(text.into_bytes())
}

fn shown(limit: u64) -> String {
    if limit == RLIM_INFINITY { "unlimited".to_owned() } else { limit.to_string() }
}
