//! The rows of the table: their order, their units and what they should reach.

use crate::{Figure, Results};

/// In what a row is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds; less is better.
    Time,
    /// Operations a second; more is better.
    Rate,
    Bytes,
    /// Of one processor.
    Share,
    /// To the native time.
    Ratio,
}

/// What a target is compared with.
#[derive(Clone, Copy)]
pub enum Against {
    Native,
    Gvisor,
    /// A number in the row's unit.
    Fixed,
}

/// What our figure should be: at most so many times the other, or at least for rates.
#[derive(Clone, Copy)]
pub struct Target {
    pub factor: f64,
    pub against: Against,
}

pub struct Row {
    pub name: &'static str,
    pub unit: Unit,
    pub target: Option<Target>,
}

const fn row(name: &'static str, unit: Unit) -> Row {
    Row { name, unit, target: None }
}

const fn native(name: &'static str, factor: f64) -> Row {
    let target = Some(Target { factor, against: Against::Native });
    Row { name, unit: Unit::Time, target }
}

const fn gvisor(name: &'static str, factor: f64) -> Row {
    let target = Some(Target { factor, against: Against::Gvisor });
    Row { name, unit: Unit::Time, target }
}

const fn fixed(name: &'static str, unit: Unit, factor: f64) -> Row {
    Row { name, unit, target: Some(Target { factor, against: Against::Fixed }) }
}

const fn rate(name: &'static str, factor: f64, against: Against) -> Row {
    Row { name, unit: Unit::Rate, target: Some(Target { factor, against }) }
}

const MEAN: &str = "geometric_mean";

pub const ROWS: &[Row] = &[
    native("getpid", 1.0),
    native("gettid", 1.0),
    native("clock_gettime", 1.0),
    gvisor("read_1b", 0.3),
    gvisor("write_1b", 0.3),
    gvisor("fstat", 0.3),
    row("read_4k", Unit::Time),
    row("write_4k", Unit::Time),
    gvisor("pread_4k", 0.7),
    gvisor("open_close", 0.4),
    gvisor("stat", 0.4),
    gvisor("creat_unlink", 0.4),
    row("futex_wake", Unit::Time),
    row("mmap_munmap", Unit::Time),
    native("mmap_touch", 1.5),
    native("page_fault", 1.5),
    row("mprotect", Unit::Time),
    native("fork_wait", 3.0),
    native("fork_exec_wait", 3.0),
    native("thread", 4.0),
    native("mutex_contended", 1.3),
    native("futex_pingpong_threads", 1.3),
    native("futex_pingpong_together", 1.3),
    native("pipe_pingpong_threads", 1.5),
    native("unix_pingpong_processes", 1.0),
    native("tcp_pingpong_threads", 1.0),
    fixed("read_busy", Unit::Time, 4e3),
    row("read_busy_mean", Unit::Time),
    fixed("read_busy_stall", Unit::Time, 10e6),
    fixed("read_busy_outside", Unit::Time, 4e3),
    row("read_busy_outside_mean", Unit::Time),
    fixed("read_busy_outside_stall", Unit::Time, 10e6),
    fixed("start_true", Unit::Time, 12e6),
    fixed("idle_memory", Unit::Bytes, 5.0 * 1048576.0),
    // Half a thousandth: nothing but the noise of being watched.
    fixed("idle_cpu", Unit::Share, 0.0005),
    native("shell_true_300", 2.0),
    native("echo_cat_200", 2.0),
    native("gcc_30", 2.0),
    native("python_start_20", 2.0),
    native("node_start", 2.0),
    native("find_usr", 2.5),
    native("cp_rm", 2.0),
    native("git_commit", 2.0),
    fixed(MEAN, Unit::Ratio, 1.6),
    native("python_lists", 1.5),
    native("stress_malloc", 1.5),
    rate("stress_pipe", 5.0, Against::Gvisor),
    gvisor("dd_zero_null", 0.2),
    rate("redis_get", 0.4, Against::Native),
    rate("nginx_small", 0.4, Against::Native),
    rate("pgbench_read", 0.4, Against::Native),
];

/// The programs that the geometric mean is of.
const MEAN_OF: &[&str] = &[
    "shell_true_300",
    "echo_cat_200",
    "gcc_30",
    "python_start_20",
    "node_start",
    "find_usr",
    "cp_rm",
    "git_commit",
];

/// Adds the geometric mean of the programs' ratios to the native times, in each column that has
/// all the programs that the native column has.
pub fn add_mean(columns: &mut [(String, Results)]) {
    let value = |results: &Results, name: &str| match results.get(name) {
        Some(Figure::Value(value)) => Some(*value),
        _ => None,
    };
    let Some((_, native)) = columns.iter().find(|(name, _)| name == "native") else { return };
    let reference: Vec<(&str, f64)> =
        MEAN_OF.iter().filter_map(|&name| Some((name, value(native, name)?))).collect();
    if reference.is_empty() {
        return;
    }
    for (_, results) in columns {
        let logs: Option<Vec<f64>> =
            reference.iter().map(|(name, n)| Some((value(results, name)? / n).ln())).collect();
        let figure = match logs {
            Some(logs) => Figure::Value((logs.iter().sum::<f64>() / logs.len() as f64).exp()),
            None => Figure::Failed,
        };
        results.insert(MEAN.to_owned(), figure);
    }
}
