//! How busy the sandbox is: `stat`, `uptime`, `loadavg` and interrupt counts.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use linux_abi::Errno;
use linux_abi::task::USER_HZ;

use crate::fs::proc::Proc;
use crate::kernel::Kernel;
use crate::task::Task;
use crate::time::{CpuTime, children_cpu, process_cpu};

/// Nanoseconds since the sandbox started.
fn uptime_ns(kernel: &Kernel) -> u64 {
    kernel.monotonic_ns().saturating_sub(kernel.boot_time_ns)
}

/// CPU time of everything that ran so far. It never goes back, although processes take their
/// times with them when nobody waits for them.
fn busy(proc: &Proc, kernel: &Kernel) -> CpuTime {
    let mut sum = CpuTime::default();
    for group in kernel.tasks.groups() {
        for part in [process_cpu(&group), children_cpu(&group)] {
            sum.user_ns += part.user_ns;
            sum.system_ns += part.system_ns;
        }
    }
    let highest = |seen: &std::sync::atomic::AtomicU64, now: u64| {
        seen.fetch_max(now, Ordering::Relaxed).max(now)
    };
    CpuTime {
        user_ns: highest(&proc.user_ns, sum.user_ns),
        system_ns: highest(&proc.system_ns, sum.system_ns),
    }
}

fn threads(kernel: &Kernel) -> Vec<Arc<Task>> {
    kernel.tasks.groups().iter().flat_map(|group| group.threads()).collect()
}

/// Threads that run, the reader included.
fn running(threads: &[Arc<Task>]) -> usize {
    threads.iter().filter(|task| task.runs_guest_code()).count() + 1
}

/// `/proc/stat`. Interrupts and switches are not counted.
pub(super) fn stat(proc: &Proc, kernel: &Kernel) -> Result<String, Errno> {
    let cpus = u64::from(kernel.cpu_count.max(1));
    let share = {
        let all = busy(proc, kernel);
        CpuTime { user_ns: all.user_ns / cpus, system_ns: all.system_ns / cpus }
    };
    let (user, system) = share.ticks();
    let uptime = (uptime_ns(kernel) / (1_000_000_000 / USER_HZ)) as i64;
    let idle = (uptime - user - system).max(0);
    let line = |name: &str, times: i64| {
        let (user, system, idle) = (user * times, system * times, idle * times);
        format!("{name} {user} 0 {system} {idle} 0 0 0 0 0 0\n")
    };
    let mut text = line("cpu ", cpus as i64);
    for cpu in 0..cpus {
        text.push_str(&line(&format!("cpu{cpu}"), 1));
    }
    let boot = kernel.wall_time_of(kernel.boot_time_ns);
    text.push_str(&format!(
        "intr 0\nctxt 0\nbtime {boot}\nprocesses {}\nprocs_running {}\nprocs_blocked 0\n\
         softirq 0 0 0 0 0 0 0 0 0 0 0\n",
        kernel.tasks.last_pid(),
        running(&threads(kernel)),
    ));
    Ok(text)
}

/// `/proc/uptime`: seconds since the start, and those that processors were idle.
pub(super) fn uptime(proc: &Proc, kernel: &Kernel) -> Result<String, Errno> {
    let uptime = uptime_ns(kernel);
    let used = busy(proc, kernel);
    let all = uptime.saturating_mul(u64::from(kernel.cpu_count));
    let idle = all.saturating_sub(used.user_ns).saturating_sub(used.system_ns);
    let shown = |ns: u64| format!("{}.{:02}", ns / 1_000_000_000, ns % 1_000_000_000 / 10_000_000);
    Ok(format!("{} {}\n", shown(uptime), shown(idle)))
}

/// `/proc/loadavg`: the same averages that `sysinfo(2)` tells.
pub(super) fn loadavg(_: &Proc, kernel: &Kernel) -> Result<String, Errno> {
    let threads = threads(kernel);
    let averages = platform::host::process::machine_info().loads.map(|load| {
        // Rounded, with two decimals.
        let hundredths = (load * 100 + (1 << 15)) >> 16;
        format!("{}.{:02}", hundredths / 100, hundredths % 100)
    });
    Ok(format!(
        "{} {}/{} {}\n",
        averages.join(" "),
        running(&threads),
        threads.len(),
        kernel.tasks.last_pid(),
    ))
}

fn cpu_header(kernel: &Kernel, width: usize) -> String {
    let names: String = (0..kernel.cpu_count).map(|cpu| format!("CPU{cpu:<8}")).collect();
    format!("{:width$}{}\n", "", names)
}

/// `/proc/interrupts`: none.
pub(super) fn interrupts(_: &Proc, kernel: &Kernel) -> Result<String, Errno> {
    Ok(cpu_header(kernel, 11))
}

/// `/proc/softirqs`: none.
pub(super) fn softirqs(_: &Proc, kernel: &Kernel) -> Result<String, Errno> {
    Ok(cpu_header(kernel, 20))
}
