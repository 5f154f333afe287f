//! `smaps` and `smaps_rollup`.
//!
//! Divergence: the host does not tell per mapping which pages are resident, so `smaps` shows sizes
//! and flags with zero counts; the totals in `smaps_rollup` are those of the address space.

use linux_abi::Errno;
use platform::MemoryUsage;

use super::maps::{line, reader_root};
use crate::fs::proc::subject::Subject;
use crate::mm::MapEntry;
use crate::vfs::IoContext;

/// Counters in Linux' order, with the values that are known.
fn counters(usage: MemoryUsage) -> String {
    let anonymous = usage.resident.saturating_sub(usage.shared);
    let values = [
        ("Rss", usage.resident),
        ("Pss", usage.resident),
        ("Pss_Dirty", anonymous),
        ("Pss_Anon", anonymous),
        ("Pss_File", usage.shared),
        ("Pss_Shmem", 0),
        ("Shared_Clean", usage.shared),
        ("Shared_Dirty", 0),
        ("Private_Clean", 0),
        ("Private_Dirty", anonymous),
        ("Referenced", usage.resident),
        ("Anonymous", anonymous),
        ("KSM", 0),
        ("LazyFree", 0),
        ("AnonHugePages", 0),
        ("ShmemPmdMapped", 0),
        ("FilePmdMapped", 0),
        ("Shared_Hugetlb", 0),
        ("Private_Hugetlb", 0),
        ("Swap", 0),
        ("SwapPss", 0),
        ("Locked", 0),
    ];
    values.iter().map(|(name, bytes)| counter(name, *bytes)).collect()
}

fn counter(name: &str, bytes: u64) -> String {
    format!("{:<16}{:>8} kB\n", format!("{name}:"), bytes >> 10)
}

/// `/proc/[pid]/smaps`.
pub(super) fn smaps(subject: &Subject, io: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    let Some(task) = subject.living_task()? else { return Ok(Vec::new()) };
    let root = reader_root(&task, io);
    let zeros = counters(MemoryUsage::default());
    let mut text = Vec::new();
    for entry in task.mm().map_entries()? {
        line(&entry, &root, &mut text);
        let size = entry.host.range.end - entry.host.range.start;
        text.extend(counter("Size", size).bytes());
        text.extend(counter("KernelPageSize", 4096).bytes());
        text.extend(counter("MMUPageSize", 4096).bytes());
        text.extend(zeros.bytes());
        text.extend_from_slice(b"THPeligible:           0\n");
        text.extend(format!("VmFlags: {}\n", flags(&entry)).bytes());
    }
    Ok(text)
}

fn flags(entry: &MapEntry) -> String {
    let host = &entry.host;
    let flags = [
        (host.read, "rd "),
        (host.write, "wr "),
        (host.exec, "ex "),
        (host.shared, "sh "),
        (true, "mr mw me "),
        (host.shared, "ms "),
    ];
    flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| *flag).collect()
}

/// `/proc/[pid]/smaps_rollup`. Errors: ESRCH for a zombie.
pub(super) fn rollup(subject: &Subject, _: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    let mm = subject.task()?.mm();
    let entries = mm.map_entries()?;
    let start = entries.first().map_or(0, |entry| entry.host.range.start);
    let end = entries.last().map_or(0, |entry| entry.host.range.end);
    let head = format!("{start:08x}-{end:08x} ---p 00000000 00:00 0 ");
    let text = format!("{head:<73}[rollup]\n{}", counters(mm.memory().space().usage()?));
    Ok(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_have_linux_columns() {
        assert_eq!(counter("Rss", 1764 << 10), "Rss:                1764 kB\n");
        assert_eq!(counter("Shared_Hugetlb", 0), "Shared_Hugetlb:        0 kB\n");
        assert_eq!(counters(MemoryUsage::default()).lines().count(), 22);
    }
}
