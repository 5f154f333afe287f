//! `/proc/[pid]/status`.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::task::RLIMIT_SIGPENDING;

use super::state::{name, state, thread_count};
use crate::fs::proc::subject::Subject;
use crate::fs::proc::text::{list, mask};
use crate::task::{Credentials, Task, ThreadGroup};
use crate::vfs::IoContext;

/// The file, proc_pid_status(5). A zombie lacks what belongs to memory and files.
pub(super) fn status(subject: &Subject, io: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    let group = subject.group()?;
    let task = subject.living_task()?;
    let name = escape_name(&name(subject, task.as_ref())?);
    let mut text = b"Name:\t".to_vec();
    text.extend_from_slice(&name);
    text.push(b'\n');
    let credentials = match &task {
        Some(task) => (*task.credentials()).clone(),
        None => group.last_credentials(),
    };
    let parts = [
        identity(subject, &group, task.as_ref(), &credentials, io),
        task.as_ref().map(memory).unwrap_or_default(),
        signals(subject, &group, task.as_ref(), &credentials)?,
        security(&credentials, task.as_ref()),
        processors(subject, task.as_ref())?,
    ];
    for part in parts {
        text.extend_from_slice(part.as_bytes());
    }
    Ok(text)
}

/// Only newline and backslash are escaped, as letters.
fn escape_name(name: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::new();
    for &byte in name {
        match byte {
            b'\n' => escaped.extend_from_slice(b"\\n"),
            b'\\' => escaped.extend_from_slice(b"\\\\"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn identity(
    subject: &Subject,
    group: &ThreadGroup,
    task: Option<&Arc<Task>>,
    ids: &Credentials,
    io: &IoContext<'_>,
) -> String {
    let mut text = String::new();
    if let Some(task) = task {
        text.push_str(&format!("Umask:\t{:04o}\n", task.fs().umask()));
    }
    let (letter, words) = state(task, io);
    let process_group = group.process_group();
    let tracer = task.map_or(0, |task| task.tracing.tracer_tid());
    text.push_str(&format!(
        "State:\t{letter} ({words})\nTgid:\t{}\nNgid:\t0\nPid:\t{}\nPPid:\t{}\nTracerPid:\t{tracer}\n",
        group.pid,
        subject.id,
        group.ppid(),
    ));
    text.push_str(&format!("Uid:\t{}\t{}\t{}\t{}\n", ids.uid, ids.euid, ids.suid, ids.fsuid));
    text.push_str(&format!("Gid:\t{}\t{}\t{}\t{}\n", ids.gid, ids.egid, ids.sgid, ids.fsgid));
    let slots = task.map_or(0, |task| task.fds().capacity());
    let groups: String = ids.groups.iter().map(|gid| format!("{gid} ")).collect();
    // Linux: an empty list leaves one blank.
    let groups = if groups.is_empty() { " ".to_owned() } else { groups };
    text.push_str(&format!(
        "FDSize:\t{slots}\nGroups:\t{groups}\nNStgid:\t{}\nNSpid:\t{}\nNSpgid:\t{}\nNSsid:\t{}\nKthread:\t0\n",
        group.pid, subject.id, process_group.id, process_group.session.id,
    ));
    text
}

/// Sizes. Peaks are not kept: the present values stand for them.
fn memory(task: &Arc<Task>) -> String {
    let mm = task.mm();
    let usage = mm.memory().space().usage().unwrap_or_default();
    let code = mm.with_record(|record| record.code.clone());
    let entries = mm.map_entries().unwrap_or_default();
    let (mut stack, mut executable) = (0, 0);
    for entry in &entries {
        let size = entry.host.range.end - entry.host.range.start;
        if entry.label == "[stack]" {
            stack += size;
        }
        if entry.host.exec {
            executable += size;
        }
    }
    let code = crate::mm::page_up(code.end).unwrap_or(0).saturating_sub(code.start & !0xfff);
    let anonymous = usage.resident.saturating_sub(usage.shared);
    let lines = [
        ("VmPeak", usage.virtual_size),
        ("VmSize", usage.virtual_size),
        ("VmLck", 0),
        ("VmPin", 0),
        ("VmHWM", usage.resident),
        ("VmRSS", usage.resident),
        ("RssAnon", anonymous),
        ("RssFile", usage.shared),
        ("RssShmem", 0),
        ("VmData", usage.data.saturating_sub(stack)),
        ("VmStk", stack),
        ("VmExe", code),
        ("VmLib", u64::saturating_sub(executable, code)),
        ("VmPTE", 0),
        ("VmSwap", 0),
        ("HugetlbPages", 0),
    ];
    let mut text: String =
        lines.iter().map(|(name, bytes)| format!("{name}:\t{:>8} kB\n", bytes >> 10)).collect();
    text.push_str("CoreDumping:\t0\nTHP_enabled:\t1\nuntag_mask:\t0xffffffffffffffff\n");
    text
}

fn signals(
    subject: &Subject,
    group: &ThreadGroup,
    task: Option<&Arc<Task>>,
    ids: &Credentials,
) -> Result<String, Errno> {
    let queued = subject.kernel()?.signal_accounting.queued(ids.uid);
    let limit = group.soft_limit(RLIMIT_SIGPENDING as usize);
    let (pending, blocked) = match task {
        Some(task) => {
            let signals = task.signals.lock();
            (signals.pending_set().0, signals.mask().0)
        }
        None => (0, 0),
    };
    let shared = group.signals.lock().pending_set().0;
    let actions = group.actions.read().clone();
    let (ignored, caught) = actions.ignored_and_caught();
    Ok(format!(
        "Threads:\t{}\nSigQ:\t{queued}/{limit}\nSigPnd:\t{pending:016x}\nShdPnd:\t{shared:016x}\n\
         SigBlk:\t{blocked:016x}\nSigIgn:\t{:016x}\nSigCgt:\t{:016x}\n",
        thread_count(subject)?.max(group.threads().len()).max(1),
        ignored.0,
        caught.0,
    ))
}

fn security(ids: &Credentials, task: Option<&Arc<Task>>) -> String {
    let seccomp = task.map(|task| task.seccomp.get()).unwrap_or_default();
    format!(
        "CapInh:\t{:016x}\nCapPrm:\t{:016x}\nCapEff:\t{:016x}\nCapBnd:\t{:016x}\nCapAmb:\t{:016x}\n\
         NoNewPrivs:\t{}\nSeccomp:\t{}\nSeccomp_filters:\t{}\n\
         Speculation_Store_Bypass:\tvulnerable\nSpeculationIndirectBranch:\tconditional enabled\n",
        ids.inheritable,
        ids.permitted,
        ids.effective,
        ids.bounding,
        ids.ambient,
        u8::from(ids.no_new_privs),
        seccomp.mode(),
        seccomp.filter().map_or(0, |filter| filter.count()),
    )
}

fn processors(subject: &Subject, task: Option<&Arc<Task>>) -> Result<String, Errno> {
    let cpus = subject.kernel()?.cpu_count as usize;
    let affinity = match task {
        Some(task) => task.sched.lock().affinity.clone(),
        None => crate::task::SchedState::new(cpus as u32).affinity,
    };
    Ok(format!(
        "Cpus_allowed:\t{}\nCpus_allowed_list:\t{}\nMems_allowed:\t1\nMems_allowed_list:\t0\n\
         voluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n",
        mask(&affinity, cpus),
        list(&affinity, cpus),
    ))
}
