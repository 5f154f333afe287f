//! `meminfo` and `vmstat`: the memory that the sandbox may use, and what of it is in use.

use std::fmt::Write;

use linux_abi::Errno;

use crate::fs::proc::Proc;
use crate::kernel::Kernel;
use crate::mm::memory_in_use;

/// `/proc/meminfo`. Only totals, free memory and the memory of processes are known; the host's
/// caches are its own business and count as free.
pub(super) fn meminfo(_: &Proc, kernel: &Kernel) -> Result<String, Errno> {
    let total = kernel.memory_total;
    let used = memory_in_use(kernel).min(total);
    let free = total - used;
    let lines = [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", free),
        ("Buffers", 0),
        ("Cached", 0),
        ("SwapCached", 0),
        ("Active", used),
        ("Inactive", 0),
        ("Active(anon)", used),
        ("Inactive(anon)", 0),
        ("Active(file)", 0),
        ("Inactive(file)", 0),
        ("Unevictable", 0),
        ("Mlocked", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", 0),
        ("Writeback", 0),
        ("AnonPages", used),
        ("Mapped", 0),
        ("Shmem", 0),
        ("KReclaimable", 0),
        ("Slab", 0),
        ("SReclaimable", 0),
        ("SUnreclaim", 0),
        ("KernelStack", 0),
        ("PageTables", 0),
        ("NFS_Unstable", 0),
        ("Bounce", 0),
        ("WritebackTmp", 0),
        ("CommitLimit", total / 2),
        ("Committed_AS", used),
        ("VmallocTotal", 0x1f_ffff_ffff << 10),
        ("VmallocUsed", 0),
        ("VmallocChunk", 0),
        ("Percpu", 0),
        ("AnonHugePages", 0),
        ("ShmemHugePages", 0),
        ("ShmemPmdMapped", 0),
        ("FileHugePages", 0),
        ("FilePmdMapped", 0),
    ];
    let mut text = String::new();
    for (name, bytes) in lines {
        writeln!(text, "{:<16}{:>8} kB", format!("{name}:"), bytes >> 10)
            .map_err(|_| Errno::EIO)?;
    }
    text.push_str(
        "HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\n\
         HugePages_Surp:        0\nHugepagesize:       2048 kB\nHugetlb:               0 kB\n",
    );
    Ok(text)
}

/// `/proc/vmstat`: the counters that programs look for.
pub(super) fn vmstat(_: &Proc, kernel: &Kernel) -> Result<String, Errno> {
    let used = memory_in_use(kernel).min(kernel.memory_total) >> 12;
    let free = (kernel.memory_total >> 12) - used;
    let known = [("nr_free_pages", free), ("nr_active_anon", used), ("nr_anon_pages", used)];
    let zero = [
        "nr_inactive_anon",
        "nr_inactive_file",
        "nr_active_file",
        "nr_unevictable",
        "nr_mlock",
        "nr_mapped",
        "nr_file_pages",
        "nr_dirty",
        "nr_writeback",
        "nr_shmem",
        "pgpgin",
        "pgpgout",
        "pswpin",
        "pswpout",
        "pgfault",
        "pgmajfault",
        "oom_kill",
    ];
    let lines = known.into_iter().chain(zero.into_iter().map(|name| (name, 0)));
    Ok(lines.map(|(name, value)| format!("{name} {value}\n")).collect())
}
