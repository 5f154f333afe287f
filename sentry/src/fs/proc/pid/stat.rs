//! `/proc/[pid]/stat` and `statm`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use linux_abi::Errno;
use linux_abi::task::{RLIMIT_RSS, SCHED_FIFO, SCHED_RR};
use platform::MemoryUsage;

use super::state::{name, state, thread_count};
use crate::fs::proc::subject::{Subject, View};
use crate::mm::{MmRecord, PAGE_SIZE};
use crate::task::{AccessMode, Task, ThreadGroup};
use crate::time::{CpuTime, children_cpu, process_cpu, thread_cpu};
use crate::vfs::{DeviceId, IoContext};

/// Flags of a task as `stat` shows them.
const PF_EXITING: u64 = 0x4;
const PF_FORKNOEXEC: u64 = 0x40;
const PF_RANDOMIZE: u64 = 0x40_0000;

/// The line `stat`, proc_pid_stat(5). What only those may know who may trace the process is 0 for
/// others.
pub(super) fn stat(subject: &Subject, io: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    let group = subject.group()?;
    let task = subject.living_task()?;
    let mut text = format!("{} (", subject.id).into_bytes();
    text.extend_from_slice(&name(subject, task.as_ref())?);
    let (letter, _) = state(task.as_ref(), io);
    text.extend_from_slice(format!(") {letter} {}", job(&group, task.is_none())).as_bytes());
    let tail = [
        times(subject, &group, task.as_ref())?,
        memory(subject, &group, task.as_ref(), io),
        signals(&group, task.as_ref()),
        scheduling(subject, &group, task.as_ref()),
        areas(subject, &group, task.as_ref(), io),
    ];
    for part in tail {
        text.push(b' ');
        text.extend_from_slice(part.as_bytes());
    }
    text.push(b'\n');
    Ok(text)
}

/// Fields 4 to 13: family, terminal, flags, faults (not counted).
fn job(group: &Arc<ThreadGroup>, is_zombie: bool) -> String {
    let process_group = group.process_group();
    let terminal = process_group.session.terminal.lock().clone();
    let (device, foreground) = match &terminal {
        Some(terminal) => (encode(terminal.device()), terminal.foreground()),
        None => (0, -1),
    };
    let mut flags = PF_RANDOMIZE;
    if is_zombie {
        flags |= PF_EXITING;
    }
    if !group.has_execed.load(Ordering::Relaxed) {
        flags |= PF_FORKNOEXEC;
    }
    let session = process_group.session.id;
    let ppid = group.ppid();
    format!("{ppid} {} {session} {device} {foreground} {flags} 0 0 0 0", process_group.id)
}

/// A device number as a 32-bit word (`new_encode_dev`).
fn encode(device: DeviceId) -> u32 {
    (device.minor & 0xff) | (device.major << 8) | ((device.minor & !0xff) << 12)
}

/// Fields 14 to 22: CPU times in ticks, priority, threads, start.
fn times(
    subject: &Subject,
    group: &ThreadGroup,
    task: Option<&Arc<Task>>,
) -> Result<String, Errno> {
    let own = match (subject.view, task) {
        (View::Thread, Some(task)) => thread_cpu(task),
        (View::Thread, None) => CpuTime::default(),
        (View::Process, _) => process_cpu(group),
    };
    let (user, system) = own.ticks();
    let (child_user, child_system) = children_cpu(group).ticks();
    let (priority, nice) = match task {
        Some(task) => {
            let sched = task.sched.lock();
            let is_realtime = matches!(sched.policy, SCHED_FIFO | SCHED_RR);
            (if is_realtime { -1 - sched.priority } else { 20 + sched.nice }, sched.nice)
        }
        None => (20, 0),
    };
    let threads = thread_count(subject)?;
    let start_ns = match (subject.view, task) {
        (View::Thread, Some(task)) => task.start_time_ns,
        _ => group.start_time_ns,
    };
    let boot_ns = subject.kernel()?.boot_time_ns;
    let start = start_ns.saturating_sub(boot_ns) / 10_000_000;
    Ok(format!("{user} {system} {child_user} {child_system} {priority} {nice} {threads} 0 {start}"))
}

