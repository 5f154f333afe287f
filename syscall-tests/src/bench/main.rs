//! The benchmark: the same primitives natively, in runsc-rs and in other runtimes, side by side.
//!
//! `cargo run --release -p syscall-tests --bin syscall-bench [-- RUNTIME…]`. Without names it
//! measures `native`, `runsc-rs`, and `runc` and `runsc` where they are installed. Times are
//! medians of the time for one operation; the columns are measured one after the other in one run.

mod memory;
mod table;

use anyhow::{Context, Result};
use clap::Parser;
use std::collections::BTreeMap;
use std::process::{Command, ExitCode};
use std::time::Instant;
use syscall_tests::build;
use syscall_tests::bundle::{Bundle, GUEST_PATH};
use syscall_tests::runtime::PLATFORMS;

/// Measures kernel primitives in several runtimes and prints them side by side.
#[derive(Parser)]
struct Options {
    /// Runtimes: native, runsc-rs, or names or paths of OCI runtimes.
    runtimes: Vec<String>,
    /// Platform of runsc-rs.
    #[arg(long, default_value = PLATFORMS[0])]
    platform: String,
    /// Only these primitives.
    #[arg(long)]
    only: Vec<String>,
    /// Runs of the start-up measurement.
    #[arg(long, default_value_t = 11)]
    starts: usize,
}

/// Results of one runtime: nanoseconds by primitive, and bytes for memory.
type Results = BTreeMap<String, f64>;

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
    let guest = build::binary("syscall-tests", "syscall-bench-guest")?;
    let names = match options.runtimes.is_empty() {
        true => default_runtimes(),
        false => options.runtimes.clone(),
    };
    let mut columns = Vec::new();
    for name in names {
        let runtime = Runtime::find(&name, &options.platform)?;
        let bundle = Bundle::new(&guest)?;
        eprintln!("measuring {name} …");
        match measure(&runtime, &bundle, options) {
            Ok(results) => columns.push((name, results)),
            Err(error) => eprintln!("{name}: {error:#}"),
        }
    }
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

/// How the guest is started.
struct Runtime {
    program: Option<std::path::PathBuf>,
    options: Vec<String>,
}

impl Runtime {
    fn find(name: &str, platform: &str) -> Result<Runtime> {
        Ok(match name {
            "native" => Runtime { program: None, options: Vec::new() },
            "runsc-rs" => Runtime {
                program: Some(build::binary("runsc-cli", "runsc-rs")?),
                options: ["--platform", platform, "--network", "none"].map(String::from).into(),
            },
            "runsc" => Runtime {
                program: Some(name.into()),
                options: ["--network", "none", "--ignore-cgroups"].map(String::from).into(),
            },
            other => Runtime { program: Some(other.into()), options: Vec::new() },
        })
    }

    /// The command that runs the guest with `arguments`.
    fn command(&self, bundle: &Bundle, id: &str, arguments: &[String]) -> Result<Command> {
        let Some(program) = &self.program else {
            let guest = bundle.path().join("rootfs").join(GUEST_PATH.trim_start_matches('/'));
            let mut command = Command::new(guest);
            command.args(arguments);
            return Ok(command);
        };
        let mut args = vec![GUEST_PATH.to_owned()];
        args.extend_from_slice(arguments);
        bundle.configure(&args)?;
        let mut command = Command::new(program);
        command.args(&self.options).arg("--root").arg(bundle.state_dir());
        command.arg("run").arg("--bundle").arg(bundle.path()).arg(id);
        Ok(command)
    }
}

fn measure(runtime: &Runtime, bundle: &Bundle, options: &Options) -> Result<Results> {
    let id = format!("bench-{}", std::process::id());
    let output = runtime.command(bundle, &id, &options.only)?.output().context("starting")?;
    if !output.status.success() {
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut results: Results = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect();
    if options.only.is_empty() {
        results.insert("start_true".to_owned(), start_up(runtime, bundle, &id, options.starts)?);
        if runtime.program.is_some() {
            let idle = runtime.command(bundle, &id, &["--idle".to_owned()])?;
            results.insert("idle_memory".to_owned(), memory::idle_bytes(idle)?);
        }
    }
    Ok(results)
}

/// Median time of a whole run of a program that leaves at once, in nanoseconds.
fn start_up(runtime: &Runtime, bundle: &Bundle, id: &str, runs: usize) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..runs.max(1) {
        let mut command = runtime.command(bundle, id, &["--exit".to_owned()])?;
        let start = Instant::now();
        let status = command.status().context("starting")?;
        times.push(start.elapsed().as_nanos() as f64);
        anyhow::ensure!(status.success(), "the run ended with {status}");
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
