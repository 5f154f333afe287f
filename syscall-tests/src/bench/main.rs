//! The benchmark: primitives and whole programs natively, in runsc-rs and in other runtimes, side
//! by side.
//!
//! `cargo run --release -p syscall-tests --bin syscall-bench [-- OPTIONS] [RUNTIME…]`. Without names
//! it measures `native`, `runsc-rs`, and `runc` and `runsc` where they are installed. The columns
//! are measured one after the other in one run, as root. Nothing that is started outlives its time
//! limit or the run.

mod idle;
mod primitives;
mod processes;
mod programs;
mod rows;
mod table;

use anyhow::{Context, Result};
use clap::Parser;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;
use syscall_tests::build;
use syscall_tests::runtime::Runtime;

/// Measures kernel primitives and programs in several runtimes and prints them side by side.
#[derive(Parser)]
struct Options {
    /// Runtimes: native, runsc-rs, or names or paths of OCI runtimes.
    runtimes: Vec<String>,
    /// Platform of runsc-rs; its own default unless told otherwise.
    #[arg(long, default_value = "", hide_default_value = true)]
    platform: String,
    /// Measure whole programs instead of primitives.
    #[arg(long)]
    programs: bool,
    /// Measure primitives and whole programs.
    #[arg(long, conflicts_with = "programs")]
    all: bool,
    /// Only this primitive or program (may be repeated).
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Runs of each program, and of the start-up measurement.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Seconds that a primitive, or all runs of a program, may take.
    #[arg(long, default_value_t = 240)]
    limit: u64,
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == name)
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(self.limit)
    }
}

/// What became of one measurement.
#[derive(Clone, Copy, Debug)]
enum Figure {
    /// In the unit of the row: nanoseconds, bytes, …
    Value(f64),
    /// It took longer than its time limit.
    Timeout,
    /// It ended with an error, which was printed.
    Failed,
}

/// Results of one runtime by row.
type Results = BTreeMap<String, Figure>;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("syscall-bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<()> {
    processes::adopt_orphans()?;
    let guest = build::binary("syscall-tests", "syscall-bench-guest")?;
    let names = match options.runtimes.is_empty() {
        true => default_runtimes(),
        false => options.runtimes.clone(),
    };
    let roots = match options.programs || options.all {
        true => Some(programs::Roots::find()?),
        false => None,
    };
    let mut columns = Vec::new();
    for name in names {
        let runtime = Runtime::find(&name, &options.platform)?;
        let mut results = Results::new();
        if !options.programs {
            primitives::measure(&runtime, &guest, options, &mut results)
                .with_context(|| format!("measuring {name}"))?;
        }
        if let Some(roots) = &roots {
            programs::measure(&runtime, roots, options, &mut results);
        }
        columns.push((name, results));
    }
    rows::add_mean(&mut columns);
    print!("{}", table::render(&columns));
    Ok(())
}

fn default_runtimes() -> Vec<String> {
    let installed = |name: &&str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|dir| dir.join(name).is_file())
    };
    let others = ["runc", "runsc"].into_iter().filter(installed);
    ["native", "runsc-rs"].into_iter().chain(others).map(String::from).collect()
}

/// The middle of some values; none of none.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