fn usage(task: Option<&Arc<Task>>) -> MemoryUsage {
    task.and_then(|task| task.mm().memory().space().usage().ok()).unwrap_or_default()
}

fn record(task: Option<&Arc<Task>>) -> MmRecord {
    task.map(|task| task.mm().with_record(|record| record.clone())).unwrap_or_default()
}

/// Fields 23 to 30: size, resident pages, limit, code, stack; registers are never told.
fn memory(
    subject: &Subject,
    group: &ThreadGroup,
    task: Option<&Arc<Task>>,
    io: &IoContext<'_>,
) -> String {
    let usage = usage(task);
    let limit = group.soft_limit(RLIMIT_RSS as usize);
    let (code, stack) = if task.is_none() {
        (0..0, 0)
    } else if subject.may_access(AccessMode::ReadAsFile, io) {
        let record = record(task);
        (record.code, record.stack_start)
    } else {
        (1..1, 0)
    };
    format!(
        "{} {} {limit} {} {} {stack} 0 0",
        usage.virtual_size,
        usage.resident / PAGE_SIZE,
        code.start,
        code.end
    )
}

/// Fields 31 to 37: signal sets (the first 31), waiting channel, swap.
fn signals(group: &ThreadGroup, task: Option<&Arc<Task>>) -> String {
    const SHOWN: u64 = 0x7fff_ffff;
    let (pending, blocked) = match task {
        Some(task) => {
            let signals = task.signals.lock();
            (signals.pending_set().0, signals.mask().0)
        }
        None => (0, 0),
    };
    let actions = group.actions.read().clone();
    let (ignored, caught) = actions.ignored_and_caught();
    format!(
        "{} {} {} {} 0 0 0",
        pending & SHOWN,
        blocked & SHOWN,
        ignored.0 & SHOWN,
        caught.0 & SHOWN
    )
}

/// Fields 38 to 44: exit signal, processor, scheduling, delays.
fn scheduling(subject: &Subject, group: &ThreadGroup, task: Option<&Arc<Task>>) -> String {
    let exit_signal = match subject.view {
        View::Process => group.exit_signal.load(Ordering::Relaxed),
        View::Thread if subject.id == group.pid => group.exit_signal.load(Ordering::Relaxed),
        View::Thread => -1,
    };
    let (priority, policy) = match task {
        Some(task) => {
            let sched = task.sched.lock();
            (sched.priority, sched.policy)
        }
        None => (0, 0),
    };
    format!("{exit_signal} 0 {priority} {policy} 0 0 0")
}

/// Fields 45 to 52: data, heap, arguments, environment, exit status.
fn areas(
    subject: &Subject,
    group: &ThreadGroup,
    task: Option<&Arc<Task>>,
    io: &IoContext<'_>,
) -> String {
    if !subject.may_access(AccessMode::ReadAsFile, io) {
        return "0 0 0 0 0 0 0 0".to_owned();
    }
    let record = record(task);
    format!(
        "{} {} {} {} {} {} {} {}",
        record.data.start,
        record.data.end,
        record.brk_start,
        record.args.start,
        record.args.end,
        record.env.start,
        record.env.end,
        group.exit_status().unwrap_or(0),
    )
}

/// `/proc/[pid]/statm`: sizes in pages.
pub(super) fn statm(subject: &Subject, _: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    let task = subject.living_task()?;
    let usage = usage(task.as_ref());
    let code = record(task.as_ref()).code;
    let pages = |bytes: u64| bytes / PAGE_SIZE;
    let text = crate::mm::page_up(code.end).unwrap_or(0).saturating_sub(code.start & !0xfff);
    Ok(format!(
        "{} {} {} {} 0 {} 0\n",
        pages(usage.virtual_size),
        pages(usage.resident),
        pages(usage.shared),
        pages(text),
        pages(usage.data),
    )
    .into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_packed_as_linux_does() {
        assert_eq!(encode(DeviceId { major: 136, minor: 3 }), 0x8803);
        assert_eq!(encode(DeviceId { major: 4, minor: 0x1ff }), 0x10_04ff);
    }
}
