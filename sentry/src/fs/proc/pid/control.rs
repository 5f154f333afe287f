//! Small files: out-of-memory scores, identity maps, timer slack and the like.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use linux_abi::Errno;
use linux_abi::task::{CAP_SYS_NICE, CAP_SYS_RESOURCE};

use crate::fs::proc::subject::Subject;
use crate::fs::proc::text::parse_number;
use crate::fs::synthetic::{NodeAttributes, SyntheticFile, Writable};
use crate::vfs::{Inode, IoContext};

/// `cgroup`: one hierarchy, and everybody in its root.
pub(super) fn cgroup(subject: &Subject, _: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    subject.group()?;
    Ok(b"0::/\n".to_vec())
}

/// `uid_map`, `gid_map`, `projid_map`: all ids are their own. There are no user namespaces, so
/// the maps cannot be written.
pub(super) fn identity_map(subject: &Subject, _: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    subject.group()?;
    Ok(format!("{:>10} {:>10} {:>10}\n", 0, 0, u32::MAX).into_bytes())
}

/// `setgroups`: allowed.
pub(super) fn setgroups(subject: &Subject, _: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    subject.group()?;
    Ok(b"allow\n".to_vec())
}

/// `wchan`: never told, as without `CONFIG_KALLSYMS`.
pub(super) fn wchan(subject: &Subject, _: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    subject.group()?;
    Ok(b"0".to_vec())
}

/// `personality`.
pub(super) fn personality(subject: &Subject, _: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    let personality = subject.group()?.personality.load(Ordering::Relaxed);
    Ok(format!("{personality:08x}\n").into_bytes())
}

/// `schedstat`: time on a processor, time waiting for one (not counted), time slices (not counted).
pub(super) fn schedstat(subject: &Subject, _: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    let task = subject.living_task()?;
    let time = task.map(|task| crate::time::thread_cpu(&task)).unwrap_or_default();
    Ok(format!("{} 0 0\n", time.user_ns + time.system_ns).into_bytes())
}

/// `io`. Divergence: I/O is not counted.
pub(super) fn io_counts(subject: &Subject, _: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    subject.group()?;
    let names =
        ["rchar", "wchar", "syscr", "syscw", "read_bytes", "write_bytes", "cancelled_write_bytes"];
    Ok(names.map(|name| format!("{name}: 0\n")).concat().into_bytes())
}

/// `oom_score`: the share of memory in use, moved by the adjustment, scaled as Linux does.
pub(super) fn oom_score(subject: &Subject, _: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    let group = subject.group()?;
    let total = (subject.kernel()?.memory_total >> 12).max(1) as i64;
    let usage = subject.living_task()?.and_then(|task| task.mm().memory().space().usage().ok());
    let resident = (usage.unwrap_or_default().resident >> 12) as i64;
    let adjustment = i64::from(group.oom_score_adj.load(Ordering::Relaxed));
    let badness = resident + adjustment * (total / 1000);
    let score = if adjustment == -1000 { 0 } else { (1000 + badness * 1000 / total) * 2 / 3 };
    Ok(format!("{}\n", score.max(0)).into_bytes())
}

/// `oom_score_adj`.
///
/// Errors of a write: EINVAL outside -1000 to 1000; EACCES to lower it without CAP_SYS_RESOURCE.
pub(super) fn oom_score_adj(subject: &Arc<Subject>, attributes: NodeAttributes) -> Arc<dyn Inode> {
    let (reader, writer) = (subject.clone(), subject.clone());
    let read = move |_: &IoContext<'_>| {
        let value = reader.group()?.oom_score_adj.load(Ordering::Relaxed);
        Ok(format!("{value}\n").into_bytes())
    };
    let write = move |data: &[u8], io: &IoContext<'_>| {
        let value = parse_number(data)?;
        if !(-1000..=1000).contains(&value) {
            return Err(Errno::EINVAL);
        }
        let group = writer.group()?;
        let is_lower = value < i64::from(group.oom_score_adj.load(Ordering::Relaxed));
        let may_lower = io.task.is_none_or(|task| task.credentials().has(CAP_SYS_RESOURCE));
        if is_lower && !may_lower {
            return Err(Errno::EACCES);
        }
        group.oom_score_adj.store(value as i32, Ordering::Relaxed);
        Ok(())
    };
    SyntheticFile::new(attributes, Writable { read, write })
}

/// `timerslack_ns`. Errors: EPERM for another process without CAP_SYS_NICE.
pub(super) fn timer_slack(subject: &Arc<Subject>, attributes: NodeAttributes) -> Arc<dyn Inode> {
    let (reader, writer) = (subject.clone(), subject.clone());
    let read = move |io: &IoContext<'_>| {
        check_nice(&reader, io)?;
        let slack = reader.task()?.sched.lock().timer_slack_ns;
        Ok(format!("{slack}\n").into_bytes())
    };
    let write = move |data: &[u8], io: &IoContext<'_>| {
        let slack = u64::try_from(parse_number(data)?).map_err(|_| Errno::EINVAL)?;
        check_nice(&writer, io)?;
        let task = writer.task()?;
        task.sched.lock().timer_slack_ns = if slack == 0 { 50_000 } else { slack };
        Ok(())
    };
    SyntheticFile::new(attributes, Writable { read, write })
}

fn check_nice(subject: &Subject, io: &IoContext<'_>) -> Result<(), Errno> {
    let is_own =
        io.task.is_none_or(|caller| subject.task().is_ok_and(|own| Arc::ptr_eq(caller, &own)));
    let may = is_own || io.task.is_some_and(|caller| caller.credentials().has(CAP_SYS_NICE));
    if may { Ok(()) } else { Err(Errno::EPERM) }
}
